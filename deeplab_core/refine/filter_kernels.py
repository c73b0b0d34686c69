"""Compiled loops over rows of labels: splat, blur, slice, and the mean-field step.

Rows hold one float32 per label, padded to a multiple of the vector width; every loop works on a range, so that threads can share
the work. All of them release the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from deeplab_core.refine.lattice_kernels import compiled
from deeplab_core.refine.vectors import add, add_scaled, exponential, larger, largest_of, load, scale, splat_number, store, sum_of

_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOWEST = np.float32(-3e38)


@dataclass(frozen=True)
class Kernels:
    """The loops for one vector width."""

    width: int
    splat: Callable[..., None]
    blur: Callable[..., None]
    slice: Callable[..., None]
    update: Callable[..., None]
    softmax: Callable[..., None]
    merge: Callable[..., None]

    def padded(self, labels: int) -> int:
        """Floats of a row that holds ``labels``."""
        return -(-labels // self.width) * self.width


def make_kernels(WIDTH: int) -> Kernels:
    """Compile the loops for rows that are multiples of ``WIDTH`` float32."""

    @compiled
    def splat(vertices: Any, weights: Any, norm: Any, source: Any, values: Any, first: int, last: int) -> None:
        corners = vertices.shape[1]
        labels = values.shape[1]
        for p in range(first, last):
            for b in range(0, labels, WIDTH):
                q = scale(load(source, p * labels + b, WIDTH), norm[p])
                for r in range(corners):
                    at = np.int64(vertices[p, r]) * labels + b
                    store(values, at, add_scaled(load(values, at, WIDTH), q, weights[p, r]))

    @compiled
    def blur(rows: Any, values: Any, first: int, last: int) -> None:
        labels = values.shape[1]
        n = first
        while n < last:
            end = n
            while rows[end] >= 0:
                end += 1
            for b in range(0, labels, WIDTH):
                before = splat_number(_ZERO, WIDTH)
                at = np.int64(rows[n]) * labels + b
                here = load(values, at, WIDTH)
                for m in range(n + 1, end + 1):
                    v = np.int64(rows[m])
                    if v < 0:
                        v = ~v
                    next_at = v * labels + b
                    after = load(values, next_at, WIDTH)
                    store(values, at, add_scaled(here, add(before, after), _HALF))
                    before = here
                    here = after
                    at = next_at
                store(values, at, add_scaled(here, before, _HALF))
            n = end + 1

    @compiled
    def slice_(vertices: Any, weights: Any, values: Any, factor: Any, out: Any, first: int, last: int) -> None:
        corners = vertices.shape[1]
        labels = values.shape[1]
        for p in range(first, last):
            for b in range(0, labels, WIDTH):
                total = splat_number(_ZERO, WIDTH)
                for r in range(corners):
                    total = add_scaled(total, load(values, np.int64(vertices[p, r]) * labels + b, WIDTH), weights[p, r])
                store(out, p * labels + b, scale(total, factor))

    @compiled
    def normalise(row: Any, peak: Any, q: Any, p: int) -> None:
        labels = q.shape[1]
        top = largest_of(peak)
        total = splat_number(_ZERO, WIDTH)
        minus = splat_number(-top, WIDTH)
        for b in range(0, labels, WIDTH):
            e = exponential(add(load(row, b, WIDTH), minus))
            total = add(total, e)
            store(row, b, e)
        share = _ONE / sum_of(total)
        for b in range(0, labels, WIDTH):
            store(q, p * labels + b, scale(load(row, b, WIDTH), share))

    @compiled
    def update(
        logits: Any, vertices1: Any, weights1: Any, values1: Any, factor1: Any, vertices2: Any, weights2: Any, values2: Any,
        factor2: Any, q: Any, first: int, last: int,
    ) -> None:  # fmt: skip
        corners1, corners2 = vertices1.shape[1], vertices2.shape[1]
        labels = q.shape[1]
        row = np.empty(labels, np.float32)
        for p in range(first, last):
            peak = splat_number(_LOWEST, WIDTH)
            for b in range(0, labels, WIDTH):
                total = load(logits, p * labels + b, WIDTH)
                part = splat_number(_ZERO, WIDTH)
                for r in range(corners1):
                    part = add_scaled(part, load(values1, np.int64(vertices1[p, r]) * labels + b, WIDTH), weights1[p, r])
                total = add_scaled(total, part, factor1[p])
                part = splat_number(_ZERO, WIDTH)
                for r in range(corners2):
                    part = add_scaled(part, load(values2, np.int64(vertices2[p, r]) * labels + b, WIDTH), weights2[p, r])
                total = add_scaled(total, part, factor2[p])
                store(row, b, total)
                peak = larger(peak, total)
            normalise(row, peak, q, p)

    @compiled
    def softmax(logits: Any, q: Any, first: int, last: int) -> None:
        labels = q.shape[1]
        row = np.empty(labels, np.float32)
        for p in range(first, last):
            peak = splat_number(_LOWEST, WIDTH)
            for b in range(0, labels, WIDTH):
                v = load(logits, p * labels + b, WIDTH)
                store(row, b, v)
                peak = larger(peak, v)
            normalise(row, peak, q, p)

    @compiled
    def merge(values: Any, other: Any, first: int, last: int) -> None:
        labels = values.shape[1]
        nothing = splat_number(_ZERO, WIDTH)
        for at in range(np.int64(first) * labels, np.int64(last) * labels, WIDTH):
            store(values, at, add(load(values, at, WIDTH), load(other, at, WIDTH)))
            store(other, at, nothing)

    return Kernels(WIDTH, splat, blur, slice_, update, softmax, merge)


@cache
def _made(width: int) -> Kernels:
    return make_kernels(width)


def kernels_for(labels: int) -> Kernels:
    """The loops that suit rows of ``labels``: vectors of 4 up to four labels, of 8 above."""
    return _made(4 if labels <= 4 else 8)


@compiled
def leading_label(q: Any, labels: int, ids: Any, out: Any) -> None:
    """The id of the largest of the first ``labels`` columns of every row; of equals the first."""
    for p in range(q.shape[0]):
        best = 0
        for k in range(1, labels):
            if q[p, k] > q[p, best]:
                best = k
        out[p] = ids[best]
