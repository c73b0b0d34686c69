"""From outlines and run lengths to pixels: the rules of the programs that write them.

Two programs rarely fill the same polygon alike, so every format is drawn by the rule of its own reader:

- *Pillow's* (labelme, Cityscapes): :mod:`PIL.ImageDraw` on the whole image, outline and inside.
- *COCO's* (COCO, CVAT, Label Studio): pycocotools on a grid five times as fine; parts of one object are united.
- *OpenCV's* (YOLO, Supervisely): :func:`cv2.fillPoly` on whole numbers, the outline belongs to the region.
- *the closed polygon* (ISAT): every pixel with its whole-number place inside the polygon (even-odd) or on its outline, as
  scikit-image's ``draw.polygon`` does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

#: (N, 2) float64 columns and rows in px.
Points = NDArray[np.float64]

#: How far outside of its image a coordinate may be, in sides of the image: beyond it drawing takes too long.
_SIDES = 8
#: Longest outline that pycocotools draws, px: its memory grows with the outline.
_LONGEST_OUTLINE = 2_000_000


class Pen:
    """Draws regions of one image.

    Args:
        width, height: of the image, px.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._sheet: Image.Image | None = None

    def points(self, values: object, *, least: int = 1) -> Points:
        """Coordinates out of a file: pairs, or a flat list of numbers.

        Args:
            least: how many points there must be.

        Raises:
            ValueError: too few, no numbers, or far outside of the image.
        """
        points = np.asarray(values, dtype=np.float64)
        if points.ndim == 1:
            if points.size % 2:
                raise ValueError("its coordinates are not pairs")
            points = points.reshape(-1, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError("its coordinates are not pairs")
        if len(points) < least:
            raise ValueError(f"it has {len(points)} of at least {least} points")
        side = max(self.width, self.height) + 1000
        if not np.isfinite(points).all() or (np.abs(points) > _SIDES * side).any():
            raise ValueError("its coordinates are far outside of the image")
        return points

    # -- Pillow --------------------------------------------------------------------------------------------------------

    def pillow_polygon(self, points: Points, *, outline: bool = True) -> Patch:
        """A polygon by Pillow's rule, with its outline drawn in addition or not."""
        return self._drawn(lambda draw: draw.polygon(_pairs(points), outline=1 if outline else None, fill=1))

    def pillow_rectangle(self, one: Points, other: Points) -> Patch:
        """A rectangle between two corners by Pillow's rule; both corners belong to it."""
        low, high = np.minimum(one, other).tolist(), np.maximum(one, other).tolist()
        return self._drawn(lambda draw: draw.rectangle((tuple(low), tuple(high)), outline=1, fill=1))

    def pillow_circle(self, center: Points, radius: float) -> Patch:
        """A disc by Pillow's rule."""
        column, row = center.tolist()
        box = ((column - radius, row - radius), (column + radius, row + radius))
        return self._drawn(lambda draw: draw.ellipse(box, outline=1, fill=1))

    def pillow_line(self, points: Points, width: int) -> Patch:
        """A line of some width by Pillow's rule."""
        return self._drawn(lambda draw: draw.line(_pairs(points), fill=1, width=width))

    def _drawn(self, draw: Any) -> Patch:
        # On the whole image, because Pillow rounds a shifted outline differently; one sheet for all regions.
        if self._sheet is None:
            self._sheet = Image.new("L", (self.width, self.height))
        draw(ImageDraw.Draw(self._sheet))
        box = self._sheet.getbbox()
        if box is None:
            return Patch(np.zeros((0, 0), np.bool_))
        mask = np.asarray(self._sheet.crop(box)) != 0
        self._sheet.paste(0, box)
        return Patch(mask, top=box[1], left=box[0])

    # -- pycocotools -----------------------------------------------------------------------------------------------------

    def coco_polygons(self, parts: list[Points]) -> Patch:
        """The union of polygons by pycocotools' rule."""
        from pycocotools import mask as coco_mask

        for points in parts:
            steps = np.abs(np.diff(points, axis=0, append=points[:1])).max(axis=1)
            if float(steps.sum()) > _LONGEST_OUTLINE:
                raise ValueError("its outline is too long to be drawn")
        runs = [
            coco_mask.frPyObjects([points.reshape(-1).tolist()], self.height, self.width)[0]
            for points in parts
        ]  # fmt: skip
        # Its own decoder warns with NumPy 2, and trusts the lengths.
        counts = coco_counts(coco_mask.merge(runs)["counts"])
        return Patch(runs_to_mask(counts, self.width, self.height))

    # -- OpenCV ----------------------------------------------------------------------------------------------------------

    def opencv_polygon(self, outer: Points, holes: list[Points] | None = None) -> Patch:
        """A polygon by OpenCV's rule on whole numbers, without its holes; outlines of holes belong to the holes."""
        import cv2

        whole = outer.astype(np.int32)
        low = np.maximum(whole.min(axis=0), 0)
        high = np.minimum(whole.max(axis=0) + 1, (self.width, self.height))
        if (high <= low).any():
            return Patch(np.zeros((0, 0), np.bool_))
        sheet = np.zeros((int(high[1] - low[1]), int(high[0] - low[0])), np.uint8)
        cv2.fillPoly(sheet, [whole - low.astype(np.int32)], (1,))
        for hole in holes or []:
            cv2.fillPoly(sheet, [hole.astype(np.int32) - low.astype(np.int32)], (0,))
        return Patch(sheet != 0, top=int(low[1]), left=int(low[0]))

    def opencv_lines(self, points: Points, width: int = 1) -> Patch:
        """A line of some width by OpenCV's rule."""
        import cv2

        sheet = np.zeros((self.height, self.width), np.uint8)
        cv2.polylines(sheet, [points.astype(np.int32)], False, (1,), thickness=width)
        return Patch(sheet != 0)

    def opencv_ellipse(self, center: Points, radii: tuple[float, float], angle: float) -> Patch:
        """A filled ellipse by OpenCV's rule, center and radii rounded to whole numbers; ``angle`` in degrees, clockwise."""
        import cv2

        middle, axes = [round(value) for value in center.tolist()], [round(abs(value)) for value in radii]
        if not math.isfinite(angle) or max(axes) > _SIDES * (max(self.width, self.height) + 1000):
            raise ValueError("its radii are far larger than the image")
        sheet = np.zeros((self.height, self.width), np.uint8)
        cv2.ellipse(sheet, middle, axes, angle, 0, 360, (1,), thickness=-1)
        return Patch(sheet != 0)

    # -- the closed polygon ----------------------------------------------------------------------------------------------

    def closed_polygon(self, points: Points) -> Patch:
        """Pixels with their whole-number place inside a polygon (even-odd), or on its outline."""
        low = np.maximum(np.floor(points.min(axis=0)).astype(np.int64), 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(np.int64) + 1, (self.width, self.height))
        if (high <= low).any():
            return Patch(np.zeros((0, 0), np.bool_))
        columns, rows = (int(side) for side in high - low)
        sheet, touched = np.zeros((rows, columns), np.bool_), np.zeros((rows, columns), np.bool_)
        shifted = points - low
        rolled = np.roll(shifted, -1, axis=0)
        flips = np.zeros((rows, columns + 1), np.int32)
        for (x0, y0), (x1, y1) in zip(shifted.tolist(), rolled.tolist(), strict=True):
            _edge(sheet, touched, flips, (x0, y0), (x1, y1))
        sheet |= touched
        sheet |= (np.cumsum(flips[:, :-1], axis=1) % 2) != 0
        return Patch(sheet, top=int(low[1]), left=int(low[0]))


class Patch:
    """Pixels of a region: ``mask`` (h, w) bool, with its first pixel at ``top``, ``left`` of the image."""

    __slots__ = ("left", "mask", "top")

    def __init__(self, mask: NDArray[np.bool_], top: int = 0, left: int = 0) -> None:
        self.mask, self.top, self.left = mask, top, left


def _edge(
    sheet: NDArray[np.bool_],
    touched: NDArray[np.bool_],
    flips: NDArray[np.int32],
    start: tuple[float, float],
    end: tuple[float, float],
) -> None:
    """Mark an edge: its ends and what is level in ``sheet``, what is on it in ``touched``, where sides change in ``flips``.

    A pixel where two edges cross is not part of the outline for scikit-image, hence ``touched`` changes with every edge.
    """
    rows, columns = sheet.shape
    (x0, y0), (x1, y1) = (start, end) if start[1] <= end[1] else (end, start)
    first, last = max(math.ceil(y0), 0), min(math.floor(y1), rows - 1)
    if first > last:
        return
    if y0 == y1:
        left, right = max(math.ceil(min(x0, x1)), 0), min(math.floor(max(x0, x1)), columns - 1)
        sheet[first, left : right + 1] = True
        return
    for column, row in (start, end):
        if column == int(column) and row == int(row) and 0 <= column < columns and 0 <= row < rows:
            sheet[int(row), int(column)] = True
    lines = np.arange(first, last + 1)
    crossings = x0 + (lines - y0) * ((x1 - x0) / (y1 - y0))
    # The upper end belongs to the edge, the lower one to the next: every line is crossed once.
    crossed = lines < y1
    nearest = np.rint(crossings)
    exact = np.abs(crossings - nearest) < 1e-9
    places = np.where(exact, nearest, np.ceil(crossings))[crossed]
    np.add.at(flips, (lines[crossed], np.clip(places, 0, columns).astype(np.int64)), 1)
    on = exact & crossed & (nearest >= 0) & (nearest < columns)
    touched[lines[on], nearest[on].astype(np.int64)] ^= True


def _pairs(points: Points) -> list[tuple[float, float]]:
    return [(column, row) for column, row in points.tolist()]


# -- run lengths ---------------------------------------------------------------------------------------------------------


def coco_counts(text: str | bytes) -> NDArray[np.int64]:
    """Run lengths from pycocotools' compressed form.

    Every length is a little-endian number of 5-bit groups, each plus 48 as a character, with a continuation bit (32) and, in
    the last group, a sign bit (16); from the fourth on it is the difference to the length two before.

    Raises:
        ValueError: other characters, or a number without an end.
    """
    data = text.encode("ascii") if isinstance(text, str) else bytes(text)
    groups = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if not groups.size:
        return np.zeros(0, np.int64)
    if groups.min() < 0 or groups.max() > 63:
        raise ValueError("its run lengths hold a character that no length has")
    last = (groups & 32) == 0
    if not last[-1]:
        raise ValueError("its run lengths end too early")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    sizes = ends - starts + 1
    if sizes.max() > 12:
        raise ValueError("a run length has too many digits")
    places = np.arange(groups.size) - np.repeat(starts, sizes)
    values = np.add.reduceat((groups & 31) << (5 * places), starts)
    values -= np.where(groups[ends] & 16, np.left_shift(1, 5 * sizes), 0)
    if values.size > 3:
        values[1::2] = np.cumsum(values[1::2])
        values[2::2] = np.cumsum(values[2::2])
    return values


def runs_to_mask(counts: object, width: int, height: int, *, by_column: bool = True) -> NDArray[np.bool_]:
    """Pixels of run lengths that alternate outside and inside, beginning outside.

    Args:
        counts: whole numbers.
        width, height: of the mask, px.
        by_column: down the columns, as COCO does; else along the rows.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: negative lengths, or a sum other than the size of the mask.
    """
    lengths = np.asarray(counts)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths.size and lengths.min() < 0):
        raise ValueError("its run lengths are not whole numbers")
    total = int(lengths.astype(object).sum()) if lengths.size else 0
    if total != width * height:
        raise ValueError(f"its run lengths add up to {total:,} px instead of {width * height:,}")
    inside = np.zeros(lengths.size, np.bool_)
    inside[1::2] = True
    flat = np.repeat(inside, lengths.astype(np.int64))
    return np.ascontiguousarray(flat.reshape(width, height).T) if by_column else flat.reshape(height, width)
