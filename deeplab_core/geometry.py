"""Rectangles: whole pixels (bounding boxes, changed parts, crops, requests), and parts of the image plane."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Pixels of a strip.
_STRIP_PX = 1 << 20


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of an (H, W) map in strips of about a million pixels: what is computed from them stays small, whatever the image."""
    rows = max(1, _STRIP_PX // max(shape[1], 1))
    yield from (slice(top, min(top + rows, shape[0])) for top in range(0, shape[0], rows))


class Box(NamedTuple):
    """A half-open rectangle: columns ``x <= column < x + width``, rows ``y <= row < y + height``.

    It is stored as the four numbers in this order.
    """

    x: int
    y: int
    width: int
    height: int

    @staticmethod
    def between(left: int, top: int, right: int, bottom: int) -> Box:
        """The box from its edges; ``right`` and ``bottom`` are the first column and row behind it."""
        return Box(left, top, right - left, bottom - top)

    @staticmethod
    def whole(shape: tuple[int, ...]) -> Box:
        """The box of a whole (H, W, ...) array."""
        return Box(0, 0, shape[1], shape[0])

    @staticmethod
    def around(mask: NDArray[np.bool_]) -> Box | None:
        """The smallest box that holds all true pixels of an (H, W) mask; None if it has none."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return None
        return Box.between(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    @staticmethod
    def around_all(boxes: Sequence[Box]) -> Box:
        """The smallest box that holds some others, at least one and none of them empty."""
        left, top = min(box.x for box in boxes), min(box.y for box in boxes)
        return Box.between(left, top, max(box.right for box in boxes), max(box.bottom for box in boxes))

    @property
    def right(self) -> int:
        """First column behind the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row behind the box."""
        return self.y + self.height

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.width <= 0 or self.height <= 0

    @property
    def area(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns: the index of the box in an (H, W) array."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def moved(self, x: int, y: int) -> Box:
        """The box ``x`` columns further right and ``y`` rows further down."""
        return self._replace(x=self.x + x, y=self.y + y)

    def within(self, outer: Box) -> Box:
        """The same box in the coordinates of ``outer``."""
        return self.moved(-outer.x, -outer.y)

    def grown(self, margin: int, shape: tuple[int, ...] | None = None) -> Box:
        """The box with ``margin`` more on every side; ``shape`` (H, W, ...) keeps it within an image."""
        larger = Box(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)
        return larger if shape is None else larger.clipped(shape)

    def clipped(self, shape: tuple[int, ...]) -> Box:
        """The part within an image of ``shape`` (H, W, ...); width or height is 0 if there is none."""
        x, y = max(self.x, 0), max(self.y, 0)
        return Box(x, y, max(min(self.right, shape[1]) - x, 0), max(min(self.bottom, shape[0]) - y, 0))

    def united(self, other: Box) -> Box:
        """The smallest box that holds both; an empty one adds nothing."""
        if self.empty:
            return other
        if other.empty:
            return self
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Box(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def intersected(self, other: Box) -> Box:
        """What both have in common; width or height is 0 if nothing is."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Box(x, y, max(min(self.right, other.right) - x, 0), max(min(self.bottom, other.bottom) - y, 0))

    def overlaps(self, other: Box) -> bool:
        """Whether the two have a pixel in common."""
        return not self.intersected(other).empty

    def holds(self, other: Box) -> bool:
        """Whether ``other`` is inside, edges included."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom


class Extent(NamedTuple):
    """A part of the image plane that may begin and end within a pixel. Pixel (0, 0) covers [0, 1) x [0, 1)."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """In px."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In px."""
        return self.bottom - self.top


def polygon_mask(
    points: Sequence[tuple[float, float]] | NDArray[np.float64], shape: tuple[int, int]
) -> tuple[Box, NDArray[np.bool_]]:
    """Pixels with a centre inside a closed polygon by the even-odd rule, clipped to (H, W).

    A centre exactly on an edge belongs to the polygon on its right (or below it), so that polygons that share an edge share no
    pixel and leave none out. The polygon may cross itself and may leave the image. Cost: O(edges x rows + box).

    Args:
        points: (x, y) of the corners in image px; the top left corner of the image is (0, 0). At least three, else it is empty.
        shape: (H, W) of the image.

    Returns:
        The rectangle that holds the shape, and its (h, w) bool mask; an empty rectangle if no centre is inside.
    """
    height, width = shape
    nothing = Box(0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_)
    if len(points) < 3:
        return nothing
    vertices = np.asarray(points, dtype=np.float64)
    xs, ys = vertices[:, 0], vertices[:, 1]
    left, right = max(math.ceil(xs.min() - 0.5), 0), min(math.ceil(xs.max() - 0.5), width)
    top, bottom = max(math.ceil(ys.min() - 0.5), 0), min(math.ceil(ys.max() - 0.5), height)
    if left >= right or top >= bottom:
        return nothing
    # One more column takes the crossings right of the box, which toggle nothing inside.
    toggles = np.zeros((bottom - top, right - left + 1), dtype=np.uint8)
    after = np.roll(vertices, -1, axis=0)
    upward = (vertices[:, 1] > after[:, 1])[:, None]
    # From top to bottom whatever the direction of travel: neighbours then round a shared edge alike.
    ax, ay = np.where(upward, after, vertices).T
    bx, by = np.where(upward, vertices, after).T
    first = np.clip(np.ceil(ay - 0.5), top, bottom).astype(np.int64)
    count = np.clip(np.ceil(by - 0.5), top, bottom).astype(np.int64) - first
    edge = np.repeat(np.arange(len(vertices)), count)
    rows = np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    crossings = ax[edge] + (rows + 0.5 - ay[edge]) * ((bx[edge] - ax[edge]) / (by[edge] - ay[edge]))
    columns = np.ceil(np.clip(crossings, left, right) - 0.5).astype(np.int64) - left
    np.bitwise_xor.at(toggles, (rows - top, columns), np.uint8(1))
    inside = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1).astype(np.bool_)
    return Box(left, top, right - left, bottom - top), inside
