"""The figures by which images are listed and ordered, small enough to keep for every image of a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap
from deeplab_core.reading import parse_json

if TYPE_CHECKING:
    from app.state.project import Project

#: Rises when scores are measured in another way.
_VERSION = 1


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
            found = parse_json(data)
            return ImageScore(found["iou"], found["uncertainty"], tuple(found["classes"]))
        except (AtrousError, ValueError, KeyError, TypeError):
            return ImageScore()


def score_labels(
    labels: LabelMap, catalog: ClassCatalog, *, truth: LabelMap | None = None, confidence: NDArray[np.uint8] | None = None
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


@dataclass(frozen=True, slots=True)
class Due:
    """What :func:`due_images` found, in the order of the project.

    Attributes:
        stale: ids of the images with a score that was measured from something else, or that have none.
        gone: ids with a score but no labels any more.
    """

    stale: tuple[int, ...]
    gone: tuple[int, ...]


def sample_stamp(project: Project, image: int, head: int, marks: int | None = None, classes: str | None = None) -> str:
    """A text that changes with everything that the score of an image is measured from.

    Args:
        head: number of the journal's last step in the labels.
        marks: fingerprint of the image's ambiguous regions; None reads it.
        classes: :meth:`ClassEdits.stamp <app.state.class_edits.ClassEdits.stamp>` of the project's catalog; None makes it.
    """
    from app.state.ambiguous import fingerprint
    from app.state.samples import truth_stamp

    record = project.record(image)
    found = fingerprint(project, image) if marks is None else marks
    parts = _VERSION, head, record.touched, record.prediction, record.content_key, found, truth_stamp(project, image)
    text = "\n".join(map(str, (*parts, classes or project.class_edits.stamp(project.catalog))))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def due_images(project: Project, stamps: Mapping[int, str], only: frozenset[int] | None = None) -> Due:
    """Which images need another score. Looks at every ground truth file's time: meant for another thread.

    Args:
        stamps: :func:`sample_stamp` of the scores that are known, by image id.
        only: look at these images alone.
    """
    from app.state.ambiguous import fingerprint, fingerprints

    journal = project.journal
    heads = journal.heads() if only is None else {image: journal.head(image) for image in only}
    marks = fingerprints(project) if only is None else {image: fingerprint(project, image) for image in only}
    classes = project.class_edits.stamp(project.catalog)
    stale, gone = [], []
    for record in project.images:
        image, head = record.id, heads.get(record.id, 0)
        if record.missing or (only is not None and image not in only):
            continue
        if not (record.prediction or record.mask or record.touched or head):
            if stamps.get(image):
                gone.append(image)
        elif stamps.get(image) != sample_stamp(project, image, head, marks.get(image, 0), classes):
            stale.append(image)
    return Due(tuple(stale), tuple(gone))
