"""Compiled transforms of limited reach: how near every pixel is to void or to another class.

Squared Euclidean distances are separable: with ``g(y, x)`` the steps to the next pixel of another class within the column and
``h(y, x)`` those within the row, they are the smaller of ``h^2`` and ``min over s of s^2 + g(y, x + s)^2`` for ``s`` from
``-reach`` to ``reach``. A chessboard (Chebyshev) distance is the smaller of two: to targets in the cones above and below, and,
of the transposed map, to those left and right; a cone is one sweep over the rows. Both run over whole rows at once in 8 or 16
bits, which compilers turn into vector instructions. Everything is integer arithmetic, hence exact.

The loops let other threads run. Importing this module imports numba; :mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.labels import LabelMap

#: The squares of this and of one more, added, fit 16 bits.
FARTHEST = 180

_STEP = np.uint8(1)


def edge_squares(filled: LabelMap, reach: int) -> NDArray[np.uint16]:
    """Squared Euclidean distance of every pixel to the nearest pixel of another class.

    Args:
        filled: (H, W) uint8 or uint16, C-contiguous.
        reach: 1..:data:`FARTHEST`.

    Returns:
        (H, W) uint16; ``(reach + 1) ** 2`` wherever it is larger than ``reach ** 2``.
    """
    far = np.uint8(reach + 1)
    along = _columns_to_edge(np.ascontiguousarray(filled.T), far)
    squares: NDArray[np.uint16] = _rows_to_edge(_columns_to_edge(filled, far), np.ascontiguousarray(along.T), far)
    return squares


def edge_steps(filled: LabelMap, reach: int) -> NDArray[np.uint8]:
    """(H, W) uint8: smallest whole number not below the distance of :func:`edge_squares`; ``reach + 1`` where it is larger."""
    index = np.empty(filled.shape, dtype=np.uint8)
    _look_up(edge_squares(filled, reach).reshape(-1), _roots(reach), index.reshape(-1))
    return index


@lru_cache(maxsize=8)
def _roots(reach: int) -> NDArray[np.uint8]:
    """Square roots, rounded up, of 0 .. (reach + 1)^2."""
    return np.array([math.isqrt(max(square - 1, 0)) + (square > 0) for square in range((reach + 1) ** 2 + 1)], dtype=np.uint8)


def void_steps(truth: LabelMap, ignore: int, reach: int) -> NDArray[np.uint8]:
    """Chebyshev distance of every pixel to the nearest pixel of value ``ignore``.

    Args:
        truth: (H, W) uint8 or uint16, C-contiguous.
        ignore: value of void.
        reach: 1..:data:`FARTHEST`.

    Returns:
        (H, W) uint8, 0 on void, ``reach + 1`` wherever it is larger than ``reach``.
    """
    void, far = truth == ignore, np.uint8(reach + 1)
    steps: NDArray[np.uint8] = _cones(void, far)
    np.minimum(steps, _cones(np.ascontiguousarray(void.T), far).T, out=steps)
    return steps


@compile_loop
def _look_up(squares: NDArray[np.uint16], roots: NDArray[np.uint8], index: NDArray[np.uint8]) -> None:
    for place in range(squares.shape[0]):
        index[place] = roots[squares[place]]


@compile_loop
def _columns_to_edge(labels: LabelMap, far: np.uint8) -> NDArray[np.uint8]:
    """(H, W) uint8: steps up or down to the next pixel of another class in the column, at most ``far``."""
    height, width = labels.shape
    steps = np.empty((height, width), np.uint8)
    steps[0, :] = far
    for y in range(1, height):
        _next_steps(steps[y], steps[y - 1], labels[y], labels[y - 1], far)
    below = np.full(width, far, np.uint8)
    for y in range(height - 2, -1, -1):
        _next_steps(below, below, labels[y], labels[y + 1], far)
        _keep_smaller(steps[y], below)
    return steps


@compile_loop
def _next_steps(out: NDArray[np.uint8], before: NDArray[np.uint8], row: LabelMap, other: LabelMap, far: np.uint8) -> None:
    for x in range(out.shape[0]):
        step = before[x]
        more = np.uint8(step + _STEP) if step < far else far
        out[x] = more if row[x] == other[x] else _STEP


@compile_loop
def _keep_smaller(out: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    for x in range(out.shape[0]):
        out[x] = other[x] if other[x] < out[x] else out[x]


@compile_loop
def _rows_to_edge(columns: NDArray[np.uint8], rows: NDArray[np.uint8], far: np.uint8) -> NDArray[np.uint16]:
    """(H, W) uint16 squared distances from the steps within each column and within each row, at most ``far`` squared."""
    height, width = columns.shape
    squares = np.empty((height, width), np.uint16)
    margin = np.int64(far)
    most, beyond = np.uint16((margin - 1) * (margin - 1)), np.uint16(margin * margin)
    # As many columns more on both sides as a shift can be, never nearer than what is there.
    own = np.full(width + 2 * margin, beyond, np.uint16)
    for y in range(height):
        out = squares[y]
        _square(own[margin : margin + width], columns[y])
        _square(out, rows[y])
        _nearer(out, own[margin:], own[margin:], np.uint16(0))
        for shift in range(1, margin):
            square = np.uint16(shift * shift)
            if shift & 3 == 0 and _largest(out) <= square:
                break
            _nearer(out, own[margin - shift :], own[margin + shift :], square)
        for x in range(width):
            out[x] = out[x] if out[x] <= most else beyond
    return squares


@compile_loop
def _square(out: NDArray[np.uint16], steps: NDArray[np.uint8]) -> None:
    for x in range(out.shape[0]):
        out[x] = np.uint16(np.uint16(steps[x]) * np.uint16(steps[x]))


@compile_loop
def _largest(row: NDArray[np.uint16]) -> np.uint16:
    most = np.uint16(0)
    for x in range(row.shape[0]):
        most = row[x] if row[x] > most else most
    return most


@compile_loop
def _nearer(out: NDArray[np.uint16], left: NDArray[np.uint16], right: NDArray[np.uint16], square: np.uint16) -> None:
    # A column of another class counts to the wrong class, but that is no nearer than the column itself, which the row has.
    for x in range(out.shape[0]):
        smaller = left[x] if left[x] < right[x] else right[x]
        found = np.uint16(smaller + square)
        out[x] = found if found < out[x] else out[x]


@compile_loop
def _cones(targets: NDArray[np.bool_], far: np.uint8) -> NDArray[np.uint8]:
    """(H, W) uint8: steps to the nearest target in the cones above and below each pixel, at most ``far``."""
    height, width = targets.shape
    steps = np.empty((height, width), np.uint8)
    # One column more on both sides, so that every pixel of the row before has two neighbours.
    row, before = np.full(width + 2, far, np.uint8), np.full(width + 2, far, np.uint8)
    for y in range(height):
        _cone_row(row, targets[y], before, far)
        steps[y] = row[1:-1]
        row, before = before, row
    before[:] = far
    for y in range(height - 1, -1, -1):
        _cone_row(row, targets[y], before, far)
        _keep_smaller(steps[y], row[1:-1])
        row, before = before, row
    return steps


@compile_loop
def _cone_row(row: NDArray[np.uint8], targets: NDArray[np.bool_], before: NDArray[np.uint8], far: np.uint8) -> None:
    for x in range(targets.shape[0]):
        left, middle, right = before[x], before[x + 1], before[x + 2]
        nearest = left if left < right else right
        nearest = middle if middle < nearest else nearest
        more = np.uint8(nearest + _STEP) if nearest < far else far
        row[x + 1] = np.uint8(0) if targets[x] else more
