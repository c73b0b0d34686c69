"""Where a model may be wrong, without truth: maps from probabilities and from disagreement, and scores of images and regions.

All maps are (H, W) float32 in 0..1, 1 = least certain. C is the number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.trimap import band_map, band_mask
from deeplab_core.regions import Mask, find_regions

UncertaintyMap = NDArray[np.float32]

#: Pixels this near to a predicted edge are uncertain whatever the model; scores of images leave them out, px.
EDGE_BAND = 3


def least_confidence(probabilities: NDArray[Any]) -> UncertaintyMap:
    """One minus the largest probability (variation ratio of a single pass). Takes (C, H, W) that add up to 1."""
    return np.asarray(1 - probabilities.max(axis=0), dtype=np.float32)


def confidence_uncertainty(confidence: NDArray[np.uint8]) -> UncertaintyMap:
    """:func:`least_confidence` from a stored confidence, (H, W) uint8, 255 x the largest probability."""
    uncertainty: UncertaintyMap = (255 - confidence.astype(np.float32)) / np.float32(255)
    return uncertainty


def margin_uncertainty(probabilities: NDArray[Any]) -> UncertaintyMap:
    """One minus the lead of the first class over the second. Takes (C, H, W), C >= 2."""
    if len(probabilities) < 2:
        raise ValueError("a margin needs two classes")
    top = np.partition(probabilities, len(probabilities) - 2, axis=0)[-2:]
    return np.asarray(1 - (top[1] - top[0]), dtype=np.float32)


def entropy(probabilities: NDArray[Any]) -> UncertaintyMap:
    """Shannon entropy over ln C, so that no knowledge at all is 1. Takes (C, H, W) that add up to 1; 0 log 0 is 0."""
    total = np.zeros(probabilities.shape[1:], dtype=np.float32)
    for plane in probabilities:  # plane by plane: a map of C x H x W logarithms would be the largest thing here
        values = np.asarray(plane, dtype=np.float32)
        total -= values * np.log(np.maximum(values, np.float32(1e-12)))
    return np.asarray(np.clip(total / math.log(len(probabilities)), 0, 1), dtype=np.float32)


def mutual_information(passes: Sequence[NDArray[Any]]) -> UncertaintyMap:
    """Disagreement of several passes (flips, scales, dropout): entropy of their mean minus the mean of their entropies.

    Houlsby et al. 2011 (BALD); 0 where all passes say the same, however unsure each is. Takes (C, H, W) maps that add up to 1.
    """
    if len(passes) < 2:
        raise ValueError("disagreement needs at least two passes")
    mean = np.asarray(passes[0], dtype=np.float32).copy()
    alone = entropy(passes[0])
    for probabilities in passes[1:]:
        mean += probabilities
        alone = alone + entropy(probabilities)
    return np.clip(entropy(mean / np.float32(len(passes))) - alone / np.float32(len(passes)), 0, 1)


def vote_disagreement(votes: Sequence[LabelMap]) -> UncertaintyMap:
    """Share of the label maps that do not give the most frequent label of the pixel (variation ratio, Freeman 1965).

    For two maps (two models; model and CRF; an image and its mirror) it is 0.5 where they differ.
    """
    if len(votes) < 2:
        raise ValueError("disagreement needs at least two label maps")
    stack = np.sort(np.stack(votes), axis=0)
    longest = np.ones(stack.shape[1:], dtype=np.int32)
    run = longest.copy()
    for before, after in pairwise(stack):
        run = np.where(before == after, run + 1, 1)
        longest = np.maximum(longest, run)
    share: UncertaintyMap = (1 - longest / len(votes)).astype(np.float32)
    return share


def disagreement(one: LabelMap, other: LabelMap, ignore: int) -> UncertaintyMap:
    """1 where two label maps differ, 0 elsewhere and where both or either is void. For two models, or a model and its CRF."""
    if one.shape != other.shape:
        raise ValueError(f"label maps of {one.shape} and {other.shape}")
    differ = (one != other) & (one != ignore) & (other != ignore)
    return np.asarray(differ, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class UncertaintyScore:
    """One figure for one image.

    Attributes:
        mean: mean uncertainty away from predicted edges; the usual order for choosing what to label.
        worst: mean over the least certain hundredth of these pixels: finds the one bad object in an easy image.
        expected_wrong: sum of the uncertainty over these pixels; of :func:`least_confidence` it is the number of wrong pixels
            that a calibrated model expects.
    """

    mean: float
    worst: float
    expected_wrong: float


def score_image(uncertainty: UncertaintyMap, labels: LabelMap, ignore: int, *, edge_band: int = EDGE_BAND) -> UncertaintyScore:
    """Sum up one image; nan if nothing is left.

    Args:
        uncertainty: (H, W).
        labels: (H, W) predicted ids; void is left out.
        ignore: id of void.
        edge_band: pixels nearer to a predicted edge are left out; 0 takes all.
    """
    inside = labels != ignore
    if edge_band:
        away = inside & ~_near_edges(labels, ignore, edge_band)
        inside = away if away.any() else inside
    values = np.sort(uncertainty[inside], kind="stable")
    if not values.size:
        return UncertaintyScore(math.nan, math.nan, 0.0)
    worst = values[-max(1, values.size // 100) :]
    return UncertaintyScore(float(values.mean()), float(worst.mean()), float(values.sum(dtype=np.float64)))


@dataclass(frozen=True, slots=True)
class UncertainRegion:
    """One predicted segment of one image.

    Attributes:
        class_id: what it was called.
        box, anchor, pixels: where it is; the anchor is one of its pixels.
        mean: mean uncertainty of its pixels.
        interior: mean over its pixels away from its edge, nan where it has none (Rottmann et al. 2020, MetaSeg, use both).
        expected_wrong: sum of its uncertainty.
    """

    class_id: int
    box: Box
    anchor: tuple[int, int]
    pixels: int
    mean: float
    interior: float
    expected_wrong: float


def uncertain_regions(
    uncertainty: UncertaintyMap, labels: LabelMap, ignore: int, *, limit: int = 50, edge_band: int = EDGE_BAND
) -> list[UncertainRegion]:
    """Predicted segments by falling expected number of wrong pixels.

    Args:
        uncertainty: (H, W).
        labels: (H, W) predicted ids; void belongs to no segment.
        ignore: id of void.
        limit: how many.
        edge_band: width of the rim that ``interior`` leaves out, px.
    """
    regions = find_regions(labels, labels != ignore)
    total = regions.sums(uncertainty)
    inner = ~_near_edges(labels, ignore, edge_band) if edge_band else np.ones(labels.shape, dtype=bool)
    inner_total, inner_pixels = regions.sums(uncertainty * inner), regions.sums(inner)
    return [
        UncertainRegion(
            class_id=int(regions.values[row]),
            box=regions.box(row),
            anchor=(int(regions.anchors[row, 0]), int(regions.anchors[row, 1])),
            pixels=int(regions.pixels[row]),
            mean=float(total[row] / regions.pixels[row]),
            interior=float(inner_total[row] / inner_pixels[row]) if inner_pixels[row] else math.nan,
            expected_wrong=float(total[row]),
        )
        for row in np.argsort(-total, kind="stable")[:limit].tolist()
    ]


def _near_edges(labels: LabelMap, ignore: int, width: int) -> Mask:
    index = band_map(truth=None, prediction=labels, ignore=ignore, rule="edge", around="prediction")
    near: Mask = band_mask(index, width)
    return near
