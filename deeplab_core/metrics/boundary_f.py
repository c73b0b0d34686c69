"""Boundary F-measures: how much of one contour lies near the other, one binary mask per class.

Two definitions are in use, which differ in what a contour is, in the distance and in what is averaged:

- DAVIS (Perazzi et al. 2016, ``seg2bmap`` and ``f_measure`` of the benchmark's code): a contour pixel differs from its right,
  lower or lower right neighbour; near = within a disk of ``ceil(0.008 * diagonal)`` px. Where neither mask has a contour F is 1.
- Csurka (Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?"): the pixels of the class that touch
  another class (4 neighbours, the image border is not an edge); near: nearer than ``0.0075 * diagonal``; per image, over classes
  of its truth; a class with a contour that neither map shows (it fills the image) is left out.

Pixels of void truth are taken out of both masks, as the DAVIS code does. In a data set that outlines its objects in void the
contours then end at that ring on both sides, which flatters: measure such a set in the trimap band.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import IGNORE
from deeplab_core.geometry import Box
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.boundary_iou import without_void

#: Up to this radius in px a dilation by a disk is faster than a distance transform.
_SMALL_DISK = 16

Mask = NDArray[np.bool_]

#: Share of the image diagonal that contours may be apart: DAVIS, and Csurka et al.
BOUND_RATIO = 0.008
CSURKA_RATIO = 0.0075


def contour(mask: Mask) -> Mask:
    """(H, W) bool: pixels that differ from their right, lower or lower right neighbour, the one-pixel contour of the DAVIS code.

    Pixels of the last row and column have only the neighbours inside the image.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    found: Mask = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
    return found


def perimeter(mask: Mask) -> Mask:
    """(H, W) bool: pixels of a mask with a 4-neighbour outside of it; the image border is not an outside."""
    padded = np.pad(mask, 1, mode="edge")
    surrounded: Mask = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~surrounded


def boundary_f(truth: Mask, prediction: Mask, *, labelled: Mask | None = None, ratio: float = BOUND_RATIO) -> float:
    """Boundary F-measure of one class in one image by the DAVIS definition.

    Precision is the share of the predicted contour within a disk of ``ceil(ratio * diagonal)`` px of the true one, recall the
    reverse, F their harmonic mean.

    Args:
        truth, prediction: (H, W) bool masks of the class.
        labelled: (H, W) bool; other pixels (void) are dropped from both masks.
        ratio: allowed distance as a share of the diagonal.

    Returns:
        0..1; 1 where neither mask has a contour, 0 where only one has.
    """
    limit = math.ceil(ratio * math.hypot(*truth.shape))
    # Distances are square roots of integers, so half a hundredth is only slack for rounding.
    score = _f_measure(truth, prediction, labelled, contour, limit + 0.005, limit + 2)
    return 1.0 if math.isnan(score) else score


def csurka_f(truth: Mask, prediction: Mask, *, labelled: Mask | None = None, ratio: float = CSURKA_RATIO) -> float:
    """Boundary F-measure of one class in one image by the definition of Csurka et al.

    Args:
        truth, prediction: (H, W) bool masks of the class.
        labelled: (H, W) bool; other pixels (void) are dropped from both masks.
        ratio: contours nearer than this share of the diagonal agree.

    Returns:
        0..1; 0 where only one mask has a contour, nan where neither has.
    """
    limit = ratio * math.hypot(*truth.shape)
    return _f_measure(truth, prediction, labelled, perimeter, _below(limit), math.ceil(limit) + 2)


def mean_boundary_f(
    *, truth: LabelMap, prediction: LabelMap, ignore: int = IGNORE, ratio: float = BOUND_RATIO
) -> tuple[float, int]:
    """Mean of :func:`boundary_f` over the classes present in the truth of one image, and their number; (nan, 0) for none."""
    limit = float(math.ceil(ratio * math.hypot(*truth.shape)))
    found = _matched_f(truth, prediction, ignore, limit, later=True)
    if found is None:
        labelled = truth != ignore
        found = [boundary_f(truth == c, prediction == c, labelled=labelled, ratio=ratio) for c in _present(truth, ignore)]
    # Where neither map shows a contour of a class, both say that it fills the image.
    return _mean([1.0 if math.isnan(score) else score for score in found])


def mean_csurka_f(
    *, truth: LabelMap, prediction: LabelMap, ignore: int = IGNORE, ratio: float = CSURKA_RATIO
) -> tuple[float, int]:
    """Mean of :func:`csurka_f` over the classes present in the truth of one image, and their number; (nan, 0) for none."""
    found = _matched_f(truth, prediction, ignore, _below(ratio * math.hypot(*truth.shape)), later=False)
    if found is None:
        labelled = truth != ignore
        found = [csurka_f(truth == c, prediction == c, labelled=labelled, ratio=ratio) for c in _present(truth, ignore)]
    return _mean([score for score in found if not math.isnan(score)])


def _matched_f(truth: LabelMap, prediction: LabelMap, ignore: int, limit: float, *, later: bool) -> list[float] | None:
    """F of every class present in the truth by compiled loops, nan without contours; None where they may not be used."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    if truth.dtype not in (np.uint8, np.uint16) or truth.dtype != prediction.dtype or not use_compiled(truth.size):
        return None
    from deeplab_core.kernels.contours import match_contours

    truth = np.ascontiguousarray(truth)
    seen = without_void(truth, np.ascontiguousarray(prediction), ignore)
    (theirs, found), (ours, right) = match_contours(truth, seen, ignore, limit, later)
    scores = []
    for class_id in _present(truth, ignore):
        if not theirs[class_id] and not ours[class_id]:
            scores.append(math.nan)
            continue
        precision = right[class_id] / ours[class_id] if ours[class_id] else 0.0
        recall = found[class_id] / theirs[class_id] if theirs[class_id] else 0.0
        scores.append(_harmonic_mean(precision, recall))
    return scores


def _present(labels: LabelMap, ignore: int) -> list[int]:
    import cv2

    depth = ignore + 1
    counts = cv2.calcHist([labels.reshape(1, -1)], [0], None, [depth], [0, depth])
    return [int(class_id) for class_id in np.flatnonzero(counts) if class_id != ignore]


def _mean(scores: list[float]) -> tuple[float, int]:
    return (float(np.mean(scores)) if scores else math.nan), len(scores)


def _harmonic_mean(precision: float, recall: float) -> float:
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _below(limit: float) -> float:
    """The largest float32 under a limit: nearer than it is at most this far."""
    return float(np.nextafter(np.float32(limit), np.float32(0)))


def _f_measure(
    truth: Mask, prediction: Mask, labelled: Mask | None, edge_of: Callable[[Mask], Mask], limit: float, margin: int
) -> float:
    """F of two masks; nan where neither has a contour. ``margin``: px around the masks that can matter."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    if labelled is not None:
        truth, prediction = truth & labelled, prediction & labelled
    theirs, ours = edge_of(truth), edge_of(prediction)
    around = Box.around(theirs | ours)
    if around is None:
        return math.nan
    box = around.grown(margin, truth.shape).slices
    theirs, ours = np.ascontiguousarray(theirs[box]), np.ascontiguousarray(ours[box])
    precision, recall = _share_near(ours, theirs, limit), _share_near(theirs, ours, limit)
    return _harmonic_mean(precision, recall)


def _share_near(edge: Mask, other: Mask, limit: float) -> float:
    """Share of one contour at a distance of at most ``limit`` px from another; 0 where either is empty."""
    import cv2

    total = np.count_nonzero(edge)
    if not total or not other.any():
        return 0.0
    if limit < _SMALL_DISK:
        radius = int(limit)
        across = np.arange(-radius, radius + 1)
        disk = (across[:, None] ** 2 + across**2 <= limit * limit).astype(np.uint8)
        near = cv2.dilate(other.view(np.uint8), disk)
        return np.count_nonzero(edge & near.view(bool)) / total
    distance = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.count_nonzero(distance[edge] <= limit) / total
