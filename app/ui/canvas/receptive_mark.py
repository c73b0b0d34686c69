"""A receptive field over the picture: the gradient as heat, outlines of its mass, boxes of what the layers allow."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPolygonF

from app.state.opencv import opencv
from app.ui.canvas.colors import Table, premultiplied
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.style import CanvasStyle
from deeplab_core.geometry import Extent
from deeplab_core.receptive import SHARES, ReceptiveField, mass_level

#: Gradients of networks with rectifiers are speckled; heat and outlines are those of the gradient blurred by this share of the
#: radius that holds half of it, never less than a pixel of the network's input.
_BLUR = 0.12
#: Outlines around fewer px of the network's input than this are specks.
_SPECK = 9.0
_LIGHT, _DARK = QColor(255, 255, 255, 235), QColor(0, 0, 0, 150)
_BOX = QColor(120, 220, 255)
_PAD_X, _PAD_Y, _AWAY = 9, 5, 10


class ReceptiveMark:
    """Everything that is drawn of one field, made once and painted at any scale.

    Args:
        field: what the compute process found; None as long as there is only the text.
        text: the text beside it in the first pane.
    """

    def __init__(self, field: ReceptiveField | None, text: str) -> None:
        self.field, self.text = field, text
        self._heat: QImage | None = None
        self.outlines: dict[float, list[NDArray[np.float64]]] = {}
        if field is not None:
            density = _blurred(field)
            self._heat = _heat_image(density)
            self.outlines = {share: _outline(density, mass_level(density, share), field.extent) for share in SHARES}

    def paint(self, painter: QPainter, mapping: Mapping, style: CanvasStyle, *, with_text: bool) -> None:
        """Paint into a pane; ``with_text`` adds the text."""
        if self.field is not None and self._heat is not None:
            self._paint_field(painter, mapping, self.field, self._heat)
        if with_text:
            _draw_text(painter, self.text, style)

    def _paint_field(self, painter: QPainter, mapping: Mapping, field: ReceptiveField, heat: QImage) -> None:
        picture = QRectF(mapping.to_view(0, 0), mapping.to_view(mapping.image_width, mapping.image_height))
        painter.save()
        painter.setClipRect(picture)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(_in_view(field.extent, mapping), heat)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for reach in field.theoretical[1:]:
            _draw_box(painter, _in_view(reach.extent, mapping), Qt.PenStyle.DotLine, 1.0)
        _draw_box(painter, _in_view(field.theoretical[0].extent, mapping), Qt.PenStyle.SolidLine, 1.4)
        for share, outline in self.outlines.items():
            path = _path(outline, mapping)
            painter.setPen(QPen(_DARK, 3.2))
            painter.drawPath(path)
            painter.setPen(QPen(_LIGHT, 1.5, Qt.PenStyle.SolidLine if share <= 0.5 else Qt.PenStyle.DashLine))
            painter.drawPath(path)
        painter.restore()


def _blurred(field: ReceptiveField) -> NDArray[np.float32]:
    """(h, w) density that the eye can follow; the same mass but for what is carried over the border."""
    sigma = max(1.0, _BLUR * dict(field.radii).get(0.5, 0))
    density: NDArray[np.float32] = opencv().GaussianBlur(field.gradient, (0, 0), sigma)
    return density


def _heat_image(density: NDArray[np.float32]) -> QImage:
    peak = float(density.max())
    steps = np.zeros(density.shape, np.uint8) if peak <= 0 else np.round(255 * np.sqrt(density / peak)).astype(np.uint8)
    pixels = np.ascontiguousarray(_heat_table().take(steps))
    height, width = pixels.shape
    return QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_ARGB32_Premultiplied).copy()


@cache
def _heat_table() -> Table:
    """(256,) premultiplied colours from nothing over red to pale yellow: lightness and opacity both grow."""
    t = np.linspace(0, 1, 256)
    rgb = 255 * np.stack([np.clip(0.55 + 0.75 * t, 0, 1), np.clip(1.5 * t - 0.4, 0, 1), np.clip(2.6 * t - 1.8, 0, 0.75)], axis=1)
    return premultiplied(rgb, np.clip(1.1 * t**1.6, 0, 0.82))


def _outline(density: NDArray[np.float32], level: float, extent: Extent) -> list[NDArray[np.float64]]:
    """Loops in image px around values at or above a level."""
    if not np.isfinite(level):
        return []
    cv2 = opencv()
    # A frame of nothing closes the loops at the border.
    inside = np.pad((density >= level).astype(np.uint8), 1)
    loops, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    height, width = density.shape
    scale = np.array([extent.width / width, extent.height / height])
    shift = np.array([extent.left, extent.top])
    return [(loop[:, 0, :] - 0.5) * scale + shift for loop in loops if cv2.contourArea(loop) >= _SPECK]


def _path(loops: list[NDArray[np.float64]], mapping: Mapping) -> QPainterPath:
    path = QPainterPath()
    for loop in loops:
        path.addPolygon(QPolygonF([mapping.to_view(x, y) for x, y in loop.tolist()]))
        path.closeSubpath()
    return path


def _in_view(extent: Extent, mapping: Mapping) -> QRectF:
    return QRectF(mapping.to_view(extent.left, extent.top), mapping.to_view(extent.right, extent.bottom))


def _draw_box(painter: QPainter, box: QRectF, style: Qt.PenStyle, width: float) -> None:
    painter.setPen(QPen(_DARK, width + 1.6))
    painter.drawRect(box)
    painter.setPen(QPen(_BOX, width, style))
    painter.drawRect(box)


def _draw_text(painter: QPainter, text: str, style: CanvasStyle) -> None:
    """Lines on a dark chip in the lower left corner."""
    painter.setFont(style.font)
    metrics = painter.fontMetrics()
    lines = text.split("\n")
    width = max(metrics.horizontalAdvance(line) for line in lines) + 2 * _PAD_X
    height = metrics.lineSpacing() * len(lines) + 2 * _PAD_Y
    bottom = painter.viewport().height() / painter.device().devicePixelRatioF()
    chip = QRectF(_AWAY, bottom - height - _AWAY, width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(16, 18, 22, 205))
    painter.drawRoundedRect(chip, style.chip_radius, style.chip_radius)
    painter.setPen(QColor(245, 247, 250))
    for place, line in enumerate(lines):
        painter.drawText(QPointF(_AWAY + _PAD_X, chip.top() + _PAD_Y + metrics.ascent() + place * metrics.lineSpacing()), line)
