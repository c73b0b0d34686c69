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
    place = Box.around(new)
    if place is None:
        return new
    # Of a large image only the box of what is new is looked at.
    part = new[place.slices]
    seeds = np.zeros(part.shape, np.bool_)
    inside = ((pixels >= (place.x, place.y)) & (pixels < (place.right, place.bottom))).all(axis=1)
    seeds[pixels[inside, 1] - place.y, pixels[inside, 0] - place.x] = True
    extended = clicked(own, pixels)
    object_box = Box.around(extended)
    if object_box is not None:
        outer = object_box.grown(1, own.shape)
        beside = cv2.dilate(extended[outer.slices].view(np.uint8), _NEIGHBOURS).astype(np.bool_)
        common = outer.intersected(place)
        if not common.empty:
            seeds[common.within(place).slices] |= beside[common.within(outer).slices]
    if box is not None:
        left, top, right, bottom = box
        drawn = Box.between(int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))).intersected(place)
        if not drawn.empty:
            seeds[drawn.within(place).slices] = True
    rows, columns = np.nonzero(seeds & part)
    found = np.zeros_like(new)
    found[place.slices] = clicked(part, np.column_stack([columns, rows]))
    return found


def lost(own: Mask, mask: Mask, pixels: NDArray[np.int64]) -> Mask:
    """What a class loses: regions of it outside of the mask that hold a negative click, (N, 2) column and row."""
    return clicked(own & ~mask, pixels)
