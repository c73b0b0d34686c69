"""Compiled loops behind the partition of errors: growing a mask by its runs, and what lies beside a pixel.

A mask grows in steps that follow the rows of the disk and the runs of the mask, not the pixels of either. The loops let other
threads run. Importing this module imports numba; :mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop
from deeplab_core.labels import LabelMap


@compile_loop
def grow_by_runs(mask: NDArray[np.bool_], widths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Grow a mask by a disk.

    Args:
        mask: (h, w) bool.
        widths: (radius + 1,) int64, how many columns the disk reaches to either side, by rows from its centre.

    Returns:
        (h, w) bool.
    """
    height, width = mask.shape
    first, starts, stops = _mask_runs(mask)
    grown = np.zeros((height, width), np.bool_)
    change = np.zeros(width + 1, np.int32)
    radius = widths.shape[0] - 1
    for y in range(height):
        low, high = max(y - radius, 0), min(y + radius, height - 1)
        if first[low] == first[high + 1]:
            continue
        change[:] = 0
        for row in range(low, high + 1):
            reach = widths[abs(row - y)]
            for run in range(first[row], first[row + 1]):
                change[max(starts[run] - reach, 0)] += 1
                change[min(stops[run] + reach, width)] -= 1
        covered = 0
        for x in range(width):
            covered += change[x]
            grown[y, x] = covered > 0
    return grown


@compile_loop
def _mask_runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    height, width = mask.shape
    first = np.zeros(height + 1, np.int64)
    for y in range(height):
        number = 0
        for x in range(width):
            number += mask[y, x] and (x == 0 or not mask[y, x - 1])
        first[y + 1] = first[y] + number
    starts, stops = np.empty(first[height], np.int32), np.empty(first[height], np.int32)
    for y in range(height):
        run = first[y]
        if first[y + 1] == run:
            continue
        for x in range(width):
            if mask[y, x]:
                if x == 0 or not mask[y, x - 1]:
                    starts[run] = x
                if x == width - 1 or not mask[y, x + 1]:
                    stops[run] = x + 1
                    run += 1
    return first, starts, stops


@compile_loop
def beside(labels: LabelMap, truth: LabelMap, prediction: LabelMap, void: np.uint8 | np.uint16) -> NDArray[np.uint8]:
    """What the eight neighbours of each pixel, and the pixel, are for a class.

    Args:
        labels: (H, W) the class that each pixel is looked at for, or void.
        truth, prediction: (H, W) ids.
        void: the value that is no class.

    Returns:
        (H, W) uint8: 1 if one is a hit of the class, plus 2 if one is neither in truth nor prediction of it; 0 on void.
    """
    height, width = labels.shape
    found = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == void:
                continue
            marks = 0
            for row in range(max(y - 1, 0), min(y + 2, height)):
                for column in range(max(x - 1, 0), min(x + 2, width)):
                    is_true, called = truth[row, column] == label, prediction[row, column] == label
                    if is_true and called:
                        marks |= 1
                    elif not is_true and not called:
                        marks |= 2
            found[y, x] = marks
    return found
