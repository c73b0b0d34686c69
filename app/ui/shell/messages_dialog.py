"""All messages since the start, newest first, with their buttons; and the dialog for an unexpected error."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QWidget

from app.services.notifications import Message, Notifier, Severity
from app.text import displayed_lines, mark, plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.ui.shell.icons import icon_pixmap
from app.ui.shell.theme import Theme

_LOOKS = {Severity.INFO: ("info", "accent"), Severity.WARNING: ("warning", "warn"), Severity.ERROR: ("error", "bad")}
_NAMES = {Severity.INFO: mark("Information"), Severity.WARNING: mark("Warning"), Severity.ERROR: mark("Error")}
_ICON = 18


class MessagesDialog(FittedDialog):
    """Follows the notifier while it is open; it does not block the window."""

    def __init__(self, notifier: Notifier, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(tr("Messages"), parent, size=QSize(620, 560))
        self._notifier, self._theme = notifier, theme
        self.intro = toned("", tone="muted")
        self.column.addWidget(self.intro)
        self._rows: QWidget | None = None
        self.column.addStretch(1)
        self.choices: list[QPushButton] = []
        close = QPushButton(tr("Close"))
        close.setProperty("primary", True)
        close.setDefault(True)
        close.clicked.connect(self.accept)
        self.buttons.addStretch(1)
        self.buttons.addWidget(close)
        notifier.changed.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        if self._rows is not None:
            self.column.removeWidget(self._rows)
            self._rows.hide()
            self._rows.deleteLater()
        messages = self._notifier.messages
        self.intro.setText(
            tr("{messages}, newest first.", messages=plural("{n} message", "{n} messages", len(messages)))
            if messages
            else tr("No messages yet.")
        )
        self.choices = []
        self._rows = QWidget()
        grid = QGridLayout(self._rows)
        grid.setContentsMargins(0, 0, 6, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for message in reversed(messages):
            self._add(grid, message)
        self.column.insertWidget(1, self._rows)

    def _add(self, grid: QGridLayout, message: Message) -> None:
        row = grid.rowCount()
        name, token = _LOOKS[message.severity]
        sign = QLabel()
        sign.setPixmap(icon_pixmap(name, self._theme.color(token), _ICON, self.devicePixelRatioF()))
        sign.setAccessibleName(tr(_NAMES[message.severity]))
        title = toned(message.title, strong=True)
        title.setWordWrap(True)
        grid.addWidget(sign, row, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(title, row, 1)
        grid.addWidget(toned(f"{message.at:%H:%M:%S}", tone="muted", size="small"), row, 2, Qt.AlignmentFlag.AlignTop)
        if message.detail:
            detail = toned(message.detail, tone="muted", size="small")
            detail.setWordWrap(True)
            detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(detail, row + 1, 1)
        if message.choices:
            line = QHBoxLayout()
            line.setSpacing(8)  # a layout in a grid with two spacings inherits none
            line.setContentsMargins(0, 4, 0, 0)
            for choice in message.choices:
                button = QPushButton(choice.text)
                button.setAutoDefault(False)
                button.clicked.connect(lambda _checked=False, run=choice.run: run())
                self.choices.append(button)
                line.addWidget(button)
            line.addStretch(1)
            grid.addLayout(line, row + 2, 1)
        grid.setRowMinimumHeight(row + 3, 9)


class TroubleDialog(FittedDialog):
    """Explains what happened and what became of the work."""

    def __init__(self, title: str, text: str, details: str, logs: Path, parent: QWidget | None = None) -> None:
        super().__init__(title, parent, size=QSize(640, 420))
        column = self.column
        label = toned(displayed_lines(text), tone="muted")
        label.setWordWrap(True)
        column.addWidget(label)
        self.details = QPlainTextEdit(displayed_lines(details))
        self.details.setAccessibleName(tr("Details"))
        self.details.setReadOnly(True)
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        column.addWidget(self.details, 1)
        row = self.buttons
        copy = QPushButton(tr("Copy details"))
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.details.toPlainText()))
        folder = QPushButton(tr("Open log folder"))
        folder.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(logs))))
        close = QPushButton(tr("Continue"))
        close.setProperty("primary", True)
        close.clicked.connect(self.accept)
        for button in (copy, folder):
            button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(close)
        close.setDefault(True)
        close.setFocus()  # the details take Enter otherwise, and nothing happens
