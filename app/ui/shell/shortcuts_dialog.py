"""The keys of every command: change one, take a preset, get a default back. A taken key is refused with its owner's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTableWidgetItem,
    QWidget,
)

from app.actions.keymap import PRESETS, Keymap, ShortcutConflict
from app.actions.palette import named
from app.actions.spec import ActionSpec
from app.text import error_detail, error_title, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import plain_table
from app.ui.common.panel import set_tone, toned
from app.ui.shell.keys import KeyEdit, key_text

_ID = int(Qt.ItemDataRole.UserRole)
#: Height of a row, px.
_ROW = 30


class ShortcutsDialog(FittedDialog):
    """Edits a keymap of its own; :attr:`keymap` is the result when it is accepted."""

    def __init__(
        self,
        actions: Iterable[ActionSpec],
        overrides: dict[str, tuple[str, ...]],
        parent: QWidget | None = None,
        printed: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(tr("Change keyboard shortcuts"), parent, heading="", size=QSize(780, 640))
        self._specs = list(actions)
        self.keymap = Keymap(self._specs, overrides)
        self.keymap.printed = dict(printed or {})
        column = self.column
        column.setSpacing(10)
        head = QHBoxLayout()
        head.addWidget(toned(tr("Change keyboard shortcuts"), size="title"))
        head.addStretch(1)
        head.addWidget(toned(tr("Preset"), tone="muted"))
        self.preset = QComboBox()
        self.preset.addItems(list(PRESETS))
        self.preset.activated.connect(self._use_preset)
        head.addWidget(self.preset)
        column.addLayout(head)
        self.finder = QLineEdit()
        self.finder.setPlaceholderText(tr("Find a command or a key"))
        self.finder.setAccessibleName(tr("Find a command or a key"))
        self.finder.textChanged.connect(self._filter)
        column.addWidget(self.finder)
        self.table = plain_table((tr("Command"), tr("Menu"), tr("Keys")), wide=0, row=_ROW)
        self.table.setRowCount(len(self._specs))
        self.table.setAccessibleName(tr("Keyboard shortcuts"))
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.itemSelectionChanged.connect(self._show_selected)
        for row, spec in enumerate(self._specs):
            for place, text in enumerate((named(spec), spec.group.heading, "")):
                item = QTableWidgetItem(text)
                item.setData(_ID, spec.id)
                self.table.setItem(row, place, item)
        column.addWidget(self.table, 1)
        line = QHBoxLayout()
        self.editor = KeyEdit()
        self.editor.setAccessibleName(tr("New key"))
        self.editor.setMaximumSequenceLength(1)
        self.editor.setClearButtonEnabled(True)
        self.assign = QPushButton(tr("Set"))
        self.assign.clicked.connect(self._assign)
        self.reset = QPushButton(tr("Default"))
        self.reset.clicked.connect(self._reset)
        line.addWidget(toned(tr("New key"), tone="muted"))
        line.addWidget(self.editor, 1)
        line.addWidget(self.assign)
        line.addWidget(self.reset)
        column.addLayout(line)
        self.note = toned(tr("Select a command, press its new key, then Set."), tone="muted", size="small")
        self.note.setWordWrap(True)
        column.addWidget(self.note)
        buttons = self.buttons
        buttons.addStretch(1)
        cancel = QPushButton(tr("Cancel"))
        cancel.clicked.connect(self.reject)
        done = QPushButton(tr("Use these keys"))
        done.setProperty("primary", True)
        done.clicked.connect(self._finish)
        buttons.addWidget(cancel)
        buttons.addWidget(done)
        self._show_keys()
        self.table.selectRow(0)
        self.finder.setFocus(Qt.FocusReason.OtherFocusReason)

    def select(self, action_id: str) -> None:
        """Choose a command's row."""
        self.table.selectRow(next(row for row, spec in enumerate(self._specs) if spec.id == action_id))

    def _selected(self) -> str | None:
        row = self.table.currentRow()
        return None if row < 0 else self._specs[row].id

    def _show_keys(self) -> None:
        for row, spec in enumerate(self._specs):
            item = self.table.item(row, 2)
            if item is not None:
                item.setText("   ".join(key_text(key, self.keymap.printed) for key in self.keymap.keys(spec.id)))

    def _shown(self) -> QKeySequence:
        """The key of the chosen command; empty if it has none."""
        chosen = self._selected()
        keys = self.keymap.keys(chosen) if chosen is not None else ()
        return QKeySequence(keys[0]) if keys else QKeySequence()

    def _show_selected(self) -> None:
        self.editor.setKeySequence(self._shown())

    def _assign(self) -> bool:
        chosen = self._selected()
        if chosen is None:
            return False
        key = self.editor.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        return self._try(lambda: self.keymap.assign(chosen, [key] if key else []), tr("Set."))

    def _finish(self) -> None:
        """A key that was pressed and not set yet counts, too: it stands beside the command."""
        if self._selected() is None or self.editor.keySequence() == self._shown() or self._assign():
            self.accept()

    def _reset(self) -> None:
        chosen = self._selected()
        if chosen is not None and self._try(lambda: self.keymap.reset(chosen), tr("Default restored.")):
            self._show_selected()

    def _use_preset(self) -> None:
        self.keymap.use_preset(self.preset.currentText())
        self._say("muted", tr("All keys now match {preset}.", preset=self.preset.currentText()))
        self._show_selected()

    def _try(self, change: Callable[[], object], done: str) -> bool:
        """Change the keys, and say so or why not; whether they were changed."""
        try:
            change()
        except ShortcutConflict as error:
            self._say("bad", f"{error_title(error)}. {error_detail(error)}")
        except ValueError as error:
            self._say("bad", tr("That is not a key: {error}.", error=error))
        else:
            self._say("muted", done)
            return True
        return False

    def _say(self, tone: str, text: str) -> None:
        set_tone(self.note, tone)
        self.note.setText(text)
        self._show_keys()

    def _filter(self, text: str) -> None:
        wanted = text.strip().lower()
        for row, spec in enumerate(self._specs):
            keys = [key.lower() for key in self.keymap.keys(spec.id)]
            text = f"{spec.title} {named(spec)} {spec.group.heading}".lower()
            self.table.setRowHidden(row, bool(wanted) and wanted not in text and wanted not in keys)
        if self.table.isRowHidden(max(self.table.currentRow(), 0)):  # else Set would change a command that is not seen
            rows = (row for row in range(len(self._specs)) if not self.table.isRowHidden(row))
            self.table.setCurrentCell(next(rows, -1), 0)
