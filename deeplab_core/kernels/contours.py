"""Compiled matching of contours: for all classes of two maps at once, how much of one contour lies near the other.

Each contour pixel looks around, nearest places first, until it meets the other map's contour of its own class, so good contours
cost a few steps per pixel. The loops let other threads run. Importing this module imports numba;
:mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.labels import LabelMap


def match_contours(one: LabelMap, other: LabelMap, ignore: int, limit: float, later: bool) -> NDArray[np.int64]:
    """Count the contour pixels of each class in two maps, and those near the same class's contour in the other map.

    Args:
        one, other: (H, W) uint8 or uint16, C-contiguous.
        ignore: id of void, which has no contour.
        limit: contours at most so many px apart are near.
        later: contours by the DAVIS rule (a later neighbour is on the other side), else the pixels of a class that touch another.

    Returns:
        (2, 2, ignore + 1) int64: map; all contour pixels, near ones; by id.
    """
    counts = np.zeros((2, 2, ignore + 1), dtype=np.int64)
    maps, rims, offsets = (one, other), (edges(one, later), edges(other, later)), _disk(limit)
    for own, its in ((0, 1), (1, 0)):
        places = np.flatnonzero(rims[own])
        void = one.dtype.type(ignore)
        _match(maps[own], maps[its], rims[its], places, void, offsets, later, counts[own, 0], counts[own, 1])
    return counts


@lru_cache(maxsize=16)
def _disk(limit: float) -> NDArray[np.int32]:
    """(n, 2) int32 offsets of a disk, nearest first."""
    radius = int(limit)
    across = np.arange(-radius, radius + 1)
    squares = across[:, None] ** 2 + across**2
    inside = np.argwhere(squares <= limit * limit)
    order = np.argsort(squares[inside[:, 0], inside[:, 1]], kind="stable")
    return (inside[order] - radius).astype(np.int32)


def edges(labels: LabelMap, later: bool) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with a neighbour of another value: a later one (right, lower, lower right), or any of the four."""
    found = np.zeros(labels.shape, dtype=np.bool_)
    right, below = labels[:, :-1] != labels[:, 1:], labels[:-1] != labels[1:]
    found[:, :-1] |= right
    found[:-1] |= below
    if later:
        found[:-1, :-1] |= labels[:-1, :-1] != labels[1:, 1:]
        # Beyond the last row and column the neighbours are those inside, as where a map is continued by its border.
        return found
    found[:, 1:] |= right
    found[1:] |= below
    return found


@compile_loop
def _match(
    labels: LabelMap,
    other: LabelMap,
    other_edges: NDArray[np.bool_],
    places: NDArray[np.int64],
    void: np.uint8 | np.uint16,
    offsets: NDArray[np.int32],
    later: bool,
    total: NDArray[np.int64],
    near: NDArray[np.int64],
) -> None:
    height, width = labels.shape
    for at in range(places.shape[0]):
        y, x = places[at] // width, places[at] % width
        own = labels[y, x]
        if own != void:
            total[own] += 1
            near[own] += _finds(other, other_edges, y, x, own, offsets, later)
        if not later:
            continue
        below, right = min(y + 1, height - 1), min(x + 1, width - 1)
        second, third, fourth = labels[y, right], labels[below, x], labels[below, right]
        if second not in (void, own):
            total[second] += 1
            near[second] += _finds(other, other_edges, y, x, second, offsets, later)
        if third not in (void, own, second):
            total[third] += 1
            near[third] += _finds(other, other_edges, y, x, third, offsets, later)
        if fourth not in (void, own, second, third):
            total[fourth] += 1
            near[fourth] += _finds(other, other_edges, y, x, fourth, offsets, later)


@compile_loop
def _finds(
    other: LabelMap,
    other_edges: NDArray[np.bool_],
    y: int,
    x: int,
    label: np.uint8 | np.uint16,
    offsets: NDArray[np.int32],
    later: bool,
) -> int:
    height, width = other.shape
    for step in range(offsets.shape[0]):
        row, column = y + offsets[step, 0], x + offsets[step, 1]
        if row < 0 or column < 0 or row >= height or column >= width or not other_edges[row, column]:
            continue
        if other[row, column] == label:
            return 1
        if later:
            # The pixel is on the contour of a later neighbour's class too.
            below, right = min(row + 1, height - 1), min(column + 1, width - 1)
            if other[row, right] == label or other[below, column] == label or other[below, right] == label:
                return 1
    return 0


@compile_loop
def count_inner(
    truth: LabelMap,
    seen: LabelMap,
    theirs: NDArray[np.bool_],
    ours: NDArray[np.bool_],
    hits: NDArray[np.int64],
    union: NDArray[np.int64],
) -> None:
    """Add the pixels in both and in either inner boundary, by id. Flat maps of one size; void may be counted with the rest."""
    for place in range(truth.shape[0]):
        if theirs[place]:
            union[truth[place]] += 1
        if ours[place]:
            union[seen[place]] += 1
            if theirs[place] and truth[place] == seen[place]:
                hits[truth[place]] += 1
                union[truth[place]] -= 1
