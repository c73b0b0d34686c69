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
        self._texts: tuple[str, ...] = ("",)
        self._mode = mode
        self.setProperty("tone", "muted")
        self.setMinimumWidth(40)

    def set_text(self, text: str, *shorter: str) -> None:
        """Show a text, or the first of the shorter ones that fits, or as much of the last as there is room for."""
        self._texts = (text, *shorter)
        self.setToolTip(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics, room = QFontMetrics(self.font()), self.width()
        fits = (text for text in self._texts if metrics.elidedText(text, self._mode, room) == text)
        text = next(fits, self._texts[-1])
        self.setText(metrics.elidedText(text, self._mode, room))
