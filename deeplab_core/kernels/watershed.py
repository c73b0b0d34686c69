"""Compiled compact watershed: an image falls into one region per marker.

Neubert and Protzel, "Compact Watershed and Preemptive SLIC", ICPR 2014: markers flood the gradient, and a pixel costs its
gradient plus ``compactness`` times its Euclidean distance to the marker, so that regions stay compact where the image shows no
edge. The order of flooding is that of scikit-image's ``watershed`` (4-connected, ties to the pixel that was reached first), and
so is the result.

One difference only makes it faster: a pixel is queued again only if the new way to it is cheaper than all before. A dearer way is
reached later, so it could never label the pixel.

Importing this module imports numba; the modules that need it import it inside functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop

#: A queue's entry is one number: its cost, and below it its age, which names the pixel. A pixel is queued four times at most.
_AGE_BITS = 24
_COST_BITS = 39
_AGES = np.uint64((1 << _AGE_BITS) - 1)
#: Pixels of the largest image.
LARGEST = 1 << (_AGE_BITS - 2)


def grid_markers(relief: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """Places of markers: the lowest pixel near each point of a regular grid.

    Args:
        relief: (H, W) float32, e.g. a gradient.
        wanted: about how many markers; a small image has at most one per pixel.

    Returns:
        (N,) int64 places ``row * W + column``, rising, each once. The search reaches a third of the grid's step to each side; of
        equally low pixels the first in reading order is taken.
    """
    height, width = relief.shape
    step = max(float(np.sqrt(height * width / wanted)), 1.0)
    rows = _grid_lines(height, step)
    columns = _grid_lines(width, step)
    return np.unique(_lowest(relief, rows, columns, int(step / 3.0)))


def _grid_lines(length: int, step: float) -> NDArray[np.int64]:
    count = max(round(length / step), 1)
    return np.minimum(((np.arange(count) + 0.5) * length / count).astype(np.int64), length - 1)


def watershed(relief: NDArray[np.floating[Any]], markers: NDArray[np.int64], compactness: float) -> NDArray[np.int32]:
    """Flood an image from markers.

    Args:
        relief: (H, W) floats, C-contiguous, at most 4 million.
        markers: (N,) int64 places ``row * W + column``, each once; at least one.
        compactness: cost of a pixel of distance to its marker, in units of ``relief``; above 0. Costs that differ by less than
            2**-39 of their range count as equal.

    Returns:
        (H, W) int32: for every pixel the row of its marker, 0..N-1.
    """
    if relief.size > LARGEST:
        raise ValueError(f"the watershed numbers at most {LARGEST} pixels, not {relief.size}")
    low = float(relief.min())
    span = float(relief.max()) - low + compactness * float(np.hypot(*relief.shape))
    regions: NDArray[np.int32] = _flood(relief, markers, compactness, low, float(1 << _COST_BITS) / (1.001 * span))
    return regions


@compile_loop
def _lowest(relief: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    height, width = relief.shape
    places = np.empty(rows.size * columns.size, np.int64)
    for i in range(rows.size):
        for j in range(columns.size):
            best, place = np.inf, np.int64(0)
            for y in range(max(rows[i] - reach, 0), min(rows[i] + reach + 1, height)):
                for x in range(max(columns[j] - reach, 0), min(columns[j] + reach + 1, width)):
                    if relief[y, x] < best:
                        best = relief[y, x]
                        place = y * width + x
            places[i * columns.size + j] = place
    return places


@compile_loop
def _push(heap: NDArray[np.uint64], at: int, key: np.uint64) -> None:
    """Add a key behind a heap of ``at`` keys with four children each."""
    while at > 0:
        parent = (at - 1) >> 2
        if heap[parent] <= key:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = key


@compile_loop
def _pop(heap: NDArray[np.uint64], count: int) -> Any:
    """Take the smallest of ``count`` keys."""
    found = heap[0]
    last = heap[count - 1]
    count -= 1
    at = 0
    while True:
        child = 4 * at + 1
        if child >= count:
            break
        smallest = child
        for other in range(child + 1, min(child + 4, count)):
            if heap[other] < heap[smallest]:
                smallest = other
        if last <= heap[smallest]:
            break
        heap[at] = heap[smallest]
        at = smallest
    heap[at] = last
    return found


@compile_loop
def _flood(
    relief: NDArray[np.floating[Any]], markers: NDArray[np.int64], compactness: float, low: float, scale: float
) -> NDArray[np.int32]:
    height, width = relief.shape
    # One pixel more on every side, already taken, so that every pixel has four neighbours.
    row_step = np.int64(width + 2)
    level = np.zeros((height + 2) * (width + 2), np.float64)
    regions = np.zeros((height + 2, width + 2), np.int32)
    regions[1:-1, 1:-1] = -1
    taken = regions.ravel()
    for y in range(height):
        start = (y + 1) * row_step + 1
        for x in range(width):
            level[start + x] = np.float64(relief[y, x]) - low
    # The cheapest way to a pixel so far, and the marker that it comes from.
    cheapest = np.full(level.size, ~np.uint64(0), np.uint64)
    source = np.empty(level.size, np.int32)
    pixel = np.empty(4 * relief.size + 1, np.int32)  # by age
    marker_y, marker_x = np.empty(markers.size, np.int32), np.empty(markers.size, np.int32)
    heap = np.empty(1024, np.uint64)
    count, age = 0, 0
    for row in range(markers.size):
        marker_y[row], marker_x[row] = markers[row] // width + 1, markers[row] % width + 1
        place = marker_y[row] * row_step + marker_x[row]
        cost = np.uint64(level[place] * scale)
        cheapest[place], source[place], pixel[age] = cost, row, place
        if count == heap.size:
            heap = _doubled(heap)
        _push(heap, count, (cost << np.uint64(_AGE_BITS)) | np.uint64(age))
        count += 1
        age += 1
    steps = np.array([-row_step, -1, 1, row_step])
    while count > 0:
        key = _pop(heap, count)
        count -= 1
        place = int(pixel[key & _AGES])
        if taken[place] >= 0:
            continue
        region = source[place]
        taken[place] = region
        y = int(np.uint32(place) // np.uint32(row_step))
        down, across = y - marker_y[region], place - y * row_step - marker_x[region]
        for side in range(4):
            neighbour = place + steps[side]
            if taken[neighbour] >= 0:
                continue
            dy, dx = np.float64(down + (side == 3) - (side == 0)), np.float64(across + (side == 2) - (side == 1))
            cost = np.uint64((level[neighbour] + compactness * np.sqrt(dy * dy + dx * dx)) * scale)
            if cost >= cheapest[neighbour]:
                continue
            cheapest[neighbour], source[neighbour], pixel[age] = cost, region, neighbour
            if count == heap.size:
                heap = _doubled(heap)
            _push(heap, count, (cost << np.uint64(_AGE_BITS)) | np.uint64(age))
            count += 1
            age += 1
    return regions[1:-1, 1:-1].copy()


@compile_loop
def _doubled(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    more = np.empty(2 * values.size, values.dtype)
    more[: values.size] = values
    return more
