"""Compiled matching of contours: for all classes of two maps at once, how much of one contour lies near the other.

Each contour pixel looks around, nearest places first, until it meets the other map's contour of its own class, so good contours
cost a few steps per pixel. The loops let other threads run. Importing this module imports numba;
:mod:`deeplab_core.metrics.compiled` decides when.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.metrics.compiled import compile_loop

Labels = NDArray[Any]  # (H, W) uint8 or uint16


def matched_pixels(
    labels: Labels, other: Labels, ignore: int, limit: float, later: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the contour pixels of each class, and those near the same class's contour in another map.

    Args:
        labels, other: (H, W) uint8 or uint16, C-contiguous.
        ignore: id of void, which has no contour.
        limit: contours at most so many px apart are near.
        later: contours by the DAVIS rule (a later neighbour is on the other side), else the pixels of a class that touch another.

    Returns:
        Two (ignore + 1,) int64, by id.
    """
    radius = int(limit)
    across = np.arange(-radius, radius + 1)
    squares = across[:, None] ** 2 + across**2
    inside = np.argwhere(squares <= limit * limit)
    order = np.argsort(squares[inside[:, 0], inside[:, 1]], kind="stable")
    offsets = (inside[order] - radius).astype(np.int32)
    total = np.zeros(ignore + 1, dtype=np.int64)
    near = np.zeros(ignore + 1, dtype=np.int64)
    _match(labels, other, labels.dtype.type(ignore), offsets, later, total, near)
    return total, near


def warm_up() -> None:
    """Compile, or load from disk, the loops for 8-bit maps."""
    few = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    matched_pixels(few, few, 255, 1.0, True)


@compile_loop
def _match(
    labels: Labels,
    other: Labels,
    void: Any,
    offsets: NDArray[np.int32],
    later: bool,
    total: NDArray[np.int64],
    near: NDArray[np.int64],
) -> None:
    height, width = labels.shape
    for y in range(height):
        below = min(y + 1, height - 1)
        for x in range(width):
            own = labels[y, x]
            if not later:
                if own != void and _touches(labels, y, x, own):
                    total[own] += 1
                    near[own] += _finds(other, y, x, own, offsets, later)
                continue
            beside = min(x + 1, width - 1)
            second, third, fourth = labels[y, beside], labels[below, x], labels[below, beside]
            if own == second and own == third and own == fourth:
                continue
            if own != void:
                total[own] += 1
                near[own] += _finds(other, y, x, own, offsets, later)
            if second not in (void, own):
                total[second] += 1
                near[second] += _finds(other, y, x, second, offsets, later)
            if third not in (void, own, second):
                total[third] += 1
                near[third] += _finds(other, y, x, third, offsets, later)
            if fourth not in (void, own, second, third):
                total[fourth] += 1
                near[fourth] += _finds(other, y, x, fourth, offsets, later)


@compile_loop
def _finds(other: Labels, y: int, x: int, label: Any, offsets: NDArray[np.int32], later: bool) -> int:
    height, width = other.shape
    for step in range(offsets.shape[0]):
        row, column = y + offsets[step, 0], x + offsets[step, 1]
        if row < 0 or column < 0 or row >= height or column >= width:
            continue
        if later:
            below, beside = min(row + 1, height - 1), min(column + 1, width - 1)
            is_label = other[row, column] == label
            if (
                (other[row, beside] == label) != is_label
                or (other[below, column] == label) != is_label
                or (other[below, beside] == label) != is_label
            ):
                return 1
        elif other[row, column] == label and _touches(other, row, column, label):
            return 1
    return 0


@compile_loop
def _touches(labels: Labels, y: int, x: int, own: Any) -> bool:
    """Whether a 4-neighbour inside the image is of another class."""
    height, width = labels.shape
    return bool(
        (y > 0 and labels[y - 1, x] != own)
        or (y < height - 1 and labels[y + 1, x] != own)
        or (x > 0 and labels[y, x - 1] != own)
        or (x < width - 1 and labels[y, x + 1] != own)
    )
