"""The one dialog for what nobody foresaw: short text, details to copy, the folder of logs."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QWidget

from app.text import displayed
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned


class TroubleDialog(FittedDialog):
    """Says what happened and what became of the work."""

    def __init__(self, title: str, text: str, details: str, logs: Path, parent: QWidget | None = None) -> None:
        super().__init__(title, parent, size=QSize(640, 420))
        column = self.column
        label = toned(displayed(text), tone="muted")
        label.setWordWrap(True)
        column.addWidget(label)
        self.details = QPlainTextEdit(displayed(details))
        self.details.setReadOnly(True)
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        column.addWidget(self.details, 1)
        row = self.buttons
        copy = QPushButton("Copy details")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.details.toPlainText()))
        folder = QPushButton("Open the folder of logs")
        folder.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(logs))))
        close = QPushButton("Go on")
        close.setProperty("primary", True)
        close.clicked.connect(self.accept)
        for button in (copy, folder):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(close)
