"""Compiled matching of contours: for all classes of two maps at once, how much of one contour lies near the other.

The contour pixels of a class are listed by row. A pixel looks into the rows above and below, nearest first, for a pixel of the
other map's contour in the columns that a disk leaves there; one pointer walks along each row with the pixels of a row. So a pixel
that finds its like costs a few steps, one that does not costs a step per row of the disk, not one per pixel, and no image
is made for a class. The loops let other threads run. Importing this module imports numba;
:mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import strips
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
    void, widths = one.dtype.type(ignore), _disk(limit)
    lists = [_contours(labels, void, later, ignore + 1) for labels in (one, other)]
    for own, its in ((0, 1), (1, 0)):
        first, rows, columns = lists[own]
        counts[own, 0] = np.diff(first)
        _match(first, rows, columns, *lists[its], widths, counts[own, 1])
    return counts


@lru_cache(maxsize=16)
def _disk(limit: float) -> NDArray[np.int64]:
    """(radius + 1,) int64: how many columns a disk reaches to either side, by rows from its centre."""
    across = np.arange(int(limit) + 1)
    inside = across[:, None] ** 2 + across**2 <= limit * limit
    return np.asarray(inside.sum(axis=1) - 1, dtype=np.int64)


def _contours(
    labels: LabelMap, void: np.uint8 | np.uint16, later: bool, ids: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Contour pixels of every class: (ids + 1,) where each class begins, and (n,) rows and columns, in reading order."""
    # In strips, so that what is compared stays in the cache; with the rows before and after, where an edge may lie too.
    height, width = labels.shape
    places = []
    for strip in strips(labels.shape):
        top, bottom = max(strip.start - 1, 0), min(strip.stop + 1, height)
        rim = edges(labels[top:bottom], later)[strip.start - top : strip.stop - top]
        places.append(np.flatnonzero(rim) + strip.start * width)
    found = np.concatenate([np.zeros(0, np.int64), *places])
    number = np.zeros(ids, dtype=np.int64)
    _count_contours(labels, found, void, later, number)
    first = np.concatenate([[0], np.cumsum(number)])
    rows, columns = np.empty(first[-1], np.int32), np.empty(first[-1], np.int32)
    _list_contours(labels, found, void, later, first[:-1].copy(), rows, columns)
    return first, rows, columns


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
def _classes_at(
    labels: LabelMap, y: int, x: int, void: np.uint8 | np.uint16, later: bool
) -> tuple[np.uint8 | np.uint16, np.uint8 | np.uint16, np.uint8 | np.uint16, np.uint8 | np.uint16]:
    """The classes with a contour at a pixel that has an edge, each once; void fills the rest."""
    own = labels[y, x]
    if not later:
        return own, void, void, void
    # The pixel is on the contour of its later neighbours' classes too.
    below, right = min(y + 1, labels.shape[0] - 1), min(x + 1, labels.shape[1] - 1)
    second, third, fourth = labels[y, right], labels[below, x], labels[below, right]
    if fourth in (own, second, third):
        fourth = void
    if third in (own, second):
        third = void
    if second == own:
        second = void
    return own, second, third, fourth


@compile_loop
def _count_contours(
    labels: LabelMap, places: NDArray[np.int64], void: np.uint8 | np.uint16, later: bool, number: NDArray[np.int64]
) -> None:
    width = labels.shape[1]
    for at in range(places.shape[0]):
        for label in _classes_at(labels, places[at] // width, places[at] % width, void, later):
            if label != void:
                number[label] += 1


@compile_loop
def _list_contours(
    labels: LabelMap,
    places: NDArray[np.int64],
    void: np.uint8 | np.uint16,
    later: bool,
    end: NDArray[np.int64],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> None:
    width = labels.shape[1]
    for at in range(places.shape[0]):
        y, x = places[at] // width, places[at] % width
        for label in _classes_at(labels, y, x, void, later):
            if label != void:
                rows[end[label]], columns[end[label]] = y, x
                end[label] += 1


@compile_loop
def _match(
    own_first: NDArray[np.int64],
    own_rows: NDArray[np.int32],
    own_columns: NDArray[np.int32],
    first: NDArray[np.int64],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    widths: NDArray[np.int64],
    near: NDArray[np.int64],
) -> None:
    for label in range(near.shape[0]):
        if own_first[label] < own_first[label + 1] and first[label] < first[label + 1]:
            own, its = slice(own_first[label], own_first[label + 1]), slice(first[label], first[label + 1])
            near[label] = _near(own_rows[own], own_columns[own], rows[its], columns[its], widths)


@compile_loop
def _near(
    own_rows: NDArray[np.int32],
    own_columns: NDArray[np.int32],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    widths: NDArray[np.int64],
) -> int:
    """How many pixels of one list lie in reach of a pixel of another; both in reading order, the other not empty."""
    top, bottom = rows[0], rows[-1]
    begin = np.zeros(bottom - top + 2, np.int64)
    for at in range(rows.shape[0]):
        begin[rows[at] - top + 1] += 1
    for row in range(begin.shape[0] - 1):
        begin[row + 1] += begin[row]
    left = np.arange(own_rows.shape[0])
    number = left.shape[0]
    for step in range(2 * widths.shape[0] - 1):
        away = (step + 1) // 2 if step & 1 else -(step // 2)
        width = widths[abs(away)]
        kept, row, at, end = 0, -1, 0, 0
        for place in range(number):
            pixel = left[place]
            if own_rows[pixel] + away != row:
                row = own_rows[pixel] + away
                at = end = 0
                if top <= row <= bottom:
                    at, end = begin[row - top], begin[row - top + 1]
            column = own_columns[pixel]
            while at < end and columns[at] < column - width:
                at += 1
            if at == end or columns[at] > column + width:
                left[kept] = pixel
                kept += 1
        number = kept
        if number == 0:
            break
    return int(own_rows.shape[0] - number)


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
