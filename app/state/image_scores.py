"""The figures by which images are listed and ordered, small enough to keep for every image of a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog


@dataclass(frozen=True, slots=True)
class ImageScore:
    """Figures of one image.

    Attributes:
        iou: mean IoU over the classes in the truth; None without truth.
        uncertainty: mean of 1 - confidence over the prediction, 0..1; None without one.
        classes: names of the classes in the mask (or, without one, in the prediction).
    """

    iou: float | None = None
    uncertainty: float | None = None
    classes: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The form in which the project keeps it."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_bytes(data: bytes) -> ImageScore:
        """The inverse of :meth:`to_bytes`; damaged bytes give an empty score, which is made again when it is needed."""
        try:
            found = json.loads(data)
            return ImageScore(found["iou"], found["uncertainty"], tuple(found["classes"]))
        except (ValueError, KeyError, TypeError):
            return ImageScore()


def score_labels(
    labels: NDArray[Any], catalog: ClassCatalog, *, truth: NDArray[Any] | None = None, confidence: NDArray[np.uint8] | None = None
) -> ImageScore:
    """Score one (H, W) label map; truth and confidence have its size where they are given."""
    from deeplab_core.labels import value_counts
    from deeplab_core.metrics import ConfusionMatrix

    iou = None
    if truth is not None and truth.shape == labels.shape:
        mean = ConfusionMatrix(catalog).update(truth=truth, prediction=labels).mean_iou("truth").value
        iou = None if np.isnan(mean) else float(mean)
    uncertainty = None if confidence is None else float(1.0 - confidence.mean() / 255.0)
    present = value_counts(labels)
    names = tuple(info.name for info in catalog.classes if present[info.id])
    return ImageScore(iou, uncertainty, names)
