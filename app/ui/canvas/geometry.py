"""From image px to px of the pane and back: one frozen mapping per painted state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect

from deeplab_core.geometry import Box

Value = TypeVar("Value", bound=np.generic)

#: (n + 1,) first cell of each of n device rows or columns, and the end of the last.
Cells = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Mapping:
    """The position of the image in a pane.

    Three spaces: *image* px (float; pixel (0, 0) covers [0, 1) x [0, 1)), *device* px of the screen (integer grid of the pane's
    frame), and *view* px, Qt's logical ones (device px / ratio).

    Attributes:
        scale: device px per image px, > 0.
        left, top: image coordinates of the pane's top left corner.
        width, height: of the pane in device px.
        image_width, image_height: of the image in px.
        ratio: device px per view px.
    """

    scale: float
    left: float
    top: float
    width: int
    height: int
    image_width: int
    image_height: int
    ratio: float = 1.0

    @staticmethod
    def centered(
        center: tuple[float, float], scale: float, pane: tuple[int, int], image: tuple[int, int], ratio: float = 1.0
    ) -> Mapping:
        """The mapping that shows an image point in the middle of a pane of (width, height) device px."""
        return Mapping(
            scale=scale,
            left=center[0] - pane[0] / 2 / scale,
            top=center[1] - pane[1] / 2 / scale,
            width=pane[0],
            height=pane[1],
            image_width=image[0],
            image_height=image[1],
            ratio=ratio,
        )

    def to_image(self, point: QPointF) -> tuple[float, float]:
        """Image coordinates of a point in view px."""
        step = self.ratio / self.scale
        return self.left + point.x() * step, self.top + point.y() * step

    def to_view(self, x: float, y: float) -> QPointF:
        """View px of a point of the image."""
        step = self.scale / self.ratio
        return QPointF((x - self.left) * step, (y - self.top) * step)

    def length_in_view(self, length: float) -> float:
        """View px of a length in image px."""
        return length * self.scale / self.ratio

    def columns(self, start: int, stop: int) -> NDArray[np.intp]:
        """Image column under the centre of each device column ``start .. stop``; not clipped to the image."""
        return _cells(self.left, start, stop, self.scale)

    def rows(self, start: int, stop: int) -> NDArray[np.intp]:
        """Image row under the centre of each device row ``start .. stop``; not clipped to the image."""
        return _cells(self.top, start, stop, self.scale)

    @property
    def cell_level(self) -> int:
        """Cells of 2**level px are at most as large as a device pixel and more than half of it; 0 from about 1:1 on."""
        return max(math.floor(math.log2(1 / self.scale)), 0)

    def cells(self, rect: QRect) -> tuple[Cells, Cells]:
        """Cells of :attr:`cell_level` with centres in the rows and columns of ``rect``, a part of the picture.

        Each cell of the visible image belongs to exactly one device row and column, whatever rectangle asks for it.
        """
        whole = self.picture_rect()
        rows = self._cells(self.top, self.image_height, self.height, rect.top(), rect.height(), whole.top(), whole.height())
        columns = self._cells(self.left, self.image_width, self.width, rect.left(), rect.width(), whole.left(), whole.width())
        return rows, columns

    def _cells(self, origin: float, length: int, limit: int, at: int, count: int, first: int, size: int) -> Cells:
        side = 2**self.cell_level
        places = (origin + np.arange(at, at + count + 1) / self.scale) / side
        number = -(-length // side)
        cells: Cells = np.clip(np.ceil(places - 0.5), 0, number).astype(np.intp)
        # What the image has beyond the last centre of a device pixel belongs to that pixel.
        if at == first and first > 0:
            cells[0] = 0
        if at + count == first + size and first + size < limit:
            cells[-1] = number
        return cells

    def picture_rect(self) -> QRect:
        """Device px with a centre on the image, clipped to the pane."""
        x0, x1 = self._span(self.left, self.image_width, self.width)
        y0, y1 = self._span(self.top, self.image_height, self.height)
        return QRect(x0, y0, x1 - x0, y1 - y0)

    def _span(self, origin: float, length: int, limit: int) -> tuple[int, int]:
        # The border is found with the very arithmetic of columns() and rows(), so that no sample ever falls outside the image.
        def sample(at: int) -> float:
            return math.floor(origin + (at + 0.5) / self.scale)

        first = math.ceil(-origin * self.scale - 0.5)
        while sample(first) < 0:
            first += 1
        while sample(first - 1) >= 0:
            first -= 1
        behind = math.ceil((length - origin) * self.scale - 0.5)
        while sample(behind - 1) >= length:
            behind -= 1
        while sample(behind) < length:
            behind += 1
        first, behind = min(max(first, 0), limit), min(max(behind, 0), limit)
        return first, max(behind, first)

    def device_rect(self, rect: Box, margin: int) -> QRect:
        """Device px that a rectangle of the image may touch, grown by ``margin`` device px and clipped to the pane."""
        x0 = math.floor((rect.x - self.left) * self.scale) - margin
        y0 = math.floor((rect.y - self.top) * self.scale) - margin
        x1 = math.ceil((rect.right - self.left) * self.scale) + margin
        y1 = math.ceil((rect.bottom - self.top) * self.scale) + margin
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, self.width), min(y1, self.height)
        return QRect(x0, y0, max(x1 - x0, 0), max(y1 - y0, 0))

    def view_rect(self, device: QRect) -> QRect:
        """The smallest rectangle of view px that covers some device px."""
        x0, y0 = math.floor(device.left() / self.ratio), math.floor(device.top() / self.ratio)
        x1 = math.ceil((device.left() + device.width()) / self.ratio)
        y1 = math.ceil((device.top() + device.height()) / self.ratio)
        return QRect(x0, y0, x1 - x0, y1 - y0)


def fit_scale(pane: tuple[int, int], image: tuple[int, int]) -> float:
    """Device px per image px at which a whole image just fits a pane; both (width, height)."""
    return max(min(pane[0] / max(image[0], 1), pane[1] / max(image[1], 1)), 1e-6)


def _cells(first: float, start: int, stop: int, scale: float) -> NDArray[np.intp]:
    """Row or column of the image under the centre of each device row or column, of an image that begins at ``first``."""
    cells: NDArray[np.intp] = np.floor(first + (np.arange(start, stop) + 0.5) / scale).astype(np.intp)
    return cells


def sample(array: NDArray[Value], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Value]:
    """The array's values at every (row, column) of two ascending index lists: nearest neighbour at the screen's own grid.

    Cost: O(rows x columns), plus for a reduced view the copy of the needed rows; never O(array). Lists must lie inside.

    Returns:
        (len(rows), len(columns)) of the array's dtype.
    """
    top, bottom = rows[0], rows[-1] + 1
    left, right = columns[0], columns[-1] + 1
    if right - left == len(columns) and bottom - top == len(rows):
        return array[top:bottom, left:right]
    if len(rows) <= bottom - top:
        picked: NDArray[Value] = array[rows, left:right].take(columns - left, axis=1)
    else:
        picked = array[top:bottom, left:right].take(columns - left, axis=1).take(rows - top, axis=0)
    return picked
