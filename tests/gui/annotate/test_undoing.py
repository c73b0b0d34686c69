"""What undo means in the window: it stops at the first prediction, says where it acts, and knows what was reviewed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox

from app.state.image_record import ImageStatus
from app.state.provenance import Provenance
from app.text import counted, use_translator
from tests.fakes.compute import striped_labels
from tests.gui.studio import HEIGHT, WIDTH, Studio

CTRL = Qt.KeyboardModifier.ControlModifier


def stripes(studio: Studio) -> np.ndarray:
    return striped_labels(studio.compute.catalog, HEIGHT, WIDTH, studio.image.key)


def undo(studio: Studio) -> None:
    studio.press(Qt.Key.Key_Z, CTRL)


def go(studio: Studio, key: Qt.Key) -> None:
    before = studio.image.id
    studio.press(key)
    studio.wait(lambda: studio.image.id != before)
    studio.settle()


def stroke(studio: Studio, class_id: int = 9, row: int = 20) -> None:
    studio.program.classes.choose(class_id)
    studio.press(Qt.Key.Key_B)
    studio.paint((20, row), (40, row))


def newest(studio: Studio) -> str:
    return studio.program.notifier.messages[-1].title


def status(studio: Studio) -> ImageStatus:
    return studio.program.session.project.record(studio.image.id).status


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    studio.start_model()
    studio.open(folder)
    return studio


# -- the first prediction --------------------------------------------------------------------------------


def test_undo_stops_at_the_first_prediction(desk):
    """Finding B4: Ctrl+Z on an image that was only looked at made everything unlabelled."""
    assert len(desk.steps()) == 1
    assert not desk.program.context["can_undo"]
    undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))
    stroke(desk)
    for _ in range(4):
        undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))
    assert len(desk.steps()) == 1
    assert status(desk) == ImageStatus.TOUCHED
    desk.press(Qt.Key.Key_Y, CTRL)
    assert len(desk.steps()) == 2


def test_the_history_list_begins_with_the_first_prediction(desk):
    stroke(desk)
    view = desk.window.history.view
    desk.wait(lambda: view.model().rowCount() == 2)
    assert view.model().index(0, 0).data() == desk.steps()[0]
    view.setCurrentIndex(view.model().index(0, 0))
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))


def test_it_stops_there_after_a_restart_too(desk, folder):
    stroke(desk)
    assert desk.program.projects.close()
    desk.open(folder)
    assert len(desk.steps()) == 2
    for _ in range(4):
        undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))


def test_clearing_is_a_command_and_can_be_undone(desk):
    desk.window.commands["start.blank"].trigger()
    assert (desk.image.document.labels == 255).all()
    undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))


def test_a_prediction_over_a_cleared_image_is_a_step_like_any_other(desk):
    desk.window.commands["start.blank"].trigger()
    desk.window.commands["start.model"].trigger()
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))
    undo(desk)
    assert (desk.image.document.labels == 255).all()


def test_without_a_model_undo_goes_back_to_nothing(studio, folder):
    studio.open(folder)
    stroke(studio)
    undo(studio)
    assert (studio.image.document.labels == 255).all()
    assert not studio.program.session.history.can_undo


# -- after a change of image --------------------------------------------------------------------------------


def test_an_image_that_was_only_looked_at_says_where_the_last_step_is(desk):
    stroke(desk)
    first, title = desk.image.id, desk.steps()[-1]
    go(desk, Qt.Key.Key_D)
    assert desk.window.commands["edit.undo"].isEnabled()
    before = desk.image.document.labels.copy()
    undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, before)
    assert newest(desk) == "Nothing to undo in photo_1.jpg"
    message = desk.program.notifier.messages[-1]
    assert f"Your last change is '{title}' in photo_0.jpg." in message.detail
    assert "Clear mask" in message.detail
    (choice,) = message.choices
    assert choice.text == "Go to photo_0.jpg"
    choice.run()
    desk.wait(lambda: desk.image.id == first)
    desk.settle()
    undo(desk)
    assert len(desk.steps()) == 1
    assert newest(desk) == "Undone in photo_0.jpg"


def test_steps_that_are_undone_are_not_called_the_last_thing_done(desk):
    stroke(desk)
    stroke(desk, 4, row=40)
    kept = desk.steps()[-2]
    undo(desk)
    go(desk, Qt.Key.Key_D)
    undo(desk)
    assert f"Your last change is '{kept}' in photo_0.jpg." in desk.program.notifier.messages[-1].detail
    go(desk, Qt.Key.Key_A)
    undo(desk)
    go(desk, Qt.Key.Key_D)
    assert not desk.window.commands["edit.undo"].isEnabled()
    go(desk, Qt.Key.Key_A)
    desk.press(Qt.Key.Key_Y, CTRL)
    go(desk, Qt.Key.Key_D)
    undo(desk)
    assert f"Your last change is '{kept}' in photo_0.jpg." in desk.program.notifier.messages[-1].detail


def test_an_image_of_another_session_asks_once(desk, folder):
    stroke(desk)
    go(desk, Qt.Key.Key_D)
    stroke(desk, 3)
    painted, title = desk.image.document.labels.copy(), desk.steps()[-1]
    assert desk.program.projects.close()
    desk.open(folder)
    go(desk, Qt.Key.Key_A)
    stroke(desk, 4, row=40)
    last = desk.steps()[-1]
    go(desk, Qt.Key.Key_D)
    undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, painted)
    assert newest(desk) == "Nothing undone yet"
    message = desk.program.notifier.messages[-1]
    assert title in message.detail
    assert f"'{last}' in photo_0.jpg" in message.detail
    assert [choice.text for choice in message.choices] == ["Undo here", "Go to photo_0.jpg"]
    undo(desk)
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))
    assert newest(desk) == "Undone in photo_1.jpg"
    go(desk, Qt.Key.Key_A)
    go(desk, Qt.Key.Key_D)
    desk.press(Qt.Key.Key_Y, CTRL)  # it was changed in this session: nothing is asked
    np.testing.assert_array_equal(desk.image.document.labels, painted)
    assert newest(desk) == "Redone in photo_1.jpg"


def test_the_button_of_the_question_undoes_and_redoes_in_every_language(desk, folder):
    stroke(desk)
    painted = desk.image.document.labels.copy()
    assert desk.program.projects.close()
    desk.open(folder)
    use_translator(lambda text, _many, _number: {"Undo": "Zurück", "Redo": "Wiederholen"}.get(text, text))
    try:
        undo(desk)
        choice = desk.program.notifier.messages[-1].choices[0]
        assert choice.text == "Zurück here"
        choice.run()
    finally:
        use_translator(None)
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))
    desk.settle()
    assert desk.program.projects.close()
    desk.open(folder)
    use_translator(lambda text, _many, _number: {"Undo": "Zurück", "Redo": "Wiederholen"}.get(text, text))
    try:
        desk.press(Qt.Key.Key_Y, CTRL)
        choice = desk.program.notifier.messages[-1].choices[0]
        assert choice.text == "Wiederholen here"
        choice.run()
    finally:
        use_translator(None)
    np.testing.assert_array_equal(desk.image.document.labels, painted)


def test_on_the_image_that_is_being_worked_on_nothing_is_said(desk):
    stroke(desk)
    stroke(desk, 3)
    said = len(desk.titles())
    undo(desk)
    undo(desk)
    assert len(desk.steps()) == 1
    assert len(desk.titles()) == said


# -- reviewed --------------------------------------------------------------------------------


def test_undoing_what_was_reviewed_takes_the_mark_and_redo_gives_it_back(desk):
    stroke(desk)
    stroke(desk, 3)
    desk.press(Qt.Key.Key_M, CTRL)
    assert status(desk) == ImageStatus.REVIEWED
    stroke(desk, 4, row=40)
    undo(desk)  # what came after the review: the mask is the reviewed one
    assert status(desk) == ImageStatus.REVIEWED
    undo(desk)
    assert status(desk) == ImageStatus.TOUCHED
    assert newest(desk) == "photo_0.jpg is no longer marked reviewed"
    undo(desk)
    desk.press(Qt.Key.Key_Y, CTRL)
    assert status(desk) == ImageStatus.TOUCHED
    desk.press(Qt.Key.Key_Y, CTRL)
    assert status(desk) == ImageStatus.REVIEWED


def test_a_reviewed_image_that_is_opened_again_loses_the_mark_with_its_steps(desk):
    stroke(desk)
    desk.press(Qt.Key.Key_M, CTRL)
    go(desk, Qt.Key.Key_D)
    go(desk, Qt.Key.Key_A)
    undo(desk)
    assert status(desk) == ImageStatus.TOUCHED


# -- starting again --------------------------------------------------------------------------------


def answer(button: str) -> list[str]:
    """Press a button of the next question; its texts come into the list."""
    said: list[str] = []

    def press() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        said.extend((box.text(), box.informativeText()))
        next(found for found in box.buttons() if found.text() == button).click()

    QTimer.singleShot(0, press)
    return said


def test_an_image_is_started_again_from_the_menu(desk):
    stroke(desk)
    desk.press(Qt.Key.Key_M, CTRL)
    masks = desk.program.session.project.directory / "masks"
    said = answer("Cancel")
    desk.window.commands["start.over"].trigger()
    assert said[0] == "Start photo_0.jpg over?"
    assert len(desk.steps()) == 2
    said = answer("Start over")
    desk.window.commands["start.over"].trigger()
    desk.wait(lambda: desk.program.session.image is not None and len(desk.steps()) == 1)
    desk.settle()
    np.testing.assert_array_equal(desk.image.document.labels, stripes(desk))
    assert (desk.image.document.provenance == Provenance.MODEL).all()
    assert status(desk) == ImageStatus.PREDICTED
    kept = [path.name for path in masks.iterdir() if path.name.startswith("photo_0.jpg.png.")]
    assert len(kept) == 1, counted(len(kept), "file")
