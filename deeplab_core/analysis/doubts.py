"""What makes one image worth looking at before others: how unsure the model is, who disagrees with it, which labels seem wrong.

Everything here is measured on the kept prediction (labels and confidence), never on the corrected mask, so that the figures say
how the model does. Doubtful labels of a given truth are found as in :mod:`deeplab_core.analysis.label_quality`, with what is
kept: where the model agrees with a label its confidence is known exactly, where it does not it is at most one minus the
confidence in the other class; that bound is used. The window measures the predictions that a project keeps, ``atrous doubt``
those that it makes.
"""

from __future__ import annotations

import json
import math
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.label_quality import LEAST_PX, scored_pixels, softmin
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.uncertainty import confidence_uncertainty, disagreement, score_image
from deeplab_core.reading import parse_json, unpack
from deeplab_core.regions import find_regions

#: Version of the stored form; raised where a figure gets another meaning.
VERSION = 1
#: A label is doubted where the model is at least so sure of another class.
SURE = 0.8
#: Doubted regions that are kept of an image.
PER_IMAGE = 20
_LEVELS = (256, 2)

#: What each score is, for display beside a figure.
DOUBT_TEXT = {
    "confidence": "mean of 1 - confidence, away from predicted edges",
    "least_certain": "mean of 1 - confidence over the least certain hundredth, away from edges",
    "expected_wrong": "sum of 1 - confidence, in pixels, away from edges",
    "model_margin": "1 - lead of the first class over the second",
    "model_entropy": "entropy of the class probabilities over ln C",
    "model_passes": "mutual information of the passes",
    "other": "pixels on which another kept prediction differs, away from edges",
    "crf": "pixels that the CRF changed, away from edges",
    "labels": "1 - softmin of the confidence in the labels, without edges and void",
}


@dataclass(frozen=True, slots=True)
class DoubtedLabel:
    """A connected region of the truth that the model, being sure, calls something else.

    Attributes:
        given, suggested: class ids.
        box: where it is.
        pixels: how large it is.
        weight: sum of the least lead of the suggested class over the given one, by which regions are ordered.
    """

    given: int
    suggested: int
    box: Box
    pixels: int
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class ImageDoubt:
    """Figures of one image.

    Attributes:
        scores: by name (keys of :data:`DOUBT_TEXT`), higher is worse; names that could not be measured are missing.
        pixels: labelled pixels with truth, else all.
        wrong_px: pixels that the prediction has wrong; None without truth.
        issues: doubted labels of the truth, largest weight first.
        levels: (256, 2) int64, pixels by confidence level and wrong or right; None without truth.
        object_levels: (256, 2) int64, pixels by level of the object's probability, and whether the truth is the object: what
            precision and recall of a two-class network are made from. None without truth, or for other networks.
    """

    scores: dict[str, float]
    pixels: int
    wrong_px: int | None = None
    issues: tuple[DoubtedLabel, ...] = ()
    levels: NDArray[np.int64] | None = None
    object_levels: NDArray[np.int64] | None = None

    def to_bytes(self) -> bytes:
        """The form in which a project keeps it."""
        levels, objects = (
            None if counts is None else b64encode(zlib.compress(counts.astype("<i8").tobytes(), 1)).decode()
            for counts in (self.levels, self.object_levels)
        )
        issues = [[i.given, i.suggested, list(i.box), i.pixels, i.weight] for i in self.issues]
        data = {"scores": self.scores, "pixels": self.pixels, "wrong_px": self.wrong_px, "issues": issues, "levels": levels}
        if objects is not None:
            data["object_levels"] = objects
        return json.dumps(data, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> ImageDoubt | None:
        """The inverse of :meth:`to_bytes`; None where the bytes are damaged: they are measured again."""
        try:
            found = parse_json(data)
            levels, objects = (_unpacked(found.get(key)) for key in ("levels", "object_levels"))
            return ImageDoubt(
                scores={str(name): float(value) for name, value in found["scores"].items()},
                pixels=int(found["pixels"]),
                wrong_px=None if found["wrong_px"] is None else int(found["wrong_px"]),
                issues=tuple(DoubtedLabel(a, b, Box(*box), pixels, weight) for a, b, box, pixels, weight in found["issues"]),
                levels=levels,
                object_levels=objects,
            )
        except (AtrousError, zlib.error, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
            return None


def _unpacked(packed: str | None) -> NDArray[np.int64] | None:
    if packed is None:
        return None
    plain = unpack(b64decode(packed), 8 * math.prod(_LEVELS))
    return np.frombuffer(plain, dtype="<i8").reshape(_LEVELS).astype(np.int64)


def measure_doubt(
    labels: LabelMap,
    confidence: NDArray[np.uint8] | None,
    ignore: int,
    *,
    doubt: dict[str, float] | None = None,
    truth: LabelMap | None = None,
    exclude: NDArray[np.bool_] | None = None,
    others: Sequence[LabelMap] = (),
    refined: LabelMap | None = None,
    object_id: int | None = None,
) -> ImageDoubt:
    """Measure one image.

    Args:
        labels: (H, W) what the model says, in the project's ids.
        confidence: (H, W) uint8, 255 x the largest probability; None if it is not known: what rests on it is then not measured.
        ignore: id of void.
        doubt: what the prediction itself knows (``Prediction.doubt``).
        truth: (H, W) ids, or None.
        exclude: (H, W) bool, ambiguous pixels of the truth.
        others: (H, W) what other models, or the same one otherwise asked, say.
        refined: (H, W) what a CRF made of it.
        object_id: of a two-class network: the id that its object has in ``labels`` and ``truth``.
    """
    scores: dict[str, float] = {}
    if confidence is not None:
        unsure = score_image(confidence_uncertainty(confidence), labels, ignore)
        scores = {"confidence": unsure.mean, "least_certain": unsure.worst, "expected_wrong": unsure.expected_wrong}
    scores.update({f"model_{name}": value for name, value in (doubt or {}).items()})
    if others:
        scores["other"] = float(np.mean([_differing(labels, other, ignore) for other in others]))
    if refined is not None:
        scores["crf"] = _differing(labels, refined, ignore)
    if truth is None:
        return ImageDoubt(_finite(scores), labels.size)
    scored = truth if exclude is None else np.where(exclude, np.asarray(ignore, dtype=truth.dtype), truth)
    labelled = scored != ignore
    right = scored == labels
    wrong = labelled & ~right
    if confidence is None:
        return ImageDoubt(_finite(scores), int(np.count_nonzero(labelled)), int(np.count_nonzero(wrong)))
    inside = scored_pixels(truth, ignore) & labelled
    issues = _doubted(labels, confidence, scored, inside & ~right & (labels != ignore))
    given = np.where(right, confidence, 255 - confidence)[inside] / np.float32(255)
    if given.size:
        scores["labels"] = 1 - softmin(given)
    claimed = labelled & (labels != ignore)
    code = confidence[claimed].astype(np.int64) * 2 + right[claimed]
    levels = np.bincount(code, minlength=_LEVELS[0] * 2).reshape(_LEVELS).astype(np.int64)
    objects: NDArray[np.int64] | None = None
    if object_id is not None:
        level = np.where(labels == object_id, confidence, 255 - confidence)[claimed].astype(np.int64)
        code = level * 2 + (scored[claimed] == object_id)
        objects = np.bincount(code, minlength=_LEVELS[0] * 2).reshape(_LEVELS).astype(np.int64)
    return ImageDoubt(_finite(scores), int(np.count_nonzero(labelled)), int(np.count_nonzero(wrong)), issues, levels, objects)


def _differing(one: LabelMap, other: LabelMap, ignore: int) -> float:
    """Pixels away from predicted edges on which two label maps differ."""
    return score_image(disagreement(one, other, ignore), one, ignore).expected_wrong


def _doubted(
    labels: LabelMap, confidence: NDArray[np.uint8], truth: LabelMap, candidates: NDArray[np.bool_]
) -> tuple[DoubtedLabel, ...]:
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
        found.append(DoubtedLabel(given, suggested, regions.box(row), pixels, round(float(lead[row]), 3)))
        if len(found) == PER_IMAGE:
            break
    return tuple(found)


def _finite(scores: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if math.isfinite(value)}
