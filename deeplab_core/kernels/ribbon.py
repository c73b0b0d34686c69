"""Compiled search for the best outline within a ribbon along a drawn one.

The outline is sampled at points; each may move along its normal by a number of steps. Amini, Weymouth and Jain ("Using Dynamic
Programming for Solving Variational Problems in Vision", TPAMI 1990) find the best moves exactly: the sum of the points' costs,
and of a penalty for neighbours that move differently, is least.

Importing this module imports numba; the modules that need it import it inside functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop


def best_offsets(costs: NDArray[np.float32], bend: float) -> NDArray[np.int64]:
    """The cheapest closed path through the columns of a ribbon.

    Args:
        costs: (N, K) float32, N points of a closed outline and K offsets of each.
        bend: cost of one step of difference between neighbours, which differ by one step at most.

    Returns:
        (N,) int64 offsets 0..K-1; of equal ones the smaller. The path is closed: the last point and the first differ by one step
        at most. It is the cheapest of those through the offset that the best open path around the ribbon twice has where it
        begins again.
    """
    first: NDArray[np.int64] = _walk(np.concatenate([costs, costs]), bend, -1)
    start = int(first[costs.shape[0]])
    closed: NDArray[np.int64] = _walk(np.concatenate([costs, costs[:1]]), bend, start)
    return closed[:-1]


@compile_loop
def _walk(costs: NDArray[np.float32], bend: float, ends: int) -> NDArray[np.int64]:
    """The cheapest path from the first row to the last; where ``ends`` is not negative, it begins and ends there."""
    points, offsets = costs.shape
    total = np.empty(offsets)
    before = np.empty(offsets)
    came = np.zeros((points, offsets), np.int8)
    for k in range(offsets):
        total[k] = costs[0, k] if ends < 0 or k == ends else np.inf
    for n in range(1, points):
        total, before = before, total
        for k in range(offsets):
            best, step = before[k], 0
            if k > 0 and before[k - 1] + bend < best:
                best, step = before[k - 1] + bend, -1
            if k + 1 < offsets and before[k + 1] + bend < best:
                best, step = before[k + 1] + bend, 1
            total[k] = best + costs[n, k]
            came[n, k] = step
    at = ends
    if ends < 0:
        at = 0
        for k in range(1, offsets):
            if total[k] < total[at]:
                at = k
    path = np.empty(points, np.int64)
    for n in range(points - 1, -1, -1):
        path[n] = at
        at += came[n, at]
    return path
