"""Small squares of colour beside names."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap

_SIDE = 12


def swatch(color: QColor) -> QIcon:
    """A rounded square of one colour."""
    pixmap = QPixmap(2 * _SIDE, 2 * _SIDE)
    pixmap.setDevicePixelRatio(2.0)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawRoundedRect(QRectF(0.5, 0.5, _SIDE - 1, _SIDE - 1), 2.5, 2.5)
    painter.end()
    return QIcon(pixmap)
