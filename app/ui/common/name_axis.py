"""An axis below a plot whose names stand upright, so that many of them fit."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter

_GAP, _MOST = 8.0, 120.0


class NameAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """Names of explicit ticks, read from bottom to top."""

    def setTicks(self, ticks: Sequence[Sequence[tuple[float, str]]] | None) -> None:
        """Take the names and make room for the longest."""
        super().setTicks(ticks)
        names = [name for level in ticks or () for _, name in level]
        metrics = QFontMetricsF(self.style["tickFont"] or QFont())
        longest = max((metrics.horizontalAdvance(name) for name in names), default=0.0)
        self.setHeight(min(longest, _MOST) + _GAP + 22)

    def drawPicture(self, painter: QPainter, axis: object, ticks: object, texts: Sequence[tuple[QRectF, int, str]]) -> None:
        """Draw the line as ever, and the names turned."""
        super().drawPicture(painter, axis, ticks, [])
        if self.style["tickFont"] is not None:
            painter.setFont(self.style["tickFont"])
        painter.setPen(self.textPen())
        for rect, _flags, text in texts:
            painter.save()
            painter.translate(rect.center().x(), _GAP)
            painter.rotate(-90)
            room = QRectF(-_MOST, -rect.height() / 2, _MOST, rect.height())
            painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            painter.restore()
