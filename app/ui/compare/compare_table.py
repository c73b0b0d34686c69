"""Figures of compared models, a column each."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.state.comparison import PLACE_TOKENS
from app.text import tr
from app.ui.shell.icons import swatch
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import TableRow

_TABLE_ROW = 24
#: Least width of a column of the table by the number of models, and the widest that the names of rows ask for and the least, px.
_COLUMN = {3: 50, 4: 46}
_NAMES, _LEAST_NAMES = 112, 64
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class CompareTable(QTableWidget):
    """One column per model; the best figure of a row is bold.

    Attributes:
        needed: width in px that shows all figures and the names of the rows.
        least: width in px that shows all figures and a part of the names.
    """

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(0, 1, parent)
        self._theme = theme
        self._shown: tuple[str, tuple[tuple[str, str], ...], tuple[TableRow, ...]] = ("", (), ())
        self.needed = self.least = self.minimumSizeHint().width()
        self.setAccessibleName(tr("Figures of the compared models"))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_TABLE_ROW)
        self.setShowGrid(False)
        self.setIconSize(QSize(10, 10))
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)  # else a name of two words is cut behind the first

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        heading, models, rows = self._shown
        self._shown = ("", (), ())
        self.show_rows(heading, models, rows)

    def show_rows(self, heading: str, models: Sequence[tuple[str, str]], rows: Sequence[TableRow]) -> None:
        """Show figures.

        Args:
            heading: what the numbers of the classes are.
            models: (letter, name) of each column.
        """
        wanted = (heading, tuple(models), tuple(rows))
        if wanted == self._shown:
            return
        self._shown = wanted
        self.setColumnCount(1 + len(models))
        self.setRowCount(len(rows))
        classes = QTableWidgetItem(heading)
        classes.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.setHorizontalHeaderItem(0, classes)
        for place, (letter, name) in enumerate(models):
            item = QTableWidgetItem(letter)
            item.setIcon(swatch(self._theme.color(PLACE_TOKENS[place])))
            item.setToolTip(name)
            item.setTextAlignment(_RIGHT)
            self.setHorizontalHeaderItem(place + 1, item)
        for line, row in enumerate(rows):
            self._fill(line, row)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for place in range(1, 1 + len(models)):
            self.setColumnWidth(place, max(_COLUMN.get(len(models), 68), self.sizeHintForColumn(place)))
        names = min(max(self.sizeHintForColumn(0), header.sectionSizeHint(0)), _NAMES)
        beside = 2 * self.frameWidth() + self.verticalScrollBar().sizeHint().width()
        self.needed = names + sum(self.columnWidth(place) for place in range(1, 1 + len(models))) + beside
        self.least = self.needed - max(names - _LEAST_NAMES, 0)

    def _fill(self, line: int, row: TableRow) -> None:
        name = QTableWidgetItem(row.name)
        if row.color is not None:
            name.setIcon(swatch(QColor(*row.color)))
        name.setToolTip(f"{row.name}\n{row.tip}".rstrip())
        self.setItem(line, 0, name)
        for place, text in enumerate(row.values):
            item = QTableWidgetItem(text)
            item.setTextAlignment(_RIGHT)
            item.setToolTip(row.tip)
            if place in row.best:
                font = item.font()
                font.setWeight(QFont.Weight.DemiBold)
                item.setFont(font)
            elif row.best:
                item.setForeground(self._theme.color("muted"))
            self.setItem(line, place + 1, item)
