"""Edits of whole regions: flood fill, polygon and lasso. They return a patch and change nothing; ``Document.apply`` does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.edits.limits import NO_LIMITS, EditLimits, writable
from app.state.edits.raster import Point
from app.state.opencv import opencv
from app.state.patch import TilePatch, patch_of_region
from app.state.provenance import Provenance, painted
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box, polygon_mask
from deeplab_core.labels import LabelMap


def eraser_value(catalog: ClassCatalog) -> int:
    """What the eraser paints: the catalog's background class, or void where it has none."""
    return catalog.ignore if catalog.background is None else catalog.background


def region_patch(
    document: Document,
    rect: Box,
    where: NDArray[np.bool_],
    value: int,
    *,
    source: Provenance = Provenance.USER,
    limits: EditLimits = NO_LIMITS,
) -> TilePatch:
    """The patch that sets the pixels of ``rect`` where ``where`` ((h, w) bool) holds to ``value``.

    Pixels of locked classes stay as they are.

    Args:
        limits: which pixels may change.

    Raises:
        AtrousError: ``value`` is a locked class.
    """
    before = document.labels[rect.slices]
    refuse_locked(document, value)
    where = writable(document, rect, where, value, limits)
    labels = np.where(where, np.asarray(value, dtype=before.dtype), before)
    provenance = np.where(where, np.uint8(source), document.provenance[rect.slices])
    return patch_of_region(document.labels, document.provenance, rect, labels, provenance)


def fill_patch(
    document: Document,
    x: float,
    y: float,
    value: int,
    *,
    source: Provenance = Provenance.RECLASSIFIED,
    limits: EditLimits = NO_LIMITS,
) -> TilePatch:
    """Fill the 4-connected region of equal labels around a point (float image px) with ``value``.

    The user chose the class and did not draw the outline, so the pixels become reclassified; those that the user had painted
    stay the user's. A point outside the image, or on a region that already has the value by the same source, gives an empty
    patch.

    Raises:
        AtrousError: ``value``, or the class of the region, is locked.
    """
    column, row = int(np.floor(x)), int(np.floor(y))
    height, width = document.shape
    if not (0 <= column < width and 0 <= row < height):
        return TilePatch(document.shape, document.labels.dtype.itemsize, (), 0)
    refuse_locked(document, value)
    refuse_locked(document, int(document.labels[row, column]))
    rect, where = connected_region(document.labels, column, row)
    where = writable(document, rect, where, value, limits)
    labels = np.where(where, document.labels.dtype.type(value), document.labels[rect.slices])
    before = document.provenance[rect.slices]
    changing = where & ~painted(before) if source is Provenance.RECLASSIFIED else where
    provenance = np.where(changing, np.uint8(source), before)
    return patch_of_region(document.labels, document.provenance, rect, labels, provenance)


def refuse_locked(document: Document, value: int) -> None:
    """Raise AtrousError, which names the class, if a label is that of a locked class."""
    if value in document.locked:
        raise AtrousError(
            message("the class {name} is locked", name=document.catalog.by_id(value).name),
            why=message("Pixels of a locked class keep it"), remedy=message("Unlock the class, or choose another one"),
        )  # fmt: skip


def connected_region(labels: LabelMap, column: int, row: int) -> tuple[Box, NDArray[np.bool_]]:
    """The 4-connected region of equal labels that holds a pixel: its box and (h, w) bool mask."""
    cv2 = opencv()
    height, width = labels.shape
    same = (labels == labels[row, column]).view(np.uint8)
    reached = np.zeros((height + 2, width + 2), dtype=np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
    _, _, _, (left, top, box_width, box_height) = cv2.floodFill(same, reached, (column, row), 0, 0, 0, flags)
    rect = Box(int(left), int(top), int(box_width), int(box_height))
    # The mask has a border of one pixel on every side.
    return rect, reached[rect.y + 1 : rect.bottom + 1, rect.x + 1 : rect.right + 1].astype(np.bool_)


def polygon_patch(
    document: Document,
    points: Sequence[Point],
    value: int,
    *,
    source: Provenance = Provenance.USER,
    limits: EditLimits = NO_LIMITS,
) -> TilePatch:
    """Set every pixel with a centre inside a closed polygon (even-odd); a lasso is the same with freehand points.

    Fewer than three points, or a polygon that holds no pixel centre, give an empty patch. Errors as :func:`region_patch`.
    """
    rect, where = polygon_mask(points, document.shape)
    if rect.empty:
        return TilePatch(document.shape, document.labels.dtype.itemsize, (), 0)
    return region_patch(document, rect, where, value, source=source, limits=limits)
