"""The sheet of keys, derived from the table of commands and the keymap in use."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.actions.keymap import Keymap
from app.actions.spec import Group
from app.actions.table import ACTIONS, GESTURES
from app.ui.docks.panel import toned
from app.ui.input.keys import key_text

#: Groups of each of the three columns; about equally many rows.
_COLUMNS = (
    (Group.TOOLS, Group.CLASSES, Group.EDIT),
    (Group.VIEW, Group.MODEL, Group.TRUTH),
    (Group.NAVIGATE, Group.REFINE, Group.FILE, Group.WINDOW, Group.HELP),
)


#: The second key Enter of a keyboard; the first one stands for both.
_TWINS = ("Enter", "Ctrl+Enter")


class KeySheet(QDialog):
    """Every command that has a key, and what the hands do on the picture."""

    def __init__(self, keymap: Keymap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self._keymap = keymap
        outer = QVBoxLayout(self)
        outer.setContentsMargins(24, 20, 24, 16)
        outer.setSpacing(12)
        outer.addWidget(toned("Keys", size="title"))
        sheet = QWidget()
        row = QHBoxLayout(sheet)
        row.setContentsMargins(0, 0, 12, 0)
        row.setSpacing(40)
        for place, groups in enumerate(_COLUMNS):
            column = QVBoxLayout()
            column.setSpacing(6)
            if place == 0:
                self._add_section(column, "On the picture", [(gesture.keys, gesture.text) for gesture in GESTURES])
            for group in groups:
                self._add_section(column, group.value, self._rows(group))
            column.addStretch(1)
            row.addLayout(column)
        area = QScrollArea()
        area.setWidget(sheet)
        area.setWidgetResizable(True)
        outer.addWidget(area, 1)
        close = QPushButton("Close")
        close.clicked.connect(self.accept)
        outer.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
        self.resize(1320, 780)

    def _rows(self, group: Group) -> list[tuple[str, str]]:
        rows = []
        for spec in ACTIONS:
            keys = self._keymap.keys(spec.id)
            if spec.group is group and keys and not spec.id.startswith("class.key_"):
                shown = "   ".join(key_text(key, self._keymap.printed) for key in keys if key not in _TWINS)
                rows.append((shown + (" (hold)" if spec.held else ""), spec.text.rstrip("…")))
        if group is Group.CLASSES:
            rows.insert(0, ("1 … 9, 0", "The class with this key; see the classes dock"))
        return rows

    @staticmethod
    def _add_section(column: QVBoxLayout, title: str, rows: list[tuple[str, str]]) -> None:
        if not rows:
            return
        column.addWidget(toned(title.upper(), tone="muted", size="caption", strong=True))
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(1, 1)
        for place, (keys, text) in enumerate(rows):
            cap = toned(keys)
            cap.setObjectName("keycap")
            grid.addWidget(cap, place, 0, Qt.AlignmentFlag.AlignRight)
            grid.addWidget(toned(text, size="small"), place, 1)
        column.addLayout(grid)
        column.addSpacing(10)
