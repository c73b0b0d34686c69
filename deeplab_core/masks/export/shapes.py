"""Shapes of the regions of a label map, such that drawing them again by a format's rule gives the same pixels.

Two kinds of outlines. *Corner rings* run along the borders between pixels, with pixel corners as vertices: pycocotools, and CVAT
with it, fill them exactly (``maskApi.c``, ``rleFrPoly``). *Centre rings* run through the centres of a region's own border pixels:
programs that draw a polygon together with its outline (Pillow, ``cv2.fillPoly``) fill them exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.labels import LabelMap

Points = NDArray[np.int32]
Rings = tuple[Points, list[Points]]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One connected region (4-neighbourhood) of a label map.

    Attributes:
        value: its class id, or the value of void.
        mask: (h, w) uint8, 1 inside, cut to its bounding box.
        x, y: column and row of the bounding box in the map.
        pixels: its size.
    """

    value: int
    mask: NDArray[np.uint8]
    x: int
    y: int
    pixels: int


def regions(labels: LabelMap, skip: int) -> Iterator[Region]:
    """Every connected region of a map except those of the value ``skip``, class by class."""
    for value in np.unique(labels):
        if value == skip:
            continue
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8), connectivity=4)
        for number, (x, y, width, height, pixels) in enumerate(stats.tolist()):
            if number:
                mask = (numbers[y : y + height, x : x + width] == number).astype(np.uint8)
                yield Region(int(value), mask, x, y, pixels)


def filled_outline(region: Region) -> Points:
    """(N, 2) centre ring around a region with its holes, N >= 3; columns and rows of the map."""
    found, _ = cv2.findContours(region.mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(region.x, region.y))
    return _at_least_three(_points(found[0]))


def filled_pixels(outline: Points) -> float:
    """Number of pixels that a centre ring encloses, its own included (Pick's theorem on the chain of its pixels)."""
    steps = np.abs(np.diff(outline, axis=0, append=outline[:1])).max(axis=1)
    return float(cv2.contourArea(outline)) + float(steps.sum()) / 2 + 1


def joined_outline(region: Region) -> Points:
    """(N, 2) centre ring of a region, N >= 3, its holes joined to it by doubled lines inside the region.

    A hole is joined from its leftmost pixel straight to the left, through pixels of the region, so that a program that draws the
    outline of a polygon draws no pixel outside of the region.
    """
    padded = cv2.copyMakeBorder(region.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    found, order = cv2.findContours(padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_points(ring) for ring in found]
    ring = next(own for own, (_, _, _, parent) in zip(rings, order[0], strict=True) if parent < 0)
    holes = [own for own, (_, _, _, parent) in zip(rings, order[0], strict=True) if parent >= 0]
    for hole in sorted(holes, key=lambda own: int(own[:, 0].min())):
        start = int(hole[:, 0].argmin())
        x, y = hole[start].tolist()
        left = padded[y, :x]
        gate = int(np.flatnonzero(left == 0)[-1]) + 1  # the border of the padding is outside, so there is one
        places = np.flatnonzero((ring[:, 0] == gate) & (ring[:, 1] == y))
        place = int(places[0])
        turned = np.concatenate((hole[start:], hole[: start + 1]))
        ring = np.concatenate((ring[: place + 1], turned, ring[place:]))
    return _at_least_three(_without_middle_points(ring)) + np.array([region.x - 1, region.y - 1], np.int32)


def corner_rings(region: Region) -> Rings:
    """The outer corner ring of a region and those of its holes, each (N, 2), in columns and rows of the map's pixel corners.

    Where the region touches itself at a corner only, the ring goes round each pixel on its own, so the region has one outer ring.
    """
    inside = cv2.copyMakeBorder(region.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0).astype(bool)
    start, step = _border_steps(inside)
    width = inside.shape[1] + 1
    rings = []
    for chain in _chains(start, step, width):
        y, x = np.divmod(start[chain], width)
        turns = step[chain] != np.roll(step[chain], 1)
        rings.append(np.stack((x[turns], y[turns]), axis=1).astype(np.int32) + np.array([region.x - 1, region.y - 1], np.int32))
    areas = [_signed_area(ring) for ring in rings]
    outer = int(np.argmax(areas))
    return rings[outer], [ring for number, ring in enumerate(rings) if number != outer]


def joined_corners(rings: Rings) -> Points:
    """(N, 2): one ring, the holes joined to it by doubled lines of no width, which even-odd rules cancel."""
    ring, holes = rings
    for hole in sorted(holes, key=lambda own: int(own[:, 0].min())):
        start = int(hole[:, 0].argmin())
        place = int(np.abs(ring - hole[start]).sum(axis=1).argmin())
        ring = np.concatenate((ring[: place + 1], hole[start:], hole[: start + 1], ring[place:]))
    return ring


def simplified(ring: Points, tolerance: float) -> Points:
    """A ring with fewer points, nowhere farther than ``tolerance`` px from it (Douglas-Peucker); itself for 0."""
    if tolerance <= 0:
        return ring
    return _at_least_three(_points(cv2.approxPolyDP(ring.reshape(-1, 1, 2), tolerance, True)))


# Directions of border steps, clockwise: right, down, left, up. The region is on the right-hand side.
_RIGHT, _DOWN, _LEFT, _UP = range(4)


def _border_steps(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start corner (y * (W + 1) + x) and direction of every step along a border, sorted by start corner."""
    width = inside.shape[1] + 1
    above = inside[1:] & ~inside[:-1]
    below = inside[:-1] & ~inside[1:]
    before = inside[:, 1:] & ~inside[:, :-1]
    after = inside[:, :-1] & ~inside[:, 1:]
    starts, steps = [], []
    for border, direction, down, right in (
        (above, _RIGHT, 1, 0),
        (below, _LEFT, 1, 1),
        (before, _UP, 1, 1),
        (after, _DOWN, 0, 1),
    ):
        y, x = np.nonzero(border)
        starts.append((y + down) * width + x + right)
        steps.append(np.full(len(y), direction, np.int64))
    start, step = np.concatenate(starts), np.concatenate(steps)
    order = np.argsort(start, kind="stable")
    return start[order], step[order]


def _chains(start: NDArray[np.int64], step: NDArray[np.int64], width: int) -> Iterator[NDArray[np.int64]]:
    """Indices of the steps of every closed ring, in order."""
    end = start + np.array([1, width, -1, -width])[step]
    first = np.searchsorted(start, end)
    # At a corner where two pixels touch, two steps begin: the one that turns right stays with its pixel.
    last = np.minimum(first + 1, len(start) - 1)
    second = (start[last] == end) & (step[last] == (step + 1) % 4)
    following = np.where(second, last, first).tolist()
    seen = bytearray(len(following))
    for begin in range(len(following)):
        if seen[begin]:
            continue
        chain = []
        place = begin
        while not seen[place]:
            seen[place] = 1
            chain.append(place)
            place = following[place]
        yield np.array(chain)


def _signed_area(ring: Points) -> float:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def _without_middle_points(ring: Points) -> Points:
    """The ring without points in the middle of a straight run of single steps."""
    back, ahead = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    unit = (np.abs(back).max(axis=1) <= 1) & (np.abs(ahead).max(axis=1) <= 1)
    middle = unit & (back == ahead).all(axis=1) & (back != 0).any(axis=1)
    kept: Points = ring[~middle]
    return kept


def _points(found: NDArray[Any]) -> Points:
    """(N, 2) of what OpenCV gives as (N, 1, 2)."""
    return np.asarray(found, np.int32).reshape(-1, 2)


def _at_least_three(ring: Points) -> Points:
    """Readers refuse polygons of fewer than three points: the last is repeated."""
    return np.concatenate((ring, np.repeat(ring[-1:], max(3 - len(ring), 0), axis=0)))
