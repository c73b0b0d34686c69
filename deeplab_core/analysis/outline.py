"""Exact outlines of masks, along the edges between pixels: what a thumbnail or a zoomed view draws around a component."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Next corner in each direction: right, down, left, up.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def outline(mask: NDArray[Any], offset: tuple[int, int] = (0, 0)) -> list[NDArray[np.int32]]:
    """Closed loops between the mask and what is not the mask.

    The image border closes a region that touches it. Filling the loops by the even-odd rule gives the mask back to the pixel.

    Args:
        mask: (h, w), true inside.
        offset: x and y of the mask's first pixel in its image.

    Returns:
        One (K, 2) int32 array of corners (x, y) per loop, without the repeated first one; straight runs are one edge. The pixel
        (x, y) covers x..x + 1 and y..y + 1. Outer loops run clockwise on a screen, holes the other way round. Where pixels
        meet at a corner only, a loop turns away from the other pixel: it may touch itself there, but crosses nothing.
    """
    edges = _edges(np.asarray(mask, dtype=bool))
    loops = []
    while edges:
        start = next(iter(edges))
        loops.append(_walk(edges, start))
    shift = np.array(offset, dtype=np.int32)
    return [np.array(loop, dtype=np.int32) + shift for loop in loops]


def _edges(mask: NDArray[np.bool_]) -> dict[tuple[int, int], list[int]]:
    """Corner -> directions of the edges that leave it, with the inside always on the right hand (on a screen)."""
    padded = np.pad(mask, 1)
    above, below = padded[:-1, 1:-1], padded[1:, 1:-1]
    before, after = padded[1:-1, :-1], padded[1:-1, 1:]
    edges: dict[tuple[int, int], list[int]] = {}
    for direction, found, back in (
        (0, below & ~above, (0, 0)),
        (2, above & ~below, (1, 0)),
        (3, after & ~before, (0, 1)),
        (1, before & ~after, (0, 0)),
    ):
        ys, xs = np.nonzero(found)
        for x, y in zip((xs + back[0]).tolist(), (ys + back[1]).tolist(), strict=True):
            edges.setdefault((x, y), []).append(direction)
    return edges


def _walk(edges: dict[tuple[int, int], list[int]], start: tuple[int, int]) -> list[tuple[int, int]]:
    """Follow and remove the edges of one loop; its corners."""
    corners: list[tuple[int, int]] = []
    place, direction = start, _take(edges, start, None)
    first = direction
    while True:
        step = _STEPS[direction]
        place = place[0] + step[0], place[1] + step[1]
        if place == start and (place not in edges or first == (direction + 1) % 4):
            if direction != first:
                corners.append(place)
            return corners
        turned = _take(edges, place, direction)
        if turned != direction:
            corners.append(place)
        direction = turned


def _take(edges: dict[tuple[int, int], list[int]], place: tuple[int, int], direction: int | None) -> int:
    """Take an edge that leaves a corner; where pixels meet at a corner only there are two, and the right turn stays with one."""
    leaving = edges[place]
    wanted = leaving[0] if direction is None or len(leaving) == 1 else (direction + 1) % 4
    leaving.remove(wanted)
    if not leaving:
        del edges[place]
    return wanted
