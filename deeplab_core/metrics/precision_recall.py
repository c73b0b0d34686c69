"""Precision and recall of a two-class network over its threshold.

A pixel is called the object where its probability p reaches a level t. With ``TP`` the pixels of the object that are called so,
``FP`` those of the other class, and ``P`` all pixels of the object::

    precision(t) = TP / (TP + FP)      recall(t) = TP / P      IoU(t) = TP / (P + FP)
    AP = sum_n (R_n - R_(n-1)) P_n

``AP``, average precision, is the sum over the thresholds from the largest down, without interpolation: the definition of
scikit-learn's ``average_precision_score`` and of Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval",
section 8.4. Void ground truth is not counted.

Probabilities are those of a confidence map: 255 levels. Two thresholds between the same two levels call the same pixels, so AP is
exact for the map, and off by what rounding merges from that of the unrounded probabilities (below 0.001 on the tests' data).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics.calibration import LEVELS, Calibration


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Figures at one threshold; nan if the divisor is 0.

    Attributes:
        threshold: a pixel is the object where its probability is above it.
        precision, recall, iou: of the object, 0..1.
    """

    threshold: float
    precision: float
    recall: float
    iou: float


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecall:
    """The curve of one class against the rest.

    Attributes:
        counts: (256, 2) int64, pixels by level of the object's probability, and whether they are the object's (second column).
    """

    counts: NDArray[np.int64]

    @staticmethod
    def of_calibration(calibration: Calibration) -> PrecisionRecall | None:
        """From pixels counted by predicted class, its probability, and whether it is right; None unless there are two classes."""
        catalog = calibration.catalog
        if len(catalog) != 2:
            return None
        place = object_channel(catalog)
        counts: NDArray[np.int64] = np.zeros((LEVELS, 2), np.int64)
        counts += calibration.counts[place]
        # Where the other class was called with level L, the object has 255 - L, and is there where the call is wrong.
        counts += calibration.counts[1 - place][::-1, ::-1]
        return PrecisionRecall(counts)

    @property
    def pixels(self) -> int:
        """Pixels of the object."""
        return int(self.counts[:, 1].sum())

    @property
    def measured(self) -> bool:
        """Whether there is a pixel of the object; without one there is no recall."""
        return self.pixels > 0

    def curve(self) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Levels that occur, the largest first, and precision, recall and IoU of the pixels that reach them, each (N,)."""
        levels = np.flatnonzero(self.counts.sum(axis=1))[::-1]
        hits, false = (np.cumsum(self.counts[levels, column]) for column in (1, 0))
        with np.errstate(invalid="ignore"):
            precision, recall = hits / (hits + false), hits / np.float64(self.pixels)
            iou = hits / (self.pixels + false)
        return levels, precision, recall, iou

    @property
    def average_precision(self) -> float:
        """AP, 0..1; nan without a pixel of the object."""
        if not self.measured:
            return math.nan
        _, precision, recall, _ = self.curve()
        return float((np.diff(recall, prepend=0.0) * precision).sum())

    def at(self, threshold: float) -> OperatingPoint:
        """Figures of the pixels with a probability above a threshold, 0..1."""
        false, hits = (int(value) for value in self.counts[first_level(threshold) :].sum(axis=0))
        called, union = hits + false, self.pixels + false
        return OperatingPoint(
            threshold,
            hits / called if called else math.nan,
            hits / self.pixels if self.measured else math.nan,
            hits / union if union else math.nan,
        )

    @property
    def best(self) -> OperatingPoint | None:
        """The threshold of the largest IoU, of equals the largest; None without a pixel of the object."""
        if not self.measured:
            return None
        levels, _, _, iou = self.curve()
        above = levels > 0  # a threshold lies above 0, so no threshold calls the pixels of level 0 the object
        level = int(levels[above][int(np.argmax(iou[above]))]) if above.any() else 1
        return self.at(min(0.999, max(0.001, round((level - 0.5) / (LEVELS - 1), 3))))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null if undefined."""
        levels, precision, recall, iou = self.curve()
        best = self.best
        return {
            "object_px": self.pixels,
            "other_px": int(self.counts[:, 0].sum()),
            "average_precision": _plain(self.average_precision),
            "best_by_iou": None if best is None else point_dict(best),
            "curve": [
                {"probability": int(level) / (LEVELS - 1), "precision": _plain(p), "recall": _plain(r), "iou": _plain(i)}
                for level, p, r, i in zip(levels.tolist(), precision.tolist(), recall.tolist(), iou.tolist(), strict=True)
            ],
        }


def first_level(threshold: float) -> int:
    """The least level of a confidence map that a threshold, 0..1, calls the object: probabilities are rounded to levels."""
    return math.floor(threshold * (LEVELS - 1)) + 1


def object_channel(catalog: ClassCatalog) -> int:
    """Of two classes the one that is not the background: the second, unless the catalog marks this as the background."""
    return 0 if catalog.background == catalog.classes[1].id else 1


def point_dict(point: OperatingPoint) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "threshold": point.threshold, "precision": _plain(point.precision), "recall": _plain(point.recall),
        "iou": _plain(point.iou),
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
