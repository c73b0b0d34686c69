"""What failed, one line each: images of a folder run, truth files, an export. Never a dialog per file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned

#: Height of a row of one line, px.
_ROW = 30


def plain_table(titles: Sequence[str], *, wide: int, row: int, numbers: Iterable[int] = ()) -> QTableWidget:
    """A table to read: no grid, no editing, no selection.

    Args:
        titles: of the columns.
        wide: the column that takes the room that is left.
        row: height of a row, px.
        numbers: columns whose titles stand at the right, as their numbers do.
    """
    table = QTableWidget(0, len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(row)
    table.setShowGrid(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setAccessibleName(titles[0])
    header = table.horizontalHeader()
    header.setHighlightSections(False)  # in bold, for the columns of the selection
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
    for column in numbers:
        title = table.horizontalHeaderItem(column)
        assert title is not None
        title.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return table


def fill_table(table: QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    """Show rows of texts; a text that is cut can be read in its tooltip."""
    table.setRowCount(len(rows))
    for place, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(place, column, item)


class ListDialog(FittedDialog):
    """A table of (name, why); ``go`` is called with a row's number when the user wants to see it."""

    def __init__(
        self,
        title: str,
        intro: str,
        rows: Sequence[tuple[str, str]],
        go: Callable[[int], None] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(title, parent, size=QSize(760, 460))
        self._rows = list(rows)
        column = self.column
        text = toned(intro, tone="muted")
        text.setWordWrap(True)
        column.addWidget(text)
        self.table = plain_table((tr("File"), tr("Problem")), wide=1, row=_ROW)
        self.table.setRowCount(len(rows))
        self.table.setAccessibleName(title)
        self.table.setWordWrap(True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.table.setColumnWidth(0, 220)
        for place, (name, why) in enumerate(rows):
            self.table.setItem(place, 0, QTableWidgetItem(name))
            self.table.setItem(place, 1, QTableWidgetItem(why))
        self.table.resizeRowsToContents()
        column.addWidget(self.table, 1)
        line = self.buttons
        copy = QPushButton(tr("Copy list"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText("\n".join(f"{name}\t{why}" for name, why in self._rows)))
        line.addWidget(copy)
        if go is not None:
            show = QPushButton(tr("Open image"))
            show.clicked.connect(lambda: go(self.table.currentRow()) if self.table.currentRow() >= 0 else None)
            self.table.doubleClicked.connect(lambda index: go(index.row()))
            line.addWidget(show)
        line.addStretch(1)
        close = QPushButton(tr("Close"))
        close.setProperty("primary", True)
        close.clicked.connect(self.accept)
        line.addWidget(close)
