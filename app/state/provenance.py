"""Who set a pixel, and how a new prediction meets the user's work: it never overwrites it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.state.locks import held
from app.state.patch import TILE, TilePatch, diff_patch, patch_of_region
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap, Provenance, painted

__all__ = [
    "Merge", "Provenance", "by_hand", "merge_labels", "merge_patch", "painted", "reclassified", "users_own",
]  # fmt: skip


def reclassified(provenance: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels of regions to which the user gave a class without drawing their outline."""
    found: NDArray[np.bool_] = provenance == Provenance.RECLASSIFIED
    return found


def users_own(provenance: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels that a prediction must not change: painted or reclassified."""
    found: NDArray[np.bool_] = (provenance == Provenance.USER) | (provenance >= Provenance.RECLASSIFIED)
    return found


def by_hand(provenance: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with a class that the user confirmed: painted, reclassified or imported."""
    found: NDArray[np.bool_] = provenance >= Provenance.USER
    return found


#: Rows that are compared at once.
_STRIP = 2 * TILE


@dataclass(frozen=True, slots=True)
class Merge:
    """Result of laying new labels under the user's pixels.

    Attributes:
        patch: the change to apply as one undoable step.
        kept_pixels: how many pixels of the user or of locked classes were kept.
        conflicts: (H, W) bool, those of them for which the new labels say something else.
    """

    patch: TilePatch
    kept_pixels: int
    conflicts: NDArray[np.bool_]


def merge_labels(
    labels: LabelMap,
    provenance: NDArray[np.uint8],
    new_labels: LabelMap,
    source: Provenance,
    where: NDArray[np.bool_] | None = None,
    locked: frozenset[int] = frozenset(),
) -> Merge:
    """Lay ``new_labels`` over a map wherever the user has not set the pixel (:func:`users_own`) and no class is locked.

    Args:
        labels, provenance: (H, W) maps as they are; not changed.
        new_labels: (H, W) of the same dtype.
        source: the source: MODEL, CRF or IMPORT.
        where: (H, W) bool, restricts the change; None means everywhere.
        locked: ids of the locked classes, see :mod:`app.state.locks`.
    """
    kept = users_own(provenance)
    if locked:
        kept |= held(labels, new_labels, locked)
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


def merge_patch(
    labels: LabelMap,
    provenance: NDArray[np.uint8],
    new_labels: LabelMap,
    source: Provenance,
    locked: frozenset[int] = frozenset(),
) -> TilePatch:
    """The patch of :func:`merge_labels` alone, made strip by strip: maps of the size of the image are not needed."""
    height, width = labels.shape
    parts = []
    for start in range(0, height, _STRIP):
        rows = slice(start, start + _STRIP)
        kept = users_own(provenance[rows])
        if locked:
            kept |= held(labels[rows], new_labels[rows], locked)
        merged = np.where(kept, labels[rows], new_labels[rows]).astype(labels.dtype, copy=False)
        by = np.where(kept, provenance[rows], np.uint8(source)).astype(np.uint8, copy=False)
        parts.append(patch_of_region(labels, provenance, Box(0, start, width, merged.shape[0]), merged, by))
    tiles = tuple(tile for part in parts for tile in part.tiles)
    return TilePatch((height, width), labels.dtype.itemsize, tiles, sum(part.changed_pixels for part in parts))


def would_change(labels: LabelMap, provenance: NDArray[np.uint8], new_labels: LabelMap) -> bool:
    """Whether :func:`merge_labels` everywhere changes the class of a pixel; as quick as the first such strip.

    A difference in pixels that the user has set is none: they stay. Where classes are locked, it may answer True for a merge
    that keeps every pixel.
    """
    for start in range(0, labels.shape[0], _STRIP):
        rows = slice(start, start + _STRIP)
        if np.any((labels[rows] != new_labels[rows]) & ~users_own(provenance[rows])):
            return True
    return False
