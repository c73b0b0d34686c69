"""The page of ambiguous regions: what the user has excluded from the metrics, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from app.state.ambiguous import ListedMark
from app.text import mark, plural, spaced, tr
from app.ui.common.panel import Page, toned

_COLUMNS = (mark("Image"), mark("Pixels"), mark("Could be"), mark("Reason (editable)"))
_WHY = 3


class AmbiguousPage(Page):
    """A table of marks: a click shows the place, Delete unmarks it.

    Signals:
        opened(ListedMark): the place is to be looked at.
        unmarkAsked(ListedMark): it counts again.
        described(ListedMark, str): why it is ambiguous.
        exportAsked(): write the marks for the command line.
    """

    opened = Signal(object)
    unmarkAsked = Signal(object)
    described = Signal(object, str)
    exportAsked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._marks: Sequence[ListedMark] = ()
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels([tr(title) for title in _COLUMNS])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(_WHY, QHeaderView.ResizeMode.Stretch)
        self.table.setAccessibleName(tr("Ambiguous regions"))
        self.what = toned("", tone="muted")
        self.what.setWordWrap(True)
        self.unmark_button = QPushButton(tr("Clear ambiguity mark"))
        self.unmark_button.setToolTip(tr("Clears the mark of the selected region (Delete)"))
        self.unmark_button.setShortcut(Qt.Key.Key_Delete)
        self.export_button = QPushButton(tr("Export marks…"))
        self.export_button.setToolTip(tr("Writes one NAME.ambiguous.json per image, as read by atrous inspect --ambiguous"))
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        for button in (self.unmark_button, self.export_button):
            button.setProperty("tight", True)
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.what)
        column.addLayout(buttons)
        column.addWidget(self.table, 1)
        self.lead_focus_to(self.table)
        self.table.cellClicked.connect(self._open)
        self.table.itemChanged.connect(self._describe)
        self.unmark_button.clicked.connect(self._unmark)
        self.export_button.clicked.connect(self.exportAsked)

    def show_marks(
        self, marks: Sequence[ListedMark], name: Callable[[int], str], classes: Callable[[tuple[int, ...]], str]
    ) -> None:
        """Show all marks of the folder.

        Args:
            name: of an image by its id.
            classes: names of class ids.
        """
        place = self.table.currentRow()
        with QSignalBlocker(self.table):
            self._marks = marks
            self.table.setRowCount(len(marks))
            for row, listed in enumerate(marks):
                pixels = spaced(listed.mark.pixels)
                for column, text in enumerate((name(listed.image), pixels, classes(listed.mark.classes), listed.mark.reason)):
                    item = QTableWidgetItem(text)
                    if column != _WHY:
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                    if column == 1:
                        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                    self.table.setItem(row, column, item)
            if marks:
                self.table.setCurrentCell(min(max(place, 0), len(marks) - 1), 0)
        total = spaced(sum(listed.mark.pixels for listed in marks))
        images = len({listed.image for listed in marks})
        self.what.setText(
            tr(
                "Excluded from all metrics: {total} px, {regions} in {images}.",
                total=total,
                regions=plural("{n} region", "{n} regions", len(marks)),
                images=plural("{n} image", "{n} images", images),
            )
            if marks
            else tr("Nothing is marked. In the Ground truth menu, mark the error under the pointer or draw an outline.")
        )
        self.unmark_button.setEnabled(bool(marks))
        self.export_button.setEnabled(bool(marks))

    def _open(self, row: int, column: int) -> None:
        if column != _WHY and row < len(self._marks):
            self.opened.emit(self._marks[row])

    def _unmark(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._marks):
            self.unmarkAsked.emit(self._marks[row])

    def _describe(self, item: QTableWidgetItem) -> None:
        if item.column() == _WHY and item.row() < len(self._marks):
            self.described.emit(self._marks[item.row()], item.text().strip())
