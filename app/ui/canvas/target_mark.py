"""What a tool would change, drawn over the picture: an outline at the screen's own resolution, a tint, and a few words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter

from app.controllers.annotate.corrections import Target
from app.state.opencv import opencv
from app.ui.canvas.geometry import Mapping
from deeplab_core.catalogs.catalog import ClassCatalog

#: Alpha of the tint, and the colours of the outline: light beside the region, dark around that.
_TINT, _LIGHT, _DARK = 96, 0xFFFFFFFF, 0xC8000000
#: Text beside the pointer: distance from it, padding, and radius of its box, view px.
_AWAY, _PAD, _RADIUS = 18.0, 8.0, 6.0
_PAPER, _WORDS, _FAINT = QColor(18, 20, 24, 235), QColor(255, 255, 255), QColor(205, 210, 218)


class TargetMark:
    """Keeps the picture of the last target for each pane, because it is painted with every move of the pointer."""

    def __init__(self) -> None:
        self._kept: dict[Mapping, tuple[Target, object, QImage, QPointF]] = {}

    def paint(self, painter: QPainter, mapping: Mapping, target: Target, tint: QColor | ClassCatalog | None) -> None:
        """Paint a target; ``tint`` is the colour that it would get, or the catalog with the colours of its pixels' classes."""
        color = tint.rgb() if isinstance(tint, QColor) else tint
        known = self._kept.get(mapping)
        if known is None or known[0] is not target or (known[1] is not color and known[1] != color):
            if len(self._kept) > 4:
                self._kept.clear()  # mappings of earlier places and scales
            drawn = _drawn(mapping, target, tint)
            if drawn is None:
                return
            known = self._kept[mapping] = (target, color, *drawn)
        painter.drawImage(known[3], known[2])


def _drawn(mapping: Mapping, target: Target, tint: QColor | ClassCatalog | None) -> tuple[QImage, QPointF] | None:
    """The picture of a target and where its corner is in the pane; None if all of it is outside."""
    wide = max(round(mapping.ratio), 1)
    rect = mapping.device_rect(target.box, 3 * wide)
    if rect.isEmpty() or not target.mask.any():
        return None
    inside = sampled_mask(mapping, target, rect.left(), rect.top(), rect.width(), rect.height())
    cv2 = opencv()
    near = cv2.dilate(inside, np.ones((2 * wide + 1, 2 * wide + 1), np.uint8))
    far = cv2.dilate(near, np.ones((2 * wide + 1, 2 * wide + 1), np.uint8))
    fill = _premultiplied(tint.red(), tint.green(), tint.blue()) if isinstance(tint, QColor) else 0
    # 0 outside, 1 the dark ring, 2 the light ring, 3 inside.
    colors = np.array([0, _DARK, _LIGHT, fill], np.uint32)
    pixels = np.ascontiguousarray(colors[far + near + inside])
    if target.ids is not None and isinstance(tint, ClassCatalog):
        ids = _sampled(mapping, target, target.ids, rect.left(), rect.top(), rect.width(), rect.height())
        for value in np.unique(ids[inside > 0]).tolist():
            color = tint.ignore_color if value == tint.ignore else tint.by_id(value).color
            pixels[(inside > 0) & (ids == value)] = _premultiplied(*color)
    if target.changes is not None:
        changes = _sampled(mapping, target, target.changes, rect.left(), rect.top(), rect.width(), rect.height())
        pixels[(inside > 0) & ~changes] = 0
    image = QImage(pixels.data, rect.width(), rect.height(), pixels.strides[0], QImage.Format.Format_ARGB32_Premultiplied).copy()
    image.setDevicePixelRatio(mapping.ratio)
    return image, QPointF(rect.left() / mapping.ratio, rect.top() / mapping.ratio)


def _premultiplied(red: int, green: int, blue: int) -> int:
    """ARGB32 of a colour at the tint's alpha."""
    red, green, blue = (part * _TINT // 255 for part in (red, green, blue))
    return _TINT << 24 | red << 16 | green << 8 | blue


def _sampled(
    mapping: Mapping, target: Target, values: NDArray[Any], left: int, top: int, width: int, height: int
) -> NDArray[Any]:
    """(height, width) values of a target under device pixels; 0 outside of its box."""
    box = target.box
    rows, columns = mapping.rows(top, top + height) - box.y, mapping.columns(left, left + width) - box.x
    valid_rows, valid_columns = (rows >= 0) & (rows < box.height), (columns >= 0) & (columns < box.width)
    found = np.zeros((height, width), values.dtype)
    from_rows = rows[valid_rows] * values.shape[0] // box.height
    from_columns = columns[valid_columns] * values.shape[1] // box.width
    found[np.ix_(valid_rows, valid_columns)] = values[np.ix_(from_rows, from_columns)]
    return found


def sampled_mask(mapping: Mapping, target: Target, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) uint8, 1 where the centre of a device pixel is on the target; one pixel at least, however small it is."""
    box = target.box
    found = _sampled(mapping, target, target.mask.view(np.uint8), left, top, width, height)
    if not found.any():
        middle = mapping.to_view(box.x + box.width / 2, box.y + box.height / 2) * mapping.ratio
        row = min(max(math.floor(middle.y()) - top, 0), height - 1)
        found[row, min(max(math.floor(middle.x()) - left, 0), width - 1)] = 1
    return found


def draw_words(painter: QPainter, mapping: Mapping, at: QPointF | None, lines: Sequence[str]) -> None:
    """A few lines beside a point, or in the lower left corner of the pane; the first one in bold."""
    if not lines:
        return
    painter.save()
    usual, bold = QFont(painter.font()), QFont(painter.font())
    bold.setWeight(QFont.Weight.DemiBold)
    fonts = [bold, *[usual] * (len(lines) - 1)]
    sizes = []
    for font, line in zip(fonts, lines, strict=True):
        painter.setFont(font)
        metrics = painter.fontMetrics()
        sizes.append((metrics.horizontalAdvance(line), metrics.height()))
    width = max(size[0] for size in sizes) + 2 * _PAD
    height = sum(size[1] for size in sizes) + 2 * _PAD - 2
    right, bottom = mapping.width / mapping.ratio, mapping.height / mapping.ratio
    at = QPointF(_PAD - _AWAY, bottom - _PAD - height - _AWAY) if at is None else at
    x = at.x() + _AWAY if at.x() + _AWAY + width <= right else at.x() - _AWAY - width
    y = at.y() + _AWAY if at.y() + _AWAY + height <= bottom else at.y() - _AWAY - height
    box = QRectF(max(x, 2.0), max(y, 2.0), width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_PAPER)
    painter.drawRoundedRect(box, _RADIUS, _RADIUS)
    baseline = box.top() + _PAD - 1
    for number, (font, line) in enumerate(zip(fonts, lines, strict=True)):
        painter.setFont(font)
        painter.setPen(_FAINT if number else _WORDS)
        painter.drawText(QPointF(box.left() + _PAD, baseline + painter.fontMetrics().ascent()), line)
        baseline += sizes[number][1]
    painter.restore()
