"""Compiled loops of the region hierarchy: sums over leaves, their borders, and the merge tree.

The tree is made by greedy merging: the pair of neighbouring regions with the lowest cost becomes one region, until one is left.
The cost of a pair of regions of ``n1`` and ``n2`` pixels is ``(|f1 - f2| + border_weight * s) * (n1 * n2 / (n1 + n2)) **
size_exponent`` with ``f`` the mean feature of a region and ``s`` the mean strength of their common border. The last factor is
Ward's, at a lower power: it joins small regions first.

Importing this module imports numba; the modules that need it import it inside functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop


@compile_loop
def leaf_sums(leaves: NDArray[np.int32], plane: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    """Add an (H, W) plane to ``sums`` (N,), each pixel to its leaf."""
    for y in range(leaves.shape[0]):
        for x in range(leaves.shape[1]):
            sums[leaves[y, x]] += plane[y, x]


@compile_loop
def leaf_boxes(leaves: NDArray[np.int32], boxes: NDArray[np.int32]) -> None:
    """Write first column, first row, last column, last row of every leaf into ``boxes`` (N, 4)."""
    for row in range(boxes.shape[0]):
        boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3] = leaves.shape[1], leaves.shape[0], -1, -1
    for y in range(leaves.shape[0]):
        for x in range(leaves.shape[1]):
            box = boxes[leaves[y, x]]
            box[0], box[1] = min(box[0], x), min(box[1], y)
            box[2], box[3] = max(box[2], x), max(box[3], y)


@compile_loop
def sum_children(
    parents: NDArray[np.int32], pixels: NDArray[np.int64], sums: NDArray[np.float64], boxes: NDArray[np.int32]
) -> None:
    """Add every node's pixels and sums to its parent's and widen its parent's box; children come before their parents."""
    for node in range(parents.size - 1):
        parent = parents[node]
        pixels[parent] += pixels[node]
        for k in range(sums.shape[1]):
            sums[parent, k] += sums[node, k]
        box, own = boxes[parent], boxes[node]
        box[0], box[1] = min(box[0], own[0]), min(box[1], own[1])
        box[2], box[3] = max(box[2], own[2]), max(box[3], own[3])


@compile_loop
def border_pairs(leaves: NDArray[np.int32], strength: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Every pair of neighbouring pixels of different leaves.

    Args:
        leaves: (H, W) int32.
        strength: (H, W) float32, e.g. a gradient.

    Returns:
        (P,) int64 ``smaller leaf * 2**32 + larger leaf``, and (P,) float32 the larger strength of the two pixels.
    """
    height, width = leaves.shape
    count = 0
    for y in range(height):
        for x in range(width):
            count += x + 1 < width and leaves[y, x] != leaves[y, x + 1]
            count += y + 1 < height and leaves[y, x] != leaves[y + 1, x]
    pairs, strengths = np.empty(count, np.int64), np.empty(count, np.float32)
    at = 0
    for y in range(height):
        for x in range(width):
            for side in range(2):
                row, column = y + side, x + 1 - side
                if row < height and column < width and leaves[y, x] != leaves[row, column]:
                    one, other = np.int64(leaves[y, x]), np.int64(leaves[row, column])
                    pairs[at] = (min(one, other) << 32) | max(one, other)
                    strengths[at] = max(strength[y, x], strength[row, column])
                    at += 1
    return pairs, strengths


def merge_tree(
    features: NDArray[np.float64],
    pixels: NDArray[np.int64],
    ends: NDArray[np.int32],
    borders: NDArray[np.float64],
    border_weight: float,
    size_exponent: float,
) -> NDArray[np.int32]:
    """Merge neighbouring regions until one is left.

    Args:
        features: (N, F) float64, mean feature of each leaf.
        pixels: (N,) int64.
        ends: (E, 2) int32, leaves that share a border; each pair once. They connect all leaves.
        borders: (E, 2) float64: sum of the strengths along the border, and its length.
        border_weight, size_exponent: of the cost.

    Returns:
        (2N - 1,) int32, the parent of every node; the root's is itself. Nodes from N on are merges, in their order; of equal
        costs the pair that was found first merges first.
    """
    features = np.ascontiguousarray(features)  # the loop is compiled for one layout
    parents: NDArray[np.int32] = _merge(features, pixels, ends, borders, border_weight, size_exponent)
    return parents


@compile_loop
def _cost(
    features: NDArray[np.float64],
    pixels: NDArray[np.float64],
    one: int,
    other: int,
    strength: float,
    length: float,
    border_weight: float,
    size_exponent: float,
) -> float:
    squares = 0.0
    for k in range(features.shape[1]):
        difference = features[one, k] - features[other, k]
        squares += difference * difference
    weight = pixels[one] * pixels[other] / (pixels[one] + pixels[other])
    return float((np.sqrt(squares) + border_weight * strength / length) * weight**size_exponent)


@compile_loop
def _before(costs: NDArray[np.float64], one: int, other: int) -> bool:
    """Whether an edge comes first: the cheaper one, of equals the older one."""
    return bool(costs[one] < costs[other] or (costs[one] == costs[other] and one < other))


@compile_loop
def _queue(heap: NDArray[np.int32], at: int, edge: int, costs: NDArray[np.float64]) -> None:
    while at > 0:
        parent = (at - 1) // 2
        if not _before(costs, edge, heap[parent]):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = edge


@compile_loop
def _next(heap: NDArray[np.int32], count: int, costs: NDArray[np.float64]) -> int:
    found, last = heap[0], heap[count - 1]
    count -= 1
    at = 0
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and _before(costs, heap[child + 1], heap[child]):
            child += 1
        if not _before(costs, heap[child], last):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = last
    return int(found)


@compile_loop
def _grown(values: NDArray[Any], size: int) -> NDArray[Any]:
    more = np.empty(max(size, 2 * values.size), values.dtype)
    more[: values.size] = values
    return more


@compile_loop
def _merge(
    leaf_features: NDArray[np.float64],
    leaf_pixels: NDArray[np.int64],
    ends: NDArray[np.int32],
    borders: NDArray[np.float64],
    border_weight: float,
    size_exponent: float,
) -> NDArray[np.int32]:
    leaves, nodes = leaf_pixels.size, 2 * leaf_pixels.size - 1
    features, pixels = np.zeros((nodes, leaf_features.shape[1])), np.zeros(nodes)
    features[:leaves], pixels[:leaves] = leaf_features, leaf_pixels
    parents = np.arange(nodes).astype(np.int32)
    # Edges; every merge adds its own behind them. Both regions of an edge list it: a list is linked, half edge by half edge.
    room = 4 * ends.shape[0] + 16
    one, other = np.empty(room, np.int32), np.empty(room, np.int32)
    strength, length, costs = np.empty(room), np.empty(room), np.empty(room)
    heap = np.empty(room, np.int32)
    following = np.empty(2 * room, np.int32)
    first = np.full(nodes, -1, np.int32)
    count = ends.shape[0]
    for edge in range(count):
        one[edge], other[edge] = ends[edge, 0], ends[edge, 1]
        strength[edge], length[edge] = borders[edge, 0], borders[edge, 1]
        costs[edge] = _cost(features, pixels, one[edge], other[edge], strength[edge], length[edge], border_weight, size_exponent)
        _queue(heap, edge, edge, costs)
        for side in range(2):
            half, node = 2 * edge + side, ends[edge, side]
            following[half] = first[node]
            first[node] = half
    waiting = count
    # Of the region that is made: its neighbours, and the border with each.
    seen, place = np.full(nodes, -1, np.int32), np.empty(nodes, np.int32)
    sums, lengths, neighbours = np.empty(leaves + 1), np.empty(leaves + 1), np.empty(leaves + 1, np.int32)
    made = leaves
    while made < nodes:
        edge = _next(heap, waiting, costs)
        waiting -= 1
        a, b = one[edge], other[edge]
        if parents[a] != a or parents[b] != b:
            continue
        new = np.int32(made)
        made += 1
        parents[a], parents[b] = new, new
        pixels[new] = pixels[a] + pixels[b]
        for k in range(features.shape[1]):
            features[new, k] = (features[a, k] * pixels[a] + features[b, k] * pixels[b]) / pixels[new]
        found = 0
        for node in (a, b):
            half = first[node]
            while half >= 0:
                at = half >> 1
                far = other[at] if half & 1 == 0 else one[at]
                if parents[far] == far:  # else a later edge stands for this one
                    if seen[far] != new:
                        seen[far], place[far] = new, found
                        sums[found], lengths[found], neighbours[found] = 0.0, 0.0, far
                        found += 1
                    sums[place[far]] += strength[at]
                    lengths[place[far]] += length[at]
                half = following[half]
        if count + found > one.size:
            size = 2 * (count + found)
            one, other = _grown(one, size), _grown(other, size)
            strength, length, costs = _grown(strength, size), _grown(length, size), _grown(costs, size)
            heap, following = _grown(heap, size), _grown(following, 2 * size)
        for n in range(found):
            far = neighbours[n]
            one[count], other[count] = new, far
            strength[count], length[count] = sums[n], lengths[n]
            costs[count] = _cost(features, pixels, new, far, sums[n], lengths[n], border_weight, size_exponent)
            following[2 * count], first[new] = first[new], 2 * count
            following[2 * count + 1], first[far] = first[far], 2 * count + 1
            _queue(heap, waiting, count, costs)
            waiting += 1
            count += 1
    return parents
