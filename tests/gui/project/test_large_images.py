"""A very large image makes room for the next one before that is read: two of them took 2.7 GB."""

from __future__ import annotations

import weakref

import pytest
from PySide6.QtCore import Qt

from app.services import session as session_module
from app.ui.project.early_picture import EarlyPicture
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
