"""What failed, one line each: images of a folder run, truth files, an export. Never a dialog per file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize
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
        self.table = QTableWidget(len(rows), 2)
        self.table.setHorizontalHeaderLabels([tr("File"), tr("Problem")])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setWordWrap(True)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
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
