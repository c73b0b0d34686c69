"""Outlines that move to the edges of the image: of a component, and of a lasso.

Both stay within a band around the outline, so what is right far from it stays right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.paths import Path, placed
from deeplab_core.geometry import Box
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.regions import Mask

#: Widths that a wheel goes through, px on both sides of the outline.
BANDS: Final = (5, 10, 20)
#: The same for flooding, which may be held closer.
FLOODED: Final = (2, 4, 8, 16)

#: What moves an outline: a graph cut between the colours of both sides, flooding from both sides, or smoothing.
SnapMethod = Literal["colours", "edges", "smooth"]

#: Side of the tiles in which distances to an outline are measured, px.
_TILE = 256
#: Share of the depth of a thin object from which it is the object in any case.
_SURE_DEPTH = 0.7
#: Sides of a larger part of the image are scaled down to this before a graph cut, px.
_LONGEST = 220
#: Iterations of GrabCut, and the seed of its clustering.
_ROUNDS, _SEED = 2, 0

#: Distance of a lasso's samples, px, and the least number of them.
_SAMPLE, _LEAST_SAMPLES = 1.0, 8
#: Against the edge's strength (Lab per px): a step of difference between neighbouring samples, and a whole band of distance.
_BEND, _FAR = 1.0, 4.0
#: Strength above which an edge is no better.
_STRONGEST = 25.0


def moved_mask(rgb: NDArray[np.uint8], box: Box, mask: Mask, band: int, by: SnapMethod) -> tuple[Box, Mask]:
    """A mask with its outline moved by one of the methods; smoothing takes away details thinner than ``band`` px."""
    if by == "smooth":
        outer = box.grown(2 * band, rgb.shape[:2])
        wide = placed(mask, box, outer).astype(np.float32)
        return outer, cv2.GaussianBlur(wide, (0, 0), band / 2.0, borderType=cv2.BORDER_REPLICATE) > 0.5
    return (flooded_mask if by == "edges" else snapped_mask)(rgb, box, mask, band)


def snapped_mask(rgb: NDArray[np.uint8], box: Box, mask: Mask, band: int) -> tuple[Box, Mask]:
    """The object of a mask again, with its outline at the image's edges.

    GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004): a graph cut between colour models of both sides. Only pixels within the
    band may change sides; the clustering is seeded, so that the same question has the same answer.

    Args:
        rgb: (H, W, 3) uint8.
        box: of the mask.
        mask: (height, width) bool in the box.
        band: px.

    Returns:
        A larger box and the (height, width) bool mask in it; the mask as it was where one of the sides has no pixel beyond the
        band.
    """
    outer = box.grown(2 * band, rgb.shape[:2])
    wide = placed(mask, box, outer)
    scale = min(1.0, _LONGEST / max(outer.width, outer.height))
    size = max(round(outer.width * scale), 1), max(round(outer.height * scale), 1)
    sides = _sides(wide, band)
    trimap = np.asarray(cv2.LUT(sides.codes, _TRIMAP), np.uint8)
    part: NDArray[Any] = rgb[outer.slices]
    if scale < 1.0:
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
        trimap = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    part = np.ascontiguousarray(part[:, :, ::-1])
    known = np.bincount(trimap.ravel(), minlength=4)
    if not known[cv2.GC_BGD] or not known[cv2.GC_FGD]:
        return outer, wide
    cv2.setRNGSeed(_SEED)
    found, _, _ = cv2.grabCut(
        part, trimap, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK
    )  # fmt: skip
    inside = ((found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)).astype(np.float32)
    if scale < 1.0:
        inside = cv2.resize(inside, (outer.width, outer.height), interpolation=cv2.INTER_LINEAR)
    return outer, sides.moved(lambda place: inside[place] > 0.5)


def flooded_mask(rgb: NDArray[np.uint8], box: Box, mask: Mask, band: int) -> tuple[Box, Mask]:
    """The object of a mask again, with its outline on the strongest edges of the band.

    Watershed (Meyer's flooding, as OpenCV has it): both sides flood the band, the flattest places first, and meet at edges. It
    knows nothing of the colours of the two sides, so it also works where they are alike.

    Args and returns as :func:`snapped_mask`.
    """
    outer = box.grown(2 * band, rgb.shape[:2])
    wide = placed(mask, box, outer)
    sides = _sides(wide, band)
    if not (sides.inner and sides.away):
        return outer, wide
    markers = cv2.LUT(sides.codes, _MARKERS)
    part = cv2.GaussianBlur(rgb[outer.slices], (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    flooded = cv2.watershed(part, markers)
    # OpenCV leaves a line of one pixel between the sides, and around the image: there the mask stays.
    return outer, sides.moved(lambda place: np.where(flooded[place] == -1, wide[place], flooded[place] == 1))


#: Where a pixel is: in the band inside or outside of a mask, in the middle of an object that is thinner than the band, deeper
#: inside than the band, or farther outside.
_INSIDE, _OUTSIDE, _MIDDLE, _DEEP, _AWAY = range(5)
#: What GrabCut and flooding call these.
_TRIMAP = np.full(256, cv2.GC_PR_FGD, np.uint8)
_TRIMAP[:5] = cv2.GC_PR_FGD, cv2.GC_PR_BGD, cv2.GC_FGD, cv2.GC_FGD, cv2.GC_BGD
_MARKERS = np.zeros(256, np.int32)
_MARKERS[:5] = 0, 0, 1, 1, 2


class _Sides(NamedTuple):
    """A mask and how far its pixels are from its outline.

    Attributes:
        mask: (h, w) bool.
        codes: (h, w) uint8, one of the five.
        tiles: where pixels may be in the band; they do not overlap.
        inner, away: whether any pixel belongs to the mask, or to the outside, in any case.
    """

    mask: Mask
    codes: NDArray[np.uint8]
    tiles: list[Box]
    inner: bool
    away: bool

    def moved(self, inside: Callable[[tuple[slice, slice]], Mask]) -> Mask:
        """The mask with what a method found for pixels that are neither deep nor away."""
        moved = self.mask.copy()
        for tile in self.tiles:
            codes = self.codes[tile.slices]
            moved[tile.slices] = (inside(tile.slices) & (codes != _AWAY)) | (codes == _DEEP)
        return moved


def _sides(mask: Mask, band: int) -> _Sides:
    """Measure distances to the outline of a mask, up to ``band``; the image's border is not an outline.

    Only around the outline, tile by tile: that of a large object is a small part of the pixels in its box.
    """
    # A thin object has no pixel deeper than the band: its middle is the object in any case. How thin it is can be seen within
    # this distance.
    margin = math.ceil(band / _SURE_DEPTH) + 1
    codes = np.where(mask, np.uint8(_DEEP), np.uint8(_AWAY))
    tiles, deepest, away = [], 0.0, False
    for tile in _tiles(mask.shape):
        window = tile.grown(margin, mask.shape)
        part = mask[window.slices]
        if part.all():
            deepest = math.inf
        elif not part.any():
            away = True
        else:
            tiles.append(tile)
            deepest = max(deepest, float(_distance(part, tile, window).max()))
    sure = min(float(band), _SURE_DEPTH * deepest)
    inner = deepest == math.inf
    for tile in tiles:
        window = tile.grown(margin, mask.shape)
        part, here = mask[window.slices], mask[tile.slices]
        depth, far = _distance(part, tile, window), _distance(~part, tile, window)
        inside = np.where(depth > band, _DEEP, np.where(depth > sure, _MIDDLE, _INSIDE))
        codes[tile.slices] = np.where(here, inside, np.where(far > band, _AWAY, _OUTSIDE))
        inner, away = inner or bool((depth > sure).any()), away or bool((far > band).any())
    return _Sides(mask, codes, tiles, inner, away)


def _tiles(shape: tuple[int, ...]) -> Iterator[Box]:
    for y in range(0, shape[0], _TILE):
        for x in range(0, shape[1], _TILE):
            yield Box(x, y, _TILE, _TILE).clipped(shape)


def _distance(mask: Mask, tile: Box, window: Box) -> NDArray[np.float32]:
    """Distance of every pixel of a tile to the outside of a mask of the window around it; 0 outside."""
    found = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found[tile.within(window).slices], np.float32)


def snapped_path(rgb: NDArray[np.uint8], points: Path, band: float) -> Path:
    """A closed outline moved to the image's edges, each of its points by at most ``band`` px along its normal.

    Args:
        rgb: (H, W, 3) uint8.
        points: (N, 2) float64, N >= 3.
        band: px, above 0.

    Returns:
        (M, 2) float64, about one point per pixel of length.
    """
    samples = _resampled(points)
    if len(samples) < _LEAST_SAMPLES:
        return points
    normals = _normals(samples)
    half = max(round(band), 1)
    offsets = np.arange(-half, half + 1, dtype=np.float64) * (band / half)
    places = samples[:, None, :] + offsets[None, :, None] * normals[:, None, :]
    height, width = rgb.shape[:2]
    low, high = np.floor(places.min(axis=(0, 1))).astype(int) - 2, np.ceil(places.max(axis=(0, 1))).astype(int) + 3
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), width), min(int(high[1]), height)
    if left >= right or top >= bottom:
        return points
    strength = _strength(rgb[top:bottom, left:right], places - (left, top), normals)
    costs = -np.minimum(strength, _STRONGEST) + _FAR * np.abs(offsets)[None, :] / band
    moved = _best_offsets(np.ascontiguousarray(costs, np.float32))
    snapped: Path = samples + offsets[moved][:, None] * normals
    return snapped


def _best_offsets(costs: NDArray[np.float32]) -> NDArray[np.int64]:
    """The cheapest closed path through a ribbon, see :func:`deeplab_core.kernels.shortest_paths.best_offsets`."""
    if use_compiled(costs.size):
        from deeplab_core.kernels.shortest_paths import best_offsets

        return best_offsets(costs, _BEND)
    start = int(_cheapest_path(np.concatenate([costs, costs]), -1)[costs.shape[0]])
    return _cheapest_path(np.concatenate([costs, costs[:1]]), start)[:-1]


def _cheapest_path(costs: NDArray[np.float32], ends: int) -> NDArray[np.int64]:
    """The twin of the compiled search, row by row."""
    points, offsets = costs.shape
    total = costs[0].astype(np.float64)
    if ends >= 0:
        total[np.arange(offsets) != ends] = np.inf
    came = np.zeros((points, offsets), np.int8)
    ways = np.full((3, offsets), np.inf)  # stay, from the offset below, from the one above: the order in which ties are decided
    for n in range(1, points):
        ways[0] = total
        ways[1, 1:] = total[:-1] + _BEND
        ways[2, :-1] = total[1:] + _BEND
        step = ways.argmin(axis=0)
        came[n] = _STEPS[step]
        total = ways[step, np.arange(offsets)] + costs[n]
    at = int(total.argmin()) if ends < 0 else ends
    path = np.empty(points, np.int64)
    for n in range(points - 1, -1, -1):
        path[n] = at
        at += int(came[n, at])
    return path


_STEPS = np.array([0, -1, 1], np.int8)


def _strength(rgb: NDArray[np.uint8], places: NDArray[np.float64], normals: Path) -> NDArray[np.float32]:
    """(N, K) float32: how fast the colour changes along the normal at each place, Lab per px; 0 outside of the image."""
    blurred = cv2.GaussianBlur(rgb.astype(np.float32) / np.float32(255.0), (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    lab = cv2.cvtColor(blurred, cv2.COLOR_RGB2Lab)
    step = normals[:, None, :] * 0.75
    # Point (0.5, 0.5) is the centre of the first pixel, which OpenCV calls (0, 0).
    ahead, behind = ((places + side * step - 0.5).astype(np.float32) for side in (1.0, -1.0))
    sampled = [
        cv2.remap(lab, at[:, :, 0], at[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for at in (ahead, behind)
    ]  # fmt: skip
    strength = np.sqrt(((sampled[0] - sampled[1]) ** 2).sum(axis=2)) / np.float32(1.5)
    x, y = places[:, :, 0], places[:, :, 1]
    strength[(x < 0) | (y < 0) | (x > rgb.shape[1]) | (y > rgb.shape[0])] = 0.0
    return np.asarray(strength, np.float32)


def _resampled(points: Path) -> Path:
    """Points at even distances along a closed outline."""
    closed = np.concatenate([points, points[:1]])
    lengths = np.hypot(*np.diff(closed, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = int(along[-1] / _SAMPLE)
    if count < _LEAST_SAMPLES:
        return points[:0]
    at = np.arange(count) * (along[-1] / count)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def _normals(samples: Path) -> Path:
    """(N, 2) unit vectors across the outline, which is smoothed over some px for them."""
    size = min(5, len(samples) // 4)
    ahead, behind = np.roll(samples, -size, axis=0), np.roll(samples, size, axis=0)
    along = ahead - behind
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return np.stack([-along[:, 1], along[:, 0]], axis=1) / length
