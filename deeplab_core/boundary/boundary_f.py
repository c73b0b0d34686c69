"""Boundary F-measures: how much of one contour lies near the other, one binary mask per class.

Two definitions are in use, which differ in what a contour is, in the distance and in what is averaged:

- DAVIS (Perazzi et al. 2016, ``seg2bmap`` and ``f_measure`` of the benchmark's code): a contour pixel differs from its right,
  lower or lower right neighbour; near = within a disk of ``ceil(0.008 * diagonal)`` px. Where neither mask has a contour F is 1.
- Csurka (Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?"): the pixels of the class that touch
  another class (4 neighbours, the image border is no edge); near = nearer than ``0.0075 * diagonal``; per image, over the classes
  of its truth; a class whose contour neither map shows (it fills the image) is left out.

Pixels of void truth are taken out of both masks, as the DAVIS code does. In a data set that outlines its objects in void the
contours then end at that ring on both sides, which flatters: measure such a set in the trimap band.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import IGNORE

Labels = NDArray[Any]  # (H, W) uint8 or uint16
Mask = NDArray[np.bool_]

#: Share of the image diagonal that contours may be apart: DAVIS, and Csurka et al.
BOUND_RATIO = 0.008
CSURKA_RATIO = 0.0075


def contour(mask: Mask) -> Mask:
    """(H, W) bool: pixels whose right, lower or lower right neighbour differs, the one-pixel contour of the DAVIS code.

    Pixels of the last row and column have only the neighbours inside the image.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    found: Mask = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
    return found


def perimeter(mask: Mask) -> Mask:
    """(H, W) bool: pixels of a mask with a 4-neighbour outside of it; the image border is no outside."""
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
    below = float(np.nextafter(np.float32(limit), np.float32(0)))
    return _f_measure(truth, prediction, labelled, perimeter, below, math.ceil(limit) + 2)


def mean_boundary_f(*, truth: Labels, prediction: Labels, ignore: int = IGNORE, ratio: float = BOUND_RATIO) -> tuple[float, int]:
    """Mean of :func:`boundary_f` over the classes present in the truth of one image, and their number; (nan, 0) for none."""
    return _mean_over_classes(truth, prediction, ignore, lambda *masks: boundary_f(*masks[:2], labelled=masks[2], ratio=ratio))


def mean_csurka_f(*, truth: Labels, prediction: Labels, ignore: int = IGNORE, ratio: float = CSURKA_RATIO) -> tuple[float, int]:
    """Mean of :func:`csurka_f` over the classes present in the truth of one image, and their number; (nan, 0) for none."""
    return _mean_over_classes(truth, prediction, ignore, lambda *masks: csurka_f(*masks[:2], labelled=masks[2], ratio=ratio))


def _mean_over_classes(
    truth: Labels, prediction: Labels, ignore: int, score: Callable[[Mask, Mask, Mask], float]
) -> tuple[float, int]:
    labelled = truth != ignore
    present = [class_id for class_id in np.unique(truth).tolist() if class_id != ignore]
    found = [score(truth == class_id, prediction == class_id, labelled) for class_id in present]
    scores = [value for value in found if not math.isnan(value)]
    return (float(np.mean(scores)) if scores else math.nan), len(scores)


def _f_measure(
    truth: Mask, prediction: Mask, labelled: Mask | None, edge_of: Callable[[Mask], Mask], limit: float, margin: int
) -> float:
    """F of two masks; nan where neither has a contour. ``margin``: px around the masks that can matter."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    if labelled is not None:
        truth, prediction = truth & labelled, prediction & labelled
    theirs, ours = edge_of(truth), edge_of(prediction)
    box = _box(theirs | ours, margin)
    if box is None:
        return math.nan
    theirs, ours = theirs[box], ours[box]
    precision, recall = _share_near(ours, theirs, limit), _share_near(theirs, ours, limit)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _share_near(edge: Mask, other: Mask, limit: float) -> float:
    """Share of one contour at a distance of at most ``limit`` px from another; 0 where either is empty."""
    import cv2

    total = np.count_nonzero(edge)
    if not total or not other.any():
        return 0.0
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.count_nonzero(distance[edge] <= limit) / total


def _box(edges: Mask, margin: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(edges.any(axis=1)), np.flatnonzero(edges.any(axis=0))
    if not rows.size:
        return None
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + 1 + margin),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + 1 + margin),
    )
