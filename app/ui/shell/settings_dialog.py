"""Settings, one row for each entry of the schema that has a group. A change applies at once."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.paths import download_folder
from app.services.settings import SettingsStore
from app.state.settings_schema import SETTINGS, Setting, Value
from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.number_field import WholeField
from app.ui.common.panel import toned
from app.ui.shell.language import language_choices


class FolderField(QWidget):
    """An empty line stands for a default that the placeholder names.

    Signals:
        chosen(str): the path, or an empty text, once the user is done with it.
    """

    chosen = Signal(str)

    def __init__(self, folder: str, default: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._default = default
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.line = QLineEdit(folder)
        self.line.setPlaceholderText(str(default))
        self.line.setMinimumWidth(220)
        self.line.setClearButtonEnabled(True)
        self.line.editingFinished.connect(lambda: self.chosen.emit(self.line.text().strip()))
        self.browse = QPushButton(tr("Choose…"))
        self.browse.setAutoDefault(False)
        self.browse.clicked.connect(self._ask)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        self.setFocusProxy(self.line)

    def set_folder(self, folder: str) -> None:
        """Show another path and say so."""
        self.line.setText(folder)
        self.chosen.emit(folder)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        self.line.setAccessibleName(name)

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Choose a folder"), self.line.text() or str(self._default))
        if folder:
            self.set_folder(folder)


#: Lists of choices that only the running window knows, by the names in the schema.
OFFERS = {"languages": language_choices}

_WIDTH = 640
#: Width of the column of editors, the same in every group; gaps between groups, settings, and a setting and its help, in px.
_EDITORS, _GROUPS, _SETTINGS, _HELP = 220, 24, 14, 2


class SettingsDialog(FittedDialog):
    """Built from the schema."""

    def __init__(self, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(tr("Settings"), parent, size=QSize(_WIDTH, 0))
        self._settings = settings
        self.editors: dict[str, QWidget] = {}
        column = self.column
        column.setSpacing(8)
        for place, group in enumerate(dict.fromkeys(setting.group for setting in SETTINGS if setting.group)):
            if place:
                column.addSpacing(_GROUPS - column.spacing())
            column.addWidget(toned(tr(group).upper(), tone="muted", size="caption", strong=True))
            grid = QGridLayout()
            grid.setHorizontalSpacing(16)
            grid.setVerticalSpacing(_SETTINGS)
            grid.setColumnStretch(0, 1)
            grid.setColumnMinimumWidth(1, _EDITORS)
            for setting in SETTINGS:
                if setting.group == group:
                    self._add_row(grid, setting)
            column.addLayout(grid)
        if settings.problems:
            note = toned("\n".join(settings.problems), tone="warn", size="small")
            note.setWordWrap(True)
            column.addWidget(note)
        column.addStretch(1)
        row = self.buttons
        defaults = QPushButton(tr("Restore defaults"))
        defaults.clicked.connect(self._reset)
        close = QPushButton(tr("Close"))
        close.setProperty("primary", True)
        close.clicked.connect(self.accept)
        row.addWidget(defaults)
        row.addStretch(1)
        row.addWidget(close)

    def _add_row(self, grid: QGridLayout, setting: Setting) -> None:
        row = grid.rowCount()
        label = toned(tr(setting.label))
        editor = self._editor(setting)
        editor.setAccessibleName(tr(setting.label))
        editor.setToolTip(tr(setting.help))
        label.setBuddy(editor)
        texts = QVBoxLayout()
        texts.setSpacing(_HELP)
        texts.setContentsMargins(0, 4, 0, 0)  # the label stands beside the text of its editor
        texts.addWidget(label)
        if setting.help:
            help_text = toned(tr(setting.help), tone="muted", size="small")
            help_text.setWordWrap(True)
            texts.addWidget(help_text)
        if setting.folder:  # a path is long
            texts.addSpacing(4)
            texts.addWidget(editor)
            grid.addLayout(texts, row, 0, 1, 2)
        else:
            texts.addStretch(1)
            grid.addLayout(texts, row, 0)
            grid.addWidget(editor, row, 1, Qt.AlignmentFlag.AlignTop)
        self.editors[setting.key] = editor

    def _editor(self, setting: Setting) -> QWidget:
        value = self._settings[setting.key]
        if setting.choices:
            box = QComboBox()
            for choice, text in setting.choices:
                box.addItem(tr(text), choice)
            for choice, text in OFFERS[setting.offers]() if setting.offers else ():
                box.addItem(text, choice)
            if box.findData(value) < 0:  # chosen when it was there
                box.addItem(str(value), value)
            box.setCurrentIndex(box.findData(value))
            box.currentIndexChanged.connect(lambda _place: self._settings.set(setting.key, box.currentData()))
            return box
        if isinstance(setting.default, bool):
            check = QCheckBox()
            check.setChecked(value)
            check.toggled.connect(lambda on: self._settings.set(setting.key, on))
            return check
        if setting.folder:
            field = FolderField(str(value), download_folder(""))
            field.chosen.connect(lambda folder: self._settings.set(setting.key, folder))
            return field
        spin = WholeField()
        spin.setRange(int(setting.low or 0), int(setting.high or 1_000_000))
        spin.setSuffix(f" {setting.unit}" if setting.unit else "")
        spin.setValue(_whole(value))
        spin.valueChanged.connect(lambda number: self._settings.set(setting.key, number))
        return spin

    def _reset(self) -> None:
        for setting in SETTINGS:
            editor = self.editors.get(setting.key)
            if isinstance(editor, QComboBox):
                editor.setCurrentIndex(editor.findData(setting.default))
            elif isinstance(editor, QCheckBox):
                editor.setChecked(bool(setting.default))
            elif isinstance(editor, FolderField):
                editor.set_folder(str(setting.default))
            elif isinstance(editor, WholeField):
                editor.setValue(_whole(setting.default))


def _whole(value: Value) -> int:
    """A setting with this editor is a number, as the schema checks."""
    assert isinstance(value, int | float)
    return int(value)
