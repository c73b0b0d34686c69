"""Component operations for a folder: one description, applied to one label map after the other. No image is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.correction import components
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap, Provenance, check_labels, painted
from deeplab_core.regions import Mask

Operation = Literal["drop islands", "fill holes", "keep largest", "grow", "shrink", "smooth"]

#: Operations that draw an outline; the others give a component another class and leave its outline.
_OUTLINES = ("grow", "shrink", "smooth")
#: Operations that can be done for all classes at once.
_ANY_CLASS = ("drop islands", "keep largest", "smooth")


@dataclass(frozen=True, slots=True)
class ComponentJob:
    """One operation with its numbers.

    Attributes:
        operation: what is done.
        px: pixels of an island or a hole (below, at most), px of an outline; of no account for "keep largest".
        cls: class id, or None for all classes: "drop islands", "keep largest" and "smooth" only.
    """

    operation: Operation
    px: int = 1
    cls: int | None = None

    def __post_init__(self) -> None:
        if self.px < 1:
            raise AtrousError(message("the number of px is {px}", px=self.px), remedy=message("Give a whole number, 1 or more"))
        if self.cls is None and self.operation not in _ANY_CLASS:
            raise AtrousError(
                message("'{operation}' needs a class", operation=self.operation), remedy=message("Choose the class to change")
            )


@dataclass(frozen=True, slots=True, eq=False)
class JobResult:
    """What a job made of one image.

    Attributes:
        labels: (H, W) afterwards; the same object if nothing changed.
        provenance: (H, W) uint8 afterwards.
        changed_pixels: labels that differ.
        kept_pixels: labels that the operation would have changed and the user had painted.
    """

    labels: LabelMap
    provenance: NDArray[np.uint8]
    changed_pixels: int
    kept_pixels: int


def run_component_job(job: ComponentJob, labels: LabelMap, provenance: NDArray[np.uint8], catalog: ClassCatalog) -> JobResult:
    """A job on one label map; nothing that is passed is changed, and pixels that the user painted stay.

    Raises:
        AtrousError: labels and provenance do not fit each other.
        CatalogError, MaskFormatError: the class, or the labels, are not the catalog's.
    """
    check_labels(labels, catalog)
    if job.cls is not None:
        catalog.index_of(job.cls)
    if provenance.shape != labels.shape or provenance.dtype != np.uint8:
        raise AtrousError(
            message("labels and provenance differ in size"), remedy=message("Pass maps of the image's size, provenance as uint8")
        )
    found = _wanted(job, labels, catalog.ignore)
    if found is None:
        return JobResult(labels, provenance, 0, 0)
    box, mask, ids = found
    place = box.slices
    different = mask & (ids != labels[place])
    free = different & ~painted(provenance[place])
    kept = int(np.count_nonzero(different & ~free))
    if not free.any():
        return JobResult(labels, provenance, 0, kept)
    after, sources = labels.copy(), provenance.copy()
    after[place][free] = ids[free]
    sources[place][free] = Provenance.USER if job.operation in _OUTLINES else Provenance.RECLASSIFIED
    return JobResult(after, sources, int(np.count_nonzero(free)), kept)


def _wanted(job: ComponentJob, labels: LabelMap, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    """A box, where it would change, and to which ids."""
    px, cls = job.px, job.cls
    if job.operation == "drop islands":
        return components.islands(labels, px, cls, ignore)
    if job.operation == "keep largest":
        return components.all_but_largest(labels, cls, ignore)
    if job.operation == "smooth":
        return components.smoothed(labels, px, cls, None, ignore)
    assert cls is not None
    if job.operation == "shrink":
        return components.shrunk(labels, px, cls, None, ignore)
    change = components.holes(labels, cls, px) if job.operation == "fill holes" else components.grown(labels, px, cls, None)
    if change is None:
        return None
    box, mask = change
    return box, mask, np.full(mask.shape, cls, labels.dtype)
