"""What a cell of the matrix, or a pair of classes, costs: two small tables above the list of its components."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from app.text import mark, tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import toned
from app.viewmodels.evaluate.pair_table import CLASS_TITLES, SPLIT_TIPS, SPLIT_TITLES, PairTable

_LEFT, _RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
_GAP = 18
#: Characters of an image's name on the button.
_NAME = 24
#: Parts of the tables that a narrow window shows one at a time: title, whether of the classes or of the splits, and its columns
#: beside the names.
_PARTS = (
    (mark("Loss"), True, (1, 2, 3)),
    (mark("IoU"), True, (4, 5)),
    (mark("Kind"), False, (1, 2, 3)),
    (mark("Occlusion"), False, (4, 5, 6)),
    (mark("Size"), False, (7, 8, 9)),
)


class PairPanel(QFrame):
    """Shows a :class:`PairTable`; in a narrow window one part of it at a time, behind tabs.

    Signals:
        imageAsked(): show the errors of the image that holds most of the pair.
    """

    imageAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("What this confusion costs"))
        self.summary = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.summary.setProperty("tone", "muted")
        self.largest = QPushButton()
        self.largest.setFlat(True)
        self.parts = QTabBar()
        self.parts.setDrawBase(False)
        self.parts.setExpanding(False)
        self.parts.setAccessibleName(tr("Parts of the table"))
        for title, _, _ in _PARTS:
            self.parts.addTab(tr(title))
        self._room = 0  # width that the whole tables need, px
        self._classes, self._splits = QGridLayout(), QGridLayout()
        for grid in (self._classes, self._splits):
            grid.setHorizontalSpacing(_GAP)
            grid.setVerticalSpacing(2)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.largest)
        head.addWidget(self.summary, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(head)
        self._tables = QWidget()
        tables = QVBoxLayout(self._tables)
        tables.setContentsMargins(0, 0, 0, 0)
        tables.setSpacing(6)
        for grid in (self._classes, self._splits):
            row = QHBoxLayout()
            row.addLayout(grid)
            row.addStretch(1)
            tables.addLayout(row)
        self._scroll = QScrollArea()  # where even a part has no room, it is scrolled, never cut
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setWidget(self._tables)
        self._scroll.setWidgetResizable(True)
        self._scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column.addWidget(self.parts)
        column.addWidget(self._scroll)
        self.parts.currentChanged.connect(lambda _place: self._fit())
        self.largest.clicked.connect(self.imageAsked)

    def show_table(self, table: PairTable, largest_name: str) -> None:
        """Show a pair.

        Args:
            table: its figures.
            largest_name: name of the image with most of it as shown; empty if it has no listed error.
        """
        self.summary.set_text(table.summary)
        self.largest.setVisible(bool(largest_name))
        shown = largest_name if len(largest_name) <= _NAME else f"…{largest_name[1 - _NAME :]}"
        self.largest.setText(tr("{share} of it in {image}", share=table.largest[1], image=shown))
        self.largest.setToolTip(tr("{image}: select its first error in the list", image=largest_name))
        rows = [(row.name, row.share, row.missed, row.false, row.iou, row.fixed) for row in table.classes]
        _fill(self._classes, [tr(title) for title in CLASS_TITLES], rows)
        heads = [tr("Direction"), *(tr(title) for title in SPLIT_TITLES)]
        tips = [[""] * len(heads), *(["", *row.tips] for row in table.splits)]
        tips[0][1:] = [tr(tip) for tip in SPLIT_TIPS]
        _fill(self._splits, heads, [(row.name, *row.shares) for row in table.splits], tips)
        self._room = max(grid.minimumSize().width() for grid in (self._classes, self._splits))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """The whole tables, or one part; as high as they are, and the bar below them where they are wider than the panel."""
        narrow = self._room > self.width()
        self.parts.setVisible(narrow)
        _, of_classes, columns = _PARTS[self.parts.currentIndex()]
        for grid, shown in ((self._classes, of_classes), (self._splits, not of_classes)):
            _show_columns(grid, (0, *columns) if shown else (), all_of_them=not narrow)
        wanted = self._tables.minimumSizeHint()
        bar = self._scroll.horizontalScrollBar().sizeHint().height() if wanted.width() > self.width() else 0
        self._scroll.setFixedHeight(wanted.height() + bar)


def _fill(grid: QGridLayout, heads: Sequence[str], rows: Sequence[Sequence[str]], tips: Sequence[Sequence[str]] = ()) -> None:
    """Show other texts; labels that are left over are hidden."""
    for row, texts in enumerate([heads, *rows]):
        for column, text in enumerate(texts):
            label = _label(grid, row, column)
            label.setText(text)
            label.setToolTip(tips[row][column] if tips else "")
            label.setProperty("used", True)
            label.show()
    for row in range(1 + len(rows), grid.rowCount()):
        for column in range(grid.columnCount()):
            item = grid.itemAtPosition(row, column)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.setProperty("used", False)
                widget.hide()


def _show_columns(grid: QGridLayout, columns: Sequence[int], *, all_of_them: bool) -> None:
    """Show these columns of a grid, or all of them; rows that are left over, or have nothing in these columns, are hidden."""
    for row in range(grid.rowCount()):
        found = (grid.itemAtPosition(row, column) for column in range(grid.columnCount()))
        labels = [item.widget() if item is not None else None for item in found]
        shown = [label for place, label in enumerate(labels) if all_of_them or place in columns]
        told = any(isinstance(label, QLabel) and label.property("used") and label.text() for label in shown[1:])
        for label in filter(None, labels):
            label.setVisible(told and label in shown)


def _label(grid: QGridLayout, row: int, column: int) -> QLabel:
    item = grid.itemAtPosition(row, column)
    known = None if item is None else item.widget()
    if isinstance(known, QLabel):
        return known
    label = toned(size="small") if row else toned(size="caption", tone="muted")
    grid.addWidget(label, row, column, (_RIGHT if column else _LEFT) | Qt.AlignmentFlag.AlignVCenter)
    return label
