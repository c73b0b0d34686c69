"""The images of a folder on which two compared models differ most."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.text import mark, tr
from app.viewmodels.compare.rows import ImageLine, signed

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter

_COLUMNS = (mark("Image"), mark("Differ"), mark("mIoU"))
#: Lines that are made: the end of a longer list is not read.
MOST = 500


class DifferenceList(QTableWidget):
    """A click, or Enter, opens the image.

    Signals:
        chosen(image id).
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        tips = ("", tr("Share of pixels on which the two models differ"), tr("Second minus first, in percentage points"))
        for place, (title, tip) in enumerate(zip(_COLUMNS, tips, strict=True)):
            heading = QTableWidgetItem(tr(title))
            heading.setTextAlignment(_RIGHT if place else Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            heading.setToolTip(tip)
            self.setHorizontalHeaderItem(place, heading)
        self.setAccessibleName(tr("Images on which the models differ most"))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self.setShowGrid(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setColumnWidth(1, 68)
        self.setColumnWidth(2, 62)
        self.cellClicked.connect(lambda row, _column: self._emit_image(row))
        self.activated.connect(lambda index: self._emit_image(index.row()))

    def show_lines(self, lines: Sequence[ImageLine]) -> None:
        """Show images, the worst first; the selected image stays selected."""
        rows = self.selectionModel().selectedRows()
        before = rows[0].data(Qt.ItemDataRole.UserRole) if rows else None
        shown = lines[:MOST]
        self.setRowCount(len(shown))
        for place, line in enumerate(shown):
            name = QTableWidgetItem(line.name.rpartition("/")[2])
            name.setData(Qt.ItemDataRole.UserRole, line.image)
            name.setToolTip(line.name)
            self.setItem(place, 0, name)
            for column, text in ((1, f"{100 * line.share:.1f} %"), (2, signed(line.gain))):
                item = QTableWidgetItem(text)
                item.setTextAlignment(_RIGHT)
                self.setItem(place, column, item)
            if line.image == before:
                self.selectRow(place)

    def _emit_image(self, row: int) -> None:
        item = self.item(row, 0)
        if item is not None:
            self.chosen.emit(item.data(Qt.ItemDataRole.UserRole))
