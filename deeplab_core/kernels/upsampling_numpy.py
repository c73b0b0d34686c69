"""The inner loops of :mod:`kernels` in plain numpy: the oracle of their tests, and what runs where numba cannot be imported.

No pruning: every class of every pixel is computed, in the same float32 order. Arguments and results are those of the compiled
twins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.labels import LabelMap

#: Every pixel of a strip is held with all its classes: strips must be small.
PRUNES = False

Floats = NDArray[np.float32]
Places = NDArray[np.intp]


def _upsampled(
    grid: Floats,
    first_row: int,
    y_lower: Places,
    y_upper: Places,
    y_weight: Floats,
    x_lower: Places,
    x_upper: Places,
    x_weight: Floats,
) -> Floats:
    wy = y_weight[:, None, None]
    rows = grid[y_lower - first_row] * (np.float32(1.0) - wy) + grid[y_upper - first_row] * wy
    wx = x_weight[None, :, None]
    out: Floats = rows[:, x_lower] * (np.float32(1.0) - wx) + rows[:, x_upper] * wx
    return out


def decide(
    grid: Floats,
    _lead: NDArray[np.int32],
    _sure: NDArray[np.bool_],
    first_row: int,
    y_lower: Places,
    y_upper: Places,
    y_weight: Floats,
    x_lower: Places,
    x_upper: Places,
    x_weight: Floats,
    ids: LabelMap,
    labels: LabelMap,
    confidence: NDArray[np.uint8],
) -> None:
    """See :func:`kernels.decide`; which classes lead at grid points is not needed here."""
    values = _upsampled(grid, first_row, y_lower, y_upper, y_weight, x_lower, x_upper, x_weight)
    labels[...] = ids[values.argmax(axis=2)]
    total = np.exp(values - values.max(axis=2, keepdims=True)).sum(axis=2, dtype=np.float32)
    confidence[...] = (np.float32(255.0) / total + np.float32(0.5)).astype(np.uint8)


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
    """See :func:`kernels.add_probabilities`."""
    values = _upsampled(grid, first_row, y_lower, y_upper, y_weight, x_lower, x_upper, x_weight)
    values = np.exp(values - values.max(axis=2, keepdims=True))
    out += values * (share / values.sum(axis=2, keepdims=True, dtype=np.float32))


def decide_mean(mean: Floats, ids: LabelMap, labels: LabelMap, confidence: NDArray[np.uint8]) -> None:
    """See :func:`kernels.decide_mean`."""
    labels[...] = ids[mean.argmax(axis=2)]
    confidence[...] = np.minimum(mean.max(axis=2) * np.float32(255.0) + np.float32(0.5), np.float32(255.0)).astype(np.uint8)
