"""A line for the path of a folder, with a button that lets a person choose it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


class FolderField(QWidget):
    """An empty line stands for a default that the placeholder names.

    Signals:
        chosen(str): the path, or an empty text, once the person is done with it.
    """

    chosen = Signal(str)

    def __init__(self, folder: str, default: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._default = default
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        self.line = QLineEdit(folder)
        self.line.setPlaceholderText(str(default))
        self.line.setMinimumWidth(220)
        self.line.setClearButtonEnabled(True)
        self.line.editingFinished.connect(lambda: self.chosen.emit(self.line.text().strip()))
        self.browse = QPushButton("Choose…")
        self.browse.setAutoDefault(False)
        self.browse.clicked.connect(self._ask)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        self.setFocusProxy(self.line)

    def set_folder(self, folder: str) -> None:
        """Show another path and say so."""
        self.line.setText(folder)
        self.chosen.emit(folder)

    def setAccessibleName(self, name: str) -> None:
        super().setAccessibleName(name)
        self.line.setAccessibleName(name)

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", self.line.text() or str(self._default))
        if folder:
            self.set_folder(folder)
