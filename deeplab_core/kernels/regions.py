"""Compiled search for connected parts of all values of a map at once.

A run is a stretch of one value in a row. An image has few of them beside its pixels; parts are joined run by run, so what a part
takes is a few bytes for each run, and the time follows the pixels, not the values x pixels. The loops let other threads run.
Importing this module imports numba; :mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.labels import LabelMap


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The 8-connected parts of equal value of a map, by rising value, within a value in reading order.

    Attributes:
        numbers: (H, W) int32, number of each pixel's part, 1..N; 0 outside.
        rows: (N, 6) int64: first column and row, and the last ones, of the box; x and y of its first pixel in reading order.
        pixels: (N,) int64.
        sums: (N, 2) int64 of the columns and the rows of its pixels.
        values: (N,) int64.
    """

    numbers: NDArray[np.int32]
    rows: NDArray[np.int64]
    pixels: NDArray[np.int64]
    sums: NDArray[np.int64]
    values: NDArray[np.int64]


def find_parts(values: NDArray[Any], where: NDArray[np.bool_] | None) -> Parts:
    """Find the parts of a map.

    Args:
        values: (H, W) integers, C-contiguous.
        where: (H, W) bool; pixels outside belong to no part. None takes all.
    """
    inside = np.ones((1, 1), np.bool_) if where is None else np.ascontiguousarray(where)
    runs = _runs(values, inside, where is not None)
    owner, number = _owners(values, *runs)
    # The first run of a part in reading order is the one that its number was given for.
    _, first = np.unique(owner, return_index=True)
    row = np.searchsorted(runs[0], first, side="right") - 1
    found = values[row, runs[1][first]].astype(np.int64)
    order = np.argsort(found, kind="stable")
    place = np.empty(number, np.int64)
    place[order] = np.arange(number)
    owner = place[owner]
    numbers, rows = np.zeros(values.shape, np.int32), np.zeros((number, 6), np.int64)
    pixels, sums = np.zeros(number, np.int64), np.zeros((number, 2), np.int64)
    _measure(*runs, owner, numbers, rows, pixels, sums)
    return Parts(numbers, rows, pixels, sums, found[order])


def part_marks(labels: LabelMap, marks: NDArray[np.uint8], void: np.uint8 | np.uint16) -> NDArray[np.uint8]:
    """Collect marks over connected parts.

    Args:
        labels: (H, W), C-contiguous; a part is 8-connected pixels of one value.
        marks: (H, W) uint8, bits of each pixel.
        void: the value that is no part.

    Returns:
        (H, W) uint8: all bits that pixels of the part have; 0 where ``labels`` is void.
    """
    runs = _runs(labels, labels != void, True)
    owner, number = _owners(labels, *runs)
    found = np.zeros(labels.shape, np.uint8)
    _spread(*runs, owner, marks, np.zeros(number, np.uint8), found)
    return found


@compile_loop
def _runs(
    values: NDArray[Any], where: NDArray[np.bool_], masked: bool
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Where the runs of each row begin in the list of all, (H + 1,), and the first column of each and that behind it."""
    height, width = values.shape
    first = np.zeros(height + 1, np.int64)
    for y in range(height):
        number = 0
        for x in range(width):
            if masked and not where[y, x]:
                continue
            number += x == 0 or values[y, x] != values[y, x - 1] or (masked and not where[y, x - 1])
        first[y + 1] = first[y] + number
    starts, stops = np.empty(first[height], np.int32), np.empty(first[height], np.int32)
    run = -1
    for y in range(height):
        if first[y] == first[y + 1]:
            continue
        for x in range(width):
            if masked and not where[y, x]:
                continue
            if x == 0 or values[y, x] != values[y, x - 1] or (masked and not where[y, x - 1]):
                run += 1
                starts[run] = x
            stops[run] = x + 1
    return first, starts, stops


@compile_loop
def _owners(
    values: NDArray[Any], first: NDArray[np.int64], starts: NDArray[np.int32], stops: NDArray[np.int32]
) -> tuple[NDArray[np.int64], int]:
    """The part of each run, numbered from 0 by its first run, and the number of parts."""
    parent = np.arange(starts.shape[0])
    for y in range(1, values.shape[0]):
        above = first[y - 1]
        for run in range(first[y], first[y + 1]):
            while above < first[y] and stops[above] < starts[run]:
                above += 1
            other = above
            while other < first[y] and starts[other] <= stops[run]:
                if values[y - 1, starts[other]] == values[y, starts[run]]:
                    one, two = _root(parent, run), _root(parent, other)
                    parent[max(one, two)] = min(one, two)
                other += 1
    number = 0
    owner = np.empty(parent.shape[0], np.int64)
    for run in range(parent.shape[0]):
        root = _root(parent, run)
        if root == run:
            owner[run] = number
            number += 1
        else:
            owner[run] = owner[root]
    return owner, number


@compile_loop
def _root(parent: NDArray[np.int64], run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compile_loop
def _measure(
    first: NDArray[np.int64],
    starts: NDArray[np.int32],
    stops: NDArray[np.int32],
    owner: NDArray[np.int64],
    numbers: NDArray[np.int32],
    rows: NDArray[np.int64],
    pixels: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    for y in range(first.shape[0] - 1):
        for run in range(first[y], first[y + 1]):
            part, start, stop = owner[run], np.int64(starts[run]), np.int64(stops[run])
            numbers[y, start:stop] = part + 1
            if pixels[part] == 0:
                rows[part, 0], rows[part, 1], rows[part, 2], rows[part, 4], rows[part, 5] = start, y, stop - 1, start, y
            rows[part, 0] = min(rows[part, 0], start)
            rows[part, 2] = max(rows[part, 2], stop - 1)
            rows[part, 3] = y
            pixels[part] += stop - start
            sums[part, 0] += (start + stop - 1) * (stop - start) // 2
            sums[part, 1] += y * (stop - start)


@compile_loop
def _spread(
    first: NDArray[np.int64],
    starts: NDArray[np.int32],
    stops: NDArray[np.int32],
    owner: NDArray[np.int64],
    marks: NDArray[np.uint8],
    collected: NDArray[np.uint8],
    found: NDArray[np.uint8],
) -> None:
    for y in range(first.shape[0] - 1):
        for run in range(first[y], first[y + 1]):
            for x in range(starts[run], stops[run]):
                collected[owner[run]] |= marks[y, x]
    for y in range(first.shape[0] - 1):
        for run in range(first[y], first[y + 1]):
            found[y, starts[run] : stops[run]] = collected[owner[run]]
