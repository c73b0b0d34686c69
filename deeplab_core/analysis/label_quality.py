"""Finding wrong labels in given truth, with the probabilities of a model that has not been trained on it.

The score of an image is the softmin of the self-confidence of its pixels (Lad and Mueller 2023, "Estimating label quality and
errors in semantic segmentation data via any model", as in cleanlab); single errors are found by confident learning (Northcutt et
al. 2021): the model predicts another class than the label, with at least its average confidence in that class. Two
additions: void of the truth is masked first (it is not a label), and pixels within 3 px of a labelled class edge count nothing,
because people and models draw edges a few pixels apart and no one would call that an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.trimap import band_map, band_mask
from deeplab_core.metrics.uncertainty import EDGE_BAND
from deeplab_core.regions import Mask, find_regions

#: Temperature of the softmin (Lad and Mueller 2023; cleanlab's default).
TEMPERATURE = 0.1
#: Suspected regions smaller than this are not reported, px.
LEAST_PX = 64


def softmin(values: NDArray[Any], temperature: float = TEMPERATURE) -> float:
    """Soft minimum: mean of ``values`` (0..1) weighted by ``exp((1 - value) / temperature)``; nan of nothing."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    if not flat.size:
        return math.nan
    weights = np.exp((flat.min() - flat) / temperature)
    return float((flat * weights).sum() / weights.sum())


def self_confidence(probabilities: NDArray[Any], truth: LabelMap, catalog: ClassCatalog) -> NDArray[np.float32]:
    """(H, W) float32: probability that the model gives to the given label; nan on void.

    Args:
        probabilities: (C, H, W) in the catalog's channel order.
        truth: (H, W) ids.
        catalog: the classes.
    """
    _check(probabilities, truth, catalog)
    channels = catalog.index_lut()[truth]
    labelled = channels < len(catalog)
    chosen = np.take_along_axis(probabilities, np.where(labelled, channels, 0)[None], axis=0)[0]
    return np.where(labelled, chosen, np.float32(np.nan)).astype(np.float32)


def scored_pixels(truth: LabelMap, ignore: int, edge_band: int = EDGE_BAND) -> Mask:
    """(H, W) bool: labelled pixels farther than ``edge_band`` px from a class edge of the truth; 0 takes all labelled ones."""
    labelled: Mask = truth != ignore
    if not edge_band:
        return labelled
    away: Mask = labelled & ~band_mask(band_map(truth=truth, ignore=ignore, rule="edge"), edge_band)
    return away


def label_quality(
    probabilities: NDArray[Any],
    truth: LabelMap,
    catalog: ClassCatalog,
    *,
    edge_band: int = EDGE_BAND,
    temperature: float = TEMPERATURE,
) -> float:
    """Quality of the labels of an image, 0..1, low where some are wrong; nan if nothing is scored.

    Args:
        probabilities: (C, H, W), of a model that has not seen this truth.
        truth: (H, W) ids.
        catalog: the classes.
        edge_band: see :func:`scored_pixels`; 0 gives cleanlab's figure on the labelled pixels.
        temperature: of the softmin.
    """
    confidence = self_confidence(probabilities, truth, catalog)
    return softmin(confidence[scored_pixels(truth, catalog.ignore, edge_band)], temperature)


@dataclass(frozen=True, slots=True, eq=False)
class ClassConfidence:
    """How sure a model is of each class where the truth has it: the thresholds of confident learning, pooled over images.

    Attributes:
        total: (C,) float64, sum of the class's probability over the pixels labelled so.
        pixels: (C,) int64, their number.
    """

    total: NDArray[np.float64]
    pixels: NDArray[np.int64]

    @classmethod
    def of(
        cls, probabilities: NDArray[Any], truth: LabelMap, catalog: ClassCatalog, *, edge_band: int = EDGE_BAND
    ) -> ClassConfidence:
        """Measure one image on the pixels of :func:`scored_pixels`."""
        confidence = self_confidence(probabilities, truth, catalog)
        inside = scored_pixels(truth, catalog.ignore, edge_band)
        channels = catalog.index_lut()[truth[inside]]
        return cls(
            np.bincount(channels, weights=confidence[inside], minlength=len(catalog))[: len(catalog)].astype(np.float64),
            np.bincount(channels, minlength=len(catalog))[: len(catalog)].astype(np.int64),
        )

    def __add__(self, other: ClassConfidence) -> ClassConfidence:
        return ClassConfidence(self.total + other.total, self.pixels + other.pixels)

    def thresholds(self) -> NDArray[np.float64]:
        """(C,) mean confidence of each class; inf for a class that was never labelled, which nothing then exceeds."""
        never = np.full(len(self.total), np.inf)
        return np.asarray(np.divide(self.total, self.pixels, out=never, where=self.pixels > 0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """A region with a label that the model contradicts.

    Attributes:
        given, suggested: class ids.
        box, anchor, pixels: where it is; the anchor is one of its pixels.
        lead: mean lead of the suggested class over the given one, 0..1.
        weight: ``lead`` x ``pixels``, by which issues are ordered.
    """

    given: int
    suggested: int
    box: Box
    anchor: tuple[int, int]
    pixels: int
    lead: float
    weight: float


def find_label_issues(
    probabilities: NDArray[Any],
    truth: LabelMap,
    catalog: ClassCatalog,
    thresholds: NDArray[np.float64],
    *,
    edge_band: int = EDGE_BAND,
    least_px: int = LEAST_PX,
) -> list[LabelIssue]:
    """Connected regions with labels that seem wrong, by falling weight.

    Args:
        probabilities: (C, H, W), of a model that has not seen this truth.
        truth: (H, W) ids.
        catalog: the classes.
        thresholds: (C,) from :meth:`ClassConfidence.thresholds` over the whole set.
        edge_band: see :func:`scored_pixels`.
        least_px: smaller regions are left out.
    """
    confidence = self_confidence(probabilities, truth, catalog)
    suggested = probabilities.argmax(axis=0)
    surest = np.take_along_axis(probabilities, suggested[None], axis=0)[0]
    given = catalog.index_lut()[truth]
    suspect = scored_pixels(truth, catalog.ignore, edge_band) & (suggested != given) & (surest >= thresholds[suggested])
    regions = find_regions(given * len(catalog) + suggested, suspect)
    lead = regions.sums(np.where(suspect, surest - confidence, 0))
    ids = catalog.ids
    found = []
    for row in np.argsort(-lead, kind="stable").tolist():
        pixels = int(regions.pixels[row])
        if pixels < least_px:
            continue
        one, other = divmod(int(regions.values[row]), len(catalog))
        anchor = int(regions.anchors[row, 0]), int(regions.anchors[row, 1])
        found.append(
            LabelIssue(
                int(ids[one]), int(ids[other]), regions.box(row), anchor, pixels, float(lead[row]) / pixels, float(lead[row])
            )
        )
    return found


def _check(probabilities: NDArray[Any], truth: LabelMap, catalog: ClassCatalog) -> None:
    if probabilities.shape != (len(catalog), *truth.shape):
        raise ValueError(
            f"probabilities of shape {probabilities.shape} do not fit {len(catalog)} classes and a truth of {truth.shape}"
        )
