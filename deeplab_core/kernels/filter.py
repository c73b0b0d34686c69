"""Compiled loops over labels: splat, blur, slice, and the mean-field step.

Points hold one float32 per label in rows (N, P), P padded to whole vectors. Vertices hold them in blocks (P / width, M, width):
a block is filtered on its own, and a table of one vector per vertex stays in the cache where one of all labels would not (21
labels over 177,000 vertices: 3 x 3 ms of blurring instead of 22). Every loop works on a range, so that threads can share it, and
releases the interpreter lock. Loops are compiled for one vector width and one number of simplex corners: they unroll, and rows
stay in registers, which halves the time again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.kernels.lattice import Floats, Numbers
from deeplab_core.kernels.vectors import (
    Vector,
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
from deeplab_core.labels import LabelMap

Loop = Callable[..., None]

_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOWEST = np.float32(-3e38)
#: Points with energies gathered block by block before they are normalised; their rows stay in the second-level cache.
_STRIP = 1024


def padded(labels: int) -> int:
    """Floats of a row that holds ``labels``: one vector of 4 up to four labels, vectors of 8 above."""
    return 4 if labels <= 4 else -(-labels // 8) * 8


def vector_width(row: int) -> int:
    """Floats of a vector in rows of ``row`` floats."""
    return 4 if row == 4 else 8


@cache
def splat_loop(WIDTH: int, CORNERS: int) -> Loop:
    """``(vertices, weights, factors, source, block, table, first, last)``: add points, times ``factors``, to their vertices.

    ``source`` is (N, P), ``table`` (M, width): the vertices' values of the labels of ``block``.
    """

    @compile_loop
    def splat(
        vertices: Numbers, weights: Floats, factors: Floats, source: Floats, block: int, table: Floats, first: int, last: int
    ) -> None:
        row = source.shape[1]
        for p in range(first, last):
            value = scale(load(source, p * row + block * WIDTH, WIDTH), pick(factors, p))
            for r in range(CORNERS):
                at = np.int64(pick(vertices, p * CORNERS + r)) * WIDTH
                store(table, at, add_scaled(load(table, at, WIDTH), value, pick(weights, p * CORNERS + r)))

    return splat


@cache
def slice_loop(WIDTH: int, CORNERS: int) -> Loop:
    """``(vertices, weights, factor, table, out, block, first, last)``: read the vertices back at the points, times a float32."""

    @compile_loop
    def slice_(
        vertices: Numbers, weights: Floats, factor: np.float32, table: Floats, out: Floats, block: int, first: int, last: int
    ) -> None:
        row = out.shape[1]
        for p in range(first, last):
            total = fill(_ZERO, WIDTH)
            for r in range(CORNERS):
                value = load(table, np.int64(pick(vertices, p * CORNERS + r)) * WIDTH, WIDTH)
                total = add_scaled(total, value, pick(weights, p * CORNERS + r))
            store(out, p * row + block * WIDTH, scale(total, factor))

    return slice_


@cache
def blur_loop(WIDTH: int) -> Loop:
    """``(rows, table, first, last)``: [1/2 1 1/2] in place along whole rows of vertices (:func:`lattice_kernels.chain`)."""

    @compile_loop
    def blur(rows: Numbers, table: Floats, first: int, last: int) -> None:
        n = first
        while n < last:
            before = fill(_ZERO, WIDTH)
            vertex = np.int64(pick(rows, n))
            at = vertex * WIDTH
            here = load(table, at, WIDTH)
            while vertex >= 0:
                n += 1
                vertex = np.int64(pick(rows, n))
                next_at = (vertex if vertex >= 0 else ~vertex) * WIDTH
                after = load(table, next_at, WIDTH)
                store(table, at, add_scaled(here, add(before, after), _HALF))
                before = here
                here = after
                at = next_at
            store(table, at, add_scaled(here, before, _HALF))
            n += 1

    return blur


@cache
def merge_loop(WIDTH: int) -> Loop:
    """``(table, other, first, last)``: add ``other`` to a table and empty it."""

    @compile_loop
    def merge(table: Floats, other: Floats, first: int, last: int) -> None:
        for at in range(np.int64(first) * WIDTH, np.int64(last) * WIDTH, WIDTH):
            store(table, at, add(load(table, at, WIDTH), load(other, at, WIDTH)))
            store(other, at, fill(_ZERO, WIDTH))

    return merge


@cache
def _attraction(WIDTH: int, CORNERS: int) -> Callable[..., Any]:
    """One kernel's part of a point's logits: its slice of one block, times the point's factor, added to ``total``."""

    @compile_loop
    def attraction(
        total: Vector, vertices: Numbers, weights: Floats, factors: Floats, table: Floats, base: int, p: int
    ) -> Vector:
        if CORNERS == 0:
            return total
        part = scale(load(table, base + np.int64(pick(vertices, p * CORNERS)) * WIDTH, WIDTH), pick(weights, p * CORNERS))
        for r in range(1, CORNERS):
            value = load(table, base + np.int64(pick(vertices, p * CORNERS + r)) * WIDTH, WIDTH)
            part = add_scaled(part, value, pick(weights, p * CORNERS + r))
        attracted: Vector = add_scaled(total, part, pick(factors, p))
        return attracted

    return attraction


@cache
def step_loop(WIDTH: int, SINGLE: bool, CORNERS1: int, CORNERS2: int) -> Loop:
    """``(logits, q, first, last, vertices, weights, factors, tables, ...)``: the mean-field update from two lattices.

    Row p of ``q`` becomes the softmax of ``logits[p] + Σ factors[p] * slice(tables)[p]``; ``tables`` is (blocks, M, width). A
    lattice with no corners is not looked at; without any this is the softmax. ``SINGLE``: one block holds all labels.
    """
    first_of, second_of = _attraction(WIDTH, CORNERS1), _attraction(WIDTH, CORNERS2)

    @compile_loop
    def step_single(
        logits: Floats,
        q: Floats,
        first: int,
        last: int,
        vertices1: Numbers,
        weights1: Floats,
        factors1: Floats,
        tables1: Floats,
        vertices2: Numbers,
        weights2: Floats,
        factors2: Floats,
        tables2: Floats,
    ) -> None:
        for p in range(first, last):
            total = load(logits, p * WIDTH, WIDTH)
            total = first_of(total, vertices1, weights1, factors1, tables1, 0, p)
            total = second_of(total, vertices2, weights2, factors2, tables2, 0, p)
            e = exponential(add(total, fill(-largest_of(total), WIDTH)))
            store(q, p * WIDTH, scale(e, _ONE / sum_of(e)))

    @compile_loop
    def step_blocks(
        logits: Floats,
        q: Floats,
        first: int,
        last: int,
        vertices1: Numbers,
        weights1: Floats,
        factors1: Floats,
        tables1: Floats,
        vertices2: Numbers,
        weights2: Floats,
        factors2: Floats,
        tables2: Floats,
    ) -> None:
        row = q.shape[1]
        for begin in range(first, last, _STRIP):
            end = min(begin + _STRIP, last)
            for b in range(row // WIDTH):
                base1, base2 = b * tables1.shape[1] * WIDTH, b * tables2.shape[1] * WIDTH
                for p in range(begin, end):
                    at = p * row + b * WIDTH
                    total = load(logits, at, WIDTH)
                    total = first_of(total, vertices1, weights1, factors1, tables1, base1, p)
                    total = second_of(total, vertices2, weights2, factors2, tables2, base2, p)
                    store(q, at, total)
            for p in range(begin, end):
                peak = fill(_LOWEST, WIDTH)
                for at in range(p * row, p * row + row, WIDTH):
                    peak = larger(peak, load(q, at, WIDTH))
                lowered = fill(-largest_of(peak), WIDTH)
                mass = fill(_ZERO, WIDTH)
                for at in range(p * row, p * row + row, WIDTH):
                    e = exponential(add(load(q, at, WIDTH), lowered))
                    mass = add(mass, e)
                    store(q, at, e)
                share = _ONE / sum_of(mass)
                for at in range(p * row, p * row + row, WIDTH):
                    store(q, at, scale(load(q, at, WIDTH), share))

    return step_single if SINGLE else step_blocks


@compile_loop
def largest_of_columns(q: Floats, out: Floats) -> None:
    """Raise ``out`` (P,) to the largest value of every column of ``q`` (N, P)."""
    columns = q.shape[1]
    for p in range(q.shape[0]):
        for k in range(columns):
            value = pick(q, p * columns + k)
            out[k] = max(out[k], value)


@compile_loop
def take_columns(source: Floats, columns: Numbers, out: Floats) -> None:
    """Copy some columns of (N, P) into the first ones of ``out``."""
    row = source.shape[1]
    for p in range(source.shape[0]):
        for k in range(columns.shape[0]):
            out[p, k] = pick(source, p * row + columns[k])


@compile_loop
def leading_label(q: Floats, labels: int, ids: LabelMap, out: Floats) -> None:
    """The id of the largest of the first ``labels`` columns of every row; of equals the first."""
    for p in range(q.shape[0]):
        best = 0
        for k in range(1, labels):
            if q[p, k] > q[p, best]:
                best = k
        out[p] = ids[best]
