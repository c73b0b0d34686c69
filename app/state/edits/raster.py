"""Which pixels a shape covers, by the pixel-centre rule. No document, no colour: geometry only.

Coordinates are float image px, x to the right and y down; the image's top left *corner* is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.patch import Rect

Point = tuple[float, float]
Floats = NDArray[np.floating[Any]]

#: A mask of more pixels than this, and mostly empty, is cut into bands of this many rows: a long diagonal line then costs its
#: own length, not the area of the box around it.
_BAND_ROWS = 64
_BAND_PIXELS = 64 * 64

#: Below this a direction counts as axis-parallel; dividing by less would only amplify rounding.
_PARALLEL = 1e-9


@dataclass(frozen=True, slots=True)
class Spans:
    """A shape that meets every row in one run of pixels, clipped to an image.

    Attributes:
        top: first row.
        lo: (n,) int64, first column of each row's run.
        hi: (n,) int64, column behind it; ``hi <= lo`` where a row is empty.
    """

    top: int
    lo: NDArray[np.int64]
    hi: NDArray[np.int64]

    @property
    def area(self) -> int:
        """Number of covered pixels."""
        return int(np.maximum(self.hi - self.lo, 0).sum())

    def masks(self) -> Iterator[tuple[Rect, NDArray[np.bool_]]]:
        """Yield (rect, (h, w) bool) pieces that cover the shape once; one piece unless the shape is long and thin."""
        filled = np.flatnonzero(self.hi > self.lo)
        if filled.size == 0:
            return
        first, last = int(filled[0]), int(filled[-1]) + 1
        piece = self._mask(first, last)
        box = (last - first) * (int(self.hi[filled].max()) - int(self.lo[filled].min()))
        if box <= max(_BAND_PIXELS, 3 * self.area):
            yield piece
            return
        for start in range(first, last, _BAND_ROWS):
            stop = min(start + _BAND_ROWS, last)
            if np.any(self.hi[start:stop] > self.lo[start:stop]):
                yield self._mask(start, stop)

    def _mask(self, start: int, stop: int) -> tuple[Rect, NDArray[np.bool_]]:
        lo, hi = self.lo[start:stop], self.hi[start:stop]
        filled = hi > lo
        left, right = int(lo[filled].min()), int(hi[filled].max())
        columns = np.arange(left, right)
        mask = (columns >= lo[:, None]) & (columns < hi[:, None])
        return Rect(left, self.top + start, right - left, stop - start), mask


def disk_spans(center: Point, radius: float, shape: tuple[int, int]) -> Spans:
    """Pixels whose centre lies within ``radius`` px of ``center``, the border included, clipped to (H, W)."""
    return capsule_spans(center, center, radius, shape)


def capsule_spans(start: Point, end: Point, radius: float, shape: tuple[int, int]) -> Spans:
    """Pixels whose centre lies within ``radius`` px of the segment from ``start`` to ``end``, clipped to (H, W).

    A capsule is convex, so every row holds one run of it. Cost: O(rows), whatever the length and the image.
    """
    (ax, ay), (bx, by) = start, end
    height, width = shape
    top = max(math.ceil(min(ay, by) - radius - 0.5), 0)
    bottom = min(math.floor(max(ay, by) + radius - 0.5) + 1, height)
    if top >= bottom:
        return Spans(top, np.zeros(0, np.int64), np.zeros(0, np.int64))
    y = np.arange(top, bottom) + 0.5
    lo, hi = _disk_rows(ax, y - ay, radius)
    length = math.hypot(bx - ax, by - ay)
    if length > 0:
        for more_lo, more_hi in (
            _disk_rows(bx, y - by, radius),
            _strip_rows(ax, y - ay, ((bx - ax) / length, (by - ay) / length), length, radius),
        ):
            lo, hi = np.minimum(lo, more_lo), np.maximum(hi, more_hi)
    # A run never starts left of 0 or ends right of the image, and an empty row (inf, -inf) stays empty after clipping.
    first = np.ceil(np.clip(lo, -1.0, width + 1.0) - 0.5).astype(np.int64)
    behind = np.floor(np.clip(hi, -1.0, width + 1.0) - 0.5).astype(np.int64) + 1
    return Spans(top, np.maximum(first, 0), np.minimum(behind, width))


def _disk_rows(x: float, dy: Floats, radius: float) -> tuple[Floats, Floats]:
    """Run [lo, hi] of a disk on each row; (inf, -inf) where there is none."""
    rest = radius * radius - dy * dy
    half = np.sqrt(np.maximum(rest, 0.0))
    return np.where(rest >= 0, x - half, np.inf), np.where(rest >= 0, x + half, -np.inf)


def _strip_rows(
    x: float, dy: Floats, direction: Point, length: float, radius: float
) -> tuple[Floats, Floats]:
    """Run [lo, hi] on each row of the rectangle around a segment: 0 <= along <= length and |across| <= radius."""
    ux, uy = direction
    lo, hi = np.full(dy.shape, -np.inf), np.full(dy.shape, np.inf)
    # along = dx * ux + dy * uy, across = dx * -uy + dy * ux: two pairs of half-planes.
    for slope, offset, least, most in ((ux, dy * uy, 0.0, length), (-uy, dy * ux, -radius, radius)):
        if abs(slope) < _PARALLEL:
            outside = (offset < least) | (offset > most)
            lo, hi = np.where(outside, np.inf, lo), np.where(outside, -np.inf, hi)
        else:
            one, other = (least - offset) / slope + x, (most - offset) / slope + x
            lo, hi = np.maximum(lo, np.minimum(one, other)), np.minimum(hi, np.maximum(one, other))
    empty = lo > hi
    return np.where(empty, np.inf, lo), np.where(empty, -np.inf, hi)


def line_pixels(start: Point, end: Point, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the 8-connected line of single pixels between the pixels that hold two points, clipped to (H, W)."""
    column, row = math.floor(start[0]), math.floor(start[1])
    to_column, to_row = math.floor(end[0]), math.floor(end[1])
    steps = max(abs(to_column - column), abs(to_row - row), 1)
    along = np.arange(steps + 1)
    columns = column + (along * (to_column - column) * 2 + steps) // (2 * steps)
    rows = row + (along * (to_row - row) * 2 + steps) // (2 * steps)
    inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
    return rows[inside], columns[inside]


def polygon_mask(points: Sequence[Point], shape: tuple[int, int]) -> tuple[Rect, NDArray[np.bool_]]:
    """Pixels whose centre lies inside a closed polygon by the even-odd rule, clipped to (H, W).

    A centre exactly on an edge belongs to the polygon on its right (or below it), so that polygons that share an edge share no
    pixel and leave none out. The polygon may cross itself and may leave the image. Cost: O(edges x rows + box).

    Returns:
        The rectangle that holds the shape, and its (h, w) bool mask; an empty rectangle where no centre is inside.
    """
    height, width = shape
    nothing = Rect(0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_)
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
    return Rect(left, top, right - left, bottom - top), inside
