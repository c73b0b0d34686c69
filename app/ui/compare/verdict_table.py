"""What each model does to the figures of the first one: changes with intervals and verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.text import tr
from app.ui.shell.icons import swatch
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import VerdictRow

#: Least height of a row, and the least width of the names, px.
_ROW, _NAMES = 40, 96


class VerdictTable(QTableWidget):
    """One row per figure, one column per model after the first; a cell has two lines, the change and its interval."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(0, 1, parent)
        self._theme = theme
        self._shown: tuple[tuple[str, ...], tuple[VerdictRow, ...]] = ((), ())
        self.setAccessibleName(tr("What each model does to the figures of A"))
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        names, rows = self._shown
        self._shown = ((), ())
        self.show_rows(names, rows)

    def show_rows(self, names: Sequence[str], rows: Sequence[VerdictRow]) -> None:
        """Show verdicts.

        Args:
            names: letter of each column.
        """
        wanted = tuple(names), tuple(rows)
        if wanted == self._shown:
            return
        self._shown = wanted
        self.setColumnCount(1 + len(names))
        self.setRowCount(len(rows))
        for place, text in enumerate((tr("Change in points"), *(tr("{name} against A", name=name) for name in names))):
            heading = QTableWidgetItem(text)
            heading.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            self.setHorizontalHeaderItem(place, heading)
        for line, row in enumerate(rows):
            name = QTableWidgetItem(row.name)
            name.setToolTip(row.name)
            if row.color is not None:
                name.setIcon(swatch(QColor(*row.color)))
            self.setItem(line, 0, name)
            for place, cell in enumerate(row.cells, start=1):
                item = QTableWidgetItem(f"{cell.text}\n{cell.interval}".strip())
                item.setForeground(self._theme.color(cell.tone))
                item.setToolTip(cell.tip)
                self.setItem(line, place, item)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(max(_NAMES, header.sectionSizeHint(0)))
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        # Lines are as high as their fonts: two lines of Hangul need more than two of Latin letters.
        self.verticalHeader().setDefaultSectionSize(max([_ROW, *(self.sizeHintForRow(line) for line in range(len(rows)))]))
