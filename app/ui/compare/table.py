"""Figures of every model side by side: summaries, then the classes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.state.comparison import PLACE_TOKENS
from app.text import tr
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import TableRow

_SIDE = 12


def swatch(color: QColor) -> QIcon:
    """A rounded square of one colour."""
    pixmap = QPixmap(2 * _SIDE, 2 * _SIDE)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawRoundedRect(QRectF(0.5, 0.5, _SIDE - 1, _SIDE - 1), 2.5, 2.5)
    painter.end()
    return QIcon(pixmap)


_ROW = 24
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class CompareTable(QTableWidget):
    """One column per model; the best figure of a row is bold."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(0, 1, parent)
        self._theme = theme
        self._shown: tuple[str, tuple[tuple[str, str], ...], tuple[TableRow, ...]] = ("", (), ())
        self.setAccessibleName(tr("Figures of the compared models"))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.setShowGrid(False)
        self.setIconSize(QSize(10, 10))
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

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
        for place in range(len(models)):
            self.setColumnWidth(place + 1, 68 if len(models) < 4 else 58)

    def _fill(self, line: int, row: TableRow) -> None:
        name = QTableWidgetItem(row.name)
        if row.color is not None:
            name.setIcon(swatch(QColor(*row.color)))
        name.setToolTip(row.tip)
        self.setItem(line, 0, name)
        for place, text in enumerate(row.values):
            item = QTableWidgetItem(text)
            item.setTextAlignment(_RIGHT)
            item.setToolTip(row.tip)
            if place in row.best:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            elif row.best:
                item.setForeground(self._theme.color("muted"))
            self.setItem(line, place + 1, item)
