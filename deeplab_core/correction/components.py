"""Operations on the connected components of a label map. All are exact, and components are 8-connected
(:mod:`~deeplab_core.regions`).

Every function returns a box, an (h, w) bool mask in it, and where classes differ from pixel to pixel their (h, w) ids; None where
there is nothing to change.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.paths import placed
from deeplab_core.geometry import Box
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap, value_counts
from deeplab_core.regions import Mask, find_regions

ComponentChange = tuple[Box, Mask]

#: Widths of details that a wheel goes through to smooth a border, px.
SMOOTHNESS: Final = (1, 2, 4, 8, 16)

_NEIGHBOURS = np.ones((3, 3), np.uint8)


def component_of(labels: LabelMap, x: int, y: int) -> ComponentChange:
    """The component of equal labels that holds a pixel."""
    height, width = labels.shape
    reached = np.zeros((height + 2, width + 2), np.uint8)
    # OpenCV fills 8-bit images that it may write to only; for others the one value is looked up first.
    fits = labels.dtype == np.uint8 and labels.flags.writeable
    source = labels if fits else (labels == labels[y, x]).view(np.uint8)
    flags = 8 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    _, _, _, place = cv2.floodFill(source, reached, (x, y), 0, 0, 0, flags)
    box = Box(*(int(part) for part in place))
    rows, columns = box.slices
    inside = reached[rows.start + 1 : rows.stop + 1, columns.start + 1 : columns.stop + 1]
    return box, inside.astype(np.bool_)


def surrounding_class(labels: LabelMap, box: Box, mask: Mask, ignore: int, but: Collection[int] = ()) -> int | None:
    """The class that touches a mask along most pixels, of equals the smallest id; None where only void or nothing touches it.

    Classes of ``but`` do not count: a part of a component is surrounded by its own class, too.
    """
    outer = box.grown(1, labels.shape)
    wide = placed(mask, box, outer)
    ring = cv2.dilate(wide.astype(np.uint8), _NEIGHBOURS).astype(np.bool_) & ~wide
    counts = (
        value_counts(np.ascontiguousarray(labels[outer.slices][ring]).reshape(1, -1)) if ring.any() else np.zeros(1, np.int64)
    )
    counts[ignore:] = 0
    counts[[cls for cls in but if cls < counts.size]] = 0
    return int(counts.argmax()) if counts.any() else None


def main_class(labels: LabelMap, box: Box, mask: Mask) -> int:
    """The id that most pixels of a mask in a box have, of equals the smallest."""
    return int(value_counts(labels[box.slices][mask].reshape(1, -1)).argmax())


def holes(labels: LabelMap, cls: int, max_px: int) -> ComponentChange | None:
    """Regions of at most ``max_px`` pixels that one class encloses and that do not touch the image's border.

    What is outside of a component is 4-connected (as it is where components are 8-connected), so a diagonal line closes a hole.
    """
    found = _enclosed(labels == cls)
    if found is None:
        return None
    box, numbers, enclosed, pixels = found
    return _non_empty(box, (enclosed & (pixels <= max_px))[numbers])


def hole_sizes(labels: LabelMap, cls: int) -> NDArray[np.int64]:
    """Pixels of every region that a class encloses (:func:`holes`), rising."""
    found = _enclosed(labels == cls)
    return np.zeros(0, np.int64) if found is None else np.sort(found[3][found[2]].astype(np.int64))


def _enclosed(own: Mask) -> tuple[Box, NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32]] | None:
    """A box, the numbers of the regions beside a mask in it, which it encloses, and their sizes; None for an empty mask."""
    box = Box.around(own)
    if box is None:
        return None
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(
        (~own[box.slices]).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )  # fmt: skip
    left, top, width, height, pixels = stats.T
    enclosed = (left > 0) & (top > 0) & (left + width < box.width) & (top + height < box.height)
    enclosed[0] = False  # number 0 is the class itself
    return box, np.asarray(numbers, np.int32), enclosed, np.asarray(pixels, np.int32)


def filled(mask: Mask) -> Mask:
    """A mask with its holes."""
    found = _enclosed(mask)
    whole = mask.copy()
    if found is not None:
        whole[found[0].slices] |= found[2][found[1]]
    return whole


def islands(labels: LabelMap, min_px: int, cls: int | None, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    """Components of fewer than ``min_px`` pixels, each with the class that surrounds it most; void is not an island.

    An island that nothing but islands surrounds takes the class of the largest of them first: small ones are judged from the
    largest down. One that is alone in its image, or within void, stays.
    """
    found = find_regions(labels, labels == cls if cls is not None else labels != ignore)
    small = np.flatnonzero(found.pixels < min_px)
    if not small.size:
        return None
    after = labels.copy()
    mask = np.zeros(labels.shape, np.bool_)
    for row in small[np.argsort(-found.pixels[small], kind="stable")].tolist():
        box, island = found.box(row), found.mask(row)
        around = surrounding_class(after, box, island, ignore)
        if around is None or around == int(found.values[row]):
            continue
        after[box.slices][island] = around
        mask[box.slices] |= island
    place = Box.around(mask & (after != labels))
    if place is None:
        return None
    changed = mask[place.slices] & (after[place.slices] != labels[place.slices])
    return place, changed, after[place.slices].copy()


def all_but_largest(labels: LabelMap, cls: int | None, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    """All components of a class but the largest, of equals the first in reading order; each with the class that surrounds it.

    ``cls`` None: of every class, the largest first, until each class has one component. What only void surrounds stays.
    """
    after = labels.copy()
    while _give_away_smaller(after, cls, ignore) and cls is None:  # what was given away may have joined another small one
        pass
    return _differing(labels, after)


def _give_away_smaller(after: LabelMap, cls: int | None, ignore: int) -> bool:
    """One round of :func:`all_but_largest`, in place; whether something changed."""
    found = find_regions(after, after == cls if cls is not None else after != ignore)
    largest: dict[int, int] = {}
    for row, (value, pixels) in enumerate(zip(found.values.tolist(), found.pixels.tolist(), strict=True)):
        if value not in largest or pixels > found.pixels[largest[value]]:
            largest[value] = row
    changed = False
    for row in np.argsort(-found.pixels, kind="stable").tolist():
        if largest[int(found.values[row])] == row:
            continue
        box, part = found.box(row), found.mask(row)
        around = surrounding_class(after, box, part, ignore)
        if around is not None and around != int(found.values[row]):
            after[box.slices][part] = around
            changed = True
    return changed


def _differing(labels: LabelMap, after: LabelMap) -> tuple[Box, Mask, LabelMap] | None:
    different = labels != after
    place = Box.around(different)
    return None if place is None else (place, different[place.slices].copy(), after[place.slices].copy())


def component_sizes(labels: LabelMap, cls: int | None, ignore: int) -> NDArray[np.int64]:
    """Pixels of every component, rising; ``cls`` None: of all classes. So a count for every limit costs one search."""
    return np.sort(find_regions(labels, labels == cls if cls is not None else labels != ignore).pixels)


def count_pieces(before: LabelMap, after: LabelMap) -> int:
    """How many components of equal labels changed, whole or in part."""
    return int(find_regions(before, before != after).pixels.size)


def crossed(labels: LabelMap, xs: NDArray[np.int64], ys: NDArray[np.int64]) -> list[ComponentChange]:
    """Components under a line of pixels, the one with most of them first; of equals the one that comes first along the line."""
    found: list[tuple[int, ComponentChange]] = []
    left = np.ones(len(xs), np.bool_)
    while left.any():
        first = int(left.argmax())
        box, mask = component_of(labels, int(xs[first]), int(ys[first]))
        on = (xs >= box.x) & (xs < box.right) & (ys >= box.y) & (ys < box.bottom)
        on[on] = mask[ys[on] - box.y, xs[on] - box.x]
        found.append((int(np.count_nonzero(on)), (box, mask)))
        left &= ~on
    return [change for _, change in sorted(found, key=lambda entry: -entry[0])]


def split_part(
    box: Box, mask: Mask, line: tuple[NDArray[np.int64], NDArray[np.int64]], at: tuple[int, int] | None
) -> tuple[Box, Mask] | None:
    """The part that a line cuts off a component: the one that holds a pixel, or the second largest; None if nothing is cut off.

    The rest is one component, and so is the part. Pixels under the line, and other pieces that it cuts off, go to the one of the
    two that they are connected to first, the rest before the part.

    Args:
        box: of the component.
        mask: (height, width) bool in it.
        line: columns and rows of an 8-connected line of pixels of the image.
        at: column and row of a pixel of the image, or None.
    """
    cut = np.zeros(mask.shape, np.uint8)
    x, y = line[0] - box.x, line[1] - box.y
    # A line that is connected over corners lets components through there: one pixel more closes each of its corners.
    corner = (np.abs(np.diff(x)) == 1) & (np.abs(np.diff(y)) == 1)
    x, y = np.concatenate([x, x[1:][corner]]), np.concatenate([y, y[:-1][corner]])
    inside = (x >= 0) & (y >= 0) & (x < box.width) & (y < box.height)
    cut[y[inside], x[inside]] = 1
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(
        (mask & (cut == 0)).view(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )  # fmt: skip
    if count < 3:
        return None
    by_size = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable") + 1
    pointed = 0 if at is None or not box.holds(Box(*at, 1, 1)) else int(pieces[at[1] - box.y, at[0] - box.x])
    part_number = pointed or int(by_size[1])
    rest_number = int(next(number for number in by_size if number != part_number))
    part, rest = pieces == part_number, pieces == rest_number
    while True:
        free = mask & ~part & ~rest
        more = _reached(rest, free, pieces)
        rest |= more
        some = _reached(part, free & ~more, pieces)
        part |= some
        if not (more.any() or some.any()):
            return box, part


def _reached(own: Mask, free: Mask, pieces: NDArray[np.int32]) -> Mask:
    """Free pixels beside a region, and whole pieces of which one pixel is."""
    beside = cv2.dilate(own.view(np.uint8), _NEIGHBOURS).astype(np.bool_) & free
    whole = np.zeros(int(pieces.max()) + 1, np.bool_)
    whole[pieces[beside]] = True
    whole[0] = False
    found: Mask = beside | (whole[pieces] & free)
    return found


#: How much longer than the shortest way between two components one through a pixel of their bridge may be, and px besides.
_DETOUR, _SPARE = 1.5, 1.5


def bridge(first: ComponentChange, second: ComponentChange) -> ComponentChange | None:
    """Pixels that join two components: those on a way between them at most half longer than the shortest; None if they touch."""
    box = first[0].united(second[0])
    away = [
        cv2.distanceTransform((~placed(mask, own, box)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for own, mask in ((first[0], first[1]), (second[0], second[1]))
    ]  # fmt: skip
    inside = placed(first[1], first[0], box) | placed(second[1], second[0], box)
    shortest = float(away[1][placed(first[1], first[0], box)].min())
    if shortest < 1.5:  # neighbours, over a corner too
        return None
    near = (away[0] + away[1] <= _DETOUR * (shortest - 1) + 1 + _SPARE) & ~inside
    # Pieces that reach one of the two only are not part of the bridge.
    _, pieces = cv2.connectedComponents(near.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    touching = [np.unique(pieces[near & (one < 1.5)]) for one in away]
    return _non_empty(box, np.isin(pieces, np.intersect1d(touching[0], touching[1])) & near)


def grown(labels: LabelMap, px: int, cls: int, mask: Mask | None) -> ComponentChange | None:
    """Pixels that a class gains if it grows by ``px`` (Euclidean); ``mask`` limits which of its components grow."""
    own = labels == cls if mask is None else (labels == cls) & mask
    box = Box.around(own)
    if box is None:
        return None
    outer = box.grown(px, labels.shape)
    part = own[outer.slices]
    near = cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= px
    return _non_empty(outer, near & (labels[outer.slices] != cls))


def shrunk(labels: LabelMap, px: int, cls: int, mask: Mask | None, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    """Pixels that a class loses if it shrinks by ``px`` (Euclidean), each with the class nearest to it; the image's border
    stays.
    """
    own = labels == cls if mask is None else (labels == cls) & mask
    box = Box.around(own)
    if box is None:
        return None
    outer = box.grown(px + 1, labels.shape)
    part = labels[outer.slices] == cls
    near = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= px
    lost = near & own[outer.slices]
    return given_to_nearest(labels, outer, lost, part, ignore)


def smoothed(labels: LabelMap, px: int, cls: int | None, mask: Mask | None, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    """Pixels that change if the outline of a class is smoothed: the majority within ``px`` decides, Gaussian weighted.

    ``cls`` None: the outlines of all classes; every pixel takes the class that has most weight around it, of equals the one with
    the smallest id. Void has no weight and stays.
    """
    if cls is None:
        return _all_smoothed(labels, px, mask, ignore)
    own = labels == cls if mask is None else (labels == cls) & mask
    box = Box.around(own)
    if box is None:
        return None
    outer = box.grown(3 * px + 2, labels.shape)
    part = own[outer.slices]
    blurred = cv2.GaussianBlur(part.astype(np.float32), (0, 0), px / 2.0, borderType=cv2.BORDER_REPLICATE)
    inside = blurred > 0.5
    current = labels[outer.slices]
    gained = inside & ~part & (current != cls) & (current != ignore)
    lost = given_to_nearest(labels, outer, ~inside & part, current == cls, ignore)
    if lost is None and not gained.any():
        return None
    ids = np.where(gained, labels.dtype.type(cls), current if lost is None else lost[2])
    changed = gained if lost is None else gained | lost[1]
    return outer, changed, ids.astype(labels.dtype)


def _all_smoothed(labels: LabelMap, px: int, mask: Mask | None, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    after, most = labels.copy(), np.zeros(labels.shape, np.float32)
    for value in np.flatnonzero(value_counts(labels)[:ignore]).tolist():
        own = (labels == value).astype(np.float32)
        weight = cv2.GaussianBlur(own, (0, 0), px / 2.0, borderType=cv2.BORDER_REPLICATE)
        more = weight > most + _SAME_WEIGHT
        most[more], after[more] = weight[more], value
    kept = labels == ignore if mask is None else (labels == ignore) | ~mask
    after[kept] = labels[kept]
    return _differing(labels, after)


#: Weights of smoothing that differ by less are equal.
_SAME_WEIGHT = 1e-5


def given_to_nearest(labels: LabelMap, box: Box, lost: Mask, own: Mask, ignore: int) -> tuple[Box, Mask, LabelMap] | None:
    """Pixels that a class gives up, each with the nearest label of another class, of equally near ones the smallest.

    Args:
        box: holds them, and the classes around them.
        lost: (height, width) bool, what is given up.
        own: (height, width) bool, pixels of the class, those that it keeps included: no pixel may take them.
    """
    part = labels[box.slices].copy()
    part[own] = ignore
    if not lost.any() or not (part != ignore).any():
        return None
    around = None
    if use_compiled(part.size):
        from deeplab_core.kernels.fill import filled

        around = filled(part, ignore, lost)
    if around is None:  # not compiled, or void so thick that the loop would take seconds
        around = _nearest(part, lost, ignore)
    return box, lost, around


def _nearest(labels: LabelMap, lost: Mask, ignore: int) -> LabelMap:
    """A copy in which every lost pixel has the nearest label: one distance map for each class that is there."""
    values = np.flatnonzero(value_counts(labels))
    values = values[values != ignore]
    around = labels.copy()
    best = np.full(int(np.count_nonzero(lost)), np.inf, np.float32)
    chosen = np.full(best.size, ignore, labels.dtype)
    for value in values.tolist():  # rising, so that the smallest of equally near ones stays
        away = cv2.distanceTransform((labels != value).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[lost]
        nearer = away < best
        best[nearer], chosen[nearer] = away[nearer], value
    around[lost] = chosen
    return around


def _non_empty(box: Box, mask: Mask) -> ComponentChange | None:
    return (box, mask) if mask.any() else None
