"""Which part of a changed rectangle really looks different: a brush that moves on changes a crescent, not its whole disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.patch import Rect

#: Rows that share one tight box. Lower bands fit a crescent closer, more of them cost more than they save.
_BAND = 40
#: Comparing more pixels than this takes longer than repainting a pane.
_WORTHWHILE = 1 << 20


def damaged_rects(rect: Rect, before: NDArray[Any], after: NDArray[Any]) -> list[Rect]:
    """Boxes around the pixels of ``rect`` that differ; none where nothing does.

    Args:
        rect: in image px.
        before, after: (h, w) labels of the rectangle.
    """
    if rect.width * rect.height > _WORTHWHILE:
        return [rect]
    differs = before != after
    boxes = []
    for start in range(0, rect.height, _BAND):
        band = differs[start : start + _BAND]
        columns = np.flatnonzero(band.any(axis=0))
        if columns.size:
            rows = np.flatnonzero(band.any(axis=1))
            left, top = int(columns[0]), int(rows[0])
            width, height = int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
            boxes.append(Rect(rect.x + left, rect.y + start + top, width, height))
    return boxes
