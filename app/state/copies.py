"""Labels of one image for another of the same size: the whole mask, or one region at its place. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.state.class_mapping import card_key
from app.state.document import Document
from app.state.edits.limits import NO_LIMITS, EditLimits
from app.state.edits.region import connected_region, region_patch
from app.state.edits.whole_mask import whole_patch
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.records import Prediction

if TYPE_CHECKING:  # OpenCV comes with the first image
    from deeplab_core.correction import Proposal


#: Beginning of the settings that name the models of which a project has seen predictions.
_CARD = card_key("")


@dataclass(frozen=True, slots=True, eq=False)
class RegionClip:
    """A copied region.

    Attributes:
        shape: (H, W) of its image.
        rect: where it was.
        where: (h, w) bool, its pixels in ``rect``.
        name: of its class; empty for void.
    """

    shape: tuple[int, int]
    rect: Box
    where: NDArray[np.bool_]
    name: str

    @property
    def pixels(self) -> int:
        """Its size in px."""
        return int(np.count_nonzero(self.where))


def copy_region(document: Document, x: float, y: float) -> RegionClip | None:
    """The 4-connected region of equal labels around a point in float image px; None outside the image."""
    column, row = int(np.floor(x)), int(np.floor(y))
    height, width = document.shape
    if not (0 <= column < width and 0 <= row < height):
        return None
    value = int(document.labels[row, column])
    rect, where = connected_region(document.labels, column, row)
    name = "" if value == document.catalog.ignore else document.catalog.by_id(value).name
    return RegionClip(document.shape, rect, where, name)


def paste_patch(document: Document, clip: RegionClip, limits: EditLimits = NO_LIMITS) -> TilePatch:
    """The step that gives the pixels of a copied region its class, at its place; they become the user's.

    Raises:
        AtrousError: the image has another size, or the project has no such class any more, or the class is locked.
    """
    _check_size(document, clip.shape)
    catalog = document.catalog
    info = catalog.by_name(clip.name) if clip.name else None
    if clip.name and info is None:
        raise AtrousError(
            message("the project has no class {name} any more", name=clip.name), remedy=message("Copy a region of another class")
        )
    return region_patch(document, clip.rect, clip.where, catalog.ignore if info is None else info.id, limits=limits)


def copied_mask_patch(
    document: Document, labels: LabelMap, provenance: NDArray[np.uint8], limits: EditLimits = NO_LIMITS
) -> TilePatch:
    """The step that makes the labels of another image those of a document. Copied pixels become the user's.

    Pixels that are not set there stay as they are, and so do pixels of locked classes.

    Args:
        labels, provenance: (H, W) of the other image, in the same classes.
        limits: which pixels may change.

    Raises:
        AtrousError: the images have other sizes, or nothing is labelled there.
    """
    height, width = labels.shape
    _check_size(document, (height, width))
    there = (provenance != Provenance.UNSET) | (labels != document.catalog.ignore)
    if not there.any():
        raise AtrousError(message("the previous image has no labels"), remedy=message("Label it first, or run a model on it"))
    there = limits.applied(there, document.labels, Box.whole(document.shape))
    by = np.where(there, np.uint8(Provenance.USER), document.provenance)
    return whole_patch(document, np.where(there, labels, document.labels).astype(labels.dtype, copy=False), by)


def part_proposal(document: Document, labels: LabelMap, box: Box, mask: NDArray[np.bool_]) -> Proposal | None:
    """What copying a part of other labels of the image changes; None if nothing.

    Void is not copied. What is copied becomes the user's, outline included: the user chose these very pixels.

    Args:
        labels: (H, W) ids of the document's catalog.
        box: of the part, in image px.
        mask: (h, w) bool in the box.
    """
    from deeplab_core.correction import Proposal

    given = labels[box.slices]
    where = mask & (given != document.catalog.ignore) & (given != document.labels[box.slices])
    values = np.unique(given[where])
    ids = int(values[0]) if values.size == 1 else given.astype(document.labels.dtype, copy=False)
    return Proposal.within(document.shape, box, where, ids, int(Provenance.USER))


def other_predictions(project: Project, image: int) -> list[Prediction]:
    """Kept predictions of an image by other models than that of its newest one, with the same options.

    Reads files: meant for another thread.
    """
    record = project.record(image)
    newest, _, options = record.prediction.rpartition(" ")
    cards = (key.removeprefix(_CARD) for key in project.settings(_CARD))
    found = (project.predictions.get(record.content_key, card, options) for card in cards if card != newest)
    return [prediction for prediction in found if prediction is not None] if record.prediction else []


def _check_size(document: Document, shape: tuple[int, int]) -> None:
    if document.shape != shape:
        (height, width), (rows, columns) = shape, document.shape
        raise AtrousError(
            message(
                "the labels are for {width} x {height} px, but this image has {columns} x {rows}", width=width, height=height,
                columns=columns, rows=rows,
            ),
            why=message("Labels are never resized, because that would change them"),
            remedy=message("Copy from an image of the same size"),
        )  # fmt: skip
