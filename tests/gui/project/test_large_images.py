"""A very large image makes room for the next one before that is read: two of them took 2.7 GB."""

from __future__ import annotations

import weakref

import pytest
from PySide6.QtCore import Qt

from app.controllers.project.reviewing import ListedNote
from app.controllers.refine.preview import Phase
from app.services import session as session_module
from app.state.next_errors import ErrorFix
from app.state.reviews import RegionNote
from app.ui.project.early_picture import EarlyPicture
from app.viewmodels.evaluate.error_list import ComponentQuery
from deeplab_core.geometry import Box
from tests.gui.studio import Studio


@pytest.fixture(autouse=True)
def large(monkeypatch) -> None:
    """Every image counts as large."""
    monkeypatch.setattr("app.controllers.project.navigation.MOST_PIXELS", 100)
    monkeypatch.setattr("app.services.read_ahead.MOST_PIXELS", 100)


def test_the_last_image_is_free_before_the_next_is_read(studio: Studio, folder, monkeypatch):
    studio.open(folder)
    first, pixels = studio.image.id, weakref.ref(studio.image.rgb)
    read, held = session_module.read_pixels, []

    def reading(project, image):
        held.append(pixels() is not None)
        return read(project, image)

    monkeypatch.setattr(session_module, "read_pixels", reading)
    studio.press(Qt.Key.Key_D)
    assert studio.program.session.image is None  # it is being read
    assert isinstance(studio.window.stack.currentWidget(), EarlyPicture)  # with the last picture in view
    assert not studio.program.context["can_edit"]
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()
    assert studio.image.id != first
    assert held == [False]
    assert studio.window.stack.currentWidget() is studio.application.presenter.canvas
    assert studio.view.hasFocus()
    assert studio.program.context["can_edit"]


def test_work_on_it_is_kept_and_can_be_undone(studio: Studio, folder):
    studio.open(folder)
    first = studio.image.id
    studio.paint((10, 10), (40, 40))
    labels = studio.image.document.labels.copy()
    studio.press(Qt.Key.Key_D)
    studio.wait(lambda: studio.program.session.image is not None and studio.image.id != first)
    studio.settle()
    studio.press(Qt.Key.Key_A)
    studio.wait(lambda: studio.program.session.image is not None and studio.image.id == first)
    studio.settle()
    assert (studio.image.document.labels == labels).all()
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    studio.settle()
    assert not studio.image.document.provenance.any()


def test_the_last_of_several_keys_wins_and_an_unreadable_one_is_passed(studio: Studio, folder):
    names = sorted(path.name for path in folder.glob("*.jpg"))
    (folder / names[1]).write_bytes(b"no picture")
    studio.open(folder)
    for _ in range(3):
        studio.press(Qt.Key.Key_D)
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()
    assert studio.image.path.name == names[3]
    assert studio.window.stack.currentWidget() is studio.application.presenter.canvas


def test_a_place_of_another_image_is_shown_when_that_comes(studio: Studio, folder):
    """It was forgotten when the image in view made room."""
    studio.open(folder)
    program, other = studio.program, studio.program.session.project.images[2].id
    ranked, noted = [], []
    program.rankings.placeReached.connect(ranked.append)
    program.reviewing.placeReached.connect(noted.append)
    place, spot = Box(1, 2, 3, 4), Box(5, 6, 7, 8)
    program.rankings.visit(other, place)
    studio.wait(lambda: program.session.image is not None)
    studio.settle()
    assert (studio.image.id, ranked) == (other, [place])
    record = program.session.project.images[1]
    program.reviewing.go_to(ListedNote(record.id, 0, RegionNote("blurred", spot)))
    studio.wait(lambda: program.session.image is not None)
    studio.settle()
    assert (studio.image.id, noted) == (record.id, [spot])
    (folder / program.session.project.images[3].relative_path).write_bytes(b"no picture")
    program.rankings.visit(program.session.project.images[3].id, place)
    studio.wait(lambda: program.session.unreadable is not None)
    program.session.open_image(other)
    studio.wait(lambda: program.session.image is not None)
    assert len(ranked) == 1


def test_an_error_of_another_image_is_fixed_from_the_list(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    inspect = studio.program.inspect
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: len(inspect.index) == 4 and not inspect.inspecting)
    studio.settle()
    errors = inspect.components(ComponentQuery())
    error = next(error for error in errors if error.image != str(studio.image.id))
    found = []
    inspect.regionFound.connect(lambda component, mask, fix: found.append((component, fix)))
    inspect.fix(error, ErrorFix.GIVE)
    studio.wait(lambda: bool(found))
    assert found == [(error, ErrorFix.GIVE)]
    studio.wait(lambda: not studio.program.session.between_images)
    studio.settle()


def test_a_preview_goes_on_with_the_next_image(studio: Studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.press(Qt.Key.Key_Y)
    refine = studio.program.refine
    studio.wait(lambda: refine.status.phase is Phase.EXACT)
    first = studio.image.id
    studio.press(Qt.Key.Key_D)
    studio.wait(lambda: studio.program.session.image is not None and studio.image.id != first)
    studio.wait(lambda: refine.status.phase is Phase.EXACT and refine.shown is not None)
    studio.settle()
    assert refine.on
