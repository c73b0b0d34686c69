"""What a CRF would do to a mask before the user has decided: composition, figures, and the patch of taking it. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.outlines import may_change
from app.state.patch import TilePatch, patch_of_region
from app.state.provenance import Provenance, painted
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap_histogram import BandHistogram


@dataclass(frozen=True, slots=True)
class ClassChange:
    """IoU of one class before and after; nan where it is in neither truth nor mask."""

    name: str
    color: tuple[int, int, int]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class RefineFigures:
    """What a CRF wins and what it destroys.

    Attributes:
        classes: those in the truth or in either mask, largest loss first, then largest gain.
        before, after: mean IoU over the classes in the truth.
        accuracy_before, accuracy_after: share of labelled pixels that are right.
        curve: mIoU after it inside the band of width 1, 2, ... px; empty where the band lies around the mask.
        won, lost: labelled pixels that it puts right, and that it spoils.
    """

    classes: tuple[ClassChange, ...]
    before: float
    after: float
    accuracy_before: float
    accuracy_after: float
    curve: tuple[float, ...]
    won: int
    lost: int


def painted_labels(labels: LabelMap, provenance: NDArray[np.uint8], ignore: int) -> LabelMap | None:
    """Labels where the user painted them, ``ignore`` elsewhere; None without such pixels."""
    drawn = painted(provenance)
    if not drawn.any():
        return None
    strokes: LabelMap = np.where(drawn, labels, labels.dtype.type(ignore))
    return strokes


def composed(
    labels: LabelMap,
    provenance: NDArray[np.uint8],
    refined: LabelMap,
    where: NDArray[np.bool_] | None = None,
    locked: frozenset[int] = frozenset(),
) -> LabelMap:
    """(H, W) the mask as it would be: ``refined`` where it may change the mask (:func:`may_change`)."""
    changing = may_change(labels, provenance, Box.whole(labels.shape), refined, where, locked)
    shown: LabelMap = np.where(changing, refined, labels)
    return shown


def taking_patch(document: Document, rect: Box, refined: LabelMap, where: NDArray[np.bool_] | None = None) -> TilePatch:
    """The change that lays (h, w) ``refined`` into ``rect``: pixels that really change, and none that the user painted.

    Unlike a prediction it leaves the provenance of pixels that stay as they are: an imported mask remains imported where the CRF
    agrees with it.

    Args:
        where: (h, w) bool, restricts the change; None means all of ``rect``.
    """
    labels, provenance = document.labels[rect.slices], document.provenance[rect.slices]
    changing = may_change(document.labels, document.provenance, rect, refined, where, document.locked)
    after = np.where(changing, refined, labels).astype(labels.dtype, copy=False)
    sources = np.where(changing, np.uint8(Provenance.CRF), provenance)
    return patch_of_region(document.labels, document.provenance, rect, after, sources)


def would_take(document: Document, rect: Box, refined: LabelMap, where: NDArray[np.bool_] | None = None) -> bool:
    """Whether :func:`taking_patch` changes anything."""
    return bool(may_change(document.labels, document.provenance, rect, refined, where, document.locked).any())


def refine_figures(
    document: Document,
    shown: LabelMap,
    truth: LabelMap,
    matrix: ConfusionMatrix,
    band: BandHistogram | None,
    index: NDArray[np.uint8] | None,
) -> RefineFigures:
    """Evaluate the mask as it would be. About 80 ms per megapixel: for a job.

    Args:
        document: as it is; counted already in ``matrix``.
        shown: as it would be.
        truth: void = the catalog's ignore id.
        matrix: of the document.
        band: an empty histogram of the rule in use, or None where the band lies around the mask.
        index: its band index.
    """
    catalog = document.catalog
    after = ConfusionMatrix(catalog).update(truth=truth, prediction=shown)
    curve: tuple[float, ...] = ()
    if band is not None and index is not None:
        band.update(index=index, truth=truth, prediction=shown)
        curve = tuple(band.curve("truth").mean_iou.tolist())
    before_iou, after_iou = matrix.iou(), after.iou()
    rows = [
        ClassChange(info.name, info.color, float(old), float(new))
        for info, old, new in zip(catalog.classes, before_iou, after_iou, strict=True)
        if not (np.isnan(old) and np.isnan(new))
    ]
    rows.sort(key=lambda row: np.nan_to_num(row.after) - np.nan_to_num(row.before))
    losses = [row for row in rows if np.nan_to_num(row.after) < np.nan_to_num(row.before)]
    gains = [row for row in reversed(rows) if not np.nan_to_num(row.after) < np.nan_to_num(row.before)]
    scored = truth != catalog.ignore
    right_before, right_after = document.labels == truth, shown == truth
    return RefineFigures(
        classes=(*losses, *gains),
        before=matrix.mean_iou("truth").value,
        after=after.mean_iou("truth").value,
        accuracy_before=matrix.pixel_accuracy(),
        accuracy_after=after.pixel_accuracy(),
        curve=curve,
        won=int(np.count_nonzero(scored & ~right_before & right_after)),
        lost=int(np.count_nonzero(scored & right_before & ~right_after)),
    )
