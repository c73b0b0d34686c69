"""A strip above the picture for what stays true: read-only, a prediction that waits."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton

from app.ui.common.panel import toned


class Banner(QFrame):
    """One sentence and its buttons; hidden while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(12, 5, 6, 5)
        self._row.setSpacing(8)
        self.text = toned("")
        self.text.setWordWrap(True)
        self._row.addWidget(self.text, 1)
        self._buttons: list[QPushButton] = []
        self.hide()

    def say(self, text: str, *choices: tuple[str, Callable[[], object]]) -> None:
        """Show a sentence; an empty one hides the strip."""
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []
        for label, run in choices:
            button = QPushButton(label)
            button.clicked.connect(lambda _checked=False, run=run: run())
            self._row.addWidget(button)
            self._buttons.append(button)
        self.text.setText(text)
        self.setVisible(bool(text))
