"""Points and paths of the pointer: checked, clipped, and turned into pixels.

Coordinates are float image px, x to the right and y down; the image's top left corner is (0, 0), so the pixel of a point is in
column ``floor(x)`` and row ``floor(y)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box

Path = NDArray[np.float64]

#: Coordinates that differ by less are one, px.
_SAME = 1e-9

#: A path may leave the image, but not by more than so many px: no screen reaches so far.
_FARTHEST = 1e6


def check_point(x: float, y: float, size: tuple[int, int]) -> tuple[int, int]:
    """Column and row of the pixel that holds a point.

    Raises:
        AtrousError: outside of the image of ``size`` (H, W), or not finite.
    """
    height, width = size
    if not (0 <= x < width and 0 <= y < height):
        raise AtrousError(
            message(
                "the point ({x:g}, {y:g}) is outside of the image of {width} x {height} px", x=x, y=y, width=width, height=height
            ),
            remedy=message("Point at a pixel of the image"),
        )
    return int(x), int(y)


def check_path(path: NDArray[Any] | Sequence[Sequence[float]], size: tuple[int, int]) -> Path:
    """(N, 2) float64 points, N >= 1. They may leave the image, e.g. by the width of the window.

    Raises:
        AtrousError: another shape, a point that is not finite or more than a million px outside, or no point at all.
    """
    try:
        points = np.asarray(path, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not points.shape[0]:
        raise AtrousError(
            message(
                "a path is an array (N, 2) of x and y with at least one point, not {shape}",
                shape=np.shape(path) if points.size else message("this"),
            ),
            remedy=message("Pass one row (x, y) per point"),
        )
    if not np.isfinite(points).all() or points.min() < -_FARTHEST or (points > np.array(size[::-1]) + _FARTHEST).any():
        raise AtrousError(
            message(
                "a point of the path is far outside of the image of {width} x {height} px, or no number",
                width=size[1],
                height=size[0],
            ),
            remedy=message("Pass x and y in image pixels"),
        )
    return points


def path_pixels(points: Path, size: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows of the 8-connected line of pixels through all points, in order; a pixel may occur again.

    Raises:
        AtrousError: no pixel of it is in the image.
    """
    height, width = size
    pieces = [_clipped(start, end, size) for start, end in pairwise(points)] if len(points) > 1 else []
    if len(points) == 1:
        pieces = [np.floor(points)]
    pixels = np.concatenate([piece for piece in pieces if piece is not None] or [np.zeros((0, 2))]).astype(np.int64)
    inside = pixels[((pixels >= 0) & (pixels < (width, height))).all(axis=1)]
    if not inside.size:
        raise AtrousError(
            message("the path is outside of the image of {width} x {height} px", width=width, height=height),
            remedy=message("Draw over at least one pixel of the image"),
        )
    return inside[:, 0], inside[:, 1]


def thick_line(
    xs: NDArray[np.int64], ys: NDArray[np.int64], diameter: float, size: tuple[int, int]
) -> tuple[Box, NDArray[np.bool_]]:
    """Pixels of an image of ``size`` (H, W) within a brush of a line of pixels: a box and the (height, width) bool mask in it."""
    box = Box.between(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1).grown(int(diameter / 2), size)
    line = np.zeros((box.height, box.width), np.bool_)
    line[ys - box.y, xs - box.x] = True
    if diameter >= 2:
        line = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= (diameter - 1) / 2
    return box, line


def placed(mask: NDArray[np.bool_], box: Box, outer: Box) -> NDArray[np.bool_]:
    """A mask of ``box`` in a larger box."""
    wide = np.zeros((outer.height, outer.width), np.bool_)
    wide[box.within(outer).slices] = mask
    return wide


def _clipped(start: Path, end: Path, size: tuple[int, int]) -> Path | None:
    """Pixels of the line between two points, its parts far outside left out; None where all of it is outside."""
    height, width = size
    along = end - start
    first, last = 0.0, 1.0
    for axis, length in ((0, width), (1, height)):
        if abs(along[axis]) < _SAME:  # what is divided by less overflows
            if not -1 <= start[axis] <= length + 1:
                return None
            continue
        ends = sorted(((-1 - start[axis]) / along[axis], (length + 1 - start[axis]) / along[axis]))
        first, last = max(first, ends[0]), min(last, ends[1])
    if first > last:
        return None
    a, b = np.floor(start + first * along), np.floor(start + last * along)
    steps = int(max(np.abs(b - a).max(), 1))
    pixels: Path = np.floor(a + np.arange(steps + 1)[:, None] * ((b - a) / steps) + 0.5)
    return pixels
