"""The list of keyboard shortcuts, derived from the table of commands and the keymap in use."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.actions.keymap import Keymap
from app.actions.spec import Group
from app.actions.table import ACTIONS, GESTURES
from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.ui.shell.keys import key_text

#: Order of the groups, read down the columns.
_GROUPS = (
    Group.TOOLS, Group.CLASSES, Group.EDIT, Group.VIEW, Group.MODEL, Group.TRUTH, Group.NAVIGATE, Group.REFINE, Group.FILE,
    Group.WINDOW, Group.HELP,
)  # fmt: skip
_SPACING, _GAP, _MOST_COLUMNS = 40, 16, 3
#: Margins and scroll bar beside the columns.
_MARGINS = 62


#: The second key Enter of a keyboard; the first one stands for both.
_TWINS = ("Enter", "Ctrl+Enter")


class ShortcutSheet(FittedDialog):
    """Every command that has a key, and every gesture on the picture; as many columns as the width allows."""

    def __init__(self, keymap: Keymap, parent: QWidget | None = None) -> None:
        super().__init__(tr("Keyboard shortcuts"), parent, size=QSize(1400, 780))
        self._keymap = keymap
        sections = [_section(tr("On the image"), [(tr(gesture.keys), tr(gesture.text)) for gesture in GESTURES])]
        sections += [_section(group.heading, rows) for group in _GROUPS if (rows := self._rows(group))]
        self.sections = sections
        self._columns: list[QVBoxLayout] = []
        row = QHBoxLayout()
        row.setSpacing(_SPACING)
        for _ in range(_MOST_COLUMNS):
            column = QVBoxLayout()
            column.setSpacing(_GAP)
            self._columns.append(column)
            row.addLayout(column)
        row.addStretch(1)
        self.column.addLayout(row)
        self.column.addStretch(1)
        self._used = 0
        self._arrange(_MOST_COLUMNS)
        close = QPushButton(tr("Close"))
        close.setProperty("primary", True)
        close.clicked.connect(self.accept)
        self.buttons.addStretch(1)
        self.buttons.addWidget(close)

    def fit(self) -> None:
        """Take the width of all columns, which depends on the commands, their keys and the font."""
        for widget in self.findChildren(QWidget):
            widget.ensurePolished()
        self._wanted = QSize(_width(self._dealt(_MOST_COLUMNS)) + _MARGINS, self._wanted.height())
        super().fit()

    def minimumSizeHint(self) -> QSize:
        """One column has to fit; the rest is a matter of the width that there is."""
        return QSize(_width([self.sections]) + _MARGINS, 200)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        room = event.size().width() - _MARGINS
        counts = range(_MOST_COLUMNS, 0, -1)
        self._arrange(next((count for count in counts if _width(self._dealt(count)) <= room), 1))

    def _dealt(self, count: int) -> list[list[QWidget]]:
        """The sections in some columns, in their order, the highest column as low as it can be."""
        heights = [section.sizeHint().height() + _GAP for section in self.sections]
        sums = sorted({sum(heights[first:end]) for end in range(1, len(heights) + 1) for first in range(end)})
        dealt = (self._packed(heights, most) for most in sums if most >= max(heights))
        columns = next(columns for columns in dealt if len(columns) <= count)
        return columns + [[] for _ in range(count - len(columns))]

    def _packed(self, heights: list[int], most: int) -> list[list[QWidget]]:
        """The sections in columns of at most so many px."""
        columns: list[list[QWidget]] = []
        room = 0
        for section, height in zip(self.sections, heights, strict=True):
            if height > room:
                columns.append([])
                room = most
            columns[-1].append(section)
            room -= height
        return columns

    def _arrange(self, count: int) -> None:
        if count == self._used:
            return
        self._used = count
        for column in self._columns:
            while column.count():
                column.takeAt(0)
        for place, sections in enumerate(self._dealt(count)):
            for section in sections:
                self._columns[place].addWidget(section)
            self._columns[place].addStretch(1)

    def _rows(self, group: Group) -> list[tuple[str, str]]:
        rows = []
        for spec in ACTIONS:
            keys = self._keymap.keys(spec.id)
            if spec.group is group and keys and not spec.id.startswith("class.key_"):
                shown = "   ".join(key_text(key, self._keymap.printed) for key in keys if key not in _TWINS)
                rows.append((tr("{keys} (hold)", keys=shown) if spec.held else shown, spec.title.rstrip("…")))
        if group is Group.CLASSES:
            rows.insert(0, ("1 … 9, 0", tr("Class with this key (see the Classes panel)")))
        return rows


def _section(title: str, rows: list[tuple[str, str]]) -> QWidget:
    """A group's title and a line for each of its keys."""
    section = QWidget()
    column = QVBoxLayout(section)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(6)
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
    return section


def _width(columns: list[list[QWidget]]) -> int:
    """Px that some columns of sections need side by side."""
    widths = [max((section.sizeHint().width() for section in column), default=0) for column in columns]
    return sum(widths) + _SPACING * (len(columns) - 1)
