"""Damage that only shows when a step is undone or an image is opened.

The history stays right, and the window offers a way out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.state.edits.whole_mask import whole_patch
from app.state.mask_file import read_mask_file
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.saved_masks import START_OVER, USE_MASK
from app.state.store import DamagedStore
from deeplab_core.catalogs.editing import add_class
from deeplab_core.errors import ProjectError
from tests.gui.studio import Studio


def strokes(studio: Studio, rows: range) -> list[np.ndarray]:
    """Paint a stroke in each row; the labels before, between and after."""
    states = [studio.image.document.labels.copy()]
    for row in rows:
        studio.program.classes.choose(row % 20 + 1)
        studio.paint((10, row), (60, row))
        states.append(studio.image.document.labels.copy())
    return states


def harm(folder: Path, number: int, which: str) -> None:
    """Flip a bit in what an image's n-th step undoes ('before') or does ('after'): nothing shows it before it is unpacked."""
    with Project.open(folder) as project:
        seq, data = project._store.rows("SELECT seq, patch FROM steps ORDER BY seq")[number]
        head = 21
        before = int.from_bytes(data[head + 4 : head + 8], "little")
        place = head + 12 + before - 2 if which == "before" else len(data) - 10
        data = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        project._store.write("UPDATE steps SET patch = ? WHERE seq = ?", (data, seq))


@pytest.mark.parametrize("jump", [False, True], ids=["one by one", "by the history list"])
def test_a_step_that_cannot_be_undone_leaves_the_history_right(studio: Studio, folder: Path, jump: bool) -> None:
    studio.open(folder)
    states = strokes(studio, range(5, 55, 10))
    assert studio.program.projects.close()
    harm(folder, 2, "before")
    studio.open(folder)
    assert np.array_equal(studio.image.document.labels, states[5])
    assert len(studio.steps()) == 5
    history = studio.program.session.history
    assert history is not None
    if jump:
        history.go_to(0)
        studio.wait(lambda: any("damaged step" in title for title in studio.titles()))
    else:
        for _ in range(1 + 3):  # the first one only reports what it would do
            studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(studio.image.document.labels, states[3]), "the steps above it are undone, it is not"
    assert studio.steps() == []
    assert [step.title.split(",")[0] for step in history.steps] == _names(studio)[3:]
    assert any("damaged step" in title for title in studio.titles())
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(studio.image.document.labels, states[3])
    history.redo()
    history.redo()
    assert np.array_equal(studio.image.document.labels, states[5])
    history.undo()
    strokes(studio, range(57, 58))
    now = studio.image.document.labels.copy()
    assert studio.program.projects.close()
    studio.open(folder)
    assert np.array_equal(studio.image.document.labels, now)
    assert len(studio.steps()) == 2


def _names(studio: Studio) -> list[str]:
    catalog = studio.image.document.catalog
    return [f"Brush: {catalog.by_id(row % 20 + 1).name}" for row in range(5, 55, 10)]


def test_a_step_that_cannot_be_done_again_leaves_the_history_right(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    states = strokes(studio, range(5, 45, 10))
    history = studio.program.session.history
    assert history is not None
    for _ in range(3):
        history.undo()
    assert studio.program.projects.close()
    harm(folder, 2, "after")
    studio.open(folder)
    history = studio.program.session.history
    assert history is not None
    assert history.can_redo
    history.redo()
    assert np.array_equal(studio.image.document.labels, states[2])
    history.redo()
    assert np.array_equal(studio.image.document.labels, states[2])
    assert not history.can_redo
    assert len(studio.steps()) == 2
    history.undo()
    assert np.array_equal(studio.image.document.labels, states[1])
    assert studio.program.projects.close()
    studio.open(folder)
    assert np.array_equal(studio.image.document.labels, states[1])


def test_a_large_step_is_checked_before_its_first_tile_is_written(studio: Studio, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("app.services.undo.AT_ONCE", 0)
    monkeypatch.setattr("app.services.step_writer.AT_ONCE", 0)
    studio.open(folder)
    states = strokes(studio, range(5, 35, 10))
    assert studio.program.projects.close()
    harm(folder, 2, "before")
    studio.open(folder)
    revision = studio.image.document.revision
    for _ in range(2):  # the first one only reports what it would do
        studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert studio.image.document.revision == revision
    assert np.array_equal(studio.image.document.labels, states[3])
    assert studio.steps() == []


def test_a_damaged_project_offers_no_image_to_be_started_again(studio: Studio, folder: Path) -> None:
    """What is damaged then is not the image."""
    studio.open(folder)
    for error in (DamagedStore("the project's database is damaged"), ProjectError("anything")):
        assert studio.program.projects.health.ways_out(studio.image.id, error) == ()


@pytest.mark.parametrize(
    ("choice", "menu"), [(START_OVER, False), (START_OVER, True), (USE_MASK, False)], ids=["again", "again by menu", "as it is"]
)
def test_the_window_offers_the_ways_out_of_a_refused_mask(studio: Studio, folder: Path, choice: str, menu: bool) -> None:
    studio.open(folder)
    image = studio.image.id
    strokes(studio, range(5, 25, 10))
    assert studio.program.projects.close()
    mask = folder / ".atrous/masks/photo_0.jpg.png"
    old = mask.read_bytes()
    studio.open(folder)
    catalog = studio.image.document.catalog
    older = read_mask_file(mask, catalog).labels
    strokes(studio, range(25, 45, 10))
    assert studio.program.projects.close()
    with Project.open(folder) as project:
        assert project.journal.prune(0) == 4
    mask.write_bytes(old)
    studio.program.projects.open(folder)
    studio.wait(lambda: any("older than the project" in title for title in studio.titles()))
    message = studio.program.notifier.messages[-1]
    assert choice in message.detail
    assert studio.program.session.image is None
    toast = studio.window.toasts.toasts[-1]
    assert [button.text() for button in toast.buttons] == [offer.text for offer in message.choices]
    studio.settle()
    places = [button.geometry() for button in toast.buttons]
    assert all(place.width() >= button.sizeHint().width() for place, button in zip(places, toast.buttons, strict=True))
    assert all(toast.rect().contains(place) for place in places)
    assert not any(one.intersects(other) for number, one in enumerate(places) for other in places[:number])
    if menu:
        question = QApplication.activeModalWidget
        QTimer.singleShot(0, lambda: next(one for one in question().buttons() if one.text() == "Start over").click())
        studio.window.commands["start.over"].trigger()
    else:
        next(offer for offer in message.choices if offer.text == choice).run()
    studio.wait(lambda: studio.program.session.image is not None and studio.image.id == image)
    if choice == USE_MASK:
        assert np.array_equal(studio.image.document.labels, older)
    else:
        assert (studio.image.document.labels == catalog.ignore).all()
    states = strokes(studio, range(45, 55, 10))
    # An old message does no harm to what is open by now.
    next(offer for offer in message.choices if offer.text == START_OVER).run()
    studio.settle()
    assert studio.program.projects.close()
    studio.open(folder)
    assert np.array_equal(studio.image.document.labels, states[-1])


def test_a_mask_with_classes_that_the_database_lacks_brings_them_back(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    image = studio.image.id
    assert studio.program.projects.close()
    with Project.open(folder) as project:
        before = project.catalog
        project.edit_classes(add_class(before, "lamp"))
        lamp = project.catalog.classes[-1].id
        document = project.load(image).document
        labels = document.labels.copy()
        labels[5:20, 5:30] = lamp
        project.append_step(image, "Brush", Provenance.USER, whole_patch(document, labels))
        project.save_mask(image, labels, np.full_like(document.provenance, Provenance.USER), project.journal.head(image))
        text = json.dumps(before.to_dict())
        project._store.write("UPDATE meta SET value = ? WHERE key = 'catalog'", (text,))
        project._store.write("DELETE FROM meta WHERE key = 'class edits'")
    studio.program.projects.open(folder)
    studio.wait(lambda: any("does not know: lamp" in title for title in studio.titles()))
    message = studio.program.notifier.messages[-1]
    next(offer for offer in message.choices if offer.text == USE_MASK).run()
    studio.wait(lambda: studio.program.session.image is not None and studio.image.id == image)
    studio.settle()
    assert np.array_equal(studio.image.document.labels, labels)
    project = studio.program.session.project
    assert project is not None
    assert project.catalog.names[-1] == "lamp"
    studio.program.edit.tools.choose_class(lamp)
    studio.program.edit.choose_tool("brush")
    studio.paint((40, 40), (50, 45))
    assert (studio.image.document.labels == lamp).sum() > (labels == lamp).sum()
