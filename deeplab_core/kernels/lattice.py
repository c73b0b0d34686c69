"""Compiled loops of the permutohedral lattice (Adams, Baek and Davis 2010): embed points, name vertices, find neighbours, filter.

A lattice of dimension ``d`` lives in the hyperplane of ``d + 1`` coordinates that sum to 0. Of the integer coordinates of a
vertex the first ``d`` are kept, packed into one int64 with mixed radix: stepping to a neighbour is then one addition, and a
vertex is found by one comparison. Radices leave a margin on both sides, so that a step never carries into the next coordinate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop

Floats = NDArray[np.float32]
#: Packed coordinates of vertices, and their numbers.
Keys = NDArray[np.int64]
Numbers = NDArray[np.int32]

_EMPTY = np.int64(-1)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@compile_loop
def _slot_of(keys: Keys, key: np.int64) -> np.int64:
    """Slot of ``key`` in an open hash table, or the empty one where it belongs."""
    mask = np.uint64(keys.shape[0] - 1)
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while keys[np.int64(slot)] != key and keys[np.int64(slot)] != _EMPTY:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@compile_loop
def _grown(keys: Keys, numbers: Numbers) -> tuple[Keys, Numbers]:
    """The same hash table with twice the slots."""
    wider = np.full(keys.shape[0] * 2, _EMPTY, np.int64)
    moved = np.empty(wider.shape[0], np.int32)
    for slot in range(keys.shape[0]):
        if keys[slot] != _EMPTY:
            target = _slot_of(wider, keys[slot])
            wider[target] = keys[slot]
            moved[target] = numbers[slot]
    return wider, moved


@cache
def embed_loop(D: int) -> Callable[..., Any]:  # noqa: C901
    """``(features, scales, origin, strides, keys, numbers, found, count, vertices, weights)``: simplices of points.

    Arithmetic is float32 in the order of the published algorithm, so that ties fall as they do in other implementations of it.

    Args:
        features: (N, d) float32.
        scales: (d,) float32: diagonal of the embedding (Adams et al., section 3.1) times the deviation of the blur.
        origin: (d + 1,) int64: subtracted from a coordinate before it is packed.
        strides: (d + 1,) int64: mixed radix; the last is 0.
        keys: hash table of :func:`no_vertices`, or what a call for earlier points gave.
        numbers: values of the hash table.
        found: packed coordinates of the vertices so far, in the first ``count`` places.
        count: number of vertices so far.
        vertices: (N, d + 1) int32, written: numbers of the vertices of the simplex, in order of first use.
        weights: (N, d + 1) float32, written: barycentric coordinates, sum 1.

    Returns:
        ``keys, numbers, found, count`` with the new vertices.
    """
    ones = D + 1

    # One loop with D as a constant, hence the complexity: with a part of it in a function of its own it took twice as long.
    @compile_loop
    def embed(  # noqa: C901
        features: Floats,
        scales: Floats,
        origin: Keys,
        strides: Keys,
        keys: Keys,
        numbers: Numbers,
        found: Keys,
        count: int,
        vertices: Numbers,
        weights: Floats,
    ) -> tuple[Keys, Numbers, Keys, int]:
        points = features.shape[0]
        elevated = np.empty(ones, np.float32)
        nearest = np.empty(ones, np.int64)
        rank = np.empty(ones, np.int64)
        at_rank = np.empty(ones, np.int64)
        barycentric = np.empty(ones + 1, np.float32)
        down = np.float32(1.0 / ones)
        all_strides = np.int64(0)
        shift = np.int64(0)
        for i in range(D):
            all_strides += strides[i]
            shift += origin[i] * strides[i]
        last_key, last_order = np.int64(-1), np.int64(-1)
        for p in range(points):
            total = _ZERO
            for j in range(D, 0, -1):
                part = features[p, j - 1] * scales[j - 1]
                elevated[j] = total - np.float32(j) * part
                total += part
            elevated[0] = total

            steps = np.int64(0)
            for i in range(ones):
                turn = np.int64(np.rint(elevated[i] * down))
                nearest[i] = turn * ones
                steps += turn
                rank[i] = 0
            for i in range(D):
                offset = elevated[i] - np.float32(nearest[i])
                for j in range(i + 1, ones):
                    if offset < elevated[j] - np.float32(nearest[j]):
                        rank[i] += 1
                    else:
                        rank[j] += 1
            key = -shift
            order = np.int64(0)
            for i in range(ones + 1):
                barycentric[i] = _ZERO
            for i in range(ones):
                rank[i] += steps
                if rank[i] < 0:
                    rank[i] += ones
                    nearest[i] += ones
                elif rank[i] > D:
                    rank[i] -= ones
                    nearest[i] -= ones
                key += nearest[i] * strides[i]
                order = order * ones + rank[i]
                at_rank[rank[i]] = i
                value = (elevated[i] - np.float32(nearest[i])) * down
                barycentric[D - rank[i]] += value
                barycentric[ones - rank[i]] -= value
            barycentric[0] += _ONE + barycentric[ones]
            for r in range(ones):
                weights[p, r] = barycentric[r]

            if key == last_key and order == last_order:
                for r in range(ones):
                    vertices[p, r] = vertices[p - 1, r]
                continue
            last_key, last_order = key, order
            for r in range(ones):
                if r > 0:
                    key += all_strides - ones * strides[at_rank[ones - r]]
                slot = _slot_of(keys, key)
                if keys[slot] == _EMPTY:
                    keys[slot] = key
                    numbers[slot] = count
                    if count == found.shape[0]:
                        longer = np.empty(count * 2, np.int64)
                        longer[:count] = found
                        found = longer
                    found[count] = key
                    count += 1
                    vertices[p, r] = numbers[slot]
                    if 2 * count > keys.shape[0]:
                        keys, numbers = _grown(keys, numbers)
                else:
                    vertices[p, r] = numbers[slot]
        return keys, numbers, found, count

    return embed


def no_vertices() -> tuple[Keys, Numbers, Keys, int]:
    """``keys, numbers, found, count`` of :func:`embed_loop` before the first point."""
    return np.full(1 << 16, _EMPTY, np.int64), np.empty(1 << 16, np.int32), np.empty(1 << 15, np.int64), 0


@compile_loop
def chain(keys: Keys, numbers: Numbers, packed: Keys, step: np.int64) -> Numbers:
    """Rows of vertices that are neighbours along one axis.

    Returns:
        (K,) int32: vertices in the order of their rows, the last of each row as its bitwise complement. A vertex without any
        neighbour on this axis is not listed: blurring does not change it.
    """
    count = packed.shape[0]
    following = np.empty(count, np.int32)
    preceded = np.zeros(count, np.bool_)
    listed = 0
    for v in range(count):
        key = packed[v] + step
        slot = _slot_of(keys, key)
        if keys[slot] == key:
            following[v] = numbers[slot]
            preceded[numbers[slot]] = True
            listed += 1
        else:
            following[v] = -1
    for v in range(count):
        if following[v] >= 0 and not preceded[v]:
            listed += 1
    rows = np.empty(listed, np.int32)
    n = 0
    for v in range(count):
        if following[v] < 0 or preceded[v]:
            continue
        at = np.int32(v)
        while following[at] >= 0:
            rows[n] = at
            n += 1
            at = following[at]
        rows[n] = ~at
        n += 1
    return rows


@compile_loop
def bounds(features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest value of every column of (N, d) float32: two (d,) float64."""
    low = features[0].astype(np.float64)
    high = low.copy()
    for p in range(features.shape[0]):
        for j in range(features.shape[1]):
            low[j] = min(low[j], features[p, j])
            high[j] = max(high[j], features[p, j])
    return low, high
