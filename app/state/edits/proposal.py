"""What a correction tool offers, as a step of a document; and operations on components, as what they would offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.edits.limits import NO_LIMITS, EditLimits, writable
from app.state.patch import TilePatch, diff_patch, patch_of_region
from app.state.provenance import Provenance, painted
from deeplab_core.geometry import Box

#: Operations that move outlines.
OUTLINES = ("grow", "shrink", "smooth")

if TYPE_CHECKING:  # OpenCV comes with the first image
    from deeplab_core.correction import ComponentJob, Corrector, Proposal


def proposal_patch(document: Document, proposal: Proposal, limits: EditLimits = NO_LIMITS) -> TilePatch:
    """The patch that a proposal makes of a document. Pixels of locked classes stay as they are.

    Pixels that the user painted stay the user's where the proposal only gives a class (``RECLASSIFIED``).

    Args:
        limits: which pixels may change.
    """
    rect = proposal.bounds
    place = rect.slices
    before, sources = document.labels[place], document.provenance[place]
    given = proposal.labels if isinstance(proposal.labels, int) else proposal.labels[place]
    after = np.asarray(given, before.dtype)
    where = writable(document, rect, proposal.mask[place], after, limits)
    by = proposal.provenance if isinstance(proposal.provenance, int) else proposal.provenance[place]
    new = np.broadcast_to(np.asarray(by, np.uint8), sources.shape)
    kept = painted(sources) & (new == Provenance.RECLASSIFIED)
    labels = np.where(where, after, before)
    return patch_of_region(document.labels, document.provenance, rect, labels, np.where(where & ~kept, new, sources))


def job_proposal(
    corrector: Corrector,
    job: ComponentJob,
    component: tuple[float, float] | None = None,
    within: NDArray[np.bool_] | None = None,
) -> Proposal | None:
    """What an operation on components would change in one image; None if nothing.

    Args:
        component: a point (x, y) of the one component that grows, shrinks or becomes smooth; other operations change only what is
            inside of it, its holes included. None for all of the class.
        within: (H, W) bool, the only pixels that may change.
    """
    operation, px, cls = job.operation, job.px, job.cls
    mask = None
    if component is not None:
        box, part = corrector.component_mask(*component)
        mask = np.zeros(corrector.size, np.bool_)
        mask[box.slices] = part
        if operation not in OUTLINES:
            from deeplab_core.correction.components import filled

            mask = filled(mask)
            within = mask if within is None else within & mask
        elif cls is None:  # its own outline, not all those that it touches
            cls = int(corrector.labels[int(component[1]), int(component[0])])
    if operation == "drop islands":
        found = corrector.drop_islands(px, cls)
    elif operation == "keep largest":
        found = corrector.keep_largest(cls)
    elif operation == "smooth":
        found = corrector.smooth(px, cls, mask)
    else:
        assert cls is not None  # ComponentJob sees to it
        if operation == "fill holes":
            found = corrector.fill_holes(cls, px)
        else:
            found = (corrector.grow if operation == "grow" else corrector.shrink)(px, cls, mask)
    return found if found is None or within is None else found.only(within)


def job_patch(document: Document, job: ComponentJob, limits: EditLimits = NO_LIMITS) -> tuple[TilePatch, int]:
    """An operation on a document of a folder: its patch, and how many pixels it left because the user painted them.

    Pixels that the user painted stay, and so do those of locked classes.

    Args:
        limits: which pixels may change.
    """
    from deeplab_core.correction import run_component_job

    result = run_component_job(job, document.labels, document.provenance, document.catalog)
    labels, provenance = result.labels, result.provenance
    if result.changed_pixels and (document.locked or not limits.none):
        free = writable(document, Box.whole(document.shape), labels != document.labels, labels, limits)
        labels, provenance = np.where(free, labels, document.labels), np.where(free, provenance, document.provenance)
    return diff_patch(document.labels, document.provenance, labels, provenance), result.kept_pixels
