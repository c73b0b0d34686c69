"""The exact partition of wrong pixels into boundary, extent and segment errors.

Bernhard, Amoroso, Kindermann, Baraldi, Cucchiara, Tresp and Schubert, "What's Outside the Intersection? Fine-grained Error
Analysis for Semantic Segmentation Beyond IoU", WACV 2024. For one class, with its true positives TP, true negatives TN, false
positives FP and false negatives FN (each pixel is one of them):

1. *Boundary*: error pixels within ``d`` of both TP and TN, grown by ``d`` within the FP (or FN); of the result those 8-connected
   parts that touch both TP and TN (3 x 3 neighbourhood).
2. *Extent*: of the rest, pixels of an 8-connected segment that holds a true positive: the predicted segment for FP, the true one
   for FN. The object was found, its extent is wrong.
3. *Segment*: what is left. A whole segment invented or missed.

As in the authors' evaluation code, "within d" means a distance that rounds to at most d px, and void of the truth is never
counted but are part of the geometry: where the class is predicted they belong to the predicted segment, elsewhere to TN. A void
ring therefore does not hide the boundary behind it.

Every pixel is wrong for at most two classes, its own and the one that it is called, so compiled loops judge all classes at once:
segments and parts are joined in one pass over a map each, and distances are looked at in tiles, for the classes that have errors
there. The cost follows the pixels and the errors; class by class it follows classes x pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import IGNORE
from deeplab_core.geometry import Box
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap
from deeplab_core.regions import Mask

Index = tuple[slice, slice]

#: Width d as a share of the image's diagonal (the paper's setting).
BOUNDARY_SHARE = 0.01

#: Up to this width a dilation by a disc is faster than a distance transform, px. Both are exact.
_DISC = 16
#: Runs of a mask times rows of the disc, for each pixel, from which on growing run by run is slower than either.
_MANY_RUNS = 4
#: Side of the tiles in which distances are looked at, px.
_TILE = 512
#: Bits of the two verdicts on a pixel: as a miss of its class, as a false alarm of the one that it is called.
_MISSED, _FALSE = 1, 2
#: Bits that :func:`deeplab_core.kernels.error_parts.beside` finds next to hits and next to the rest.
_BOTH = 3


class ErrorPart(IntEnum):
    """The three parts; 0 in a map means that the pixel is no such error."""

    BOUNDARY = 1
    EXTENT = 2
    SEGMENT = 3


@dataclass(frozen=True, slots=True, eq=False)
class ErrorPartition:
    """Two verdicts on every wrong pixel: as a miss of its truth class, and as a false alarm of its predicted class.

    Attributes:
        missed: (H, W) uint8 of :class:`ErrorPart`: the false negatives, judged for the truth class; 0 on right, void and excluded
            pixels.
        false: (H, W) uint8: the false positives, judged for the predicted class; also 0 where the prediction is void.
        width_px: the boundary width d.
    """

    missed: NDArray[np.uint8]
    false: NDArray[np.uint8]
    width_px: int


def boundary_width(shape: tuple[int, ...], share: float = BOUNDARY_SHARE) -> int:
    """The width d in px for an image of ``shape`` (H, W): a share of its diagonal, rounded, at least 1."""
    return max(1, round(share * math.hypot(*shape[:2])))


def partition_errors(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    ignore: int = IGNORE,
    width_px: int | None = None,
    exclude: Mask | None = None,
) -> ErrorPartition:
    """Partition the wrong pixels of one image.

    Args:
        truth, prediction: (H, W) class ids of one shape; a void prediction is a miss of the truth class only.
        ignore: id of void.
        width_px: the boundary width d; None takes 1 % of the diagonal.
        exclude: (H, W) bool, pixels that are treated as void of the truth.

    Raises:
        ValueError: shapes differ, or a width below 1.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    width = boundary_width(truth.shape) if width_px is None else width_px
    if width < 1:
        raise ValueError(f"a boundary is at least 1 px wide, not {width}")
    if exclude is not None:
        truth = np.where(exclude, np.asarray(ignore, dtype=truth.dtype), truth)
    wrong = (truth != prediction) & (truth != ignore)
    if truth.dtype == prediction.dtype and truth.dtype in (np.uint8, np.uint16) and use_compiled(truth.size):
        return ErrorPartition(*_all_classes(truth, prediction, wrong, ignore, width), width)
    missed = np.zeros(truth.shape, dtype=np.uint8)
    false = np.zeros(truth.shape, dtype=np.uint8)
    for class_id in np.union1d(truth[wrong], prediction[wrong]).tolist():
        if class_id != ignore:
            _classify(truth == class_id, prediction == class_id, wrong, width, missed, false)
    return ErrorPartition(missed, false, width)


def _all_classes(
    truth: LabelMap, prediction: LabelMap, wrong: Mask, ignore: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The verdicts on all pixels, as misses and as false alarms."""
    from deeplab_core.kernels.error_parts import beside
    from deeplab_core.kernels.regions import part_marks

    truth, prediction, void = np.ascontiguousarray(truth), np.ascontiguousarray(prediction), truth.dtype.type(ignore)
    hits = ((truth == prediction) & (truth != void)).view(np.uint8)
    grown = _grown_seeds(truth, prediction, ignore, width)
    verdicts = []
    for bit, labels in ((_MISSED, truth), (_FALSE, prediction)):
        errors = wrong & (labels != void)
        part = np.where(part_marks(labels, hits, void) > 0, np.uint8(ErrorPart.EXTENT), np.uint8(ErrorPart.SEGMENT))
        judged = np.where(grown & bit, labels, void)
        part[part_marks(judged, beside(judged, truth, prediction, void), void) == _BOTH] = ErrorPart.BOUNDARY
        part[~errors] = 0
        verdicts.append(part)
    return verdicts[0], verdicts[1]


def _grown_seeds(truth: LabelMap, prediction: LabelMap, ignore: int, width: int) -> NDArray[np.uint8]:
    """(H, W) uint8 bits of both verdicts: error pixels near hits and the rest of their class, and the error pixels near those."""
    seeds = np.zeros(truth.shape, dtype=np.uint8)
    for class_id, core, outer, inner in _error_boxes(truth, prediction, ignore, width):
        true, called = truth[outer] == class_id, prediction[outer] == class_id
        hits, rest = true & called, ~(true | called)
        if not hits.any() or not rest.any():
            continue
        near = _within(hits, width)[inner] & _within(rest, width)[inner]
        seeds[core] |= np.where(near & true[inner] & ~called[inner], np.uint8(_MISSED), np.uint8(0))
        seeds[core] |= np.where(near & called[inner] & ~true[inner], np.uint8(_FALSE), np.uint8(0))
    grown = seeds.copy()
    for class_id, core, outer, inner in _error_boxes(truth, prediction, ignore, width):
        for bit, labels, other in ((_MISSED, truth, prediction), (_FALSE, prediction, truth)):
            mine = labels[outer] == class_id
            seed = mine & ((seeds[outer] & bit) > 0)
            errors = mine[inner] & (other[core] != class_id)
            if seed.any() and (errors & ~seed[inner]).any():
                grown[core] |= np.where(errors & _within(seed, width)[inner], np.uint8(bit), np.uint8(0))
    return grown


def _error_boxes(truth: LabelMap, prediction: LabelMap, ignore: int, width: int) -> Iterator[tuple[int, Index, Index, Index]]:
    """For every tile and every class with errors in it: the class, the box of these errors, the box with all that may lie within
    the width, and the first in the second.
    """
    for tile in _tiles(truth.shape):
        theirs, ours = truth[tile], prediction[tile]
        odd = theirs != ours
        if not odd.any():
            continue
        for class_id in np.union1d(theirs[odd], ours[odd]).tolist():
            if class_id == ignore:
                continue
            box = Box.around(odd & ((theirs == class_id) | (ours == class_id)))
            assert box is not None
            core = Box(box.x + tile[1].start, box.y + tile[0].start, box.width, box.height)
            outer = core.grown(width + 1, truth.shape)
            inner = Box(core.x - outer.x, core.y - outer.y, core.width, core.height)
            yield class_id, core.slices, outer.slices, inner.slices


def _tiles(shape: tuple[int, ...]) -> Iterator[Index]:
    for top in range(0, shape[0], _TILE):
        for left in range(0, shape[1], _TILE):
            yield slice(top, top + _TILE), slice(left, left + _TILE)


def _classify(true: Mask, called: Mask, wrong: Mask, width: int, missed: NDArray[np.uint8], false: NDArray[np.uint8]) -> None:
    """Write the verdicts of one class into both maps."""
    # Everything outside of the box is a true negative; beyond the width it decides nothing.
    box = _box_around(true | called, width + 1)
    true, called, wrong = true[box], called[box], wrong[box]
    hits = true & called
    alarms, misses = called & ~true, true & ~called  # void of the truth may be an alarm in the geometry
    if not hits.any():
        false[box][alarms & wrong] = ErrorPart.SEGMENT
        missed[box][misses] = ErrorPart.SEGMENT
        return
    rest = ~(true | called)
    near = _within(hits, width) & _within(rest, width)
    near_hits, near_rest = _neighbours(hits), _neighbours(rest)
    for errors, segments, out in ((alarms, called, false), (misses, true, missed)):
        if not (errors & wrong).any():
            continue
        part = np.full(errors.shape, ErrorPart.SEGMENT, dtype=np.uint8)
        part[_parts_touching(segments, hits)] = ErrorPart.EXTENT
        seed = errors & near
        if seed.any():
            grown = errors & _within(seed, width)
            part[_parts_touching(grown, near_hits, near_rest)] = ErrorPart.BOUNDARY
        np.copyto(out[box], part, where=errors & wrong)


def _parts_touching(mask: Mask, *places: Mask) -> Mask:
    """The 8-connected parts of a mask that hold a pixel of each of ``places``."""
    import cv2

    number, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    kept = np.ones(number, dtype=bool)
    for place in places:
        holds = np.zeros(number, dtype=bool)
        holds[parts[place]] = True
        kept &= holds
    kept[0] = False
    found: Mask = kept[parts]
    return found


def _within(mask: Mask, width: int) -> Mask:
    """(h, w) bool: pixels with a Euclidean distance to a mask that rounds to at most ``width``, the mask's own included."""
    import cv2

    steps = np.arange(-width, width + 1)
    # d rounds to at most w exactly if d^2 < (w + 1/2)^2, and d^2 is whole.
    disc = (steps[:, None] ** 2 + steps**2 <= width * width + width).astype(np.uint8)
    if use_compiled(mask.size):
        from deeplab_core.kernels.error_parts import grow_by_runs

        runs = np.count_nonzero(mask[:, 1:] & ~mask[:, :-1]) + np.count_nonzero(mask[:, 0])
        if runs * len(steps) <= _MANY_RUNS * mask.size:
            return np.asarray(grow_by_runs(np.ascontiguousarray(mask), disc[width:].sum(axis=1, dtype=np.int64) // 2), dtype=bool)
    plain = mask.astype(np.uint8)
    if width <= _DISC:
        return np.asarray(cv2.dilate(plain, disc), dtype=bool)
    if not mask.any():
        return mask
    distance = cv2.distanceTransform(1 - plain, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance < width + 0.5, dtype=bool)


def _neighbours(mask: Mask) -> Mask:
    """(h, w) bool: the mask and its eight neighbours."""
    import cv2

    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)), dtype=bool)


def _box_around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Index of the smallest box around a mask, which has pixels, and a margin."""
    box = Box.around(mask)
    assert box is not None
    return box.grown(margin, mask.shape).slices


def count_parts(
    partition: ErrorPartition, *, truth: LabelMap, prediction: LabelMap, lut: NDArray[Any], classes: int
) -> NDArray[np.int64]:
    """Pixels by class, side and part.

    Args:
        partition: of these maps.
        truth, prediction: (H, W) class ids.
        lut: id -> channel (``catalog.index_lut()``).
        classes: C.

    Returns:
        (C, 2, 3) int64: channel; misses, then false alarms; boundary, extent, segment.
    """
    counts = np.zeros((classes, 2, 3), dtype=np.int64)
    for side, (part, labels) in enumerate(((partition.missed, truth), (partition.false, prediction))):
        where = part > 0
        code = lut[labels[where]] * 3 + (part[where].astype(np.int64) - 1)
        counts[:, side] = np.bincount(code, minlength=classes * 3)[: classes * 3].reshape(classes, 3)
    return counts
