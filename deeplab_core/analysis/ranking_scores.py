"""What makes one image worth looking at before others: how unsure the model is, who disagrees with it, which labels seem wrong.

Everything here is measured on the kept prediction (labels and confidence), never on the corrected mask, so that the figures say
how the model does. Label issues of a given truth are found as in :mod:`deeplab_core.analysis.label_quality`, with what is kept:
where the model agrees with a label its confidence is known exactly, where it does not it is at most one minus the confidence in
the other class; that bound is used. The window measures the predictions that a project keeps, ``atrous rank`` those that it
makes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.label_quality import LEAST_PX, LabelIssue, scored_pixels, softmin
from deeplab_core.analysis.ranking import RANKINGS
from deeplab_core.analysis.record import CONFIDENCE_LEVELS, CONFUSION, OBJECT_LEVELS, ImageAnalysis
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.calibration import LEVELS
from deeplab_core.metrics.counting import count_pairs
from deeplab_core.metrics.uncertainty import confidence_uncertainty, disagreement, score_image
from deeplab_core.regions import find_regions

#: Raised where a figure gets another meaning.
VERSION = 2
#: A label is suspect if the model is at least this sure of another class.
SURE = 0.8
#: Label issues that are kept of an image.
PER_IMAGE = 20


def measure_ranking(
    labels: LabelMap,
    confidence: NDArray[np.uint8] | None,
    catalog: ClassCatalog,
    *,
    model: Mapping[str, float] | None = None,
    truth: LabelMap | None = None,
    exclude: NDArray[np.bool_] | None = None,
    others: Sequence[LabelMap] = (),
    refined: LabelMap | None = None,
    object_id: int | None = None,
) -> ImageAnalysis:
    """Scores, label issues and, with ground truth, confusion and confidence of one image's prediction.

    Args:
        labels: (H, W) what the model says, in ids of ``catalog``.
        confidence: (H, W) uint8, 255 x the largest probability; None if it is not known: what rests on it is then not measured.
        catalog: the classes.
        model: what the prediction itself knows (``Prediction.uncertainty``).
        truth: (H, W) ids, or None.
        exclude: (H, W) bool, ambiguous pixels of the truth.
        others: (H, W) what other models, or the same one otherwise asked, say.
        refined: (H, W) what a CRF made of it.
        object_id: of a two-class network: the id that its object has in ``labels`` and ``truth``.

    Raises:
        CatalogError: an undeclared id.
    """
    ignore = catalog.ignore
    scores = {} if confidence is None else confidence_scores(confidence, labels, ignore)
    scores.update((name, value) for name, value in (model or {}).items() if name in RANKINGS)
    if others:
        scores["disagreement"] = float(np.mean([differing_px(labels, other, ignore) for other in others]))
    if refined is not None:
        scores["crf"] = differing_px(labels, refined, ignore)
    counts: dict[str, SparseCounts] = {}
    issues: tuple[LabelIssue, ...] = ()
    if truth is not None:
        scored = truth if exclude is None else np.where(exclude, np.asarray(ignore, dtype=truth.dtype), truth)
        counts[CONFUSION] = SparseCounts.of(count_pairs(truth=scored, prediction=labels, catalog=catalog))
        if confidence is not None:
            inside = scored_pixels(truth, ignore) & (scored != ignore)
            right = scored == labels
            issues = _label_issues(labels, confidence, scored, inside & ~right & (labels != ignore))
            given = np.where(right, confidence, 255 - confidence)[inside] / np.float32(255)
            if given.size:
                scores["label_errors"] = 1 - softmin(given)
            counts |= _levels(labels, confidence, scored, ignore, object_id)
    finite = {name: float(value) for name, value in scores.items() if math.isfinite(value)}
    return ImageAnalysis(catalog=catalog, counts=counts, scores=finite, issues=issues)


def confidence_scores(confidence: NDArray[np.uint8], labels: LabelMap, ignore: int) -> dict[str, float]:
    """The scores that rest on an (H, W) uint8 confidence alone; nan if no pixel counts."""
    unsure = score_image(confidence_uncertainty(confidence), labels, ignore)
    return {"confidence": unsure.mean, "least_certain": unsure.worst, "expected_wrong": unsure.expected_wrong}


def differing_px(one: LabelMap, other: LabelMap, ignore: int) -> float:
    """Pixels away from predicted edges on which two (H, W) label maps differ."""
    return score_image(disagreement(one, other, ignore), one, ignore).expected_wrong


def _levels(
    labels: LabelMap, confidence: NDArray[np.uint8], scored: LabelMap, ignore: int, object_id: int | None
) -> dict[str, SparseCounts]:
    """Pixels with a claim on scored truth, by level of confidence and right, and by level of the object and object."""
    claimed = (scored != ignore) & (labels != ignore)
    pairs = {CONFIDENCE_LEVELS: (confidence[claimed], (scored == labels)[claimed])}
    if object_id is not None:
        level = np.where(labels == object_id, confidence, 255 - confidence)[claimed]
        pairs[OBJECT_LEVELS] = level, (scored == object_id)[claimed]
    found = {}
    for name, (level, hit) in pairs.items():
        code = np.bincount(level.astype(np.int64) * 2 + hit, minlength=2 * LEVELS)
        found[name] = SparseCounts.of(code.reshape(LEVELS, 2))
    return found


def _label_issues(
    labels: LabelMap, confidence: NDArray[np.uint8], truth: LabelMap, candidates: NDArray[np.bool_]
) -> tuple[LabelIssue, ...]:
    sure = candidates & (confidence >= round(255 * SURE))
    if not sure.any():
        return ()
    wide = int(max(truth.max(), labels.max())) + 1
    regions = find_regions(truth.astype(np.int64) * wide + labels, sure)
    lead = regions.sums(np.where(sure, 2 * (confidence / np.float32(255)) - 1, 0))
    found = []
    for row in np.argsort(-lead, kind="stable").tolist():
        pixels = int(regions.pixels[row])
        if pixels < LEAST_PX:
            continue
        given, suggested = divmod(int(regions.values[row]), wide)
        anchor = int(regions.anchors[row, 0]), int(regions.anchors[row, 1])
        weight = round(float(lead[row]), 3)
        found.append(LabelIssue(given, suggested, regions.box(row), anchor, pixels, weight / pixels, weight))
        if len(found) == PER_IMAGE:
            break
    return tuple(found)
