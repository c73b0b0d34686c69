"""Whether a confidence means what it says: of the pixels called with 80 %, are 80 % right?

Guo et al. 2017, "On Calibration of Modern Neural Networks": with the pixels in B bins by confidence, accuracy ``acc_b`` and mean
confidence ``conf_b`` of a bin and ``n_b`` its pixels::

    ECE = sum_b n_b / n |acc_b - conf_b|        MCE = max_b |acc_b - conf_b|

Bins are ``(b / B, (b + 1) / B]``. Confidences are kept as the 256 levels of a confidence map (level / 255), so counts are exact
and may be binned afterwards in any way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.confusion import check_same_classes
from deeplab_core.metrics.counting import channel_table

#: Levels of a confidence map.
LEVELS = 256
#: Bins of the paper's figures and tables.
DEFAULT_BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """A reliability diagram; nan in empty bins.

    Attributes:
        low, high: (B,) bounds of the bins, ``low < confidence <= high`` (the first bin holds 0 too).
        pixels: (B,) int64.
        confidence: (B,) mean confidence, 0..1.
        accuracy: (B,) share of pixels that are right, 0..1.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    pixels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1; nan without pixels."""
        total = self.pixels.sum()
        return float(np.nansum(self.pixels * self._gap) / total) if total else math.nan

    @property
    def mce(self) -> float:
        """Largest gap of a bin, 0..1; nan without pixels."""
        return float(np.nanmax(self._gap)) if self.pixels.any() else math.nan

    @property
    def _gap(self) -> NDArray[np.float64]:
        return np.abs(self.accuracy - self.confidence)


class Calibration:
    """Pixels counted by predicted class, confidence level, and whether they are right.

    Void truth is not counted, nor is a void prediction: it claims nothing.

    Attributes:
        catalog: the classes.
    """

    __slots__ = ("_counts", "catalog")

    def __init__(self, catalog: ClassCatalog, counts: NDArray[np.int64] | None = None) -> None:
        """Begin empty, or with a copy of (C, 256, 2) ``counts``."""
        self.catalog = catalog
        self._counts = np.zeros((len(catalog), LEVELS, 2), dtype=np.int64) if counts is None else counts.astype(np.int64)

    def update(self, *, truth: LabelMap, prediction: LabelMap, confidence: NDArray[np.uint8]) -> Calibration:
        """Count one image and return self.

        Args:
            truth, prediction: (H, W) class ids, void = ``catalog.ignore``.
            confidence: (H, W) uint8, 255 x the probability of the predicted class.

        Raises:
            CatalogError: an undeclared id; nothing is counted.
            ValueError: shapes or dtypes differ; nothing is counted.
        """
        if not truth.shape == prediction.shape == confidence.shape or confidence.dtype != np.uint8:
            shapes = f"truth {truth.shape}, prediction {prediction.shape}, confidence {confidence.shape} {confidence.dtype}"
            raise ValueError(f"a uint8 confidence of the maps' shape is needed: {shapes}")
        table = channel_table(self.catalog)
        called = table.channels("prediction", table.checked("prediction", prediction))
        is_class = table.channels("truth", table.checked("truth", truth))
        counted = (called < table.classes) & (is_class < table.classes)
        called, is_class, level = called[counted], is_class[counted], confidence[counted]
        code = (called * LEVELS + level) * 2 + (called == is_class)
        self._counts += np.bincount(code, minlength=self._counts.size).reshape(self._counts.shape)
        return self

    def __iadd__(self, other: Calibration) -> Calibration:
        check_same_classes(self.catalog, other.catalog)
        self._counts += other._counts
        return self

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C, 256, 2) int64: predicted class, level, wrong or right; a read-only view."""
        view = self._counts.view()
        view.flags.writeable = False
        return view

    @property
    def total(self) -> int:
        """Pixels counted."""
        return int(self._counts.sum())

    @property
    def mean_confidence(self) -> float:
        """Mean confidence, 0..1; above :attr:`accuracy` the model is over-confident. nan without pixels."""
        levels = self._counts.sum(axis=(0, 2))
        return float((levels * np.arange(LEVELS)).sum() / (LEVELS - 1) / self.total) if self.total else math.nan

    @property
    def accuracy(self) -> float:
        """Share of the counted pixels that are right, 0..1; nan without pixels."""
        return float(self._counts[..., 1].sum() / self.total) if self.total else math.nan

    def bins(self, number: int = DEFAULT_BINS, channel: int | None = None) -> ReliabilityBins:
        """The reliability diagram of all pixels, or of those called one class.

        Raises:
            ValueError: not 1 to 255 bins.
        """
        return reliability_bins(self._counts.sum(axis=0) if channel is None else self._counts[channel], number)

    def to_dict(self, number: int = DEFAULT_BINS) -> dict[str, Any]:
        """Plain values for JSON: ECE, MCE and the diagram; null if undefined."""
        bins = self.bins(number)
        return {
            "pixels": self.total,
            "ece": _plain(bins.ece),
            "mce": _plain(bins.mce),
            "mean_confidence": _plain(self.mean_confidence),
            "accuracy": _plain(self.accuracy),
            "bins": [
                {"low": low, "high": high, "pixels": pixels, "confidence": _plain(confidence), "accuracy": _plain(accuracy)}
                for low, high, pixels, confidence, accuracy in zip(
                    bins.low.tolist(),
                    bins.high.tolist(),
                    bins.pixels.tolist(),
                    bins.confidence.tolist(),
                    bins.accuracy.tolist(),
                    strict=True,
                )
            ],
            "classes": {
                name: _plain(self.bins(number, channel).ece)
                for channel, name in enumerate(self.catalog.names)
                if self._counts[channel].any()
            },
        }


def reliability_bins(counts: NDArray[np.int64], number: int = DEFAULT_BINS) -> ReliabilityBins:
    """The reliability diagram of (256, 2) int64 pixels by confidence level and wrong or right.

    Raises:
        ValueError: not 1 to 255 bins.
    """
    if not 1 <= number < LEVELS:
        raise ValueError(f"{number} bins; use 1 to {LEVELS - 1}")
    levels = np.arange(LEVELS)
    # Whole numbers: bin b holds b / B < level / 255 <= (b + 1) / B.
    place = np.maximum(-(-levels * number // (LEVELS - 1)) - 1, 0)
    pixels = np.bincount(place, counts.sum(axis=1), minlength=number)
    right = np.bincount(place, counts[:, 1], minlength=number)
    claimed = np.bincount(place, counts.sum(axis=1) * levels / (LEVELS - 1), minlength=number)
    edges = np.arange(number + 1) / number
    with np.errstate(invalid="ignore"):
        return ReliabilityBins(edges[:-1], edges[1:], pixels.astype(np.int64), claimed / pixels, right / pixels)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
