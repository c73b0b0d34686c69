"""Distances that boundary bands are made of.

H, W are pixels; maps hold class ids with void = ``ignore``. OpenCV is imported where it is used: the window's first frame must
not wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import IGNORE
from deeplab_core.geometry import Box, strips
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap

Distances = NDArray[np.float32]

#: Maps that the compiled loops know.
_COMPILED = (np.uint8, np.uint16)

#: Above so many separate void regions one pass over the whole image is cheaper than one pass per region.
_MANY_REGIONS = 512

#: Side of the tiles that distances of limited reach are computed in, px: large against the reach, small against a photograph.
_TILE = 512

#: Side of the pieces that thin void is filled in, px.
_PIECE = 128

#: Void of larger maps is filled in tiles of this side, px, if none of it is deeper than the margin: the maps that filling needs
#: take some 16 bytes a pixel.
_WHOLE_PX, _FILL_TILE, _FILL_MARGIN = 1 << 22, 1024, 96

#: Distances that differ by less than rounding of a float32 square root are equal; different ones differ by more up to 1000 px.
_TIE = np.float32(1 - 4e-7)


def distance_to_void(truth: LabelMap, ignore: int = IGNORE) -> Distances:
    """Chebyshev distance (chessboard, px) of every pixel to the nearest void pixel.

    A pixel is at most w away exactly if dilating the void by a square of side 2w + 1 covers it: the band of the DeepLab papers'
    evaluation code (Chen et al. 2015, figure 5; 2018, figure 10). The image border counts as nothing.

    Returns:
        (H, W) float32; 0 on void, inf everywhere if the truth has no void.
    """
    import cv2

    labelled = truth != ignore
    if labelled.all():
        return np.full(truth.shape, np.inf, dtype=np.float32)
    return np.asarray(cv2.distanceTransform(labelled.astype(np.uint8), cv2.DIST_C, 3), dtype=np.float32)


def distance_to_edge(labels: LabelMap, ignore: int = IGNORE, *, reach: int | None = None) -> Distances:
    """Exact Euclidean distance (px) of every pixel to the nearest pixel of another class.

    1 means a 4-neighbour of another class, sqrt(2) a diagonal one. Void is filled by the nearest class first (:func:`fill_void`),
    so that a void ring counts as the edge in its middle. The image border is not an edge.

    Args:
        labels: (H, W) ids.
        ignore: id of void.
        reach: distances above it, in px, are not needed and may come back as inf; far cheaper on large images, where most
            places have few classes near them.

    Returns:
        (H, W) float32, >= 1; inf everywhere if there are fewer than two classes. Values at void pixels belong to the filled map.
    """
    filled = fill_void(labels, ignore)
    distance = np.full(labels.shape, np.inf, dtype=np.float32)
    if reach is None:
        _class_distances(filled, distance)
        return distance
    if filled.size and filled.dtype in _COMPILED and use_compiled(filled.size):
        from deeplab_core.kernels.distance import FARTHEST, edge_squares

        if 1 <= reach <= FARTHEST:
            roots = np.sqrt(np.arange((reach + 1) ** 2 + 1, dtype=np.float32))
            roots[-1] = np.inf
            return roots.take(edge_squares(filled, reach))
    for place, near in _edge_tiles(filled, reach):
        distance[place] = near
    return distance


def near_distances(
    labels: LabelMap, ignore: int, reach: int, *, to_void: bool
) -> Iterator[tuple[tuple[slice, slice], Distances]]:
    """:func:`distance_to_void` or :func:`distance_to_edge` tile by tile: (rows, columns) and the distances there.

    Distances above ``reach``, in px, may come as inf or be left out, so memory does not grow by four bytes a pixel.
    """
    if not to_void:
        yield from _edge_tiles(fill_void(labels, ignore), reach)
        return
    for place, around, inside in _tiles(labels, reach):
        distance = distance_to_void(around, ignore)
        yield place, distance[inside]


def _edge_tiles(filled: LabelMap, reach: int) -> Iterator[tuple[tuple[slice, slice], Distances]]:
    """Tiles with several classes near them, and their distances."""
    for place, around, inside in _tiles(filled, reach):
        near = np.full(around.shape, np.inf, dtype=np.float32)
        if _class_distances(around, near):
            yield place, near[inside]


def _tiles(
    labels: LabelMap, reach: int, side: int = _TILE
) -> Iterator[tuple[tuple[slice, slice], LabelMap, tuple[slice, slice]]]:
    """(rows, columns) of each tile, the map around it as far as ``reach``, and the place of the tile in that."""
    height, width = labels.shape
    for y in range(0, height, side):
        for x in range(0, width, side):
            top, left, bottom, right = max(y - reach, 0), max(x - reach, 0), min(y + side, height), min(x + side, width)
            around = labels[top : bottom + reach, left : right + reach]
            yield (slice(y, bottom), slice(x, right)), around, (slice(y - top, bottom - top), slice(x - left, right - left))


def _class_distances(filled: LabelMap, distance: Distances) -> bool:
    """Write the distance to the nearest other class into ``distance``; False and untouched if there is only one class."""
    import cv2

    present = _present(filled)
    if len(present) < 2:
        return False
    for class_id in present:
        # The nearest pixel of another class touches the class itself, so it is in its bounding box grown by one pixel.
        own = filled == class_id
        around = Box.around(own)
        assert around is not None
        box = around.grown(1, own.shape).slices
        inside = own[box]
        local = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        np.copyto(distance[box], local, where=inside)
    return True


def fill_void(labels: LabelMap, ignore: int = IGNORE) -> LabelMap:
    """Give every void pixel the class of the nearest labelled pixel.

    Exact Euclidean distance; of equally near classes the smallest id wins, so mirrored maps give mirrored results.

    Returns:
        (H, W) of the same dtype; a copy. A map without any labelled pixel stays void.
    """
    labels = np.ascontiguousarray(labels)
    if sum(np.count_nonzero(labels[strip] == ignore) for strip in strips(labels.shape)) in (0, labels.size):
        return labels.copy()
    filled = _fill_tiles(labels, ignore) if labels.size > _WHOLE_PX else None
    return _fill_whole(labels, ignore) if filled is None else filled


def _fill_tiles(labels: LabelMap, ignore: int) -> LabelMap | None:
    """:func:`fill_void` tile by tile; None where void is so deep that its nearest label may lie outside of a tile's margin."""
    import cv2

    filled = labels.copy()
    for place, around, inside in _tiles(labels, _FILL_MARGIN, _FILL_TILE):
        void = labels[place] == ignore
        if not void.any():
            continue
        steps = cv2.distanceTransform((around == ignore).astype(np.uint8), cv2.DIST_C, 3)[inside]
        # The nearest label is at most sqrt(2) times as far as the nearest in steps of a king; one as far is within the margin.
        if float(steps.max()) * math.sqrt(2) > _FILL_MARGIN:
            return None
        filled[place] = _fill_whole(np.ascontiguousarray(around), ignore)[inside]
    return filled


def _fill_whole(labels: LabelMap, ignore: int) -> LabelMap:
    """:func:`fill_void` of a C-contiguous map in one go."""
    import cv2

    if labels.dtype in _COMPILED and use_compiled(labels.size):
        from deeplab_core.kernels import fill as fill_loops

        done = fill_loops.filled(labels, ignore)
        if done is not None:
            return done
    filled, void = labels.copy(), labels == ignore
    for box, target in _void_regions(void):
        local = labels[box.slices]
        nearest = np.full(local.shape, np.inf, dtype=np.float32)
        for class_id in _present(local):
            if class_id == ignore:
                continue
            distance = cv2.distanceTransform((local != class_id).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            nearer = target & (distance < nearest * _TIE)
            filled[box.slices][nearer] = class_id
            nearest[nearer] = distance[nearer]
    return filled


def _void_regions(void: NDArray[np.bool_]) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """Boxes and, inside each, the void pixels with all their nearest labelled pixels in the box.

    The nearest labelled pixel of a void pixel touches the pixel's own region, so a region's box grown by one pixel is enough.
    """
    import cv2

    mask = void.astype(np.uint8)
    depth = np.asarray(cv2.distanceTransform(mask, cv2.DIST_C, 3), dtype=np.float32)
    number, regions, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if number - 1 > _MANY_REGIONS:
        yield from _pieces(Box.whole(void.shape), void, depth)
        return
    for region, (x, y, width, height, _) in enumerate(stats[1:].tolist(), start=1):
        box = Box(x, y, width, height).grown(1, void.shape)
        yield from _pieces(box, regions[box.slices] == region, depth[box.slices])


def _pieces(box: Box, target: NDArray[np.bool_], depth: Distances) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """Cut a large, thin region (a ring around an object) into small boxes; a thick one stays whole.

    Args:
        box: of the region.
        target: (h, w) bool, its pixels.
        depth: (h, w) chessboard distance to the nearest labelled pixel; the Euclidean one is at most sqrt(2) times that.
    """
    reach = math.ceil(float(depth[target].max()) * math.sqrt(2))
    if max(target.shape) <= 2 * _PIECE or reach > _PIECE // 2:
        yield box, target
        return
    for y in range(0, target.shape[0], _PIECE):
        for x in range(0, target.shape[1], _PIECE):
            core = target[y : y + _PIECE, x : x + _PIECE]
            if not core.any():
                continue
            top, left = max(y - reach, 0), max(x - reach, 0)
            bottom, right = y + core.shape[0] + reach, x + core.shape[1] + reach
            own = np.zeros_like(target[top:bottom, left:right])
            own[y - top :, x - left :][: core.shape[0], : core.shape[1]] = core
            yield Box(box.x + left, box.y + top, own.shape[1], own.shape[0]), own


def _present(labels: LabelMap) -> list[int]:
    """Values of a map in ascending order."""
    if labels.dtype.itemsize > 2 or labels.dtype.kind != "u":
        return [int(value) for value in np.unique(labels)]
    return [int(value) for value in np.flatnonzero(np.bincount(labels.ravel()))]
