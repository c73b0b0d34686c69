"""The step that makes labels from elsewhere the whole mask of a document, and who set their pixels. No Qt, no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.locks import held
from app.state.patch import TilePatch, diff_patch
from app.state.provenance import Provenance
from deeplab_core.labels import LabelMap


def whole_patch(document: Document, labels: LabelMap, by: NDArray[np.uint8] | None = None) -> TilePatch:
    """The step that makes imported labels, (H, W) in the project's ids, the whole mask of a document but for locked classes.

    Args:
        by: (H, W) who set each pixel; None says the import.
    """
    if by is None:
        by = np.full_like(document.provenance, Provenance.IMPORT)
    if document.locked:
        kept = held(document.labels, labels, document.locked)
        labels = np.where(kept, document.labels, labels)
        by = np.where(kept, document.provenance, by)
    return diff_patch(document.labels, document.provenance, labels, by)


def set_by(codes: NDArray[np.uint8] | None, shape: tuple[int, ...], *, reviewed: bool = False) -> NDArray[np.uint8]:
    """(H, W) uint8 provenance of imported pixels.

    Args:
        codes: (H, W) who set them, as an export of Atrous says beside the mask; None without one.
        shape: (H, W) of the mask.
        reviewed: whether a user confirmed the whole mask: then the pixels of a model count as imported, too.
    """
    by = np.full(shape, Provenance.IMPORT, np.uint8)
    if codes is None:
        return by
    kept = codes != Provenance.UNSET
    if reviewed:
        kept &= (codes == Provenance.USER) | (codes == Provenance.RECLASSIFIED)
    by[kept] = codes[kept]
    return by
