"""What of a click network's mask is taken: the regions around the clicks, and nothing else.

FocalClick (Chen et al., CVPR 2022, arXiv 2204.02574) merges a new mask progressively: only the connected region of the difference
that holds the new click changes, so what was right before stays right. Here gains and losses are judged apart: a positive click
can only add, a negative one only remove.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Box
from deeplab_core.regions import Mask

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def clicked(mask: Mask, pixels: NDArray[np.int64]) -> Mask:
    """(H, W) bool: the 8-connected components of a mask that hold one of the pixels, (N, 2) column and row."""
    found = np.zeros_like(mask)
    hits = pixels[mask[pixels[:, 1], pixels[:, 0]]] if len(pixels) else pixels
    box = Box.around(mask) if len(hits) else None
    if box is None:
        return found
    part = np.ascontiguousarray(mask[box.slices]).view(np.uint8)
    _, numbers = cv2.connectedComponents(part, connectivity=8, ltype=cv2.CV_32S)
    chosen = np.zeros(int(numbers.max()) + 1, np.bool_)
    chosen[numbers[hits[:, 1] - box.y, hits[:, 0] - box.x]] = True
    found[box.slices] = chosen[numbers]
    return found


def gained(own: Mask, mask: Mask, pixels: NDArray[np.int64], box: tuple[float, float, float, float] | None) -> Mask:
    """What a class gains: regions of the mask outside of it that hold a positive click.

    A click on the class itself asks for more of that object: regions that touch its component count too. A box takes every
    region that reaches into it.

    Args:
        own: (H, W) bool, where the class is now.
        mask: (H, W) bool, the network's.
        pixels: (N, 2) column and row of the positive clicks.
        box: left, top, right, bottom in image px, or None.
    """
    new = mask & ~own
    if not new.any():
        return new
    seeds = np.zeros(own.shape, np.bool_)
    seeds[pixels[:, 1], pixels[:, 0]] = True
    extended = clicked(own, pixels)
    place = Box.around(extended)
    if place is not None:
        outer = place.grown(1, own.shape).slices
        seeds[outer] |= cv2.dilate(extended[outer].astype(np.uint8), _NEIGHBOURS).astype(np.bool_)
    if box is not None:
        left, top, right, bottom = box
        inside = np.zeros_like(new)
        inside[max(int(top), 0) : int(np.ceil(bottom)), max(int(left), 0) : int(np.ceil(right))] = True
        seeds |= inside & new
    rows, columns = np.nonzero(seeds & new)
    return clicked(new, np.column_stack([columns, rows]))


def lost(own: Mask, mask: Mask, pixels: NDArray[np.int64]) -> Mask:
    """What a class loses: regions of it outside of the mask that hold a negative click, (N, 2) column and row."""
    return clicked(own & ~mask, pixels)
