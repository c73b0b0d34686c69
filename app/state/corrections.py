"""What the user has corrected in a project, as a model may learn from it. No Qt, no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from app.state.class_mapping import project_mapping
from app.state.image_record import ImageStatus
from app.state.project import Project
from app.state.samples import OpenLabels, confirmed_labels, load_sample
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, error_text
from deeplab_core.learning import MOST_IMAGES, LearnOptions, PackedLabels, background_images

T = TypeVar("T")

#: Uncorrected images that are handed on at most, and those of which the classes are looked at to choose them.
_MOST_UNTOUCHED, _CANDIDATES = LearnOptions().background, 48


@dataclass(frozen=True, slots=True)
class CorrectedMask:
    """One corrected image.

    Attributes:
        image: id of its record.
        name: its relative path.
        path: the file.
        known: labels that the user confirmed, void elsewhere.
        mask: the whole mask.
        pixels: class id -> number of pixels in ``known``.
        reviewed: the user confirmed the whole mask.
    """

    image: int
    name: str
    path: str
    known: PackedLabels
    mask: PackedLabels
    pixels: Mapping[int, int]
    reviewed: bool


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Corrected pixels of one class of the project.

    Attributes:
        taught: the model has a class for it; a new class otherwise.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    pixels: int
    images: int
    taught: bool


@dataclass(frozen=True, slots=True)
class Corrections:
    """Everything that a model may learn from a project.

    Attributes:
        images: corrected ones that are used.
        touched: how many there are.
        empty: how many of those looked at hold no pixel that the user confirmed.
        untouched: files of images without corrections; see :func:`deeplab_core.learning.background_images`.
        catalog: the project's classes.
        pairs: what each class of the model means in the project, by id.
        skipped: (name, why) of images that cannot be read.
    """

    images: tuple[CorrectedMask, ...]
    touched: int
    empty: int
    untouched: tuple[str, ...]
    catalog: ClassCatalog
    pairs: tuple[tuple[int, int | None], ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def pixels(self) -> int:
        """Pixels that the user confirmed."""
        return sum(sum(image.pixels.values()) for image in self.images)

    def classes(self) -> tuple[ClassCount, ...]:
        """Classes that were corrected, those with most pixels first."""
        taught = {target for _, target in self.pairs}
        rows = []
        for info in self.catalog.classes:
            counts = [image.pixels[info.id] for image in self.images if info.id in image.pixels]
            if counts:
                rows.append(ClassCount(info.id, info.name, info.color, sum(counts), len(counts), info.id in taught))
        return tuple(sorted(rows, key=lambda row: -row.pixels))


def survey(project: Project, model: ClassCatalog, card_id: str, held: Mapping[int, OpenLabels]) -> Corrections:
    """Collect what the user has corrected; rejected images are left out. Reads masks: meant for another thread.

    Of an image that is reviewed the whole mask counts; of one that was only touched, the pixels that the user painted or brought
    in, as ``atrous train --project`` has it.

    Args:
        model, card_id: classes and card of the model that is to learn.
        held: labels of images with their newest state in memory.
    """
    records = [record for record in project.images if not record.missing and not record.rejected]
    touched = [record for record in records if record.touched]
    images, skipped, empty = [], [], 0
    for record in _evenly(touched, MOST_IMAGES):
        try:
            now = load_sample(project, record.id, labels="mask", truth=False, opened=held.get(record.id))
        except AtrousError as error:
            skipped.append((record.relative_path, error_text(error)))
            continue
        assert now.labels is not None, "a touched image has a mask"
        assert now.provenance is not None
        reviewed = record.status >= ImageStatus.REVIEWED
        known = confirmed_labels(now.labels, now.provenance, project.catalog.ignore, reviewed=reviewed)
        values, counts = np.unique(known, return_counts=True)
        pixels = {int(v): int(n) for v, n in zip(values, counts, strict=True) if v != project.catalog.ignore}
        if not pixels:
            empty += 1
            continue
        path = str(project.path_of(record))
        images.append(
            CorrectedMask(
                record.id, record.relative_path, path, PackedLabels.of(known), PackedLabels.of(now.labels), pixels, reviewed
            )
        )
    candidates = _evenly([record for record in records if not record.touched], _CANDIDATES)
    chosen = list(range(len(candidates)))
    if len(candidates) > _MOST_UNTOUCHED:
        shown = Counter(number for image in images for number in image.pixels)
        chosen = background_images([_classes_of(project, record.id) for record in candidates], shown, _MOST_UNTOUCHED)
    untouched = [str(project.path_of(candidates[place])) for place in chosen]
    pairs = project_mapping(project, model, card_id).pairs
    return Corrections(tuple(images), len(touched), empty, tuple(untouched), project.catalog, pairs, tuple(skipped))


def _classes_of(project: Project, image: int) -> frozenset[int]:
    """Ids that an image shows; empty without a prediction, or if it cannot be read."""
    try:
        labels = load_sample(project, image, truth=False).labels
    except AtrousError:
        return frozenset()
    return frozenset() if labels is None else frozenset(np.unique(labels).tolist()) - {project.catalog.ignore}


def _evenly(items: list[T], most: int) -> list[T]:
    if len(items) <= most:
        return items
    return [items[place] for place in sorted({round(x) for x in np.linspace(0, len(items) - 1, most)})]
