"""Which pixels a shape covers, by the pixel-centre rule. No document, no colour: geometry only.

Coordinates are float image px, x to the right and y down; the image's top left *corner* is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Box

Point = tuple[float, float]
Floats = NDArray[np.floating[Any]]

#: A mask of more pixels than this, and mostly empty, is cut into bands of at least this many rows: a long diagonal line then
#: costs its own length, not the area of the box around it.
_BAND_ROWS = 64
_BAND_PIXELS = 64 * 64
#: One more band costs as much time as this many pixels.
_SETUP_PIXELS = 16_000


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

    def masks(self, without: Spans | None = None) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
        """Yield (rect, (h, w) bool) pieces that cover the shape once. Rectangles do not overlap.

        There is one piece unless the shape fills little of the box around it.

        Args:
            without: pixels of this shape are left out.
        """
        if without is None and 0 < self.lo.size <= _BAND_ROWS and (self.hi > self.lo).all():  # nearly every dab
            piece = _mask(self.top, self.lo, self.hi)
            if piece is not None and piece[1].size <= _BAND_PIXELS:
                yield piece
                return
        shapes = [self] if without is None else self._beside(without)
        lo, hi = np.array([shape.lo for shape in shapes]), np.array([shape.hi for shape in shapes])
        widths = np.maximum(hi - lo, 0)
        filled = np.flatnonzero(widths.any(axis=0))
        if filled.size == 0:
            return
        first, behind = int(filled[0]), int(filled[-1]) + 1
        some = widths > 0
        box = (behind - first) * (int(hi[some].max()) - int(lo[some].min()))
        whole = box <= _BAND_PIXELS or box <= 3 * int(widths.sum())
        rows = behind - first if whole else max(_BAND_ROWS, math.ceil((behind - first) / math.sqrt(max(box / _SETUP_PIXELS, 1))))
        for start in range(first, behind, rows):
            band = slice(start, min(start + rows, behind))
            found = [_mask(self.top + start, low[band], high[band]) for low, high in zip(lo, hi, strict=True)]
            yield from _apart([piece for piece in found if piece is not None])

    def _beside(self, other: Spans) -> list[Spans]:
        """What another shape leaves of the runs on its left, with rows that it does not meet, and on its right."""
        # An empty cut behind the run leaves all of it on the left.
        cut_lo, cut_hi = self.hi.copy(), self.hi.copy()
        first, behind = max(self.top, other.top), min(self.top + self.lo.size, other.top + other.lo.size)
        if first < behind:
            mine, theirs = slice(first - self.top, behind - self.top), slice(first - other.top, behind - other.top)
            meets = other.hi[theirs] > other.lo[theirs]
            cut_lo[mine] = np.where(meets, other.lo[theirs], self.hi[mine])
            cut_hi[mine] = np.where(meets, other.hi[theirs], self.hi[mine])
        left = Spans(self.top, self.lo, np.minimum(self.hi, cut_lo))
        return [left, Spans(self.top, np.maximum(self.lo, cut_hi), self.hi)]


def _mask(top: int, lo: NDArray[np.int64], hi: NDArray[np.int64]) -> tuple[Box, NDArray[np.bool_]] | None:
    """The box around some runs, of which the first is in row ``top``, and the mask of them; None if all are empty."""
    widths = hi - lo
    if widths.min() <= 0:
        filled = np.flatnonzero(widths > 0)
        if filled.size == 0:
            return None
        part = slice(int(filled[0]), int(filled[-1]) + 1)
        top, lo, hi, widths = top + part.start, lo[part], hi[part], widths[part]
        if widths.min() <= 0:  # what is empty in between must not make the box wider
            empty = widths <= 0
            lo, hi = np.where(empty, lo[0], lo), np.where(empty, lo[0], hi)
            widths = hi - lo
    left, right = int(lo.min()), int(hi.max())
    # In unsigned numbers 'column - lo < width' answers both ends at once: left of lo it wraps around to a large one.
    narrow = np.uint16 if right - left < 1 << 15 else np.uint32
    columns: NDArray[Any] = np.arange(right - left, dtype=narrow)
    offset = columns - (lo - left).astype(narrow)[:, None]
    return Box(left, top, right - left, widths.size), offset < widths.astype(narrow)[:, None]


def _apart(pieces: list[tuple[Box, NDArray[np.bool_]]]) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """The pieces, or one for both where two have boxes that overlap."""
    if len(pieces) < 2 or pieces[0][0].intersected(pieces[1][0]).empty:
        yield from pieces
        return
    box = pieces[0][0].united(pieces[1][0])
    joined = np.zeros(box.size, np.bool_)
    for rect, where in pieces:
        joined[rect.within(box).slices] |= where
    yield box, joined


def disk_spans(center: Point, radius: float, shape: tuple[int, int]) -> Spans:
    """Pixels with a centre within ``radius`` px of ``center``, the border included, clipped to (H, W)."""
    return capsule_spans(center, center, radius, shape)


def capsule_spans(start: Point, end: Point, radius: float, shape: tuple[int, int]) -> Spans:
    """Pixels with a centre within ``radius`` px of the segment from ``start`` to ``end``, clipped to (H, W).

    A capsule is convex, so every row holds one run of it. Cost: O(rows), whatever the length and the image.
    """
    (ax, ay), (bx, by) = start, end
    height, width = shape
    top = max(math.ceil(min(ay, by) - radius - 0.5), 0)
    bottom = min(math.floor(max(ay, by) + radius - 0.5) + 1, height)
    if top >= bottom:
        return Spans(top, np.zeros(0, np.int64), np.zeros(0, np.int64))
    y = np.arange(top + 0.5, bottom)
    lo, hi = _disk_rows(ax, y - ay, radius)
    length = math.hypot(bx - ax, by - ay)
    if length > 0:
        more_lo, more_hi = _disk_rows(bx, y - by, radius)
        np.minimum(lo, more_lo, out=lo)
        np.maximum(hi, more_hi, out=hi)
        # The two sides run between the points where they touch the disks; the normal (-uy, ux) and its opposite lead there.
        ux, uy = (bx - ax) / length * radius, (by - ay) / length * radius
        left, right = ((-uy, ux), (uy, -ux)) if uy > 0 else ((uy, -ux), (-uy, ux))
        _join_side(np.minimum, lo, top, (ax + left[0], ay + left[1]), (bx + left[0], by + left[1]))
        _join_side(np.maximum, hi, top, (ax + right[0], ay + right[1]), (bx + right[0], by + right[1]))
    # A run never starts left of 0 or ends right of the image, and an empty row (inf, -inf) stays empty.
    first = np.ceil(np.minimum(np.maximum(lo - 0.5, 0.0), width)).astype(np.int64)
    behind = np.floor(np.maximum(np.minimum(hi + 0.5, width), 0.0)).astype(np.int64)
    return Spans(top, first, behind)


def _disk_rows(x: float, dy: Floats, radius: float) -> tuple[Floats, Floats]:
    """Run [lo, hi] of a disk on each row; (inf, -inf) if empty."""
    rest = radius * radius - dy * dy
    half = np.full(rest.shape, -np.inf)
    np.sqrt(rest, out=half, where=rest >= 0)
    return x - half, x + half


def _join_side(join: np.ufunc, bound: Floats, top: int, start: Point, end: Point) -> None:
    """Join the x of a straight line from ``start`` to ``end`` to the ``bound`` of the rows with centres that it passes."""
    (x0, y0), (x1, y1) = (start, end) if start[1] <= end[1] else (end, start)
    first, behind = max(math.ceil(y0 - 0.5) - top, 0), min(math.floor(y1 - 0.5) + 1 - top, bound.size)
    if first >= behind or y1 <= y0:
        return
    slope = (x1 - x0) / (y1 - y0)
    rows = np.arange(first + top + 0.5 - y0, behind + top - y0)[: behind - first]
    join(bound[first:behind], rows * slope + x0, out=bound[first:behind])


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
