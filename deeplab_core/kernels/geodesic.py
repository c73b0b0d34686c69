"""Compiled geodesic distances: how far pixels are from a stroke, over ground on which a change of colour is a climb.

Criminisi, Sharp and Blake, "GeoS: Geodesic Image Segmentation", ECCV 2008: the length of a step between neighbours is
``sqrt(px^2 + change^2)``, and sweeps over the rows, down and up, spread the distances. Two rounds are near the exact ones.

Importing this module imports numba; the modules that need it import it inside functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop

_ROUNDS = 2


def geodesic_distance(seeds: NDArray[np.bool_], planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of every pixel to the nearest seed.

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
