"""Compiled searches for cheapest ways over an image: an outline within a ribbon, and distances from a stroke.

Importing this module imports numba; the modules that need it import it inside functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop

_ROUNDS = 2


def best_offsets(costs: NDArray[np.float32], bend: float) -> NDArray[np.int64]:
    """The cheapest closed path through the columns of a ribbon along a drawn outline.

    The outline is sampled at points; each may move along its normal by a number of steps. The best moves are found exactly: the
    sum of the points' costs, and of a penalty for neighbours that move differently, is least (Amini, Weymouth and Jain, "Using
    Dynamic Programming for Solving Variational Problems in Vision", TPAMI 1990).

    Args:
        costs: (N, K) float32, N points of a closed outline and K offsets of each.
        bend: cost of one step of difference between neighbours, which differ by one step at most.

    Returns:
        (N,) int64 offsets 0..K-1; of equal ones the smaller. The path is closed: the last point and the first differ by one step
        at most. It is the cheapest of those through the offset that the best open path around the ribbon twice has where it
        begins again.
    """
    first: NDArray[np.int64] = _cheapest_path(np.concatenate([costs, costs]), bend, -1)
    start = int(first[costs.shape[0]])
    closed: NDArray[np.int64] = _cheapest_path(np.concatenate([costs, costs[:1]]), bend, start)
    return closed[:-1]


@compile_loop
def _cheapest_path(costs: NDArray[np.float32], bend: float, ends: int) -> NDArray[np.int64]:
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


def geodesic_distance(seeds: NDArray[np.bool_], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of every pixel to the nearest seed, over ground on which a change of colour is a climb.

    The length of a step between neighbours is ``sqrt(px^2 + change^2)``, and sweeps over the rows, down and up, spread the
    distances (Criminisi, Sharp and Blake, "GeoS: Geodesic Image Segmentation", ECCV 2008). Two rounds are near the exact ones.

    Args:
        seeds: (H, W) bool, one at least.
        planes: (H, W, K) float32, in px: a difference of 1 between neighbours is as long as one px.

    Returns:
        (H, W) float32.
    """
    distance = np.where(seeds, np.float32(0), np.float32(1e9))
    for _ in range(_ROUNDS):
        _sweep(distance, planes, 1)
        _sweep(distance, planes, -1)
    return distance


@compile_loop
def _sweep(distance: NDArray[np.float32], planes: NDArray[np.float32], way: int) -> None:
    """Spread distances row by row, downwards (``way`` 1) or upwards (-1)."""
    height, width, depth = planes.shape
    for line in range(height):
        y = line if way > 0 else height - 1 - line
        for column in range(width):
            x = column if way > 0 else width - 1 - column
            best = distance[y, x]
            for side in range(4):
                row, column = (y, x - way) if side == 0 else (y - way, x + side - 2)
                if row < 0 or row >= height or column < 0 or column >= width or distance[row, column] >= best:
                    continue
                squares = np.float32(2.0) if side == 1 or side == 3 else np.float32(1.0)
                for k in range(depth):
                    change = planes[y, x, k] - planes[row, column, k]
                    squares += change * change
                best = min(best, distance[row, column] + np.sqrt(squares))
            distance[y, x] = best
