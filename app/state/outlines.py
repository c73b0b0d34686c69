"""Regions with a class that the user chose and an outline that the user did not draw (``Provenance.RECLASSIFIED``, ADR 89).

A CRF may move their outline, and nothing else. Two things are needed for that: the network's word about such a region is
read in the user's class (:func:`renamed_classes`), and of the result only what moves the outline is taken (:func:`may_change`).
No Qt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.locks import held
from app.state.opencv import opencv
from app.state.provenance import painted, reclassified
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

#: So far from a region, in px, the network's class for it is read as the user's. A CRF moves outlines by less.
OUTLINE_REACH = 40


@dataclass(frozen=True, slots=True, eq=False)
class RenamedClasses:
    """Which class of the network stands for which class of the user, pixel by pixel.

    Attributes:
        source: (h, w) ids in the project's catalog with a moving probability; the catalog's void if none does.
        target: (h, w) ids that it moves to.
    """

    source: LabelMap
    target: LabelMap


def may_change(
    labels: LabelMap,
    provenance: NDArray[np.uint8],
    rect: Box,
    refined: LabelMap,
    where: NDArray[np.bool_] | None = None,
    locked: frozenset[int] = frozenset(),
) -> NDArray[np.bool_]:
    """(h, w) bool: pixels of ``rect`` that a CRF's result changes.

    Pixels that the user painted never change, nor do pixels that have or would get a locked class. A pixel of a reclassified
    region changes

    - only in a piece that is connected, in the result and in its new class, with a pixel from outside the piece: so the outline
      moves, and no hole opens inside;
    - and only if a part of its region remains.

    Args:
        labels, provenance: (H, W) of the whole image; not changed.
        refined: (h, w) labels of ``rect``.
        where: (h, w) bool, restricts the change; None means all of ``rect``.
        locked: ids of the locked classes, see :mod:`app.state.locks`.
    """
    own = provenance[rect.slices]
    changing: NDArray[np.bool_] = (labels[rect.slices] != refined) & ~painted(own)
    if where is not None:
        changing &= where
    if locked:
        changing &= ~held(labels[rect.slices], refined, locked)
    soft = changing & reclassified(own)
    if soft.any():
        changing &= ~_held_back(labels, provenance, rect, refined, changing, soft)
    return changing


def _held_back(
    labels: LabelMap,
    provenance: NDArray[np.uint8],
    rect: Box,
    refined: LabelMap,
    changing: NDArray[np.bool_],
    soft: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """(h, w) bool: pixels of ``soft`` that keep their class."""
    box = _bounds(soft).moved(rect.x, rect.y).grown(1, labels.shape)
    inner = box.intersected(rect)
    in_rect, in_box = inner.within(rect).slices, inner.within(box).slices
    before, regions = labels[box.slices], reclassified(provenance[box.slices])
    after = before.copy()
    after[in_box][changing[in_rect]] = refined[in_rect][changing[in_rect]]
    leaving = np.zeros(before.shape, np.bool_)
    leaving[in_box] = soft[in_rect]
    while leaving.any():
        stay = np.zeros(before.shape, np.bool_)
        for value in np.unique(after[leaving]):
            stay |= _without(after == value, ~leaving)
        for value in np.unique(before[leaving]):
            stay |= _without(regions & (before == value), ~leaving)
        stay &= leaving
        if not stay.any():
            break
        leaving &= ~stay
        after[stay] = before[stay]
    held = np.zeros(soft.shape, np.bool_)
    held[in_rect] = ~leaving[in_box]
    return held & soft


def _without(areas: NDArray[np.bool_], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The 4-connected areas that hold no marked pixel."""
    count, numbers = opencv().connectedComponents(areas.astype(np.uint8), connectivity=4)
    holds = np.zeros(count, np.bool_)
    holds[numbers[areas & marked]] = True
    found: NDArray[np.bool_] = areas & ~holds[numbers]
    return found


def renamed_classes(document: Document, rect: Box | None = None, keep: int | None = None) -> RenamedClasses | None:
    """How a network's scores are read in and around the reclassified regions of a document; None if none.

    Inside a region, the network's class of each pixel is read as the user's. Up to :data:`OUTLINE_REACH` px around it, the class
    that the network gave most of the region is read so too, except where that class is the network's first choice: there is
    another object of it. So the outline moves as it would move for the network's own class.

    Args:
        rect: the part of the image that is wanted; None means all of it.
        keep: a class with an unchanged probability: a scribble asks for it.
    """
    rect = Box.whole(document.shape) if rect is None else rect
    soft = reclassified(document.provenance[rect.slices])
    if document.reference is None or not soft.any():
        return None
    ignore = document.catalog.ignore
    labels, model = document.labels[rect.slices], document.reference[rect.slices]
    source = np.full(labels.shape, ignore, labels.dtype)
    target = source.copy()
    box = _bounds(soft).grown(OUTLINE_REACH, soft.shape).slices
    nearest = np.full(soft[box].shape, np.float32(OUTLINE_REACH))
    for value in np.unique(labels[soft]):
        region = soft[box] & (labels[box] == value)
        distance, near = _nearest(region, model[box])
        around = (distance <= nearest) & ~soft[box] & (near != model[box])
        nearest[around] = distance[around]
        source[box][around], target[box][around] = near[around], value
        source[box][region], target[box][region] = model[box][region], value
    source[(source == target) | (source == keep)] = ignore
    target[source == ignore] = ignore
    return RenamedClasses(source, target)


def _nearest(region: NDArray[np.bool_], model: LabelMap) -> tuple[NDArray[np.float32], LabelMap]:
    """Distance in px to the nearest piece of a region, and the class that the network gave most of that piece."""
    cv2 = opencv()
    count, numbers = cv2.connectedComponents(region.astype(np.uint8), connectivity=4)
    pairs, sizes = np.unique(np.stack((numbers[region], model[region].astype(np.int64))), axis=1, return_counts=True)
    most = np.zeros(count, model.dtype)
    order = np.argsort(sizes, kind="stable")
    most[pairs[0][order]] = pairs[1][order]  # the largest comes last, and stays
    distance, pixels = cv2.distanceTransformWithLabels(
        (~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    piece = np.zeros(int(pixels.max()) + 1, numbers.dtype)
    piece[pixels[region]] = numbers[region]
    return distance, most[piece[pixels]]


def _bounds(where: NDArray[np.bool_]) -> Box:
    """Box of the pixels of ``where``, which has some."""
    box = Box.around(where)
    assert box is not None
    return box
