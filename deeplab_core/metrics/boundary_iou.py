"""Boundary IoU: intersection over union of what lies inside a class and near its contour.

Cheng et al. 2021, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation"::

    |(G_d & G) & (P_d & P)| / |(G_d & G) | (P_d & P)|

where G_d & G are the pixels of the class that the truth's mask loses when it is eroded by d. As in the authors' code the image
border counts as a boundary and the erosion is by a square, d times 3 x 3, which is a chessboard distance. Void of the truth is
taken out of both masks first: it is not evaluated, and a prediction that runs into a void ring ends where the truth ends.

A pixel is lost by the erosion exactly if the square of side 2d + 1 around it holds another value, so one smallest and one
largest value per square answer for all classes at once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap

#: Share of the image diagonal: the authors' d for COCO and LVIS, and for Cityscapes.
DILATION_RATIO = 0.02
DILATION_RATIO_CITYSCAPES = 0.005


def boundary_width(shape: tuple[int, ...], ratio: float = DILATION_RATIO) -> int:
    """Width d in px for an (H, W) image: the rounded share of its diagonal, at least 1."""
    return max(1, round(ratio * math.hypot(shape[0], shape[1])))


def inner_boundary(mask: NDArray[np.bool_], width_px: int) -> NDArray[np.bool_]:
    """(H, W) bool: pixels of a mask at a chessboard distance of at most ``width_px`` from its outside or the image border."""
    return mask & inner_boundaries(mask.astype(np.uint8), width_px, outside=0)


def inner_boundaries(labels: LabelMap, width_px: int, outside: int) -> NDArray[np.bool_]:
    """Inner boundaries of all classes of a map.

    Args:
        labels: (H, W) uint8 or uint16.
        width_px: at least 1.
        outside: value of what lies beyond the image border.

    Returns:
        (H, W) bool: pixels at a chessboard distance of at most ``width_px`` from another value. For pixels of the value
        ``outside`` it says nothing about the border.
    """
    import cv2

    if width_px < 1:
        raise ValueError(f"boundary width {width_px} is below 1 px")
    padded = cv2.copyMakeBorder(labels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=outside)
    square = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    differs: NDArray[np.bool_] = (cv2.erode(padded, square) != cv2.dilate(padded, square))[1:-1, 1:-1]
    return differs


def without_void(truth: LabelMap, prediction: LabelMap, ignore: int) -> LabelMap:
    """(H, W): the prediction, void wherever the truth is."""
    if truth.dtype == prediction.dtype and truth.dtype.kind == "u" and ignore == np.iinfo(truth.dtype).max:
        # All bits of void are set, so that it swallows any class.
        seen: LabelMap = prediction | np.negative((truth == ignore).astype(truth.dtype))
        return seen
    return np.where(truth == ignore, truth, prediction)


class BoundaryIoU:
    """Boundary IoU per class, pooled over images.

    Attributes:
        catalog: the classes.
        ratio: width of the boundary as a share of each image's diagonal.
    """

    def __init__(self, catalog: ClassCatalog, ratio: float = DILATION_RATIO, *, counts: NDArray[np.int64] | None = None) -> None:
        """Begin empty, or with a copy of (2, C) ``counts``: :attr:`hits` and :attr:`union`."""
        self.catalog = catalog
        self.ratio = ratio
        self._hits: NDArray[np.int64] = np.zeros(len(catalog), dtype=np.int64) if counts is None else counts[0].copy()
        self._union: NDArray[np.int64] = np.zeros(len(catalog), dtype=np.int64) if counts is None else counts[1].copy()

    def update(self, *, truth: LabelMap, prediction: LabelMap) -> BoundaryIoU:
        """Count one image, (H, W) class ids in the catalog's dtype each, and return self; ValueError where shapes differ."""
        if truth.shape != prediction.shape:
            raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
        void = self.catalog.ignore
        width = boundary_width(truth.shape, self.ratio)
        seen = without_void(truth, prediction, void)
        theirs, ours = inner_boundaries(truth, width, void), inner_boundaries(seen, width, void)
        if truth.dtype == seen.dtype == self.catalog.dtype and use_compiled(truth.size):
            from deeplab_core.kernels.contours import count_inner

            by_id = np.zeros((2, void + 1), dtype=np.int64)
            count_inner(truth.ravel(), seen.ravel(), theirs.ravel(), ours.ravel(), by_id[0], by_id[1])
            self._hits += by_id[0, self.catalog.ids]
            self._union += by_id[1, self.catalog.ids]
            return self
        hits = self._by_class(truth, theirs & ours & (truth == seen))
        self._hits += hits
        self._union += self._by_class(truth, theirs) + self._by_class(seen, ours) - hits
        return self

    @property
    def hits(self) -> NDArray[np.int64]:
        """(C,) pixels in both boundaries; a copy."""
        return self._hits.copy()

    @property
    def union(self) -> NDArray[np.int64]:
        """(C,) pixels in either boundary; a copy."""
        return self._union.copy()

    def iou(self) -> NDArray[np.float64]:
        """(C,) 0..1; nan for a class absent from truth and prediction."""
        scores: NDArray[np.float64] = np.divide(
            self._hits, self._union, out=np.full(len(self.catalog), np.nan), where=self._union > 0
        )
        return scores

    def mean(self) -> tuple[float, int]:
        """Mean over the classes present in truth or prediction, and their number; (nan, 0) if none."""
        present = self._union > 0
        number = int(present.sum())
        return (float(self.iou()[present].mean()) if number else math.nan), number

    def _by_class(self, labels: LabelMap, where: NDArray[np.bool_]) -> NDArray[np.int64]:
        found = np.bincount(labels[where], minlength=self.catalog.ignore + 1)
        return np.asarray(found[self.catalog.ids], dtype=np.int64)
