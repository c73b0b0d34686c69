"""The bar above the picture that leads through the tour."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from app.controllers.project.export import ExportController
from app.controllers.project.tour import KEYS, STEPS, Tour
from app.controllers.workspace import Program
from app.text import tr
from app.ui.common.panel import toned
from app.ui.shell.action_builder import ActionBuilder

#: The text stands beside the buttons if a line has room for so many characters there.
_LINE = 45


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
        self._parts = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._parts.setContentsMargins(14, 8, 8, 8)
        self._parts.setSpacing(8)
        column = QVBoxLayout()
        column.setSpacing(2)
        self._parts.addLayout(column, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        self._parts.addLayout(row)
        head = QHBoxLayout()
        head.setSpacing(8)
        self.place = toned("", tone="muted", size="caption", strong=True)
        self.title = toned("", strong=True)
        self.title.setWordWrap(True)
        head.addWidget(self.place, alignment=Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.title, 1, Qt.AlignmentFlag.AlignTop)
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
        head.addWidget(self.leave, alignment=Qt.AlignmentFlag.AlignTop)
        for button in (self.show_me, self.back, self.next):
            row.addWidget(button)
        for button in (self.leave, self.show_me, self.back, self.next):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keyboard stays with the picture
        tour.changed.connect(self._show)
        self._show()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the buttons stand below the text."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        buttons = (self.show_me, self.back, self.next)
        taken = sum(button.sizeHint().width() + self._parts.spacing() for button in buttons if not button.isHidden())
        beside = self.width() - taken >= self.fontMetrics().averageCharWidth() * _LINE
        self._parts.setDirection(QBoxLayout.Direction.LeftToRight if beside else QBoxLayout.Direction.TopToBottom)

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
        self._arrange()
