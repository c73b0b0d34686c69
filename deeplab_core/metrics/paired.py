"""Two reports of the same images, pooled over the same draws and scored over one class set: that of the ground truth.

Which classes a mean runs over must not depend on what is compared. Under the rule ``union`` one invented pixel puts a class with
IoU 0 into the mean of one side only, and nine such pixels of 3.9 million moved a mean by five points. Here a class counts, in
each pool and in each band, where the ground truth of *both* sides has it; so both means run over the same classes, and a false
alarm costs the class that it hides and no other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.metrics import scores
from deeplab_core.metrics.bootstrap import Pools, Samples, Scores


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedScores:
    """Scores of both sides (first axis: before, after) in R pools, 0..1; nan if absent.

    Attributes:
        iou: (2, R, C), nan where the pool's ground truth lacks the class.
        mean_iou, pixel_accuracy, mean_boundary_iou: (2, R).
        band_mean_iou: (2, R, K).
        image_means: (2, R, M), means over the images where both sides have the figure.
        classes, boundary_classes: (R,) how many classes ``mean_iou`` and ``mean_boundary_iou`` run over.
        band_classes: (R, K) the same of ``band_mean_iou``.
    """

    iou: Scores
    mean_iou: Scores
    pixel_accuracy: Scores
    band_mean_iou: Scores
    mean_boundary_iou: Scores
    image_means: Scores
    classes: NDArray[np.int64]
    band_classes: NDArray[np.int64]
    boundary_classes: NDArray[np.int64]


def paired_scores(before: Samples, after: Samples, resamples: int = 0, seed: int = 0) -> PairedScores:
    """Scores of two reports of the same images in the same order, with the same classes and band widths.

    Args:
        before, after: what each report counted.
        resamples: pools drawn with replacement; 0 scores the whole set once (R = 1).
        seed: of the draws.
    """
    blocks = [_score(*pair) for pair in zip(before.pools(resamples, seed), after.pools(resamples, seed), strict=True)]
    joined: dict[str, Any] = {}
    for field in fields(PairedScores):
        parts = [getattr(block, field.name) for block in blocks]
        joined[field.name] = np.concatenate(parts, axis=0 if field.name.endswith("classes") else 1)
    return PairedScores(**joined)


def _score(before: Pools, after: Pools) -> PairedScores:
    totals = np.stack([before.totals, after.totals])
    bands = np.stack([before.bands, after.bands])
    edges = np.stack([before.boundary, after.boundary])
    there = _in_truth(totals)
    banded = _in_truth(bands)
    edged = there & (edges[..., 1, :] > 0).all(axis=0)
    iou = scores.iou_of(totals[..., 0, :], totals[..., 1, :], totals[..., 2, :])
    hits, truth = (np.where(there, totals[..., row, :], 0).sum(axis=-1) for row in (0, 1))
    return PairedScores(
        iou=np.where(there, iou, np.nan),
        mean_iou=_mean(iou, there),
        pixel_accuracy=scores.ratio(hits, truth),
        band_mean_iou=_mean(scores.iou_of(bands[..., 0, :], bands[..., 1, :], bands[..., 2, :]), banded),
        mean_boundary_iou=_mean(scores.ratio(edges[..., 0, :], edges[..., 1, :]), edged),
        image_means=np.stack([scores.ratio(side.means[:, 0], side.means[:, 1]) for side in (before, after)]),
        classes=there.sum(axis=-1),
        band_classes=banded.sum(axis=-1),
        boundary_classes=edged.sum(axis=-1),
    )


def _in_truth(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(..., C) bool of (2, ..., 3, C) counts: the ground truth of both sides has the class."""
    return np.asarray((counts[..., 1, :] > 0).all(axis=0), dtype=np.bool_)


def _mean(values: Scores, chosen: NDArray[np.bool_]) -> Scores:
    """(2, ...) mean of (2, ..., C) scores over the (..., C) chosen classes; nan if none is."""
    return scores.ratio(np.where(chosen, values, 0.0).sum(axis=-1), np.broadcast_to(chosen.sum(axis=-1), values.shape[:-1]))
