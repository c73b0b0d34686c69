"""Scores of confusion matrices, vectorised over leading axes.

Every function takes ``counts``: (..., C, C + 1) integers, rows = truth, columns = prediction, last column = pixels of that truth
class with a void prediction. Void truth is never counted. With n_ij the cell, t_i the row sum (the void column included) and
p_j the column sum of class j::

    IoU_i = n_ii / (t_i + p_i - n_ii)        recall_i = n_ii / t_i        precision_i = n_ii / p_i

So a void prediction is a miss of the truth class and a false alarm of none, which is how the PASCAL VOC development kit counts
(Everingham et al. 2010, VOCevalseg) extended to unfinished maps. A class without any pixel in truth and
prediction has no score (nan), never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

#: Which classes a mean runs over: ``"union"`` = present in truth or prediction (data sets: an invented class counts as 0),
#: ``"truth"`` = present in the truth (single images, where one stray pixel would else cost tens of points), ``"all"`` = every
#: class of the catalog, an absent one counting 0 (the DeepLab authors' own code, which puts 1 for an empty denominator).
AbsentRule = Literal["union", "truth", "all"]

#: Images, and objects, below which a score is called one of few: it gets no verdict, and its bar is drawn muted.
FEW_IMAGES, FEW_OBJECTS = 6, 10

#: The rule in words, for display beside a figure.
ABSENT_RULE_TEXT: dict[AbsentRule, str] = {
    "union": "mean over classes present in truth or prediction, from one pooled matrix",
    "truth": "mean over classes present in the truth",
    "all": "mean over all classes of the catalog; one that is in neither truth nor prediction counts 0",
}


def hits(counts: Counts) -> Counts:
    """(..., C): pixels predicted as the class they are."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def truth_pixels(counts: Counts) -> Counts:
    """(..., C): labelled pixels of each truth class."""
    return np.asarray(counts.sum(axis=-1), dtype=np.int64)


def prediction_pixels(counts: Counts) -> Counts:
    """(..., C): pixels predicted as each class, on labelled truth."""
    return np.asarray(counts[..., :-1].sum(axis=-2), dtype=np.int64)


def union_pixels(counts: Counts) -> Counts:
    """(..., C): pixels that are or are called the class."""
    return truth_pixels(counts) + prediction_pixels(counts) - hits(counts)


def class_iou(counts: Counts) -> Scores:
    """(..., C) in 0..1: intersection over union; nan for a class without truth and prediction."""
    return ratio(hits(counts), union_pixels(counts))


def class_recall(counts: Counts) -> Scores:
    """(..., C) in 0..1: share of the truth that is found ("class accuracy"); nan without truth."""
    return ratio(hits(counts), truth_pixels(counts))


def class_precision(counts: Counts) -> Scores:
    """(..., C) in 0..1: share of the prediction that is right; nan without prediction."""
    return ratio(hits(counts), prediction_pixels(counts))


def iou_of(hit: ArrayLike, truth: ArrayLike, prediction: ArrayLike) -> Scores:
    """:func:`class_iou` from (..., C) pixels of hits, truth and prediction."""
    return ratio(hit, np.asarray(truth) + np.asarray(prediction) - np.asarray(hit))


def class_dice(counts: Counts) -> Scores:
    """(..., C) in 0..1: 2 n_ii / (t_i + p_i), the F1 of precision and recall; nan for a class without truth and prediction."""
    return ratio(2 * hits(counts), truth_pixels(counts) + prediction_pixels(counts))


def group_iou(counts: Counts, groups: Sequence[Sequence[int]]) -> Scores:
    """(..., G) in 0..1: IoU of groups of classes (channels), where confusion inside a group is not an error; nan as class_iou."""
    found = []
    for group in groups:
        members = np.asarray(group, dtype=np.intp)
        inside = counts[..., members, :][..., members].sum(axis=(-2, -1))
        truth = counts[..., members, :].sum(axis=(-2, -1))
        prediction = counts[..., members].sum(axis=(-2, -1))
        found.append(ratio(inside, truth + prediction - inside))
    return np.stack(found, axis=-1)


def mean_iou(counts: Counts, rule: AbsentRule) -> tuple[Scores, NDArray[np.int64]]:
    """Mean IoU (...) and the number of classes (...) that it runs over; (nan, 0) if none."""
    if rule not in ABSENT_RULE_TEXT:
        raise ValueError(f"unknown rule {rule!r} for absent classes; use one of {', '.join(ABSENT_RULE_TEXT)}")
    return mean_over_present(hits(counts), truth_pixels(counts), prediction_pixels(counts), rule)


def mean_over_present(
    hit: ArrayLike, truth: ArrayLike, prediction: ArrayLike, rule: AbsentRule
) -> tuple[Scores, NDArray[np.int64]]:
    """:func:`mean_iou` from (..., C) pixels of hits, truth and prediction."""
    union = np.asarray(truth) + np.asarray(prediction) - np.asarray(hit)
    present = np.asarray(truth) > 0 if rule == "truth" else union > 0
    if rule == "all":
        present = np.broadcast_to((union > 0).any(axis=-1, keepdims=True), union.shape)
    number = present.sum(axis=-1)
    total = np.where(present & (union > 0), ratio(hit, union), 0.0).sum(axis=-1)
    return ratio(total, number), np.asarray(number, dtype=np.int64)


def pixel_accuracy(counts: Counts) -> Scores:
    """(...) in 0..1: share of labelled pixels that are right; nan without labelled pixels."""
    return ratio(hits(counts).sum(axis=-1), truth_pixels(counts).sum(axis=-1))


def mean_accuracy(counts: Counts) -> tuple[Scores, NDArray[np.int64]]:
    """Mean of :func:`class_recall` over the classes present in the truth, and their number."""
    present = truth_pixels(counts) > 0
    number = present.sum(axis=-1)
    return ratio(np.where(present, class_recall(counts), 0.0).sum(axis=-1), number), np.asarray(number, dtype=np.int64)


def frequency_weighted_iou(counts: Counts) -> Scores:
    """(...) in 0..1: IoU weighted by truth pixels, sum_i t_i IoU_i / sum_i t_i (Long et al. 2015); nan without truth."""
    truth = truth_pixels(counts)
    weighted = np.where(truth > 0, truth * np.nan_to_num(class_iou(counts)), 0.0)
    return ratio(weighted.sum(axis=-1), truth.sum(axis=-1))


def ratio(part: ArrayLike, whole: ArrayLike) -> Scores:
    """Quotient of arrays of one shape; nan where the denominator is 0."""
    numerator, denominator = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    ratio: Scores = np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)
    return ratio
