"""The work of each day: images, reviewed, rejected, actions, active time; and two tables for a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from app.state.activity import DayProgress
from app.text import spaced, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import fill_table, plain_table
from app.ui.common.panel import toned
from app.viewmodels.project.image_list import minutes_text


class ProgressDialog(FittedDialog):
    """A table of days, the newest first.

    Signals:
        imagesAsked(), daysAsked(): write a table of the images, or of the days.
    """

    imagesAsked = Signal()
    daysAsked = Signal()

    def __init__(self, days: Sequence[DayProgress], parent: QWidget | None = None) -> None:
        super().__init__(tr("Progress by day"), parent, size=QSize(680, 420))
        about = toned(
            tr("Active time: pauses of more than 60 seconds do not count. Actions: steps, undo and redo. Days are local."),
            tone="muted",
            size="small",
        )
        about.setWordWrap(True)
        self.column.addWidget(about)
        titles = (tr("Day"), tr("Images"), tr("Reviewed"), tr("Rejected"), tr("Actions"), tr("Active time"))
        self.table = plain_table(titles, wide=0, row=28)
        fill_table(self.table, [_cells(day) for day in reversed(days)])
        self.column.addWidget(self.table, 1)
        for text, asked in ((tr("Save images as CSV…"), self.imagesAsked), (tr("Save days as CSV…"), self.daysAsked)):
            button = QPushButton(text)
            button.setAutoDefault(False)
            button.clicked.connect(asked)
            self.buttons.addWidget(button)
        self.buttons.addStretch(1)
        close = QPushButton(tr("Close"))
        close.setProperty("primary", True)
        close.setDefault(True)
        close.clicked.connect(self.accept)
        self.buttons.addWidget(close)


def _cells(day: DayProgress) -> tuple[str, ...]:
    numbers = (day.images, day.reviewed, day.rejected, day.actions)
    return day.day.isoformat(), *map(spaced, numbers), minutes_text(day.seconds)
