"""Names of classes on the image: a chip in each large region, and one for the small region under the pointer.

Places are found on a coarse grid of device px some time after the picture has come to rest. Until then the chips move along with
the image, so that neither a pan nor a stroke waits for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QPainter
from shiboken6 import isValid

from app.services.timers import single_shot
from app.state.opencv import opencv
from app.ui.canvas.compose import Scene
from app.ui.canvas.frame import Section
from app.ui.canvas.geometry import Mapping, sample
from app.ui.canvas.style import CHIP_TEXT, CanvasStyle, chip_ground

#: A region gets a chip from this share of the pane on.
LEAST_SHARE = 0.015
#: Chips in one pane.
_MOST = 24
#: View px between two points of the grid.
_STEP = 4
#: Pause after the last change before places are found.
_REST_MS = 60
#: Sizes of a chip in view px: bar in the class's colour, room around the name, longest name, distance from the pointer.
_BAR, _PAD, _WIDEST, _AWAY = 4.0, 6.0, 180.0, 14.0


@dataclass(frozen=True, slots=True)
class NamePlace:
    """Where a name stands: its middle in image px."""

    x: float
    y: float
    class_id: int


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Points every ``step`` device px from (left, top), and which of them are in a region with a chip."""

    mapping: Mapping
    left: int
    top: int
    step: int
    named: NDArray[np.bool_]

    def names(self, x: float, y: float) -> bool:
        """Whether a point of the image is in a region with a chip."""
        place = self.mapping.to_view(x, y) * self.mapping.ratio
        column, row = math.floor((place.x() - self.left) / self.step), math.floor((place.y() - self.top) / self.step)
        height, width = self.named.shape
        return 0 <= row < height and 0 <= column < width and bool(self.named[row, column])


class NameChips(QObject):
    """The names in one pane.

    Signals:
        changed: other names, or other places.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._scene: Scene | None = None
        self._sections: Sequence[Section] = ()
        self._kept_free = QRect()
        self.places: tuple[NamePlace, ...] = ()
        self._grids: list[_Grid] = []
        self._timer = single_shot(self, _REST_MS, self.find)

    @property
    def settled(self) -> bool:
        """Whether the places are those of what is shown."""
        return not self._timer.isActive()

    def show_scene(self, scene: Scene | None, sections: Sequence[Section], kept_free: QRect) -> None:
        """Another scene is shown; ``kept_free`` are the view px of the pane's own chip."""
        before, self._scene, self._sections, self._kept_free = self._scene, scene, tuple(sections), kept_free
        if scene is None or not (scene.options.names and scene.options.visible) or not self._arrays():
            self.places = ()
            self._grids = []
            self._timer.stop()
            return
        if before is None or before.layers.picture is not scene.layers.picture:
            self.places = ()
        self._timer.start()

    def mark_changed(self) -> None:
        """Labels changed."""
        if self._scene is not None and self._scene.options.names and isValid(self):  # Qt may have deleted the canvas
            self._timer.start()

    def find(self) -> None:
        """Find the places now."""
        self._timer.stop()
        scene = self._scene
        if scene is None or not scene.options.names:
            return
        self._grids = []
        found: list[tuple[int, NamePlace]] = []
        for section, array in self._arrays():
            found += self._find_in(scene, section, array)
        found.sort(key=lambda place: -place[0])
        self.places = tuple(place for _, place in found[:_MOST])
        self.changed.emit()

    def _arrays(self) -> list[tuple[Section, NDArray[Any]]]:
        """The parts of the pane that show labels."""
        scene = self._scene
        if scene is None:
            return []
        arrays = [(section, scene.layers.labels_of(section.kind)) for section in self._sections]
        return [(section, array) for section, array in arrays if array is not None]

    def _find_in(self, scene: Scene, section: Section, array: NDArray[Any]) -> list[tuple[int, NamePlace]]:
        cv2, mapping = opencv(), scene.mapping
        part = mapping.picture_rect() & QRect(section.start, 0, section.stop - section.start, mapping.height)
        if part.isEmpty():
            return []
        step = max(round(_STEP * mapping.ratio), 1)
        rows = mapping.rows(part.top(), part.bottom() + 1)[step // 2 :: step]
        columns = mapping.columns(part.left(), part.right() + 1)[step // 2 :: step]
        if not (rows.size and columns.size):
            return []
        values = np.ascontiguousarray(sample(array, rows, columns))
        least = LEAST_SHARE * mapping.width * mapping.height / step**2
        ids, counts = np.unique(values, return_counts=True)
        named, found = np.zeros(values.shape, np.bool_), []
        free = self._free(values.shape, part, step, mapping.ratio)
        for class_id in ids[(counts >= least) & (scene.tables.order.take(ids) >= 2)].tolist():
            _, regions, stats, _ = cv2.connectedComponentsWithStats((values == class_id).view(np.uint8), connectivity=4)
            for region in np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= least).tolist():
                if not region:
                    continue  # the rest of the image
                left, top, width, height, area = stats[region].tolist()
                box = slice(top, top + height), slice(left, left + width)
                inside = regions[box] == region
                named[box] |= inside
                room = np.pad((inside & free[box]).view(np.uint8), 1)
                row, column = divmod(int(cv2.distanceTransform(room, cv2.DIST_L2, 3).argmax()), width + 2)
                at = QPointF(part.left() + (left + column - 1 + 0.5) * step, part.top() + (top + row - 1 + 0.5) * step)
                x, y = mapping.to_image(at / mapping.ratio)
                found.append((area, NamePlace(x, y, class_id)))
        self._grids.append(_Grid(mapping, part.left(), part.top(), step, named))
        return found

    def _free(self, shape: tuple[int, ...], part: QRect, step: int, ratio: float) -> NDArray[np.bool_]:
        """Points of the grid that the pane's own chip leaves free."""
        free, chip = np.ones(shape, np.bool_), self._kept_free
        below = max(math.ceil((chip.bottom() * ratio - part.top()) / step) + 3, 0)
        beside = max(math.ceil((chip.right() * ratio - part.left()) / step) + 3, 0)
        free[:below, :beside] = False
        return free

    # -- painting --------------------------------------------------------------------------------------------------------

    def paint(self, painter: QPainter, style: CanvasStyle, dirty: QRect) -> None:
        """Paint the chips; one that would cover a larger region's chip is left out."""
        scene = self._scene
        if scene is None:
            return
        boxes: list[QRectF] = []
        for place in self.places:
            name, color = _class_of(scene, place.class_id)
            middle = scene.mapping.to_view(place.x, place.y)
            box = _box(name, style, middle)
            if not any(box.intersects(other) for other in boxes):
                boxes.append(box)
                if box.toAlignedRect().intersects(dirty):
                    _paint_chip(painter, style, box, name, color)

    def chip_at(self, at: QPointF, ring: float, style: CanvasStyle) -> tuple[QRectF, int] | None:
        """Where the name of the region under the pointer (view px) stands, and its class; None if it has a chip already.

        Args:
            ring: radius of the brush in view px: the chip stands outside.
        """
        scene = self._scene
        if scene is None:
            return None
        class_id = self._class_at(scene, at)
        point = scene.mapping.to_image(at)
        if class_id is None or any(grid.names(*point) for grid in self._grids):
            return None
        box = _box(_class_of(scene, class_id)[0], style, QPointF(0, 0))
        away = min(ring * math.sqrt(0.5), 80.0) + _AWAY
        box.moveTopLeft(at + QPointF(away, away))
        width, height = scene.mapping.width / scene.mapping.ratio, scene.mapping.height / scene.mapping.ratio
        if box.right() > width:
            box.moveRight(at.x() - away)
        if box.bottom() > height:
            box.moveBottom(at.y() - away)
        return box, class_id

    def paint_at(self, painter: QPainter, style: CanvasStyle, box: QRectF, class_id: int) -> None:
        """Paint the chip of :meth:`chip_at`."""
        if self._scene is not None:
            _paint_chip(painter, style, box, *_class_of(self._scene, class_id))

    def _class_at(self, scene: Scene, at: QPointF) -> int | None:
        """The class under a point, unless it is void, hidden or the background."""
        x, y = scene.mapping.to_image(at)
        column, row = math.floor(x), math.floor(y)
        if not (0 <= column < scene.mapping.image_width and 0 <= row < scene.mapping.image_height):
            return None
        device = at.x() * scene.mapping.ratio
        for section, array in self._arrays():
            if section.start <= device < section.stop:
                class_id = int(array[row, column])
                return class_id if scene.tables.order[class_id] >= 2 else None
        return None


def _class_of(scene: Scene, class_id: int) -> tuple[str, QColor]:
    info = scene.options.shown(scene.layers.catalog).by_id(class_id)
    return info.name, QColor(*info.color)


def _box(name: str, style: CanvasStyle, middle: QPointF) -> QRectF:
    """A chip for a name around a point of the view."""
    metrics = QFontMetricsF(style.small)
    width, height = _BAR + 2 * _PAD + min(metrics.horizontalAdvance(name), _WIDEST), metrics.height() + 5
    return QRectF(round(middle.x() - width / 2), round(middle.y() - height / 2), math.ceil(width), math.ceil(height))


def _paint_chip(painter: QPainter, style: CanvasStyle, box: QRectF, name: str, color: QColor) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(chip_ground(hot=False))
    painter.drawRoundedRect(box, 3, 3)
    painter.fillRect(QRectF(box.left() + 2, box.top() + 3, _BAR, box.height() - 6), color)
    painter.setFont(style.small)
    painter.setPen(CHIP_TEXT)
    metrics = QFontMetricsF(style.small)
    text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, _WIDEST)
    baseline = box.center().y() + (metrics.ascent() - metrics.descent()) / 2
    painter.drawText(QPointF(box.left() + 2 + _BAR + _PAD - 1, baseline), text)
