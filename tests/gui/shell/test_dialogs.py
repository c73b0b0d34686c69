"""Dialogs do what they say and refuse what they must."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QComboBox, QPushButton
from shiboken6 import isValid

from app.actions.table import ACTIONS
from app.controllers.project.export import ExportScope
from app.services.folders import log_folder
from app.ui.common.list_dialog import ListDialog
from app.ui.predict.mapping_dialog import MappingDialog
from app.ui.project.export_dialog import ExportDialog
from app.ui.shell.command_palette import CommandPalette
from app.ui.shell.messages_dialog import TroubleDialog
from app.ui.shell.settings_dialog import SettingsDialog
from app.ui.shell.shortcut_sheet import ShortcutSheet
from app.ui.shell.shortcuts_dialog import ShortcutsDialog
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import map_catalogs


@pytest.fixture
def export_dialog(studio, folder, qtbot):
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    dialog = ExportDialog(studio.program.export, studio.program.settings, folder, studio.window)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def choose(box: QComboBox, data: object) -> None:
    box.setCurrentIndex(box.findData(data))


def test_export_writes_masks_that_read_back_and_says_how_many(studio, export_dialog, tmp_path):
    choose(export_dialog.scope, ExportScope.TOUCHED)
    export_dialog.target.setText(str(tmp_path / "out"))
    assert export_dialog.go.isEnabled()
    export_dialog.go.click()
    studio.program.export.start(export_dialog.request(), "error")
    studio.wait(lambda: "Export finished" in studio.titles())
    (written,) = (tmp_path / "out").rglob("*.png")
    np.testing.assert_array_equal(np.asarray(Image.open(written)), studio.image.document.labels)
    assert "1 exported and read back" in studio.program.notifier.messages[-1].detail


def test_images_without_a_mask_are_counted_not_dropped_silently(studio, export_dialog, tmp_path):
    choose(export_dialog.scope, ExportScope.ALL)
    export_dialog.target.setText(str(tmp_path / "out"))
    assert "3 images have no corrected mask" in export_dialog.note.text()
    studio.program.export.start(export_dialog.request(), "error")
    studio.wait(lambda: "Export finished" in studio.titles())
    assert "3 skipped" in studio.program.notifier.messages[-1].detail


def test_files_that_are_there_are_asked_about(export_dialog, tmp_path):
    choose(export_dialog.scope, ExportScope.TOUCHED)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo_0.png").write_bytes(b"mine")
    export_dialog.target.setText(str(tmp_path / "out"))
    assert export_dialog.existing.isVisible()
    assert not export_dialog.go.isEnabled()
    export_dialog.skip.click()
    assert export_dialog.go.isEnabled()
    export_dialog.go.click()
    assert export_dialog.on_existing == "skip"
    assert (tmp_path / "out" / "photo_0.png").read_bytes() == b"mine"


def test_the_photographs_folder_is_no_target_for_what_would_overwrite_them(export_dialog, folder):
    export_dialog.target.setText("")
    assert not export_dialog.go.isEnabled()
    assert "choose a folder" in export_dialog.note.text().lower()


def test_an_empty_scope_cannot_be_exported(export_dialog):
    choose(export_dialog.scope, ExportScope.REVIEWED)
    assert not export_dialog.go.isEnabled()


def test_mapping_waits_for_a_decision_about_every_class(qtbot):
    source, target = get_catalog("voc21"), get_catalog("camvid11")
    dialog = MappingDialog(source, target, map_catalogs(source, target), True)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.go.isEnabled()
    assert dialog.boxes[7].currentText() == "car"
    dialog.void_rest.click()
    assert dialog.go.isEnabled()
    overrides = dialog.overrides()
    assert overrides[9] is None
    assert map_catalogs(source, target, overrides).unmatched == ()
    dialog.adopt_button.click()
    assert dialog.adopt


def test_a_model_of_other_classes_is_not_run_until_they_are_matched(studio, folder):
    studio.compute.catalog = get_catalog("camvid11")
    studio.start_model()
    studio.open(folder)
    assert (studio.image.document.labels == 255).all()
    assert "The model's classes differ from the project's" in studio.titles()
    studio.program.models.agree({info.id: None for info in studio.compute.catalog.classes} | {8: 7})
    studio.settle()
    assert set(np.unique(studio.image.document.labels)) <= {7, 255}
    assert 7 in studio.image.document.labels


def test_a_fresh_project_may_take_the_model_s_classes(studio, folder):
    studio.compute.catalog = get_catalog("camvid11")
    studio.open(folder)
    studio.start_model()
    studio.program.inspect.begin()
    studio.program.truth.choose_catalog(studio.program.models.card.catalog)
    studio.settle()
    studio.wait(lambda: studio.image.document.catalog.name == "camvid11" and studio.program.context["has_prediction"])
    assert studio.program.session.project.catalog.name == "camvid11"
    assert studio.program.inspect.index.masks.catalog.name == "camvid11"


def test_shortcuts_refuse_a_taken_key_and_take_a_free_one(qtbot):
    dialog = ShortcutsDialog(ACTIONS, {})
    qtbot.addWidget(dialog)
    dialog.select("tool.brush")
    dialog.editor.setKeySequence(QKeySequence("E"))
    dialog.assign.click()
    assert "Eraser" in dialog.note.text()
    dialog.editor.setKeySequence(QKeySequence("Ctrl+Alt+B"))
    dialog.assign.click()
    assert dialog.keymap.overrides == {"tool.brush": ("Ctrl+Alt+B",)}
    dialog.reset.click()
    assert dialog.keymap.overrides == {}


def test_a_key_that_was_pressed_and_not_set_is_used(qtbot):
    """It was dropped without a word."""
    dialog = ShortcutsDialog(ACTIONS, {})
    qtbot.addWidget(dialog)
    dialog.show()
    done = next(button for button in dialog.findChildren(QPushButton) if button.text() == "Use these keys")
    dialog.select("tool.brush")
    dialog.editor.setKeySequence(QKeySequence("E"))
    done.click()
    assert dialog.isVisible(), "the key belongs to the eraser"
    dialog.editor.setKeySequence(QKeySequence("Ctrl+Alt+B"))
    done.click()
    assert not dialog.isVisible()
    assert dialog.keymap.overrides == {"tool.brush": ("Ctrl+Alt+B",)}


def test_keys_are_never_set_for_a_command_that_the_filter_hides(qtbot):
    dialog = ShortcutsDialog(ACTIONS, {})
    qtbot.addWidget(dialog)
    dialog.finder.setText("eraser")
    assert "Eraser" in dialog.table.item(dialog.table.currentRow(), 0).text()
    assert dialog.editor.keySequence() == QKeySequence("E")
    dialog.finder.setText("no such command")
    dialog.editor.setKeySequence(QKeySequence("Ctrl+Alt+B"))
    dialog.assign.click()
    assert dialog.keymap.overrides == {}


def test_changed_keys_work_at_once(studio, folder):
    studio.open(folder)
    studio.window.commands.keymap.assign("tool.eraser", ["F9"])
    studio.window.commands.apply_keys()
    studio.press(Qt.Key.Key_F9, on=studio.view)
    assert studio.program.tools.tool == "eraser"


def test_settings_apply_at_once(studio, qtbot):
    dialog = SettingsDialog(studio.program.settings, studio.window)
    qtbot.addWidget(dialog)
    choose(dialog.editors["appearance.theme"], "light")
    assert studio.window.theme.name == "light"
    dialog.editors["canvas.opacity"].setValue(80)
    assert studio.program.view.overlay.opacity == pytest.approx(0.8)
    choose(dialog.editors["appearance.theme"], "dark")
    assert studio.program.context["theme_dark"]


def test_letters_that_are_typed_before_the_palette_has_the_keyboard_run_no_command(studio, folder, qtbot):
    studio.open(folder)
    studio.window.commands["help.palette"].trigger()
    palette = studio.window.findChild(CommandPalette)
    for letter in "eraser":  # they come to the window that had the keyboard
        qtbot.keyClick(studio.window.stack.currentWidget(), letter)
    assert studio.program.tools.tool == "brush"
    assert palette.finder.text() == "eraser"
    qtbot.keyClick(studio.window.stack.currentWidget(), Qt.Key.Key_Escape)
    assert not isValid(palette) or not palette.isVisible()
    qtbot.keyClick(studio.window.stack.currentWidget(), "e")
    assert studio.program.tools.tool == "eraser"


def test_the_palette_runs_what_is_typed(studio, folder, qtbot):
    studio.open(folder)
    palette = CommandPalette(studio.window.commands, studio.window)
    qtbot.addWidget(palette)
    palette.show()
    qtbot.keyClicks(palette.finder, "eraser")
    qtbot.keyClick(palette.finder, Qt.Key.Key_Return)
    assert studio.program.tools.tool == "eraser"


def test_the_sheet_shows_every_command_that_has_a_key(studio, qtbot):
    sheet = ShortcutSheet(studio.window.commands.keymap)
    qtbot.addWidget(sheet)
    texts = {label.text() for label in sheet.findChildren(type(studio.window.classes.note))}
    wanted = {spec.text.rstrip("…") for spec in ACTIONS if spec.shortcuts and not spec.id.startswith("class.key_")}
    assert wanted <= texts


def test_lists_and_trouble_can_be_copied(qtbot):
    gone = []
    dialog = ListDialog("What failed", "", [("a.jpg", "cut off"), ("b.jpg", "gone")], gone.append)
    trouble = TroubleDialog("An unexpected error occurred", "text", "Traceback: details", log_folder())
    for widget in (dialog, trouble):
        qtbot.addWidget(widget)
    dialog.table.doubleClicked.emit(dialog.table.model().index(1, 0))
    assert gone == [1]
    next(button for button in dialog.findChildren(QPushButton) if button.text() == "Copy list").click()
    assert QGuiApplication.clipboard().text() == "a.jpg\tcut off\nb.jpg\tgone"
    next(button for button in trouble.findChildren(QPushButton) if button.text() == "Copy details").click()
    assert QGuiApplication.clipboard().text() == "Traceback: details"


def test_enter_goes_on_after_an_unexpected_error(qtbot):
    """The details had the keyboard, and the button that Enter pressed was the one that copies them."""
    trouble = TroubleDialog("An unexpected error occurred", "text", "Traceback: details", log_folder())
    qtbot.addWidget(trouble)
    trouble.show()
    defaults = [button.text() for button in trouble.findChildren(QPushButton) if button.isDefault() or button.autoDefault()]
    assert defaults == ["Continue"]
    focused = trouble.focusWidget()
    assert isinstance(focused, QPushButton)
    qtbot.keyClick(focused, Qt.Key.Key_Return)
    assert not trouble.isVisible()


def test_copy_report_holds_model_and_project(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.window.commands["help.copy_report"].trigger()
    text = QGuiApplication.clipboard().text()
    assert "4 images, voc21" in text
    assert "Atrous" in text


def test_importing_masks_keeps_what_a_person_did(studio, folder):
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    mine = studio.image.document.labels.copy()
    studio.program.label_imports.take(folder.parent / "labels")
    studio.wait(lambda: "Labels of 4 images imported" in studio.titles())
    here = studio.image.document.labels
    np.testing.assert_array_equal(here[mine == 9], 9)
    assert (here[mine != 9] == 15).any()
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "photo_1.jpg")
    assert (studio.image.document.labels[:, :40] == 15).all()


@pytest.mark.parametrize(
    ("key", "text", "scan", "modifiers", "recorded"),
    [
        (0x418, "и", 56, Qt.KeyboardModifier.NoModifier, "B"),  # a Russian keyboard
        (0x418, "", 56, Qt.KeyboardModifier.ControlModifier, "Ctrl+B"),
        (Qt.Key.Key_Ampersand, "&", 10, Qt.KeyboardModifier.NoModifier, "1"),  # a French one
        (Qt.Key.Key_A, "a", 24, Qt.KeyboardModifier.NoModifier, "A"),
        (Qt.Key.Key_F7, "", 73, Qt.KeyboardModifier.NoModifier, "F7"),
    ],
)
def test_the_key_editor_records_keys_that_work_in_every_layout(qtbot, key, text, scan, modifiers, recorded):
    dialog = ShortcutsDialog(ACTIONS, {}, printed={"[": "^"})
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.select("brush.smaller")
    assert dialog.table.item(dialog.table.currentRow(), 2).text() == "^"
    QApplication.sendEvent(dialog.editor, QKeyEvent(QEvent.Type.KeyPress, key, modifiers, scan, 0, 0, text))
    assert dialog.editor.keySequence().toString() == recorded
