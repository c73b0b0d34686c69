"""Which folder holds the ground truth: every folder that may, with what follows from it, another one, or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QPushButton, QWidget

from app.ui.common.choice_dialog import ChoiceDialog
from app.viewmodels.project.data_choices import Answer


class TruthDialog(ChoiceDialog):
    """Asks for the ground truth of a folder of images; ``decided`` carries a folder, or None for no ground truth."""

    def __init__(self, answers: Sequence[Answer], intro: str, start: Path, *, asked: bool, parent: QWidget | None = None) -> None:
        """Show the folders.

        Args:
            start: where the search for another folder begins.
            asked: the program asks, so that leaving the dialog puts the question off.
        """
        leave = "Decide later" if asked else "Cancel"
        super().__init__(
            "Ground truth", "Which masks are the ground truth?", intro, answers, go="Use this", leave=leave, parent=parent
        )
        self._start = start
        self.other = QPushButton("Another folder…")
        self.other.setAutoDefault(False)
        self.other.clicked.connect(self._choose_other)
        self.buttons.insertWidget(0, self.other)

    def _choose_other(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of ground truth masks", str(self._start))
        if folder:
            self.accept()
            self.decided.emit(Path(folder))
