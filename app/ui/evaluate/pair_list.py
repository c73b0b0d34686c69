"""The most confused pairs of classes as a table; a click leads to the errors of a pair, both ways round."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.text import mark, points, spaced, tr
from app.ui.evaluate.kind_table import leave_out, list_rows, row_figures
from app.viewmodels.evaluate.pair_table import PairLine, pair_tip

_COLUMNS = (
    mark("Pair"), mark("Share of the errors"), mark("Pixels"), mark("Images"), mark("Share of each class's loss"),
    mark("mIoU gain if fixed"),
)  # fmt: skip
_LOSS = 4
#: Columns that give way in a narrow window, first one first: images, shares of the losses, pixels.
_LESS = (3, _LOSS, 2)
_LEFT, _RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight


class PairList(QTableWidget):
    """Up to eight pairs.

    Signals:
        pairChosen(int, int): ids of the pair that was clicked, or on which Enter was pressed.
    """

    pairChosen = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self._lines: list[PairLine] = []
        list_rows(self)
        self.setAccessibleName(tr("Confused pairs of classes"))
        self.setTabKeyNavigation(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_LOSS, QHeaderView.ResizeMode.Stretch)
        header.setSectionsClickable(False)
        for place, title in enumerate(_COLUMNS):
            heading = QTableWidgetItem(tr(title))
            heading.setTextAlignment(_alignment(place))
            self.setHorizontalHeaderItem(place, heading)
        self.cellClicked.connect(self._choose)
        self.cellActivated.connect(self._choose)

    @property
    def lines(self) -> list[PairLine]:
        """What is shown."""
        return list(self._lines)

    def show_lines(self, lines: Sequence[PairLine]) -> None:
        """Show other figures; the selected row stays."""
        self._lines = list(lines)
        self.setRowCount(len(lines))
        for row, line in enumerate(lines):
            share = "" if isnan(line.share) else f"{100 * line.share:.1f} %"
            gain = "" if isnan(line.gain) else points(line.gain)
            texts = (line.title, share, spaced(line.pixels), spaced(line.images), line.shares, gain)
            for column, text in enumerate(texts):
                item = self.item(row, column) or QTableWidgetItem()
                if item.tableWidget() is None:
                    self.setItem(row, column, item)
                item.setText(text)
                item.setToolTip(f"{pair_tip(line)}\n{row_figures(self, texts)}")
                item.setTextAlignment(_alignment(column))
        self.setFixedHeight(
            self.horizontalHeader().sizeHint().height() + self.verticalHeader().defaultSectionSize() * len(lines) + 2
        )

        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window columns give way; the tooltip has their figures."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        leave_out(self, _LESS)
        contents, stretch = QHeaderView.ResizeMode.ResizeToContents, QHeaderView.ResizeMode.Stretch
        self.horizontalHeader().setSectionResizeMode(0, stretch if self.isColumnHidden(_LOSS) else contents)

    def _choose(self, row: int, _column: int) -> None:
        if row < len(self._lines):
            self.pairChosen.emit(self._lines[row].one, self._lines[row].other)


def _alignment(column: int) -> Qt.AlignmentFlag:
    return (_LEFT if column in (0, _LOSS) else _RIGHT) | Qt.AlignmentFlag.AlignVCenter
