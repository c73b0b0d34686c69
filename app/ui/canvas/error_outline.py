"""The outline of the error that the user came to correct: where the mask was wrong when its image was opened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

from app.ui.canvas.geometry import Mapping

_LIGHT, _DARK = QColor(255, 255, 255), QColor(0, 0, 0, 190)


class ErrorOutline:
    """Loops along the edges of pixels, dashed so that they are not taken for a contour of the mask.

    Args:
        loops: (K, 2) corners (x, y) in image px, as :func:`deeplab_core.analysis.outline` gives them.
    """

    def __init__(self, loops: Sequence[NDArray[np.int32]]) -> None:
        self._path = QPainterPath()
        for loop in loops:
            corners = loop.tolist()
            self._path.moveTo(*corners[0])
            for corner in corners[1:]:
                self._path.lineTo(*corner)
            self._path.closeSubpath()

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        """Paint into a pane, as wide at any scale."""
        origin, unit = mapping.to_view(0, 0), mapping.to_view(1, 1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(QPointF(origin))
        painter.scale(unit.x() - origin.x(), unit.y() - origin.y())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, width, style in ((_DARK, 3.0, Qt.PenStyle.SolidLine), (_LIGHT, 1.6, Qt.PenStyle.DashLine)):
            pen = QPen(color, width, style)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.drawPath(self._path)
        painter.restore()
