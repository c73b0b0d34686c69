"""The steps of this image, newest last; a click goes there."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QStringListModel, Qt, QTimer, Slot
from PySide6.QtWidgets import QAbstractItemView, QListView

from app.text import share_text, tr
from app.ui.common.panel import Panel, toned

if TYPE_CHECKING:  # numpy comes after the first frame
    from app.services.undo import Step, StepList, UndoHistory


class HistoryDock(Panel):
    """The steps of the image in view, as a list of names; the first row is the image before them."""

    def __init__(self) -> None:
        super().__init__("history", tr("History"))
        self.note = toned("", tone="faint", size="caption")
        self.header.addWidget(self.note)
        self.view = QListView()
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setUniformItemSizes(True)  # else each change measures all rows
        self.view.setAccessibleName(tr("History"))
        self.view.setMinimumHeight(48)
        # Texts in a model of Qt's own: a model in Python is asked for each row whenever a row comes.
        self._model = QStringListModel([tr("As opened")], self.view)
        self.view.setModel(self._model)
        self.view.selectionModel().currentChanged.connect(self._go)
        self.body.addWidget(self.view, 1)
        self.body.setContentsMargins(6, 0, 6, 8)
        self._history: UndoHistory | None = None
        self._list: StepList | None = None
        self._shown: deque[Step] = deque()  # steps of the rows after the first
        self._dropped = 0
        self._showing = False
        self._later = QTimer(self)  # laying many rows out takes a millisecond, and a stroke does not wait for it
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._show_steps)

    def follow(self, history: UndoHistory) -> None:
        """Show the steps of this history's image in view, and what becomes of them."""
        self._history = history
        history.changed.connect(self._later.start)
        self._show_steps()

    def set_changed_share(self, share: float | None) -> None:
        """How much of the image the user painted or reclassified, 0..1."""
        self.note.setText("" if not share else tr("{share} by hand", share=share_text(share)))

    @Slot()
    def _show_steps(self) -> None:
        """Change only the rows that differ: a stroke costs the same after many as after few."""
        view = None if self._history is None else self._history.view
        self._showing = True
        dropped = 0 if view is None else view.dropped
        if view is not self._list:
            self._list, self._dropped = view, dropped
            self._shown.clear()
            self._model.setStringList([""])
        steps: deque[Step] = deque() if view is None else view.steps
        gone = min(dropped - self._dropped, len(self._shown))
        self._dropped = dropped
        if gone:
            self._model.removeRows(1, gone)
            for _ in range(gone):
                self._shown.popleft()
        kept = min(len(self._shown), len(steps))
        while kept and self._shown[kept - 1] is not steps[kept - 1]:
            kept -= 1
        if kept < len(self._shown):
            self._model.removeRows(1 + kept, len(self._shown) - kept)
            while len(self._shown) > kept:
                self._shown.pop()
        if kept < len(steps):
            fresh = [steps[place] for place in range(kept, len(steps))]
            self._shown.extend(fresh)
            if kept:
                self._model.insertRows(1 + kept, len(fresh))
                for row, step in enumerate(fresh, 1 + kept):
                    self._model.setData(self._model.index(row), tr(step.title))
            else:
                self._model.setStringList(["", *(tr(step.title) for step in fresh)])
        start = None if view is None else view.start
        self._show_text(0, tr("As opened") if start is None else tr(start.title))
        self.view.setCurrentIndex(self._model.index(0 if view is None else view.index))
        self._showing = False

    def _show_text(self, row: int, text: str) -> None:
        index = self._model.index(row)
        if index.data() != text:
            self._model.setData(index, text)

    def _go(self, current: QModelIndex) -> None:
        view = None if self._history is None else self._history.view
        if self._showing or self._history is None or view is None or view is not self._list or not current.isValid():
            return
        self._history.go_to(current.row() + self._dropped - view.dropped)
        self._later.start()  # where it was refused, the row of the click would stay selected
