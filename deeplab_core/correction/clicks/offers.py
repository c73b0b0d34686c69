"""From a click network's masks to what is offered: labels in place of masks, around the clicks only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction import components
from deeplab_core.correction.clicks.graphs import Clicks
from deeplab_core.correction.clicks.merging import gained, lost
from deeplab_core.correction.paths import check_path, check_point
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap, Provenance
from deeplab_core.regions import Mask


def check_clicks(
    points: NDArray[Any] | Sequence[Sequence[float]],
    positive: Sequence[bool],
    box: tuple[float, float, float, float] | None,
    size: tuple[int, int],
) -> Clicks:
    """Clicks and box of an image of ``size`` (H, W).

    Raises:
        AtrousError: a point outside of it, another number of signs, a box without area or outside, or nothing at all.
    """
    clicks = check_path(points, size) if len(points) or box is None else np.zeros((0, 2))
    for x, y in clicks:
        check_point(float(x), float(y), size)
    signs = np.asarray(positive, np.bool_).reshape(-1)
    if signs.shape != (len(clicks),):
        raise AtrousError(
            message("{clicks} clicks have {signs} signs", clicks=len(clicks), signs=signs.size),
            remedy=message("Say of every click whether it is on the object"),
        )
    if box is not None:
        left, top, right, bottom = (float(side) for side in box)
        height, width = size
        if not (left < right and top < bottom and right > 0 and bottom > 0 and left < width and top < height):
            raise AtrousError(
                message("the box ({left}, {top}, {right}, {bottom}) holds no pixel of the image of {width} x {height} px",
                        left=left, top=top, right=right, bottom=bottom, width=width, height=height),
                remedy=message("Draw a box over a part of the image"),
            )  # fmt: skip
        box = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    return Clicks(clicks, signs, box)


def offers(
    masks: Iterable[Mask], clicks: Clicks, cls: int, labels: LabelMap, painted: NDArray[np.bool_], ignore: int
) -> list[Proposal]:
    """What each mask would change, in their order; those that change nothing, or the same as one before, are left out.

    Args:
        masks: (H, W) bool each.
        clicks: that they were asked with.
        cls: the class of the object.
        labels: (H, W) as they are.
        painted: (H, W) bool, pixels that stay.
        ignore: void.

    Raises:
        AtrousError: a mask of another size or type.
    """
    own = labels == cls
    pixels = clicks.pixels
    found: list[Proposal] = []
    for mask in masks:
        if mask.shape != labels.shape or mask.dtype != np.bool_:
            raise AtrousError(
                message("the click model's mask is {shape} {dtype}", shape=mask.shape, dtype=mask.dtype),
                remedy=message("Use another click model"),
            )
        more = gained(own, mask, pixels[clicks.positive], clicks.box) & ~painted
        less = lost(own, mask, pixels[~clicks.positive]) & ~painted
        proposal = _proposal(more, less, own, cls, labels, ignore)
        if proposal is None:
            continue
        if not any(_same(proposal, other) for other in found):
            found.append(proposal)
    return found


def _same(one: Proposal, other: Proposal) -> bool:
    if one.bounds != other.bounds:
        return False
    place = one.bounds.slices
    mask = one.mask[place]
    first, second = (np.broadcast_to(given, one.mask.shape)[place][mask] for given in (one.labels, other.labels))
    return np.array_equal(mask, other.mask[place]) and np.array_equal(first, second)


def _proposal(more: Mask, less: Mask, own: Mask, cls: int, labels: LabelMap, ignore: int) -> Proposal | None:
    box = Box.around(more | less)
    if box is None:
        return None
    if less.any():
        # What is taken off goes to the nearest other class.
        outer = _holding_nearest(labels, less, own, ignore)
        place = outer.slices
        taken = components.given_to_nearest(labels[place], Box.whole(outer.size), less[place], own[place], ignore)
        if taken is not None:
            ids = np.where(more, labels.dtype.type(cls), labels)
            ids[place][less[place]] = taken[2][less[place]]
            return Proposal(more | less, ids, int(Provenance.RECLASSIFIED), box)
    return Proposal(more, cls, int(Provenance.RECLASSIFIED), box) if more.any() else None


def _holding_nearest(labels: LabelMap, less: Mask, own: Mask, ignore: int) -> Box:
    """A box around pixels that surely holds, of each, the nearest one of another class: large images need not be searched."""
    inner, margin = Box.around(less) or Box(0, 0, 0, 0), 16
    while True:
        outer = inner.grown(margin, labels.shape)
        other = (labels[outer.slices] != ignore) & ~own[outer.slices]
        if outer == Box.whole(labels.shape):
            return outer
        farthest = np.inf
        if other.any():
            away = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            farthest = float(away[less[outer.slices]].max())
        if farthest <= margin:
            return outer
        margin = 2 * margin if farthest == np.inf else max(2 * margin, int(farthest) + 1)
