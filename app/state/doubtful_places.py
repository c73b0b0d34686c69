"""Places of a folder's images that are expected to be wrong, without ground truth. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.state.class_mapping import in_project_ids
from app.state.measurement import KeptModels
from app.state.next_errors import ErrorPlace, confidence_doubt, disagreement_doubt, errors_by_doubt
from app.state.project import Project
from app.state.samples import ToProject, load_sample
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

#: Orders for which places are found over a folder: what they rest on is kept for each pixel of a prediction.
FOLDER_ORDERS = ("expected_wrong", "disagreement")
#: Places that are kept of each image.
PER_IMAGE = 20


@dataclass(frozen=True, slots=True)
class DoubtfulPlace:
    """A connected part of one label that may be wrong.

    Attributes:
        image: id.
        label: what its pixels are.
        box: in image px.
        pixels: of it.
        expected: how many of them are expected to be wrong.
        anchor: column and row of its first pixel in reading order.
    """

    image: int
    label: int
    box: Box
    pixels: int
    expected: float
    anchor: tuple[int, int]


def doubtful_places(
    project: Project, image: int, order: str, models: KeptModels, to_project: ToProject | None = None
) -> list[DoubtfulPlace]:
    """The most doubtful places of an image, those first of which most is expected to be wrong. For another thread.

    Args:
        order: of :data:`FOLDER_ORDERS`.
        models: of which predictions are kept.
        to_project: as for :func:`~app.state.samples.load_sample`.

    Raises:
        AtrousError: its labels or its prediction cannot be read.
    """
    sample = load_sample(project, image, truth=False, with_prediction=True, to_project=to_project)
    labels, prediction = sample.labels, sample.prediction
    if labels is None or prediction is None:
        return []
    if order == "disagreement":
        key, mine = project.record(image).content_key, (prediction.card_id, prediction.options.cache_key())
        maps = other_labels(project, key, [model for model in models.of(key) if model != mine], labels.shape)
        doubt = disagreement_doubt(labels, maps) if maps else None
    else:
        confidence = sample.confidence
        doubt = None if confidence is None or confidence.shape != labels.shape else confidence_doubt(confidence)
    if doubt is None:
        return []
    provenance = np.zeros(labels.shape, np.uint8) if sample.provenance is None else sample.provenance
    found = errors_by_doubt(labels, doubt, provenance, project.catalog.ignore)
    return [_listed(image, place) for place in found[:PER_IMAGE]]


def other_labels(project: Project, key: str, models: Sequence[tuple[str, str]], shape: tuple[int, ...]) -> list[LabelMap]:
    """Labels of kept predictions of an image, in the project's ids; those of another size are left out.

    Args:
        key: content key of the image.
        models: (card id, options key) of each.
        shape: (H, W).
    """
    found = []
    for model in models:
        other = project.predictions.get(key, *model)
        labels = None if other is None else in_project_ids(project, other)
        if labels is not None and labels.shape == shape:
            found.append(labels)
    return found


def _listed(image: int, place: ErrorPlace) -> DoubtfulPlace:
    return DoubtfulPlace(image, place.label, place.box, place.pixels, place.gain, place.anchor)
