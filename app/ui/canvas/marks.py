"""Lines drawn over the picture: brush ring, outlines, the linked cursor. Always dark under light, readable on any photograph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen, QPolygonF

#: A ring smaller than this (view px across) cannot be seen under the pointer: a cross replaces it.
TINY_RING = 6.0
#: Room in view px that a ring needs beyond its radius.
RING_MARGIN = 4
#: Half the length of the linked cursor's arms in view px.
CROSS = 9

#: Up to this radius (view px) a ring is placed exact to a fraction of a px; on larger ones it is invisible.
_FINE = 40.0
_PHASES = 4
#: Of rings up to the first radius (view px) many are kept, 8 MB at most; of those up to the second the last two, 13 MB each.
#: Larger ones are stroked again each time.
_SMALL, _LARGEST_KEPT = 100.0, 900.0

_DARK = QColor(0, 0, 0, 170)


def draw_ring(painter: QPainter, center: QPointF, radius: float, color: QColor, *, erases: bool) -> None:
    """The brush's border, in px of the pane: class colour between dark and light, dashed where it takes away."""
    radius = max(radius, 1.5)
    if radius <= _LARGEST_KEPT:
        ratio = painter.device().devicePixelRatioF()
        phases = _PHASES if radius <= _FINE else 1
        kept = _small_ring if radius <= _SMALL else _large_ring
        image = kept(round(radius * 4) / 4, color.rgb(), erases, ratio, *_phase(center, ratio, phases))
        half = (image.width() // 2) / ratio
        # Whole device px: an image between them would be drawn through a filter.
        x, y = math.floor(center.x() * ratio) / ratio - half, math.floor(center.y() * ratio) / ratio - half
        painter.drawImage(QPointF(x, y), image)
    else:
        _stroke_ring(painter, center, radius, color, erases)
    if radius > 14:
        _draw_plus(painter, center, 3.0)


def _phase(center: QPointF, ratio: float, phases: int) -> tuple[float, float]:
    """Where between two device px the centre lies, in steps of 1 / phases."""
    return _step(center.x() * ratio, phases), _step(center.y() * ratio, phases)


def _step(at: float, phases: int) -> float:
    """The fraction of a coordinate in device px, in steps of 1 / phases."""
    return math.floor(math.modf(at)[0] % 1.0 * phases) / phases


def _stroke_ring(painter: QPainter, center: QPointF, radius: float, color: QColor, erases: bool) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(_DARK, 3.6))
    painter.drawEllipse(center, radius, radius)
    pen = QPen(_light(color), 1.7)
    if erases:
        pen.setDashPattern([4.0, 3.0])
    painter.setPen(pen)
    painter.drawEllipse(center, radius, radius)


def _ring_image(radius: float, rgb: int, erases: bool, ratio: float, phase_x: float, phase_y: float) -> QImage:
    """A ring, kept: stroking it again for every move takes longer than everything else that a move does."""
    side = 2 * math.ceil((radius + RING_MARGIN) * ratio) + 1
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(0)
    painter = QPainter(image)
    center = QPointF((side // 2 + phase_x) / ratio, (side // 2 + phase_y) / ratio)
    _stroke_ring(painter, center, radius, QColor.fromRgb(rgb), erases)
    painter.end()
    return image


_small_ring, _large_ring = lru_cache(maxsize=48)(_ring_image), lru_cache(maxsize=2)(_ring_image)


def ring_rect(center: QPointF, radius: float) -> QRectF:
    """What :func:`draw_ring` may touch."""
    reach = max(radius, 1.5) + RING_MARGIN
    return QRectF(center.x() - reach, center.y() - reach, 2 * reach, 2 * reach)


def draw_cross(painter: QPainter, center: QPointF) -> None:
    """The linked cursor: where the pointer is in another pane."""
    _draw_plus(painter, center, float(CROSS))


def cross_rect(center: QPointF) -> QRectF:
    """What :func:`draw_cross` may touch."""
    return QRectF(center.x() - CROSS - 3, center.y() - CROSS - 3, 2 * CROSS + 6, 2 * CROSS + 6)


def draw_line(painter: QPainter, start: QPointF, end: QPointF, color: QColor) -> None:
    """The straight line that Shift+click would paint."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for pen in _pens(color):
        painter.setPen(pen)
        painter.drawLine(start, end)


def draw_path(painter: QPainter, points: Sequence[QPointF], color: QColor) -> None:
    """A line that is drawn freehand."""
    path = QPainterPath()
    path.addPolygon(QPolygonF(list(points)))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in _pens(color):
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPath(path)


def draw_outline(painter: QPainter, points: Sequence[QPointF], color: QColor) -> None:
    """A lasso or polygon: its border, a tint inside, and a thin line back to the start."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    path = QPainterPath()
    path.addPolygon(QPolygonF(list(points)))
    if len(points) > 2:
        inside = QPainterPath(path)
        inside.closeSubpath()
        tint = QColor(color)
        tint.setAlpha(70)
        painter.fillPath(inside, tint)
        back = QPen(_light(color), 1.0, Qt.PenStyle.DashLine)
        painter.setPen(back)
        painter.drawLine(points[-1], points[0])
    draw_path(painter, points, color)


def draw_corners(painter: QPainter, points: Sequence[QPointF], color: QColor) -> None:
    """Handles at a polygon's corners; the first one is larger: a click on it closes."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(_DARK, 1.2))
    for index, point in enumerate(points):
        painter.setBrush(QColor(255, 255, 255) if index == 0 else _light(color))
        radius = 4.5 if index == 0 else 3.2
        painter.drawEllipse(point, radius, radius)


def draw_divider(painter: QPainter, x: float, height: float) -> None:
    """The line of a split pane with its grip."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(_DARK, 4.0))
    painter.drawLine(QLineF(x, 0, x, height))
    painter.setPen(QPen(QColor(255, 255, 255, 235), 1.6))
    painter.drawLine(QLineF(x, 0, x, height))
    middle = height / 2
    painter.setPen(QPen(_DARK, 1.2))
    painter.setBrush(QColor(255, 255, 255, 240))
    painter.drawRoundedRect(QRectF(x - 7, middle - 14, 14, 28), 7, 7)
    painter.setPen(QPen(QColor(60, 64, 72), 1.4))
    for dx in (-2.0, 2.0):
        painter.drawLine(QLineF(x + dx, middle - 5, x + dx, middle + 5))


def _draw_plus(painter: QPainter, center: QPointF, arm: float) -> None:
    ratio = painter.device().devicePixelRatioF()
    image = _plus_image(arm, ratio, *_phase(center, ratio, _PHASES))
    half = (image.width() // 2) / ratio
    painter.drawImage(
        QPointF(math.floor(center.x() * ratio) / ratio - half, math.floor(center.y() * ratio) / ratio - half), image
    )


@lru_cache(maxsize=64)
def _plus_image(arm: float, ratio: float, phase_x: float, phase_y: float) -> QImage:
    """A plus, kept for the same reason as the rings."""
    side = 2 * math.ceil((arm + 3) * ratio) + 1
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(0)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    x, y = (side // 2 + phase_x) / ratio, (side // 2 + phase_y) / ratio
    for pen in (QPen(_DARK, 3.0), QPen(QColor(255, 255, 255, 230), 1.2)):
        painter.setPen(pen)
        painter.drawLine(QLineF(x - arm, y, x + arm, y))
        painter.drawLine(QLineF(x, y - arm, x, y + arm))
    painter.end()
    return image


def _pens(color: QColor) -> tuple[QPen, QPen]:
    return QPen(_DARK, 3.4), QPen(_light(color), 1.6)


def _light(color: QColor) -> QColor:
    """The colour, at least as light as is needed on its dark underline."""
    return QColor.fromHsvF(max(color.hsvHueF(), 0.0), min(color.hsvSaturationF(), 0.5), max(color.valueF(), 0.98))
