"""What an import of labels brought in, class by class, and everything that was not taken as it is."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QTableWidget, QWidget

from app.text import displayed, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import fill_table, plain_table
from app.ui.common.panel import toned
from app.viewmodels.project.label_summary import ImportSummary

#: Height of a row and of a header in px, and rows that a table shows without scrolling.
_ROW, _HEAD, _MOST = 28, 36, 8


class SummaryDialog(FittedDialog):
    """Three tables: counts, what was not read and why, and classes."""

    def __init__(self, summary: ImportSummary, parent: QWidget | None = None) -> None:
        super().__init__(tr("Import summary"), parent, heading=tr("What came in"), size=QSize(720, 0))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._summary = summary
        self.column.addWidget(toned(summary.source, tone="muted"))
        self.counts = self._table((tr("What"), tr("How much")), summary.counts, wide=0)
        if summary.unread:
            self.column.addWidget(toned(tr("Not taken as it is"), strong=True))
            self.unread = self._table((tr("File or part"), tr("Why")), summary.unread, wide=1)
        self.classes = self._table((tr("Class"), tr("Pixels")), summary.classes, wide=0)
        self.column.addStretch(1)
        copy = QPushButton(tr("Copy"))
        copy.setAutoDefault(False)
        copy.clicked.connect(self._copy)
        close = QPushButton(tr("Close"))
        close.setProperty("primary", True)
        close.setDefault(True)
        close.clicked.connect(self.accept)
        self.buttons.addWidget(copy)
        self.buttons.addStretch(1)
        self.buttons.addWidget(close)

    def _table(self, titles: tuple[str, str], rows: Sequence[tuple[str, str]], *, wide: int) -> QTableWidget:
        table = plain_table(titles, wide=wide, row=_ROW)
        table.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # arrow keys scroll it
        fill_table(table, [[displayed(text) for text in row] for row in rows])
        table.setMinimumHeight(_HEAD + _ROW * min(max(len(rows), 1), _MOST))
        self.column.addWidget(table)
        return table

    def _copy(self) -> None:
        rows = (*self._summary.counts, *self._summary.classes, *self._summary.unread)
        QGuiApplication.clipboard().setText("\n".join(f"{name}\t{text}" for name, text in rows))
