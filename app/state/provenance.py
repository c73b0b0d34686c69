"""Who set a pixel, and how a new prediction meets a person's work: it never overwrites it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.patch import TilePatch, diff_patch


class Provenance(IntEnum):
    """Value of the (H, W) uint8 map beside every label map."""

    UNSET = 0
    MODEL = 1
    CRF = 2
    PERSON = 3
    IMPORT = 4


#: Rows that are compared at once.
_STRIP = 128


@dataclass(frozen=True, slots=True)
class Merge:
    """Result of laying new labels under a person's pixels.

    Attributes:
        patch: the change to apply as one undoable step.
        kept_pixels: how many pixels of the person were kept.
        conflicts: (H, W) bool, pixels that the person set and for which the new labels say something else.
    """

    patch: TilePatch
    kept_pixels: int
    conflicts: NDArray[np.bool_]


def merge_labels(
    labels: NDArray[Any],
    provenance: NDArray[np.uint8],
    new_labels: NDArray[Any],
    source: Provenance,
    where: NDArray[np.bool_] | None = None,
) -> Merge:
    """Lay ``new_labels`` over a map wherever no person has set the pixel.

    Args:
        labels, provenance: (H, W) maps as they are; not changed.
        new_labels: (H, W) of the same dtype.
        source: who says so: MODEL, CRF or IMPORT.
        where: (H, W) bool, restricts the change; None means everywhere.
    """
    kept = provenance == Provenance.PERSON
    free = ~kept if where is None else where & ~kept
    merged = np.where(free, new_labels, labels)
    merged_provenance = np.where(free, np.uint8(source), provenance)
    conflicts = kept & (labels != new_labels)
    if where is not None:
        conflicts &= where
    merged = merged.astype(labels.dtype, copy=False)
    return Merge(
        patch=diff_patch(labels, provenance, merged, merged_provenance.astype(np.uint8, copy=False)),
        kept_pixels=int(np.count_nonzero(kept)),
        conflicts=conflicts,
    )


def would_change(labels: NDArray[Any], provenance: NDArray[np.uint8], new_labels: NDArray[Any], source: Provenance) -> bool:
    """Whether :func:`merge_labels` everywhere has anything to change or to disagree with; as quick as the first difference."""
    for start in range(0, labels.shape[0], _STRIP):
        rows = slice(start, start + _STRIP)
        if not np.array_equal(labels[rows], new_labels[rows]):
            return True
        if np.any((provenance[rows] != Provenance.PERSON) & (provenance[rows] != source)):
            return True
    return False
