"""Queues: orders in which the images of a folder are worth looking at, and how well each of them finds the errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.doubts import DOUBT_TEXT, DoubtedLabel, ImageDoubt
from deeplab_core.analysis.ranking import GainCurve, gain_curve


@dataclass(frozen=True, slots=True)
class OrderText:
    """What a person reads of an order: its title, what the figure is, and what to do where nothing has it."""

    title: str
    text: str
    missing: str


_RUN = "Run the model on the folder."
_RUN_AGAIN = "Run the model on the folder again: predictions made before this version did not keep it."
_RUN_PASSES = "Run with flip or several scales (Model dock)."
_RUN_SECOND = "Run a second model on the folder, or the same one with other settings."
_RUN_TRUTH = "It needs ground truth and a prediction."

#: Orders by name; scores are higher where an image is worse.
ORDERS: dict[str, OrderText] = {
    "iou": OrderText(
        "Lowest IoU", "1 - mean IoU of the mask as it is, over the classes of the ground truth", "Judge the folder (Ctrl+J)."
    ),
    "confidence": OrderText("Least confident", DOUBT_TEXT["confidence"], _RUN),
    "least_certain": OrderText("Worst spot", DOUBT_TEXT["least_certain"], _RUN),
    "expected_wrong": OrderText("Most expected errors", DOUBT_TEXT["expected_wrong"], _RUN),
    "model_margin": OrderText("Smallest margin", DOUBT_TEXT["model_margin"], _RUN_AGAIN),
    "model_entropy": OrderText("Highest entropy", DOUBT_TEXT["model_entropy"], _RUN_AGAIN),
    "model_passes": OrderText("Flip and scales disagree", DOUBT_TEXT["model_passes"], _RUN_PASSES),
    "other": OrderText("Two models disagree", DOUBT_TEXT["other"], _RUN_SECOND),
    "crf": OrderText("Model and CRF disagree", DOUBT_TEXT["crf"], "Apply the CRF to the folder."),
    "labels": OrderText("Doubtful truth", DOUBT_TEXT["labels"], _RUN_TRUTH),
}

DEFAULT_ORDER = "iou"


@dataclass(frozen=True, slots=True)
class DoubtRow:
    """One doubted region of one image's truth."""

    image: int
    label: DoubtedLabel


class Queues:
    """The figures of every image that has some, by image id."""

    def __init__(self) -> None:
        self._doubts: dict[int, ImageDoubt] = {}
        self._levels = np.zeros((256, 2), dtype=np.int64)
        self._object_levels = np.zeros((256, 2), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._doubts)

    def __iter__(self) -> Iterator[int]:
        return iter(self._doubts)

    def put(self, image: int, doubt: ImageDoubt) -> None:
        """Add an image, or replace its figures."""
        self.drop(image)
        self._doubts[image] = doubt
        if doubt.levels is not None:
            self._levels += doubt.levels
        if doubt.object_levels is not None:
            self._object_levels += doubt.object_levels

    def drop(self, image: int) -> None:
        """Forget an image; an unknown one does nothing."""
        old = self._doubts.pop(image, None)
        if old is not None and old.levels is not None:
            self._levels -= old.levels
        if old is not None and old.object_levels is not None:
            self._object_levels -= old.object_levels

    def of(self, image: int) -> ImageDoubt | None:
        return self._doubts.get(image)

    @property
    def levels(self) -> NDArray[np.int64]:
        """(256, 2) int64, pixels of all images by confidence level and wrong or right; do not change it."""
        return self._levels

    @property
    def object_levels(self) -> NDArray[np.int64]:
        """(256, 2) int64, pixels of all images by level of the object's probability, other or object; do not change it."""
        return self._object_levels

    def scores(self, order: str, ious: Mapping[int, float]) -> dict[int, float]:
        """Score of every image that has one in this order.

        Args:
            order: key of :data:`ORDERS`.
            ious: mean IoU per image, for ``"iou"``.
        """
        if order == "iou":
            return {image: 1 - iou for image, iou in ious.items()}
        return {image: doubt.scores[order] for image, doubt in self._doubts.items() if order in doubt.scores}

    def available(self, ious: Mapping[int, float]) -> dict[str, int]:
        """How many images have a score, by order; 0 for orders that none has."""
        counts = dict.fromkeys(ORDERS, 0)
        for doubt in self._doubts.values():
            for name in doubt.scores:
                if name in counts:
                    counts[name] += 1
        counts["iou"] = len(ious)
        return counts

    def gain(self, order: str, ious: Mapping[int, float]) -> GainCurve | None:
        """How well an order finds the pixels that the model has wrong, one image at a time; None without truth or errors."""
        scored = self.scores(order, ious)
        pairs = [(score, wrong) for image, score in scored.items() if (wrong := self._wrong(image)) is not None]
        if len(pairs) < 2 or not any(wrong for _, wrong in pairs):
            return None
        return gain_curve([score for score, _ in pairs], [wrong for _, wrong in pairs])

    def doubted_labels(self, limit: int = 500) -> list[DoubtRow]:
        """Doubted regions of all images, largest weight first."""
        rows = [DoubtRow(image, issue) for image, doubt in self._doubts.items() for issue in doubt.issues]
        rows.sort(key=lambda row: (-row.label.weight, row.image))
        return rows[:limit]

    def _wrong(self, image: int) -> int | None:
        doubt = self._doubts.get(image)
        return None if doubt is None else doubt.wrong_px


def worst_first(scores: Mapping[int, float]) -> list[int]:
    """Image ids by falling score, equal ones by id."""
    return sorted(scores, key=lambda image: (-scores[image], image))
