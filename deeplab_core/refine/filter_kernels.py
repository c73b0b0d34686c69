"""Compiled loops over rows of labels: splat, blur, slice, and the mean-field step.

Rows hold one float32 per label, padded to a multiple of the vector width; every loop works on a range, so that threads can share
the work, and releases the interpreter lock. A loop is compiled for one vector width, one number of simplex corners, and apart for
rows of a single vector: with these known, inner loops unroll and rows stay in registers, which halves the time of few labels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from deeplab_core.refine.lattice_kernels import compiled
from deeplab_core.refine.vectors import (
    add,
    add_scaled,
    exponential,
    fill,
    larger,
    largest_of,
    load,
    pick,
    scale,
    store,
    sum_of,
)

Loop = Callable[..., None]

_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOWEST = np.float32(-3e38)


def padded(labels: int) -> int:
    """Floats of a row that holds ``labels``: one vector of 4 up to four labels, vectors of 8 above."""
    return 4 if labels <= 4 else -(-labels // 8) * 8


def _shape(row: int) -> tuple[int, bool]:
    """Vector width of rows of ``row`` floats, and whether one vector holds them."""
    return (4, True) if row == 4 else (8, row == 8)


def splat_loop(row: int, corners: int) -> Loop:
    """``(vertices, weights, factors, source, table, first, last)``: add the points' rows, times ``factors``, to their vertices."""
    return _splat(*_shape(row), corners)


def slice_loop(row: int, corners: int) -> Loop:
    """``(vertices, weights, factor, table, out, first, last)``: read the vertices back at the points, times a float32."""
    return _slice(*_shape(row), corners)


def blur_loop(row: int) -> Loop:
    """``(rows, table, first, last)``: [1/2 1 1/2] in place along whole rows of vertices (:func:`lattice_kernels.chain`)."""
    return _blur(*_shape(row))


def merge_loop(row: int) -> Loop:
    """``(table, other, first, last)``: add a table to another and empty it."""
    return _merge(*_shape(row))


def softmax_loop(row: int) -> Loop:
    """``(logits, q, first, last)``: softmax of every row."""
    return _step(*_shape(row), 0, 0)


def step_loop(row: int, corners: tuple[int, ...]) -> Loop:
    """``(logits, q, first, last, vertices, weights, factors, table, ...)``: the mean-field update from one or two tables.

    Row p of ``q`` becomes the softmax of ``logits[p] + Σ factors[p] * slice(table)[p]``.
    """
    first, second = (*corners, 0)[:2]
    return _step(*_shape(row), first, second)


@cache
def _splat(WIDTH: int, SINGLE: bool, CORNERS: int) -> Loop:
    @compiled
    def splat(vertices: Any, weights: Any, factors: Any, source: Any, table: Any, first: int, last: int) -> None:
        row = WIDTH if SINGLE else table.shape[1]
        for p in range(first, last):
            factor = pick(factors, p)
            for b in range(0, row, WIDTH):
                value = scale(load(source, p * row + b, WIDTH), factor)
                for r in range(CORNERS):
                    at = np.int64(pick(vertices, p * CORNERS + r)) * row + b
                    store(table, at, add_scaled(load(table, at, WIDTH), value, pick(weights, p * CORNERS + r)))

    return splat  # type: ignore[no-any-return]


@cache
def _slice(WIDTH: int, SINGLE: bool, CORNERS: int) -> Loop:
    @compiled
    def slice_(vertices: Any, weights: Any, factor: Any, table: Any, out: Any, first: int, last: int) -> None:
        row = WIDTH if SINGLE else table.shape[1]
        for p in range(first, last):
            for b in range(0, row, WIDTH):
                total = fill(_ZERO, WIDTH)
                for r in range(CORNERS):
                    value = load(table, np.int64(pick(vertices, p * CORNERS + r)) * row + b, WIDTH)
                    total = add_scaled(total, value, pick(weights, p * CORNERS + r))
                store(out, p * row + b, scale(total, factor))

    return slice_  # type: ignore[no-any-return]


@cache
def _blur(WIDTH: int, SINGLE: bool) -> Loop:
    @compiled
    def blur(rows: Any, table: Any, first: int, last: int) -> None:
        row = WIDTH if SINGLE else table.shape[1]
        n = first
        while n < last:
            end = n
            while pick(rows, end) >= 0:
                end += 1
            for b in range(0, row, WIDTH):
                before = fill(_ZERO, WIDTH)
                at = np.int64(pick(rows, n)) * row + b
                here = load(table, at, WIDTH)
                for m in range(n + 1, end + 1):
                    vertex = np.int64(pick(rows, m))
                    next_at = (vertex if vertex >= 0 else ~vertex) * row + b
                    after = load(table, next_at, WIDTH)
                    store(table, at, add_scaled(here, add(before, after), _HALF))
                    before = here
                    here = after
                    at = next_at
                store(table, at, add_scaled(here, before, _HALF))
            n = end + 1

    return blur  # type: ignore[no-any-return]


@cache
def _merge(WIDTH: int, SINGLE: bool) -> Loop:
    @compiled
    def merge(table: Any, other: Any, first: int, last: int) -> None:
        row = WIDTH if SINGLE else table.shape[1]
        for at in range(np.int64(first) * row, np.int64(last) * row, WIDTH):
            store(table, at, add(load(table, at, WIDTH), load(other, at, WIDTH)))
            store(other, at, fill(_ZERO, WIDTH))

    return merge  # type: ignore[no-any-return]


@cache
def _energy(WIDTH: int, CORNERS: int) -> Callable[..., Any]:
    @compiled
    def energy(total: Any, vertices: Any, weights: Any, factors: Any, table: Any, p: int, row: int, b: int) -> Any:
        if CORNERS == 0:
            return total
        part = scale(load(table, np.int64(pick(vertices, p * CORNERS)) * row + b, WIDTH), pick(weights, p * CORNERS))
        for r in range(1, CORNERS):
            value = load(table, np.int64(pick(vertices, p * CORNERS + r)) * row + b, WIDTH)
            part = add_scaled(part, value, pick(weights, p * CORNERS + r))
        return add_scaled(total, part, pick(factors, p))

    return energy


@cache
def _step(WIDTH: int, SINGLE: bool, CORNERS1: int, CORNERS2: int) -> Loop:
    energy1, energy2 = _energy(WIDTH, CORNERS1), _energy(WIDTH, CORNERS2)

    @compiled
    def step_single(
        logits: Any, q: Any, first: int, last: int, vertices1: Any, weights1: Any, factors1: Any, table1: Any, vertices2: Any,
        weights2: Any, factors2: Any, table2: Any,
    ) -> None:  # fmt: skip
        for p in range(first, last):
            total = load(logits, p * WIDTH, WIDTH)
            total = energy1(total, vertices1, weights1, factors1, table1, p, WIDTH, 0)
            total = energy2(total, vertices2, weights2, factors2, table2, p, WIDTH, 0)
            e = exponential(add(total, fill(-largest_of(total), WIDTH)))
            store(q, p * WIDTH, scale(e, _ONE / sum_of(e)))

    @compiled
    def step_wide(
        logits: Any, q: Any, first: int, last: int, vertices1: Any, weights1: Any, factors1: Any, table1: Any, vertices2: Any,
        weights2: Any, factors2: Any, table2: Any,
    ) -> None:  # fmt: skip
        row = q.shape[1]
        for p in range(first, last):
            peak = fill(_LOWEST, WIDTH)
            for b in range(0, row, WIDTH):
                total = load(logits, p * row + b, WIDTH)
                total = energy1(total, vertices1, weights1, factors1, table1, p, row, b)
                total = energy2(total, vertices2, weights2, factors2, table2, p, row, b)
                store(q, p * row + b, total)
                peak = larger(peak, total)
            lowered = fill(-largest_of(peak), WIDTH)
            mass = fill(_ZERO, WIDTH)
            for b in range(0, row, WIDTH):
                e = exponential(add(load(q, p * row + b, WIDTH), lowered))
                mass = add(mass, e)
                store(q, p * row + b, e)
            share = _ONE / sum_of(mass)
            for b in range(0, row, WIDTH):
                store(q, p * row + b, scale(load(q, p * row + b, WIDTH), share))

    return step_single if SINGLE else step_wide  # type: ignore[no-any-return]


@compiled
def leading_label(q: Any, labels: int, ids: Any, out: Any) -> None:
    """The id of the largest of the first ``labels`` columns of every row; of equals the first."""
    for p in range(q.shape[0]):
        best = 0
        for k in range(1, labels):
            if q[p, k] > q[p, best]:
                best = k
        out[p] = ids[best]
