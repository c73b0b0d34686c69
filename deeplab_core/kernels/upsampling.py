"""Compiled inner loops of the final upsampling, with exact cell pruning.

Upsampling is bilinear, so inside the cell between four neighbouring grid points every score is a convex combination of its four
corner values. Hence, without looking at a single pixel:

- a class that leads at all four corners leads in the whole cell;
- a class with its largest corner below another class's smallest corner leads nowhere in it;
- with ``p`` the softmax of the leading class, ``1 / p = sum exp(v_c - v_lead)`` is convex in the position, so ``p`` is nowhere
  smaller than at the worst corner: where that already rounds to 255, the confidence is 255 in the whole cell.

Along a pixel row of a cell every score is linear, so its exponential is a geometric sequence: long runs need two exponentials per
class, not one per pixel.

Where only labels are asked for (:func:`decide_labels`) nothing is exponentiated, and a class with its largest corner below the
smallest corner of another need not be looked at.

Grids are (gh, gw, C) float32 with the largest score of every point 0. Arithmetic is float32 in one fixed order, so that a single
pixel asked for later gives the bits of the whole map. ``numpy_kernels`` does the same without a compiler.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.labels import LabelMap

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]
#: Bits of float16 numbers.
Halves = NDArray[np.uint16]

#: Natural logarithm of the probability that the classes left out of a cell's softmax may reach together.
NEGLIGIBLE = np.float32(math.log(1e-5))

# exp(x) for -20 <= x <= 0 as p(x / 32) ** 32 with p the Taylor polynomial of degree 6 around -0.3125 (relative error 2e-6):
# unlike the library's exp it has no branch and no call, so several classes are computed at once.
_EXP_FLOOR = np.float32(-20.0)
_EXP_STEP = np.float32(1.0 / 32.0)
_EXP_CENTRE = np.float32(0.3125)
_E0, _E1, _E2, _E3, _E4, _E5, _E6 = (np.float32(math.exp(-0.3125) / math.factorial(n)) for n in range(7))

#: Sums over classes may be reordered into vectors; products and sums are never fused.
_REORDER = {"reassoc", "nnan", "nsz"}

#: Whether strips may be large because only undecided cells cost anything.
PRUNES = True

#: From this many pixels on a run is computed by geometric sequences.
_LONG_RUN = 6
#: Largest fall of a score along such a run: exp(-60) is far above float32's smallest number.
_STEEPEST = np.float32(60.0)

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_SCALE = np.float32(255.0)
#: The bits of a float16 without its sign.
_MAGNITUDE = np.uint16(0x7FFF)


_compiled = compile_loop(fastmath=_REORDER)


@compile_loop
def _between(low: np.float32, high: np.float32, low_weight: np.float32, high_weight: np.float32) -> np.float32:
    """A score between two others. No liberty is taken with it: labels are the same everywhere, with or without confidence."""
    return low * low_weight + high * high_weight


@_compiled
def _run_end(lower: Places, start: int) -> int:
    """End of the run of pixels that share a cell."""
    stop = start + 1
    while stop < lower.shape[0] and lower[stop] == lower[start]:
        stop += 1
    return stop


@_compiled
def _gather_classes(a: Floats, b: Floats, c: Floats, d: Floats, active: NDArray[np.int64]) -> int:
    """Classes that are not negligible somewhere in the cell of the corners a, b, c, d; returns their number."""
    floor = np.float32(-np.inf)
    classes = a.shape[0]
    for k in range(classes):
        floor = max(floor, min(min(a[k], b[k]), min(c[k], d[k])))
    floor += NEGLIGIBLE - np.float32(math.log(classes))
    count = 0
    for k in range(classes):
        if max(max(a[k], b[k]), max(c[k], d[k])) >= floor:
            active[count] = k
            count += 1
    return count


@_compiled
def _weigh_pixel(left: Floats, right: Floats, count: int, wx: np.float32, values: Floats) -> tuple[int, np.float32]:
    """Scores of the active classes of one pixel as exp(score - largest) in ``values``; the leading one, and their sum."""
    vx = _ONE - wx
    largest = np.float32(-np.inf)
    for n in range(count):
        values[n] = _between(left[n], right[n], vx, wx)
        largest = max(largest, values[n])
    best = 0
    while values[best] < largest:
        best += 1
    total = np.float32(0.0)
    for n in range(count):
        t = max(values[n] - largest, _EXP_FLOOR) * _EXP_STEP + _EXP_CENTRE
        e = _E0 + t * (_E1 + t * (_E2 + t * (_E3 + t * (_E4 + t * (_E5 + t * _E6)))))
        e *= e
        e *= e
        e *= e
        e *= e
        e *= e
        values[n] = e
        total += e
    return best, total


@_compiled
def _leader(left: Floats, right: Floats, count: int, wx: np.float32) -> int:
    """The leading one of the active classes of one pixel; the first of equal ones."""
    vx = _ONE - wx
    best = 0
    largest = _between(left[0], right[0], vx, wx)
    for n in range(1, count):
        value = _between(left[n], right[n], vx, wx)
        if value > largest:
            largest = value
            best = n
    return best


@_compiled
def _is_even(weight: Floats, start: int, stop: int) -> bool:
    """Whether the weights of a run grow by equal steps; not so where coordinates are clamped at the border."""
    step = (weight[stop - 1] - weight[start]) / np.float32(stop - 1 - start)
    tolerance = np.float32(1e-5)
    begins = abs(weight[start + 1] - weight[start] - step) < tolerance
    ends = abs(weight[stop - 1] - weight[stop - 2] - step) < tolerance
    return bool(begins and ends)


@_compiled
def _decide_run(
    left: Floats,
    right: Floats,
    count: int,
    x_weight: Floats,
    x0: int,
    x1: int,
    fixed: int,
    values: Floats,
    ratios: Floats,
    winners: NDArray[np.int64],
    confidence: Bytes,
) -> bool:
    """Winner (an index into the active classes) and confidence of a long run of pixels of one row, by geometric sequences.

    ``fixed`` is the winner where it is known for the whole cell, else -1. False, with nothing to rely on, where the scores fall
    so steeply that float32 exponentials would vanish.
    """
    first, last = x_weight[x0], x_weight[x1 - 1]
    step = (last - first) / np.float32(x1 - 1 - x0)
    reference = np.float32(-np.inf)
    bound = np.float32(-np.inf)
    for n in range(count):
        at_first = left[n] * (_ONE - first) + right[n] * first
        at_last = left[n] * (_ONE - last) + right[n] * last
        if abs(at_last - at_first) > _STEEPEST:
            return False
        reference = max(reference, max(at_first, at_last))
        bound = max(bound, min(at_first, at_last))
    if reference - bound > _STEEPEST:
        return False
    for n in range(count):
        values[n] = math.exp(left[n] * (_ONE - first) + right[n] * first - reference)
        ratios[n] = math.exp((right[n] - left[n]) * step)
    for x in range(x0, x1):
        best = fixed
        if fixed < 0:
            best = _leader(left, right, count, x_weight[x])
        winners[x] = best
        total = np.float32(0.0)
        for n in range(count):
            total += values[n]
        confidence[x] = np.uint8(min(_SCALE, _SCALE * values[best] / total + _HALF))
        for n in range(count):
            values[n] *= ratios[n]
    return True


@_compiled
def decide(
    grid: Floats,
    lead: NDArray[np.int32],
    sure: NDArray[np.bool_],
    first_row: int,
    y_lower: Places,
    y_upper: Places,
    y_weight: Floats,
    x_lower: Places,
    x_upper: Places,
    x_weight: Floats,
    ids: LabelMap,
    labels: LabelMap,
    confidence: Bytes,
) -> None:
    """Labels and confidence of some pixel rows from one grid.

    Args:
        grid: (rows, gw, C) float32: the grid rows from ``first_row`` on.
        lead: (rows, gw) int32: leading class of every grid point.
        sure: (rows, gw) bool: its probability rounds to 255.
        first_row: grid row of ``grid[0]``.
        y_lower, y_upper, y_weight: taps of the pixel rows (:class:`geometry.AxisTaps`); x_...: of all pixel columns.
        ids: (C,) class id of every channel, in the dtype of ``labels``.
        labels, confidence: (pixel rows, W), written.
    """
    classes = grid.shape[2]
    active = np.empty(classes, np.int64)
    left = np.empty(classes, np.float32)
    right = np.empty(classes, np.float32)
    values = np.empty(classes, np.float32)
    ratios = np.empty(classes, np.float32)
    winners = np.empty(x_lower.shape[0], np.int64)
    y0 = 0
    while y0 < y_lower.shape[0]:
        y1 = _run_end(y_lower, y0)
        top, bottom = y_lower[y0] - first_row, y_upper[y0] - first_row
        x0 = 0
        while x0 < x_lower.shape[0]:
            x1 = _run_end(x_lower, x0)
            i, j = x_lower[x0], x_upper[x0]
            leader = lead[top, i]
            same = lead[top, j] == leader and lead[bottom, i] == leader and lead[bottom, j] == leader
            if same and sure[top, i] and sure[top, j] and sure[bottom, i] and sure[bottom, j]:
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        labels[y, x] = ids[leader]
                        confidence[y, x] = 255
                x0 = x1
                continue
            a, b, c, d = grid[top, i], grid[top, j], grid[bottom, i], grid[bottom, j]
            count = _gather_classes(a, b, c, d, active)
            fixed = -1
            if same:
                fixed = 0
                while active[fixed] != leader:
                    fixed += 1
            long_run = x1 - x0 >= _LONG_RUN and _is_even(x_weight, x0, x1)
            for y in range(y0, y1):
                wy = y_weight[y]
                vy = _ONE - wy
                for n in range(count):
                    k = active[n]
                    left[n] = _between(a[k], c[k], vy, wy)
                    right[n] = _between(b[k], d[k], vy, wy)
                if long_run and _decide_run(left, right, count, x_weight, x0, x1, fixed, values, ratios, winners, confidence[y]):
                    for x in range(x0, x1):
                        labels[y, x] = ids[active[winners[x]]]
                    continue
                for x in range(x0, x1):
                    best, total = _weigh_pixel(left, right, count, x_weight[x], values)
                    labels[y, x] = ids[active[best]]
                    confidence[y, x] = np.uint8(_SCALE / total + _HALF)
            x0 = x1
        y0 = y1


@_compiled
def _gather_winners(a: Halves, b: Halves, c: Halves, d: Halves, nearest: Halves, active: NDArray[np.int64]) -> int:
    """Classes that may lead somewhere in the cell of the corners a, b, c, d; returns their number.

    No float16 is positive here, so that the smaller of two has the larger bits below the sign.
    """
    bound = _MAGNITUDE
    for k in range(a.shape[0]):
        p, q, r, s = a[k] & _MAGNITUDE, b[k] & _MAGNITUDE, c[k] & _MAGNITUDE, d[k] & _MAGNITUDE
        nearest[k] = min(min(p, q), min(r, s))
        bound = min(bound, max(max(p, q), max(r, s)))
    count = 0
    for k in range(a.shape[0]):
        if nearest[k] <= bound:
            active[count] = k
            count += 1
    return count


@_compiled
def _leaders(scores: Halves) -> NDArray[np.int32]:
    """(gh, gw) first class of every point with the score 0."""
    lead = np.empty(scores.shape[:2], np.int32)
    last = scores.shape[2] - 1
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            k = 0
            while k < last and (scores[i, j, k] & _MAGNITUDE) != 0:
                k += 1
            lead[i, j] = k
    return lead


@_compiled
def _leads_cell(lead: NDArray[np.int32], top: int, bottom: int, left: int, right: int) -> bool:
    """Whether one class leads at all corners of a cell."""
    leader = lead[top, left]
    return bool(lead[top, right] == leader and lead[bottom, left] == leader and lead[bottom, right] == leader)


@_compiled
def decide_labels(
    scores: Halves,
    floats: Floats,
    y_lower: Places,
    y_upper: Places,
    y_weight: Floats,
    x_lower: Places,
    x_upper: Places,
    x_weight: Floats,
    ids: LabelMap,
    labels: LabelMap,
) -> None:
    """The labels of :func:`decide`, bit for bit, of all pixel rows from a whole grid; without their confidence.

    Args:
        scores: (gh, gw, C) uint16: the bits of float16 scores, the largest of every point 0.
        floats: (65536,) float32: what the bits of a float16 mean, see :func:`float16_values`.
        y_lower, y_upper, y_weight: taps of the pixel rows (:class:`geometry.AxisTaps`); x_...: of the pixel columns.
        ids: (C,) class id of every channel, in the dtype of ``labels``.
        labels: (H, W), written.
    """
    classes = scores.shape[2]
    lead = _leaders(scores)
    nearest = np.empty(classes, np.uint16)
    active = np.empty(classes, np.int64)
    corners = np.empty((4, classes), np.float32)
    left = np.empty(classes, np.float32)
    right = np.empty(classes, np.float32)
    y0 = 0
    while y0 < y_lower.shape[0]:
        y1 = _run_end(y_lower, y0)
        top, bottom = y_lower[y0], y_upper[y0]
        x0 = 0
        while x0 < x_lower.shape[0]:
            x1 = _run_end(x_lower, x0)
            if _leads_cell(lead, top, bottom, x_lower[x0], x_upper[x0]):
                for x in range(x0, x1):
                    labels[y0, x] = ids[lead[top, x_lower[x0]]]
            x0 = x1
        for y in range(y0 + 1, y1):
            labels[y] = labels[y0]
        x0 = 0
        while x0 < x_lower.shape[0]:
            x1 = _run_end(x_lower, x0)
            i, j = x_lower[x0], x_upper[x0]
            if _leads_cell(lead, top, bottom, i, j):
                x0 = x1
                continue
            count = _gather_winners(scores[top, i], scores[top, j], scores[bottom, i], scores[bottom, j], nearest, active)
            for n in range(count):
                k = active[n]
                corners[0, n], corners[1, n] = floats[scores[top, i, k]], floats[scores[top, j, k]]
                corners[2, n], corners[3, n] = floats[scores[bottom, i, k]], floats[scores[bottom, j, k]]
            for y in range(y0, y1):
                wy = y_weight[y]
                vy = _ONE - wy
                for n in range(count):
                    left[n] = _between(corners[0, n], corners[2, n], vy, wy)
                    right[n] = _between(corners[1, n], corners[3, n], vy, wy)
                for x in range(x0, x1):
                    labels[y, x] = ids[active[_leader(left, right, count, x_weight[x])]]
            x0 = x1
        y0 = y1


@cache
def float16_values() -> Floats:
    """(65536,) float32: the number that every 16 bits are as a float16."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


@_compiled
def add_probabilities(
    grid: Floats,
    first_row: int,
    y_lower: Places,
    y_upper: Places,
    y_weight: Floats,
    x_lower: Places,
    x_upper: Places,
    x_weight: Floats,
    share: np.float32,
    out: Floats,
) -> None:
    """Add ``share`` times the softmax of the upsampled scores to ``out`` (pixel rows, pixel columns, C) float32.

    The other arguments are those of :func:`decide`; the taps may cover any part of the pixel columns.
    """
    classes = grid.shape[2]
    active = np.empty(classes, np.int64)
    left = np.empty(classes, np.float32)
    right = np.empty(classes, np.float32)
    values = np.empty(classes, np.float32)
    y0 = 0
    while y0 < y_lower.shape[0]:
        y1 = _run_end(y_lower, y0)
        top, bottom = y_lower[y0] - first_row, y_upper[y0] - first_row
        x0 = 0
        while x0 < x_lower.shape[0]:
            x1 = _run_end(x_lower, x0)
            i, j = x_lower[x0], x_upper[x0]
            a, b, c, d = grid[top, i], grid[top, j], grid[bottom, i], grid[bottom, j]
            count = _gather_classes(a, b, c, d, active)
            for y in range(y0, y1):
                wy = y_weight[y]
                vy = _ONE - wy
                for n in range(count):
                    k = active[n]
                    left[n] = _between(a[k], c[k], vy, wy)
                    right[n] = _between(b[k], d[k], vy, wy)
                for x in range(x0, x1):
                    _best, total = _weigh_pixel(left, right, count, x_weight[x], values)
                    part = share / total
                    for n in range(count):
                        out[y, x, active[n]] += values[n] * part
            x0 = x1
        y0 = y1


@_compiled
def decide_mean(mean: Floats, ids: LabelMap, labels: LabelMap, confidence: Bytes) -> None:
    """Labels and confidence of some pixel rows from mean probabilities (pixel rows, W, C) float32; the first of equals leads."""
    for y in range(mean.shape[0]):
        for x in range(mean.shape[1]):
            best = 0
            for k in range(1, mean.shape[2]):
                if mean[y, x, k] > mean[y, x, best]:
                    best = k
            labels[y, x] = ids[best]
            confidence[y, x] = np.uint8(min(_SCALE, mean[y, x, best] * _SCALE + _HALF))
