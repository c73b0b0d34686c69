"""Questions: one with a few answers and what follows from each, one before a folder job, and those of a window that closes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QMessageBox, QPushButton, QRadioButton, QVBoxLayout, QWidget

from app.text import tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.viewmodels.project.data_choices import OfferedAnswer
from app.viewmodels.project.folder_plan import FolderPlan

_QUESTION_WIDTH = 540


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
        super().__init__(tr("Folder job"), parent, heading=plan.question, size=QSize(_QUESTION_WIDTH, 0))
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
        answers: Sequence[OfferedAnswer],
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
        self.go = self.add_answers(leave, go, self._decide)
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

    def _row(self, place: int, answer: OfferedAnswer) -> QVBoxLayout:
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


def ask_to_stop(window: QWidget, title: str) -> bool:
    """Whether a window closes although a job, which is named, is running."""
    text = tr("{title} is still running.", title=title)
    detail = tr("What is done so far is kept; you can continue with the rest next time.")
    return _agreed(QMessageBox(window), text, detail, tr("Stop and close"), tr("Keep running"))


def ask_to_lose(window: QWidget) -> bool:
    """Whether a window closes although work in it could not be saved; Enter keeps it open."""
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Warning)
    text = tr("Some of your work could not be saved.")
    detail = tr("Unsaved changes will be lost. Keep the window open and follow the message in it.")
    return _agreed(box, text, detail, tr("Discard and close"), tr("Keep open"), loses=True)


def _agreed(box: QMessageBox, text: str, detail: str, go_on: str, stay: str, *, loses: bool = False) -> bool:
    """Ask with two buttons; whether the first one was pressed."""
    box.setTextFormat(Qt.TextFormat.PlainText)  # names may look like HTML
    box.setWindowTitle("Atrous")
    box.setText(text)
    box.setInformativeText(detail)
    role = QMessageBox.ButtonRole.DestructiveRole if loses else QMessageBox.ButtonRole.AcceptRole
    closing, staying = box.addButton(go_on, role), box.addButton(stay, QMessageBox.ButtonRole.RejectRole)
    if loses:
        box.setDefaultButton(staying)
    box.exec()
    box.deleteLater()
    return box.clickedButton() is closing
