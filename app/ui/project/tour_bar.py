"""The bar above the picture that leads through the tour."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from app.controllers.project.export import ExportController
from app.controllers.project.tour import KEYS, STEPS, Tour
from app.controllers.workspace import Program
from app.text import tr
from app.ui.common.panel import toned
from app.ui.shell.action_builder import ActionBuilder


class TourBar(QFrame):
    """What to do next, and the buttons to go on, back and out; hidden while the tour is not on.

    Attributes:
        tour: what it shows.
    """

    def __init__(self, program: Program, actions: ActionBuilder) -> None:
        super().__init__()
        tour = self.tour = Tour(program.services, program.edit, program.inspect, program.evaluation, self)
        program.when_built(ExportController, tour.follow_export)
        self._actions = actions
        self.setObjectName("tourBar")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(8)
        column = QVBoxLayout()
        column.setSpacing(2)
        row.addLayout(column, 1)
        head = QHBoxLayout()
        head.setSpacing(8)
        self.place = toned("", tone="muted", size="caption", strong=True)
        self.title = toned("", strong=True)
        head.addWidget(self.place)
        head.addWidget(self.title)
        head.addStretch(1)
        column.addLayout(head)
        self.text = toned("")
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        column.addWidget(self.text)
        self.show_me = QPushButton(tr("Show me"))
        self.show_me.clicked.connect(self._run_command)
        self.back = QPushButton(tr("Back"))
        self.back.clicked.connect(tour.back)
        self.next = QPushButton(tr("Next"))
        self.next.setProperty("primary", True)
        self.next.clicked.connect(tour.next)
        self.leave = QPushButton(tr("Leave"))
        self.leave.setProperty("link", True)
        self.leave.setToolTip(tr("The tour goes on at this step: menu Help, Guided tour"))
        self.leave.clicked.connect(tour.leave)
        for button in (self.show_me, self.back, self.next, self.leave):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keyboard stays with the picture
            row.addWidget(button)
        tour.changed.connect(self._show)
        self._show()

    def _run_command(self) -> None:
        step = self.tour.step
        if step is not None and step.command:
            self._actions[step.command].trigger()

    def _show(self) -> None:
        tour, step = self.tour, self.tour.step
        self.setVisible(step is not None)
        if step is None or tour.place is None:
            return
        last = tour.place + 1 == len(STEPS)
        self.place.setText(tr("Tour {place} of {steps}", place=tour.place + 1, steps=len(STEPS)))
        self.title.setText(tr(step.title))
        self.text.setText(tour.text({name: self._actions.shown_key(command) for name, command in KEYS.items()}))
        self.show_me.setVisible(bool(step.command))
        self.back.setEnabled(tour.place > 0)
        self.next.setText(tr("Done") if last else tr("Next"))
        self.leave.setVisible(not last)
