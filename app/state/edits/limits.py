"""What the user's own edits may change: pixels of some classes, pixels inside or outside the trimap band. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.edits.raster import Point
from app.state.tools import BandMode, ToolState
from deeplab_core.errors import MessageText, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap


@dataclass(frozen=True, slots=True, eq=False)
class EditLimits:
    """Limits of one edit.

    Attributes:
        over: overwrite only pixels that have one of these labels now; None allows every label.
        part: (H, W) bool of the image, the only pixels that may change; None allows all.
        reason: why nothing at all may be changed, for the user; None if something may be.
    """

    over: frozenset[int] | None = None
    part: NDArray[np.bool_] | None = None
    reason: MessageText | None = None

    @property
    def none(self) -> bool:
        """Whether every pixel may change."""
        return self.over is None and self.part is None

    def applied(self, where: NDArray[np.bool_], before: LabelMap, rect: Box) -> NDArray[np.bool_]:
        """(h, w) bool: pixels of ``where`` that may change.

        Args:
            where: (h, w) bool, what an edit would change in ``rect``.
            before: (h, w) labels of ``rect`` as they are.
            rect: in image px.
        """
        if self.over is not None:
            found = np.zeros(before.shape, np.bool_)
            for value in self.over:
                found |= before == value
            where = where & found
        return where if self.part is None else where & self.part[rect.slices]


#: Every pixel may change.
NO_LIMITS = EditLimits()


def edit_limits(
    document: Document, tools: ToolState, band: NDArray[np.bool_] | None, start: Point | None = None, *, whole: bool = False
) -> EditLimits:
    """What the user's own edits may change with the modes that are on.

    Args:
        band: (H, W) bool, the trimap band; None if there is none.
        start: where a stroke or outline begins, for "paint only over the class where a stroke begins"; None if it does not
            matter.
        whole: whether the edit changes only pixels of the class at ``start``, as a fill does.
    """
    over = tools.over or None
    if start is not None and (tools.within or whole):
        height, width = document.shape
        column, row = min(max(int(start[0] // 1), 0), width - 1), min(max(int(start[1] // 1), 0), height - 1)
        here = int(document.labels[row, column])
        if over is not None and here not in over:
            catalog = document.catalog
            name = message("unlabelled") if here == catalog.ignore else catalog.by_id(here).name
            return EditLimits(reason=message("{name} is not among the classes that may be painted over", name=name))
        over = frozenset({here})
    if tools.band is BandMode.OFF:
        return EditLimits(over)
    if band is None or band.shape != document.shape:
        return EditLimits(reason=message("There is no trimap band yet. The Trimap band view (T) says why"))
    return EditLimits(over, band if tools.band is BandMode.INSIDE else ~band)
