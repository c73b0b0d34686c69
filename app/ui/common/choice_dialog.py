"""One question with a few answers, each with what follows from it; it does not block the window."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QPushButton, QRadioButton, QVBoxLayout, QWidget

from app.ui.common.elided_label import ElidedLabel
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.viewmodels.project.data_choices import Answer

_WIDTH = 620


class ChoiceDialog(FittedDialog):
    """A list of answers.

    Signals:
        decided(object): the value of the answer.
        later(): the dialog was left without an answer.
    """

    decided = Signal(object)
    later = Signal()

    def __init__(
        self,
        title: str,
        question: str,
        intro: str,
        answers: Sequence[Answer],
        *,
        go: str,
        leave: str,
        parent: QWidget | None = None,
    ) -> None:
        """Show the answers; the first one that is ``chosen`` is checked.

        Args:
            title: of the window.
            question, intro: above the answers.
            go, leave: texts of the two buttons.
        """
        super().__init__(title, parent, heading=question, size=QSize(_WIDTH, 0))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.answers = list(answers)
        text = toned(intro, tone="muted")
        text.setWordWrap(True)
        self.column.addWidget(text)
        self.group = QButtonGroup(self)
        for place, answer in enumerate(self.answers):
            self.column.addLayout(self._row(place, answer))
        self.column.addStretch(1)
        self.buttons.addStretch(1)
        cancel = QPushButton(leave)
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        self.go = QPushButton(go)
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.clicked.connect(self._decide)
        self.buttons.addWidget(cancel)
        self.buttons.addWidget(self.go)
        chosen = next((place for place, answer in enumerate(self.answers) if answer.chosen and answer.possible), None)
        if chosen is not None:
            self.group.button(chosen).setChecked(True)
        self.group.idToggled.connect(lambda _id, _on: self._check())
        self._check()

    def choose(self, place: int) -> None:
        """Check an answer by its place."""
        self.group.button(place).setChecked(True)

    def reject(self) -> None:
        super().reject()
        self.later.emit()

    def _row(self, place: int, answer: Answer) -> QVBoxLayout:
        lines = QVBoxLayout()
        lines.setSpacing(2)
        button = QRadioButton(answer.title)
        button.setEnabled(answer.possible)
        button.setAccessibleDescription(f"{answer.path} {answer.effect}")
        self.group.addButton(button, place)
        lines.addWidget(button)
        indent = QVBoxLayout()
        indent.setContentsMargins(24, 0, 0, 0)
        indent.setSpacing(1)
        if answer.path:
            path = ElidedLabel(Qt.TextElideMode.ElideMiddle)
            path.setProperty("textSize", "small")
            path.set_text(answer.path)
            indent.addWidget(path)
        effect = toned(answer.effect, tone="warn" if answer.doubtful else "muted", size="small")
        effect.setWordWrap(True)
        indent.addWidget(effect)
        lines.addLayout(indent)
        return lines

    def _check(self) -> None:
        self.go.setEnabled(self.group.checkedId() >= 0)

    def _decide(self) -> None:
        place = self.group.checkedId()
        if place >= 0:
            self.accept()
            self.decided.emit(self.answers[place].value)
