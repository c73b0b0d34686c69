"""A muted text that gives way to its neighbours."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QLabel


class ElidedLabel(QLabel):
    """One line, cut with an ellipsis where it does not fit; the tooltip has all of it."""

    def __init__(self, mode: Qt.TextElideMode) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)  # names may look like HTML
        self._text, self._mode = "", mode
        self.setProperty("tone", "muted")
        self.setMinimumWidth(40)

    def set_text(self, text: str) -> None:
        """Show a text, as much of it as there is room for."""
        self._text = text
        self.setToolTip(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(QFontMetrics(self.font()).elidedText(self._text, self._mode, self.width()))
