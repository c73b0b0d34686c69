"""Which part of a changed rectangle really looks different: a brush that moves on changes a crescent, not its whole disk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.state.opencv import opencv
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

#: Rows that share one tight box. Lower bands fit a crescent closer, more of them cost more than they save.
_BAND = 40
#: Comparing more pixels than this takes longer than repainting a pane.
_WORTHWHILE = 1 << 20


def damaged_rects(rect: Box, before: LabelMap, after: LabelMap, *, banded: bool = True) -> list[Box]:
    """Boxes around the pixels of ``rect`` that differ; none where nothing does.

    Args:
        rect: in image px.
        before, after: (h, w) labels of the rectangle.
        banded: one box for every few rows; one box for all is found faster and repainted slower.
    """
    if rect.width * rect.height > _WORTHWHILE:
        return [rect]
    differs = (before != after).view(np.uint8)
    band = _BAND if banded else rect.height
    boxes = (_box(rect.x, rect.y + start, differs[start : start + band]) for start in range(0, rect.height, band))
    return [box for box in boxes if not box.empty]


def _box(x: int, y: int, mask: NDArray[np.uint8]) -> Box:
    """Smallest box around the set pixels of a mask whose corner lies at (x, y); empty where none is set."""
    left, top, width, height = opencv().boundingRect(mask)
    return Box(x + left, y + top, width, height)
