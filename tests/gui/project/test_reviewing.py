"""Rejecting images and writing notes by keys; marks over the picture, the list, the filter, and what an export leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.controllers.project.export import ExportScope
from app.state.project import Project
from app.ui.common.text_dialog import TextDialog
from app.ui.project.export_dialog import ExportDialog
from app.ui.project.notes_dialog import NotesDialog
from deeplab_core.geometry import Box
from tests.gui.studio import Studio

CTRL, SHIFT, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier


def project(studio: Studio) -> Project:
    assert studio.program.session.project is not None
    return studio.program.session.project


def press(studio: Studio, key: Qt.Key, modifiers: Qt.KeyboardModifier = NONE) -> None:
    studio.press(key, modifiers)
    studio.settle()


def answer(studio: Studio, act: Callable[[TextDialog], None], key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
    """Press a key that asks for a text; ``act`` types into the dialog that opens, and ends it."""
    met = []

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, TextDialog):
            QTimer.singleShot(0, look)
            return
        met.append(dialog)
        act(dialog)

    QTimer.singleShot(0, look)
    studio.press(key, modifiers)
    studio.settle()
    assert met


def write(studio: Studio, text: str, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
    def act(dialog: TextDialog) -> None:
        studio.qtbot.keyClicks(dialog.field, text)
        studio.qtbot.keyClick(dialog.field, Qt.Key.Key_Return)

    answer(studio, act, key, modifiers)


def test_an_image_is_rejected_with_a_reason_and_taken_back(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    first = studio.image.id
    write(studio, "blurred", Qt.Key.Key_M, SHIFT)
    assert project(studio).record(first).rejected
    second = studio.image.id
    assert second != first  # the next image that is not decided

    def take_earlier(dialog: TextDialog) -> None:
        assert dialog.offered.count() == 1
        studio.qtbot.keyClick(dialog.field, Qt.Key.Key_Down)
        assert dialog.text == "blurred"
        studio.qtbot.keyClick(dialog.field, Qt.Key.Key_Return)

    answer(studio, take_earlier, Qt.Key.Key_M, SHIFT)
    assert project(studio).reviews.why(second) == "blurred"

    def leave(dialog: TextDialog) -> None:
        studio.qtbot.keyClick(dialog.field, Qt.Key.Key_Escape)

    third = studio.image.id
    answer(studio, leave, Qt.Key.Key_M, SHIFT)
    assert not project(studio).record(third).rejected
    row = studio.window.images.model.row_of(first)
    assert row is not None
    index = studio.window.images.model.index(row)
    assert index.data(Qt.ItemDataRole.ToolTipRole).splitlines()[1] == "rejected: blurred"
    studio.program.projects.open_image(first)
    studio.settle()
    assert studio.program.context["rejected"]
    press(studio, Qt.Key.Key_M, SHIFT)
    assert not project(studio).record(first).rejected
    assert not studio.program.context["rejected"]


def test_reviewed_takes_a_rejection_back(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    first = studio.image.id
    studio.program.reviewing.reject_as("dark")
    studio.settle()
    studio.program.projects.open_image(first)
    studio.settle()
    press(studio, Qt.Key.Key_Return)
    record = project(studio).record(first)
    assert record.reviewed
    assert not record.rejected


def test_notes_are_written_shown_changed_deleted_and_undone(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    image, reviewing = studio.image.id, studio.program.reviewing
    write(studio, "all of it is dim", Qt.Key.Key_N, CTRL)
    studio.qtbot.mouseMove(studio.view, studio.point(30, 20))
    studio.settle()
    write(studio, "is this an arm?", Qt.Key.Key_N, CTRL)
    notes = project(studio).reviews.of(image).notes
    assert [(note.text, note.box) for note in notes] == [("all of it is dim", None), ("is this an arm?", Box(30, 20, 1, 1))]
    assert notes[0].time > 0
    studio.qtbot.mouseMove(studio.view, studio.point(60, 50))
    assert studio.view.hovered_note is None
    studio.qtbot.mouseMove(studio.view, studio.point(30, 20) - studio.view.rect().topLeft())
    mapping = studio.view.mapping
    assert mapping is not None
    studio.qtbot.mouseMove(studio.view, (mapping.to_view(30.5, 20.5)).toPoint())
    assert studio.view.hovered_note == 1
    reviewing.change_note(1, "it is an arm")
    reviewing.delete_note(0)
    assert [note.text for note in reviewing.notes()] == ["it is an arm"]
    for expected in (
        ["all of it is dim", "it is an arm"], ["all of it is dim", "is this an arm?"], ["all of it is dim"], [],
    ):  # fmt: skip
        press(studio, Qt.Key.Key_Z, CTRL)
        assert [note.text for note in reviewing.notes()] == expected
    press(studio, Qt.Key.Key_Y, CTRL)
    assert [note.text for note in reviewing.notes()] == ["all of it is dim"]


def test_strokes_and_notes_are_undone_in_their_order(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    reviewing = studio.program.reviewing
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    painted = studio.image.document.labels.copy()
    reviewing.add_note("between", None)
    studio.paint((20, 40), (60, 40))
    press(studio, Qt.Key.Key_Z, CTRL)
    assert (studio.image.document.labels == painted).all()
    assert reviewing.notes()
    press(studio, Qt.Key.Key_Z, CTRL)
    assert not reviewing.notes()
    assert (studio.image.document.labels == painted).all()
    press(studio, Qt.Key.Key_Z, CTRL)
    assert not (studio.image.document.labels == painted).all()
    for _ in range(3):
        press(studio, Qt.Key.Key_Y, CTRL)
    assert [note.text for note in reviewing.notes()] == ["between"]


def test_the_list_opens_places_and_changes_notes(studio: Studio, folder: Path, qtbot) -> None:
    studio.open(folder)
    first, reviewing = studio.image.id, studio.program.reviewing
    reviewing.add_note("one", Box(4, 5, 20, 10))
    studio.program.projects.next_image()
    studio.settle()
    reviewing.add_note("two", None)
    press(studio, Qt.Key.Key_N, CTRL | SHIFT)
    dialog = next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, NotesDialog))
    assert [dialog.table.item(row, 2).text() for row in range(2)] == ["one", "two"]
    assert dialog.selected is not None
    assert dialog.selected.note.text == "two"  # of the image in view
    dialog.table.selectRow(0)
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    studio.wait(lambda: studio.image.id == first)
    studio.settle()
    dialog.delete.click()
    assert not project(studio).reviews.of(first).notes
    dialog.only_here.setChecked(True)
    assert dialog.table.rowCount() == 0
    dialog.close()


def test_a_filter_is_typed_after_a_key_and_opens_the_first_match(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    ids = [record.id for record in project(studio).images]
    project(studio).reviews.reject(ids[2], "dark")
    studio.settle()
    press(studio, Qt.Key.Key_F, CTRL | SHIFT)
    dock = studio.window.images
    assert dock.filter.hasFocus()
    studio.qtbot.keyClicks(dock.filter, "rejected reason:dark")
    assert dock.model.shown_ids() == [ids[2]]
    press(studio, Qt.Key.Key_Return)
    studio.wait(lambda: studio.image.id == ids[2])
    dock.filter.clear()
    dock._fill_terms()
    entry = next(action for action in dock.terms.menu().actions() if action.text() == "rejected")
    entry.trigger()
    assert dock.filter.text() == "rejected"
    dock._fill_terms()
    entry = next(action for action in dock.terms.menu().actions() if action.text() == "rejected")
    assert entry.isChecked()
    entry.trigger()
    assert dock.filter.text() == ""


@pytest.mark.parametrize("keep", [False, True])
def test_the_export_says_what_becomes_of_rejected_images(studio: Studio, folder: Path, qtbot, tmp_path, keep) -> None:
    studio.open(folder)
    studio.program.classes.choose(9)
    for _ in range(2):
        studio.paint((20, 20), (60, 20))
        studio.program.projects.next_image()
        studio.settle()
    project(studio).reviews.reject(project(studio).images[0].id, "dark")
    dialog = ExportDialog(studio.program.export, studio.program.settings, folder, studio.window)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.scope.setCurrentIndex(dialog.scope.findData(ExportScope.TOUCHED))
    assert dialog.keep_rejected.isVisible()
    assert not dialog.keep_rejected.isChecked()
    dialog.keep_rejected.setChecked(keep)
    assert ("1 rejected image is exported too." if keep else "1 rejected image is left out.") in dialog.note.text()
    dialog.target.setText(str(tmp_path / "out"))
    studio.program.export.start(dialog.request(), "error")
    studio.settle()
    assert len(list((tmp_path / "out").glob("*.png"))) == (2 if keep else 1)
    said = studio.program.notifier.messages[-1].detail
    assert ("exported too" if keep else "left out") in said


def test_without_rejected_images_the_export_does_not_ask_about_them(studio: Studio, folder: Path, qtbot) -> None:
    studio.open(folder)
    dialog = ExportDialog(studio.program.export, studio.program.settings, folder, studio.window)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.keep_rejected.isVisible()
