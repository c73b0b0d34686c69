"""Compiled filling of void: every void pixel takes the class of the nearest labelled pixel.

Void is mostly thin, a ring around an object. Its pixels look around in a small disk, nearest places first. What finds nothing
there is in thick void and looks along its row: with the nearest labelled pixel of every column known, the nearest of all is
found by going left and right until no column can be nearer. Distances are whole numbers (squares), so equally near classes are
told exactly.

Importing this module imports numba; :mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.labels import LabelMap

#: Radius of the disk that thin void is filled from, px.
_THIN = 8
#: Void that takes more steps to fill than this is left to other code.
_PATIENCE = 1_000_000_000


def filled(labels: LabelMap, ignore: int, where: NDArray[np.bool_] | None = None) -> LabelMap | None:
    """A copy in which every void pixel has the value of the nearest other pixel, the smallest of equally near ones.

    Args:
        labels: (H, W) uint8 or uint16, C-contiguous, with at least one pixel that is not void.
        ignore: value of void.
        where: (H, W) bool, the void pixels to fill; None fills all.

    Returns:
        The copy; None where the void is so thick that filling it this way would take seconds.
    """
    void = labels.dtype.type(ignore)
    result = labels.copy()
    places = np.flatnonzero(labels == void if where is None else (labels == void) & where)
    thick = _fill_thin(labels, result, void, places, _disk())
    if thick.size:
        distance = np.empty(labels.shape, np.uint16 if sum(labels.shape) < 1 << 16 else np.int32)
        nearest = _columns_to_label(labels, void, distance)
        if np.minimum(distance.ravel()[thick], labels.shape[1]).sum(dtype=np.int64) > _PATIENCE:
            return None
        _fill_thick(result, void, thick, distance, nearest)
    return result


@lru_cache(maxsize=1)
def _disk() -> NDArray[np.int32]:
    """(n, 3) int32: row and column offsets of a disk and their squared distance, nearest first."""
    across = np.arange(-_THIN, _THIN + 1)
    squares = across[:, None] ** 2 + across**2
    inside = np.argwhere((squares <= _THIN**2) & (squares > 0))
    squared = squares[inside[:, 0], inside[:, 1]]
    order = np.argsort(squared, kind="stable")
    return np.column_stack([inside[order] - _THIN, squared[order]]).astype(np.int32)


@compile_loop
def _fill_thin(
    labels: LabelMap, result: LabelMap, void: np.uint8 | np.uint16, places: NDArray[np.int64], disk: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Fill what has a label in the disk; the places of what has none."""
    height, width = labels.shape
    left = np.empty(places.shape[0], np.int64)
    number = 0
    for at in range(places.shape[0]):
        y, x = places[at] // width, places[at] % width
        label, found = void, np.int32(-1)
        for step in range(disk.shape[0]):
            if found >= 0 and disk[step, 2] > found:
                break
            row, column = y + disk[step, 0], x + disk[step, 1]
            if row < 0 or column < 0 or row >= height or column >= width or labels[row, column] == void:
                continue
            if found < 0 or labels[row, column] < label:
                label = labels[row, column]
            found = disk[step, 2]
        if found < 0:
            left[number] = places[at]
            number += 1
        else:
            result[y, x] = label
    return left[:number]


@compile_loop
def _columns_to_label(labels: LabelMap, void: np.uint8 | np.uint16, distance: NDArray[np.uint16] | NDArray[np.int32]) -> LabelMap:
    """Label of the nearest labelled pixel of the column (the smaller of two), and into ``distance`` the steps to it.

    Void and height + width if there is none.
    """
    height, width = labels.shape
    nearest = labels.copy()
    far = height + width
    for x in range(width):
        distance[0, x] = 0 if labels[0, x] != void else far
    for y in range(1, height):
        for x in range(width):
            if labels[y, x] != void:
                distance[y, x] = 0
            else:
                distance[y, x] = min(np.int64(distance[y - 1, x]) + 1, far)
                nearest[y, x] = nearest[y - 1, x]
    for y in range(height - 2, -1, -1):
        for x in range(width):
            down = np.int64(distance[y + 1, x]) + 1
            if down < distance[y, x]:
                distance[y, x] = down
                nearest[y, x] = nearest[y + 1, x]
            elif down == distance[y, x] and nearest[y + 1, x] < nearest[y, x]:
                nearest[y, x] = nearest[y + 1, x]
    return nearest


@compile_loop
def _fill_thick(
    result: LabelMap,
    void: np.uint8 | np.uint16,
    places: NDArray[np.int64],
    distance: NDArray[np.uint16] | NDArray[np.int32],
    nearest: LabelMap,
) -> None:
    height, width = result.shape
    far = height + width
    for at in range(places.shape[0]):
        y, x = places[at] // width, places[at] % width
        own = np.int64(distance[y, x])
        best = own * own if own < far else np.int64(far) * far * 2
        label = nearest[y, x] if own < far else void
        for shift in range(1, width):
            square = np.int64(shift) * shift
            if square > best:
                break
            for side in (x - shift, x + shift):
                if side < 0 or side >= width or distance[y, side] >= far:
                    continue
                found = square + np.int64(distance[y, side]) * distance[y, side]
                if found < best or (found == best and nearest[y, side] < label):
                    best = found
                    label = nearest[y, side]
        result[y, x] = label
