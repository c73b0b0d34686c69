"""Boundary IoU and boundary F-measure: scores of contours, one binary mask per class.

Boundary IoU (Cheng et al. 2021, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation")::

    |(G_d & G) & (P_d & P)| / |(G_d & G) | (P_d & P)|

where G_d & G are the pixels of the class that the truth's mask loses when it is eroded by d. As in the authors' code the image
border counts as a boundary and the erosion is by a square, d times 3 x 3, which is a chessboard distance. Void of the truth is
taken out of both masks first: nobody is judged there, and a prediction that runs into a void ring ends where the truth ends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import IGNORE, ClassCatalog

Labels = NDArray[Any]  # (H, W) uint8 or uint16

#: Share of the image diagonal: the authors' d for COCO and LVIS, and for Cityscapes.
DILATION_RATIO = 0.02
DILATION_RATIO_CITYSCAPES = 0.005
#: Share of the image diagonal that contours may be apart in the F-measure (Perazzi et al. 2016, DAVIS).
BOUND_RATIO = 0.008


def boundary_width(shape: tuple[int, ...], ratio: float = DILATION_RATIO) -> int:
    """Width d in px for an (H, W) image: the rounded share of its diagonal, at least 1."""
    return max(1, round(ratio * math.hypot(shape[0], shape[1])))


def inner_boundary(mask: NDArray[np.bool_], width_px: int) -> NDArray[np.bool_]:
    """(H, W) bool: pixels of a mask at a chessboard distance of at most ``width_px`` from its outside or the image border."""
    import cv2

    if width_px < 1:
        raise ValueError(f"boundary width {width_px} is below 1 px")
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    boundary: NDArray[np.bool_] = mask & (distance <= width_px)
    return boundary


class BoundaryIoU:
    """Boundary IoU per class, pooled over images.

    Attributes:
        catalog: the classes.
        ratio: width of the boundary as a share of each image's diagonal.
    """

    def __init__(self, catalog: ClassCatalog, ratio: float = DILATION_RATIO) -> None:
        self.catalog = catalog
        self.ratio = ratio
        self._hits = np.zeros(len(catalog), dtype=np.int64)
        self._union = np.zeros(len(catalog), dtype=np.int64)

    def update(self, *, truth: Labels, prediction: Labels) -> BoundaryIoU:
        """Count one image, (H, W) class ids each, and return self. Raises ValueError where shapes differ."""
        if truth.shape != prediction.shape:
            raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
        width = boundary_width(truth.shape, self.ratio)
        labelled = truth != self.catalog.ignore
        for channel, info in enumerate(self.catalog.classes):
            ours, theirs = prediction == info.id, truth == info.id
            ours &= labelled
            if not (ours.any() or theirs.any()):
                continue
            ours, theirs = inner_boundary(ours, width), inner_boundary(theirs, width)
            self._hits[channel] += np.count_nonzero(ours & theirs)
            self._union[channel] += np.count_nonzero(ours | theirs)
        return self

    def iou(self) -> NDArray[np.float64]:
        """(C,) 0..1; nan for a class absent from truth and prediction."""
        scores: NDArray[np.float64] = np.divide(
            self._hits, self._union, out=np.full(len(self.catalog), np.nan), where=self._union > 0
        )
        return scores

    def mean(self) -> tuple[float, int]:
        """Mean over the classes present in truth or prediction, and their number; (nan, 0) where there is none."""
        present = self._union > 0
        number = int(present.sum())
        return (float(self.iou()[present].mean()) if number else math.nan), number


def contour(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels whose right, lower or lower right neighbour differs, the one-pixel contour of the DAVIS code.

    Pixels of the last row and column have only the neighbours inside the image.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    found: NDArray[np.bool_] = (mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]) | (mask != padded[1:, 1:])
    return found


def boundary_f(
    truth: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    labelled: NDArray[np.bool_] | None = None,
    ratio: float = BOUND_RATIO,
) -> float:
    """Boundary F-measure of one class in one image (Perazzi et al. 2016, DAVIS).

    Precision is the share of the predicted contour within a disk of ``ceil(ratio * diagonal)`` px of the true one, recall the
    reverse, F their harmonic mean.

    Args:
        truth, prediction: (H, W) bool masks of the class.
        labelled: (H, W) bool; other pixels (void) are dropped from both masks.
        ratio: allowed distance as a share of the diagonal.

    Returns:
        0..1; 1 where neither mask has a contour, 0 where only one has.
    """
    import cv2

    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    if labelled is not None:
        truth, prediction = truth & labelled, prediction & labelled
    theirs, ours = contour(truth), contour(prediction)
    if not theirs.any() or not ours.any():
        return float(theirs.any() == ours.any())
    limit = math.ceil(ratio * math.hypot(*truth.shape))

    def near(edge: NDArray[np.bool_]) -> NDArray[np.bool_]:
        within: NDArray[np.bool_] = (
            cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= limit + 0.005
        )
        return within

    precision = np.count_nonzero(ours & near(theirs)) / np.count_nonzero(ours)
    recall = np.count_nonzero(theirs & near(ours)) / np.count_nonzero(theirs)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def mean_boundary_f(*, truth: Labels, prediction: Labels, ignore: int = IGNORE, ratio: float = BOUND_RATIO) -> tuple[float, int]:
    """Mean of :func:`boundary_f` over the classes present in the truth of one image, and their number; (nan, 0) for none."""
    labelled = truth != ignore
    present = [class_id for class_id in np.unique(truth).tolist() if class_id != ignore]
    scores = [boundary_f(truth == class_id, prediction == class_id, labelled=labelled, ratio=ratio) for class_id in present]
    return (float(np.mean(scores)) if scores else math.nan), len(scores)
