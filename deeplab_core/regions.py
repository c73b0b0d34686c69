"""Connected regions of equal value in a map: the primitive behind error components, objects and uncertain regions.

Regions are 8-connected: thin diagonal things (chair legs, wires) stay whole, and it is the rule of Bernhard et al. (WACV 2024).
OpenCV is imported where it is used: the window's first frame must not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Box, strips
from deeplab_core.kernels.compiled import use_compiled

Mask = NDArray[np.bool_]  # (H, W)

#: A map of at most so many values is compared with each of them.
_FEW = 16


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Regions of one map; row n of every array is region number n + 1.

    Attributes:
        numbers: (H, W) int32, number of the region that holds each pixel, 1..N; 0 elsewhere.
        values: (N,) int64, the value that the region's pixels share.
        boxes: (N, 4) int32: x, y, width, height.
        pixels: (N,) int64.
        centroids: (N, 2) float64: mean x and y of the pixels; may lie outside of a bent region.
        anchors: (N, 2) int32: x and y of one pixel that surely belongs to the region (its first in reading order).
    """

    numbers: NDArray[np.int32]
    values: NDArray[np.int64]
    boxes: NDArray[np.int32]
    pixels: NDArray[np.int64]
    centroids: NDArray[np.float64]
    anchors: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)

    def box(self, row: int) -> Box:
        """Bounding box of row ``row``."""
        return Box(*(int(part) for part in self.boxes[row]))

    def mask(self, row: int) -> Mask:
        """(height, width) bool: the region's pixels within its box."""
        inside: Mask = self.numbers[self.box(row).slices] == row + 1
        return inside

    def sums(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """(N,) float64: sum of an (H, W) map over each region."""
        found = np.bincount(self.numbers.ravel(), weights=weights.ravel(), minlength=len(self) + 1)
        return found[1:].astype(np.float64)


def find_regions(values: NDArray[Any], where: Mask | None = None) -> Regions:
    """Find the 8-connected regions of equal value.

    Args:
        values: (H, W) non-negative integers.
        where: (H, W) bool; pixels outside belong to no region. None takes all.

    Returns:
        Regions by rising value, within a value in reading order.
    """
    if use_compiled(values.size):
        from deeplab_core.kernels.regions import find_parts

        parts = find_parts(np.ascontiguousarray(values), where)
        left, top, right, bottom, x, y = parts.rows.T
        return Regions(
            numbers=parts.numbers,
            values=parts.values,
            boxes=np.stack([left, top, right - left + 1, bottom - top + 1], axis=1).astype(np.int32),
            pixels=parts.pixels,
            centroids=parts.sums / parts.pixels[:, None],
            anchors=np.stack([x, y], axis=1).astype(np.int32),
        )
    import cv2

    height, width = values.shape
    numbers = np.zeros((height, width), dtype=np.int32)
    boxes, pixels, centroids, owners, first = [], [], [], [], 1
    for value, box in _boxes(values, where):
        place = box.slices
        crop = values[place] == value
        if where is not None:
            crop &= where[place]
        found, local, stats, centers = cv2.connectedComponentsWithStats(crop.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        np.add(local, first - 1, out=numbers[place], where=crop)
        boxes.append(
            stats[1:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]] + np.array((box.x, box.y, 0, 0))
        )
        pixels.append(stats[1:, cv2.CC_STAT_AREA])
        centroids.append(centers[1:] + np.array((box.x, box.y)))
        owners.append(np.full(found - 1, value, dtype=np.int64))
        first += found - 1
    if not boxes:
        nothing = np.zeros((0,), dtype=np.int64)
        corners = np.zeros((0, 4), dtype=np.int32)
        return Regions(numbers, nothing, corners, nothing, np.zeros((0, 2)), corners[:, :2])
    all_boxes = np.concatenate(boxes).astype(np.int32)
    all_values, anchors = np.concatenate(owners), _anchors(numbers, all_boxes)
    # OpenCV numbers by blocks of two rows, so that a region may come before one that begins a row higher.
    order = np.lexsort((anchors[:, 0], anchors[:, 1], all_values))
    if (order[1:] < order[:-1]).any():
        new = np.zeros(len(order) + 1, dtype=np.int32)
        new[order + 1] = np.arange(1, len(new), dtype=np.int32)
        numbers = new[numbers]
    return Regions(
        numbers=numbers,
        values=all_values,  # rising before and after
        boxes=all_boxes[order],
        pixels=np.concatenate(pixels).astype(np.int64)[order],
        centroids=np.concatenate(centroids)[order],
        anchors=anchors[order],
    )


def _boxes(values: NDArray[Any], where: Mask | None) -> list[tuple[int, Box]]:
    """Each value that occurs, rising, with the smallest box that holds its pixels."""
    present = _present(values, where)
    if not present.size:
        return []
    height, width = values.shape
    in_row, in_column = np.zeros((len(present), height), dtype=bool), np.zeros((len(present), width), dtype=bool)
    for strip in strips(values.shape):
        if len(present) <= _FEW:  # comparing the map with each value is faster than to look every pixel up
            for row, value in enumerate(present.tolist()):
                own = values[strip] == value if where is None else (values[strip] == value) & where[strip]
                in_row[row, strip] = own.any(axis=1)
                in_column[row] |= own.any(axis=0)
            continue
        rows, columns = np.nonzero(np.ones_like(values[strip], dtype=bool) if where is None else where[strip])
        dense = np.searchsorted(present, values[strip][rows, columns])
        in_row[dense, rows + strip.start] = True
        in_column[dense, columns] = True
    top, left = in_row.argmax(axis=1), in_column.argmax(axis=1)
    bottom, right = height - in_row[:, ::-1].argmax(axis=1), width - in_column[:, ::-1].argmax(axis=1)
    return [
        (value, Box.between(*edges))
        for value, *edges in zip(*(part.tolist() for part in (present, left, top, right, bottom)), strict=True)
    ]


def _present(values: NDArray[Any], where: Mask | None) -> NDArray[np.int64]:
    """The values that occur, rising."""
    found = np.zeros(0, dtype=np.int64)
    for strip in strips(values.shape):
        chosen = values[strip].ravel() if where is None else values[strip][where[strip]]
        if chosen.size:
            small = chosen.max() < 1 << 16
            found = np.union1d(found, np.flatnonzero(np.bincount(chosen)) if small else np.unique(chosen))
    return found


def _anchors(numbers: NDArray[np.int32], boxes: NDArray[np.int32]) -> NDArray[np.int32]:
    """(N, 2) int32: x and y of each region's first pixel. It is in the top row of the region's box."""
    anchors = np.empty((len(boxes), 2), dtype=np.int32)
    for row, (x, y, width, _) in enumerate(boxes.tolist()):
        anchors[row] = x + int(np.argmax(numbers[y, x : x + width] == row + 1)), y
    return anchors
