"""Which folder holds the ground truth: every folder that may, with what follows from it, and none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.state.truth_options import TruthOption
from app.ui.docks.elided_label import ElidedLabel
from app.ui.docks.panel import toned


class TruthDialog(QDialog):
    """Asks for the ground truth of a folder of images; it does not block the window.

    Signals:
        decided(Path | None): this folder, or no ground truth.
        later(): the question is put off.
    """

    decided = Signal(object)
    later = Signal()

    def __init__(
        self, options: Sequence[TruthOption], intro: str, start: Path, *, asked: bool, parent: QWidget | None = None
    ) -> None:
        """Show the options.

        Args:
            options: the first one that is ``chosen`` is checked.
            intro: why it is asked, in words.
            start: where the search for another folder begins.
            asked: the program asks, so that closing the dialog puts the question off.
        """
        super().__init__(parent)
        self.setWindowTitle("Ground truth")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._start, self._asked = start, asked
        self.options = list(options)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(toned("Which masks are the ground truth?", size="title"))
        text = toned(intro, tone="muted")
        text.setWordWrap(True)
        column.addWidget(text)
        self.group = QButtonGroup(self)
        rows = QWidget()
        rows.setObjectName("choiceRows")
        lines = QVBoxLayout(rows)
        lines.setContentsMargins(0, 0, 6, 0)
        lines.setSpacing(12)
        for place, option in enumerate(self.options):
            lines.addLayout(self._row(place, option))
        lines.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(rows)
        column.addWidget(area, 1)
        buttons = QHBoxLayout()
        self.other = QPushButton("Another folder…")
        self.other.setAutoDefault(False)
        self.other.clicked.connect(self._choose_other)
        buttons.addWidget(self.other)
        buttons.addStretch(1)
        cancel = QPushButton("Decide later" if asked else "Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        self.go = QPushButton("Use this")
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.clicked.connect(self._decide)
        buttons.addWidget(cancel)
        buttons.addWidget(self.go)
        column.addLayout(buttons)
        chosen = next((place for place, option in enumerate(self.options) if option.chosen and option.possible), None)
        if chosen is not None:
            self.group.button(chosen).setChecked(True)
        self.group.idToggled.connect(lambda _id, _on: self._check())
        self._check()
        rows.adjustSize()
        self.resize(620, min(196 + rows.sizeHint().height(), 560))

    def choose(self, place: int) -> None:
        """Check an option by its place."""
        self.group.button(place).setChecked(True)

    def reject(self) -> None:
        super().reject()
        if self._asked:
            self.later.emit()

    def _row(self, place: int, option: TruthOption) -> QVBoxLayout:
        lines = QVBoxLayout()
        lines.setSpacing(2)
        button = QRadioButton(option.title)
        button.setEnabled(option.possible)
        button.setAccessibleDescription(f"{option.path} {option.effect}")
        self.group.addButton(button, place)
        lines.addWidget(button)
        indent = QVBoxLayout()
        indent.setContentsMargins(24, 0, 0, 0)
        indent.setSpacing(1)
        if option.path:
            path = ElidedLabel(Qt.TextElideMode.ElideMiddle)
            path.setProperty("textSize", "small")
            path.set_text(option.path)
            indent.addWidget(path)
        effect = toned(option.effect, tone="warn" if option.doubtful else "muted", size="small")
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
            self.decided.emit(self.options[place].folder)

    def _choose_other(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of ground truth masks", str(self._start))
        if folder:
            self.accept()
            self.decided.emit(Path(folder))
