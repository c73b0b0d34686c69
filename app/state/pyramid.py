"""A photograph's halved copies: what is shown at reduced scale is read from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.state.opencv import opencv

#: The pyramid ends where the longer side is at most this many px: smaller levels are painted in no time from it.
_SMALLEST = 512

Pyramid = tuple[NDArray[np.uint8], ...]


def halved_levels(rgb: NDArray[np.uint8]) -> Pyramid:
    """The photograph and its copies at 1/2, 1/4, ... of its size, by area averages.

    Takes about 1 ms per megapixel; for a job.

    Args:
        rgb: (H, W, 3) uint8; level 0 is this array itself where it is C-contiguous.
    """
    cv2 = opencv()
    levels = [np.ascontiguousarray(rgb)]
    while max(levels[-1].shape[:2]) > _SMALLEST and min(levels[-1].shape[:2]) > 1:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA))
    return tuple(levels)
