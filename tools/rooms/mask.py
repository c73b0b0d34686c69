"""The VOC mask of a rendered view, with its void ring. Needs no renderer."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

VOID = 255


def mask_from_ids(ids: NDArray[np.uint8], voc_ids: Sequence[int], *, ring: int) -> NDArray[np.uint8]:
    """(H, W) uint8 VOC-21 ids with a void ring of about ``2 * ring`` px around every object, as VOC's own masks have.

    Args:
        ids: (H, W) uint8, 0 for the room and k for the k-th object.
        voc_ids: class of each object.
        ring: half the ring's width in px.
    """
    lut = np.zeros(256, dtype=np.uint8)
    lut[1 : len(voc_ids) + 1] = voc_ids
    mask = lut[ids]
    edge = np.zeros(ids.shape, dtype=np.uint8)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:] |= ids[1:] != ids[:-1]
    # ``edge`` marks the pixel right of or below a boundary; this element is symmetric around the boundary itself.
    element = np.ones((2 * ring, 2 * ring), dtype=np.uint8)
    mask[cv2.dilate(edge, element, anchor=(ring - 1, ring - 1)) > 0] = VOID
    return mask
