"""Asks before a job over the folder, with everything that it will change; it does not block the window."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QPushButton, QWidget

from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.viewmodels.project.folder_plan import FolderPlan

_WIDTH = 540


class FolderQuestion(FittedDialog):
    """A plan with two buttons.

    Attributes:
        never_again: the box that switches the question off; hidden where masks change.
        go, leave: the buttons.

    Signals:
        agreed(bool): begin; whether the question is not wanted any more.
    """

    agreed = Signal(bool)

    def __init__(self, plan: FolderPlan, parent: QWidget | None = None) -> None:
        super().__init__(tr("Folder job"), parent, heading=plan.question, size=QSize(_WIDTH, 0))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for line in plan.lines:
            text = toned(line, tone="muted")
            text.setWordWrap(True)
            self.column.addWidget(text)
        self.never_again = QCheckBox(tr("Do not ask again before jobs that change no mask"))
        self.never_again.setToolTip(tr("You can turn this question on again in Settings, Work"))
        self.never_again.setVisible(plan.harmless)
        self.column.addWidget(self.never_again)
        self.leave, self.go = QPushButton(tr("Cancel")), QPushButton(plan.go)
        self.leave.clicked.connect(self.reject)
        self.leave.setAutoDefault(False)
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.clicked.connect(self._agree)
        self.buttons.addStretch(1)
        self.buttons.addWidget(self.leave)
        self.buttons.addWidget(self.go)
        self.go.setFocus()

    def _agree(self) -> None:
        self.accept()
        self.agreed.emit(self.never_again.isChecked())
