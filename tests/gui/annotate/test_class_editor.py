"""The class editor by the verbs of a user: edit, read what changes, apply, undo; the picture and the list follow."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFileDialog, QLineEdit, QStyle, QStyleOptionFrame

from app.ui.annotate.class_editor import ClassEditor
from deeplab_core.catalogs import get_catalog
from tests.gui.studio import Studio

CHAIR, SOFA, PERSON = 9, 18, 15


def edit(studio: Studio, class_id: int = CHAIR) -> ClassEditor:
    """Open the editor on a class, as the menu does."""
    studio.program.edit.tools.choose_class(class_id)
    studio.window.commands.actions["class.edit"].trigger()
    assert studio.application.presenter is not None
    dialog = studio.application.presenter.truth.dialog
    assert isinstance(dialog, ClassEditor)
    assert dialog.selected == class_id
    return dialog


def chairs(studio: Studio) -> np.ndarray:
    """Paint some chairs on the image in view; returns its labels."""
    studio.program.edit.tools.choose_class(CHAIR)
    studio.program.edit.choose_tool("brush")
    studio.paint((10, 10), (30, 20))
    labels = studio.image.document.labels.copy()
    assert CHAIR in labels
    return labels


def names(studio: Studio) -> list[str]:
    project = studio.program.session.project
    assert project is not None
    return list(project.catalog.names)


def test_merging_says_what_changes_and_can_be_undone(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    before = chairs(studio)
    dialog = edit(studio)
    menu = dialog.merge_menu()
    next(action for action in menu.actions() if action.text() == "sofa").trigger()
    studio.wait(lambda: "become sofa" in dialog.effect.text())
    assert dialog.effect.text() == f"chair: {(before == CHAIR).sum()} px in 1 image become sofa."
    dialog.apply.click()
    studio.settle()
    assert "chair" not in names(studio)
    assert np.array_equal(studio.image.document.labels, np.where(before == CHAIR, SOFA, before))
    assert studio.steps() == []
    assert studio.program.edit.tools.class_id == SOFA
    message = next(known for known in studio.program.notifier.messages if known.title == "The classes were edited")
    assert message.detail == "Merge chair into sofa."
    message.choices[0].run()
    studio.settle()
    assert "chair" in names(studio)
    assert np.array_equal(studio.image.document.labels, before)
    assert len(studio.steps()) == 1
    studio.window.commands.actions["class.undo_edit"].trigger()
    studio.settle()
    assert any("no edit of the classes to undo" in title.lower() for title in studio.titles())


def test_the_editor_shows_the_colours_of_the_screen_and_those_of_files(studio: Studio, folder: Path) -> None:
    def swatches(dialog: ClassEditor, title: str) -> list[tuple[int, int, int]]:
        titles = [dialog.table.horizontalHeaderItem(column).text() for column in range(dialog.table.columnCount())]  # type: ignore[union-attr]
        column = titles.index(title)
        colors = [
            dialog.table.item(row, column).data(Qt.ItemDataRole.AccessibleTextRole)  # type: ignore[union-attr]
            for row in range(dialog.table.rowCount())
        ]
        return [QColor(color).getRgb()[:3] for color in colors]

    studio.open(folder)
    voc, shown = get_catalog("voc21"), studio.program.view.overlay.shown(get_catalog("voc21"))
    dialog = edit(studio)
    assert swatches(dialog, "In files") == [info.color for info in voc.classes]
    assert swatches(dialog, "Shown") == [info.color for info in shown.classes] != [info.color for info in voc.classes]
    dialog.draft.recolor(CHAIR, (1, 2, 3))
    dialog.select(CHAIR)
    dialog.take(dialog.draft.whole)  # type: ignore[arg-type] # fills the table again
    row = dialog.table.currentRow()
    assert swatches(dialog, "In files")[row] == (1, 2, 3)
    assert swatches(dialog, "Shown")[row] != (1, 2, 3)  # too dark to be seen
    dialog.reject()
    studio.program.settings.set("canvas.class_colors", "catalog")
    dialog = edit(studio)
    assert swatches(dialog, "Shown") == swatches(dialog, "In files")


def test_a_new_class_is_named_coloured_and_painted(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    dialog = edit(studio)
    studio.qtbot.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    editor = dialog.table.findChild(QLineEdit)
    assert editor is not None
    studio.qtbot.keyClicks(editor, "bean bag")
    studio.qtbot.keyClick(editor, Qt.Key.Key_Return)
    studio.wait(lambda: dialog.draft.catalog.names[-1] == "bean bag")
    assert dialog.isVisible()
    assert dialog.effect.text() == "No pixel of a mask changes."
    dialog.apply.click()
    studio.settle()
    assert names(studio)[-1] == "bean bag"
    project = studio.program.session.project
    assert project is not None
    studio.program.edit.tools.choose_class(project.catalog.classes[-1].id)
    studio.program.edit.choose_tool("brush")
    studio.paint((40, 30), (50, 30))
    assert project.catalog.classes[-1].id in studio.image.document.labels


def test_a_name_that_is_taken_is_refused_in_place(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    dialog = edit(studio)
    item = dialog.table.item(dialog.table.currentRow(), 1)
    assert item is not None
    item.setText("sofa")
    assert "already a class 'sofa'" in dialog.effect.text()
    assert dialog.draft.catalog.by_id(CHAIR).name == "chair"
    assert not dialog.apply.isEnabled()
    dialog.down.click()
    assert dialog.selected == CHAIR
    assert dialog.draft.catalog.ids.tolist().index(CHAIR) == 10
    dialog.undo.click()
    assert not dialog.apply.isEnabled()
    dialog.reject()
    assert names(studio)[9] == "chair"


def test_the_figures_use_the_classes_after_a_merge(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    dialog = edit(studio, PERSON)
    dialog._merge(CHAIR)
    dialog.apply.click()
    studio.settle()
    studio.program.edit.tools.choose_class(CHAIR)
    studio.program.edit.choose_tool("brush")
    studio.paint((10, 10), (30, 20))
    judged = studio.program.truth.index
    assert len(judged.files) == 4
    studio.wait(lambda: studio.window.classes.mean.text().startswith("mIoU"))
    assert not studio.program.truth.problems


def test_an_edit_does_not_wait_for_background_work(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    begun, free = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return free.wait(60)

    ended: list[object] = []
    studio.program.jobs.run(work, ended.append, lambda error: ended.append(error))
    assert begun.wait(60)
    dialog = edit(studio)
    dialog.table.item(dialog.table.currentRow(), 1).setText("seat")  # type: ignore[union-attr]
    dialog.apply.click()
    studio.wait(lambda: studio.program.session.image is not None and "seat" in names(studio))
    assert not ended
    free.set()
    studio.settle()
    assert ended == [True]


def test_all_colours_can_be_made_distinct_for_colour_blind_eyes_and_taken_back(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    dialog = edit(studio)
    before = [info.color for info in dialog.draft.catalog.classes]
    dialog.colors_menu().actions()[1].trigger()
    colors = [info.color for info in dialog.draft.catalog.classes]
    assert colors[0] == before[0]  # the background keeps its colour
    assert len(set(colors)) == len(colors)
    assert colors[1:] != before[1:]
    assert "No pixel" in dialog.effect.text()
    dialog.undo.click()
    assert [info.color for info in dialog.draft.catalog.classes] == before
    dialog.reject()


LOCKED, HIDDEN = 4, 5


def tick(studio: Studio, dialog: ClassEditor, class_id: int, column: int) -> None:
    """Tick a box with the keyboard."""
    dialog.table.setCurrentCell(dialog.draft.catalog.ids.tolist().index(class_id), column)
    studio.qtbot.keyClick(dialog.table, Qt.Key.Key_Space)


def test_classes_are_locked_and_hidden_with_the_other_edits(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    before = chairs(studio)
    dialog = edit(studio)
    tick(studio, dialog, CHAIR, LOCKED)
    tick(studio, dialog, PERSON, LOCKED)
    tick(studio, dialog, PERSON, HIDDEN)
    tick(studio, dialog, SOFA, HIDDEN)
    dialog.undo.click()
    assert (dialog.draft.locked, dialog.draft.hidden) == ({CHAIR, PERSON}, {PERSON})
    project = studio.program.session.project
    assert project is not None
    assert not project.locked_classes
    dialog.table.selectRow(dialog.draft.catalog.ids.tolist().index(SOFA))
    dialog._merge(PERSON)
    dialog.apply.click()
    studio.settle()
    assert "sofa" not in names(studio)
    assert project.locked_classes == {CHAIR, PERSON}
    assert studio.program.view.overlay.hidden == {PERSON}
    assert "Selected class: chair" in studio.window.top_bar.class_chip.accessibleName()
    assert studio.window.top_bar.class_chip.accessibleName().endswith(", locked")
    model = studio.window.classes.model
    row = model.class_row(model.index(model.place_of(CHAIR) or 0))
    assert row.locked
    assert "Locked" in str(model.data(model.index(model.place_of(CHAIR) or 0), Qt.ItemDataRole.ToolTipRole))
    studio.paint((10, 40), (30, 50))
    assert np.array_equal(studio.image.document.labels == CHAIR, before == CHAIR)
    unlock = next(action for action in studio.window.classes.class_menu(row).actions() if action.text() == "Unlock")
    unlock.trigger()
    assert project.locked_classes == {PERSON}
    assert not studio.window.top_bar.class_chip.accessibleName().endswith(", locked")


def test_only_a_lock_is_no_edit_of_the_classes(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    dialog = edit(studio)
    tick(studio, dialog, CHAIR, LOCKED)
    dialog.apply.click()
    studio.settle()
    assert studio.program.classes.locked == {CHAIR}
    assert not any("The classes were edited" in title for title in studio.titles())
    dialog = edit(studio)
    assert dialog.draft.locked == {CHAIR}
    tick(studio, dialog, CHAIR, LOCKED)
    dialog.apply.click()
    assert not studio.program.classes.locked


def test_class_lists_come_in_and_go_out(studio: Studio, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.open(folder)
    chairs(studio)
    labels, out = tmp_path / "labels.txt", tmp_path / "out"
    labels.write_text("background\nchair\nbean bag\n")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(labels), ""))
    dialog = edit(studio)
    add, only = dialog.list_menu().actions()
    add.trigger()
    studio.wait(lambda: dialog.draft.changed)
    assert dialog.draft.catalog.names[-1] == "bean bag"
    assert len(dialog.draft.catalog) == 22
    add.trigger()
    studio.wait(lambda: "no other classes" in dialog.effect.text())
    only.trigger()
    studio.wait(lambda: len(dialog.draft.catalog) == 3)
    assert [info.id for info in dialog.draft.catalog.classes] == [0, CHAIR, 21]
    studio.wait(lambda: "sofa: no mask has a pixel of it" in dialog.effect.text())

    chosen = "YOLO names.yaml (*.yaml *.yml)"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(out), chosen))
    dialog.save_list.click()
    studio.wait(lambda: "3 classes written to out.yaml" in dialog.effect.text())
    assert "no colours" in dialog.effect.text()
    assert get_catalog(tmp_path / "out.yaml").names == ("background", "chair", "bean bag")
    chosen = "labelme labels.txt (*.txt)"
    dialog.save_list.click()
    studio.wait(lambda: "cannot be written as labelme" in dialog.effect.text())
    assert not (tmp_path / "out.txt").exists()
    dialog.apply.click()
    studio.settle()
    assert names(studio) == ["background", "chair", "bean bag"]
    assert CHAIR in studio.image.document.labels


def test_a_file_that_is_no_class_list_is_refused_in_place(
    studio: Studio, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.open(folder)
    bad = tmp_path / "a.json"
    bad.write_text("{")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(bad), ""))
    dialog = edit(studio)
    dialog.list_menu().actions()[0].trigger()
    studio.wait(lambda: str(bad) in dialog.effect.text() or "a.json" in dialog.effect.text())
    studio.wait(lambda: "Reading" not in dialog.effect.text())
    assert not dialog.draft.changed
    dialog.reject()


def test_a_key_is_assigned_by_typing_or_from_the_menu_and_works_on_the_picture(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    dialog = edit(studio)
    row = dialog.table.currentRow()
    item = dialog.table.item(row, 2)
    assert item is not None
    dialog.table.setFocus()
    dialog.table.editItem(item)
    editor = dialog.table.findChild(QLineEdit)
    assert editor is not None
    studio.qtbot.keyClicks(editor, "7")
    studio.qtbot.keyClick(editor, Qt.Key.Key_Return)
    studio.wait(lambda: dialog.draft.keys == {"7": CHAIR})
    dialog.table.item(row, 2).setText("b")  # type: ignore[union-attr]
    assert "not a key of a class" in dialog.effect.text()
    assert dialog.table.item(row, 2).text() == "7"  # type: ignore[union-attr]
    dialog.select(PERSON)
    dialog.table.item(dialog.table.currentRow(), 2).setText("7")  # type: ignore[union-attr]
    assert "7 is the key of 'chair'" in dialog.effect.text()
    menu = dialog.key_menu()
    assert [action.text() for action in menu.actions()][6] == "7   chair"
    menu.actions()[2].trigger()
    dialog.apply.click()
    studio.settle()
    assert studio.program.classes.assigned == {"7": CHAIR, "3": PERSON}
    studio.press(Qt.Key.Key_7, on=studio.view)
    assert studio.program.edit.tools.class_id == CHAIR
    dialog = edit(studio, PERSON)
    free = dialog.key_menu().actions()[-1]
    assert free.isEnabled()
    free.trigger()
    dialog.apply.click()
    studio.settle()
    assert studio.program.classes.assigned == {"7": CHAIR}


def test_a_name_is_typed_in_a_field_that_shows_whole_letters(studio: Studio, folder: Path) -> None:
    """The padding of text fields left letters like g and p no room in a row of the table."""
    studio.open(folder)
    dialog = edit(studio)
    dialog.add.click()
    studio.wait(lambda: dialog.table.findChild(QLineEdit) is not None)
    field = dialog.table.findChild(QLineEdit)
    assert field is not None
    option = QStyleOptionFrame()
    field.initStyleOption(option)
    room = field.style().subElementRect(QStyle.SubElement.SE_LineEditContents, option, field)
    assert room.height() >= field.fontMetrics().height()
