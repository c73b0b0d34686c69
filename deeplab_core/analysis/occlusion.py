"""What stands around an object: borders it shares, pieces it is cut into, the image border.

Label maps say which regions meet, not which one is in front. So a long border with another class of object marks both of them,
as a proxy for occlusion that errs towards saying so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Points of a region that a search for the shortest way between two of them looks at.
_POINTS = 256
#: Neighbours of one occluder that are looked at in pairs; a crowd behind one table needs no more.
_CROWD = 12
#: Specks smaller than this are no piece of an object, px.
_PIECE_PX = 16


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """Borders of every region; row n is region number n + 1.

    Attributes:
        foreign_share: (N,) share of the outline, the image border left out, that countable regions of another class share; 0..1.
        same_share: (N,) share that other regions of the same class share.
        parts: (N,) int: 1 for a whole region; more where regions of its class are on the other sides of a countable region of
            another class: in how many pieces that one seems to leave the object.
    """

    foreign_share: NDArray[np.float64]
    same_share: NDArray[np.float64]
    parts: NDArray[np.int64]


def contacts(kind: NDArray[Any], values: NDArray[np.int64], countable: NDArray[np.bool_]) -> Contacts:
    """Measure the borders between regions.

    Args:
        kind: (H, W) region number of each pixel, 1..N, void filled by the nearest region, so that a void ring separates nothing.
        values: (N,) class id of each region.
        countable: (N,) whether that class is an object class.
    """
    number = len(values)
    one, other, length = _borders(kind, number)
    outline = np.bincount(one, weights=length, minlength=number + 1)[1:]
    if not len(one):
        return Contacts(np.zeros(number), np.zeros(number), np.ones(number, dtype=np.int64))
    same_class = values[one - 1] == values[other - 1]
    foreign = countable[other - 1] & ~same_class
    shares = [
        np.divide(
            np.bincount(one, weights=length * chosen, minlength=number + 1)[1:], outline, out=np.zeros(number), where=outline > 0
        )
        for chosen in (foreign, same_class)
    ]
    between = foreign & countable[one - 1]
    return Contacts(shares[0], shares[1], _pieces(kind, values, one[between], other[between]))


def touches_border(kind: NDArray[Any], number: int) -> NDArray[np.bool_]:
    """(N,) bool: whether a region reaches the image border."""
    touched = np.zeros(number + 1, dtype=bool)
    for side in (kind[0], kind[-1], kind[:, 0], kind[:, -1]):
        touched[side] = True
    return touched[1:]


def _borders(kind: NDArray[Any], number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ordered pairs of regions that share pixel edges, both ways round, and how many edges."""
    codes = []
    for first, second in ((kind[:, :-1], kind[:, 1:]), (kind[:-1], kind[1:])):
        differ = first != second
        low, high = first[differ].astype(np.int64), second[differ].astype(np.int64)
        codes += [low * (number + 1) + high, high * (number + 1) + low]
    pairs, length = np.unique(np.concatenate(codes), return_counts=True)
    one, other = np.divmod(pairs, number + 1)
    known = (one > 0) & (other > 0)
    return one[known], other[known], length[known].astype(np.int64)


def _pieces(
    kind: NDArray[Any], values: NDArray[np.int64], regions: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(N,) pieces that an occluder leaves of the object that each region seems to belong to."""
    parts = np.ones(len(values), dtype=np.int64)
    sizes = np.bincount(kind.ravel(), minlength=len(values) + 1)
    groups: list[tuple[int, list[int]]] = []
    for occluder in np.unique(others).tolist():
        near = [int(region) for region in regions[others == occluder] if sizes[region] >= _PIECE_PX]
        for class_id in {int(values[region - 1]) for region in near}:
            group = [region for region in near if values[region - 1] == class_id]
            if len(group) < 2:
                continue
            groups.append((occluder, sorted(group, key=lambda region: -int(sizes[region]))[:_CROWD]))
    points = _points_of(kind, {region for _, group in groups for region in group}, len(values))
    for occluder, group in groups:
        joined = dict.fromkeys(group, 1)
        for one, other in combinations(group, 2):
            if _lies_between(kind, points[one], points[other], occluder):
                joined[one] += 1
                joined[other] += 1
        for region, pieces in joined.items():
            parts[region - 1] = max(parts[region - 1], pieces)
    return parts


def _points_of(kind: NDArray[Any], wanted: set[int], number: int) -> dict[int, NDArray[np.int64]]:
    """(K, 2) some rows and columns of the edge of each wanted region; one look at the image, whatever their number."""
    if not wanted:
        return {}
    edge = np.zeros(kind.shape, dtype=bool)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differ = kind[first] != kind[second]
        edge[first] |= differ
        edge[second] |= differ
    chosen = np.zeros(number + 1, dtype=bool)
    chosen[list(wanted)] = True
    edge &= chosen[kind]
    places = np.argwhere(edge)
    of = kind[edge]
    order = np.argsort(of, kind="stable")
    ends = np.searchsorted(of[order], np.arange(1, number + 2))
    found = {}
    for region in wanted:
        mine = order[ends[region - 1] : ends[region]]
        found[region] = places[mine[:: max(1, -(-len(mine) // _POINTS))]]
    return found


def _lies_between(kind: NDArray[Any], one: NDArray[np.int64], other: NDArray[np.int64], occluder: int) -> bool:
    """Whether most of the shortest way between two regions is in the occluder."""
    apart = ((one[:, None] - other[None]) ** 2).sum(axis=2)
    start, end = np.unravel_index(int(apart.argmin()), apart.shape)
    steps = int(np.abs(one[start] - other[end]).max())
    if steps < 2:
        return False
    way = np.round(np.linspace(one[start], other[end], steps + 1)[1:-1]).astype(np.int64)
    return bool((kind[way[:, 0], way[:, 1]] == occluder).mean() > 0.5)
