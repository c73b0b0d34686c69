"""Colours in which classes are shown on screen: the catalog's own where they are clear, and others where they are not.

Colours of published catalogs number classes; they were not made to be seen. Half of VOC's are darker than most photographs and
some are grey. A mask in such a colour hides in the image below it, and two such colours cannot be told apart. What is shown and
what is written are different things: exports always have the catalog's own colours.

The rule, class by class in the order of their ids, so that a new class changes no other class's colour:

1. A class keeps its own colour if it is light and colourful enough (:data:`LIGHTEST`, :data:`DARKEST`, :data:`PALEST`) and at
   least :data:`APART` from all colours shown so far.
2. Any other class takes a colour of a fixed palette: of the free ones in the first part of the palette, those that are apart
   from what is shown so far, and of these the one with the hue that is nearest to its own.

The palette is a farthest-first list (T. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985) in OKLab:
colourful colours first, because photographs have few of them, then paler ones. Its parts (:data:`PARTS`) double in length, so
that a short list of classes takes colours that are far from each other. Figures: docs/adr/0072.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog, Color
from deeplab_core.catalogs.colors import oklab

#: OKLab lightness (0..1) and chroma of colours that are clear on a photograph: neither shadow nor highlight, and no grey.
DARKEST, LIGHTEST, PALEST = 0.58, 0.90, 0.13
#: Distance in OKLab from which two colours can be told apart on a picture (6 hundredths).
APART = 0.06
#: Lengths of the palette's parts, and how far from all that is shown a colour of each part has to be.
PARTS = {32: 0.06, 64: 0.06, 128: 0.05, 256: 0.04, 512: 0.03, 1024: 0.02, 2048: 0.0}
#: Per part of the palette: least and largest chroma, and bounds of lightness. The most glaring colours come last.
_BOUNDS = (
    (0.17, 0.27, 0.60, 0.88), (0.12, 0.27, 0.58, 0.90), (0.09, 0.40, 0.56, 0.92), (0.06, 0.40, 0.52, 0.93),
    (0.00, 0.40, 0.45, 0.95),
)  # fmt: skip
#: Values of a channel that colours of the palette take.
_LEVELS = np.arange(0, 256, 15)
#: Own colours with less chroma have no hue to be near to.
_HUELESS = 0.03


@lru_cache(maxsize=64)
def clear_catalog(catalog: ClassCatalog) -> ClassCatalog:
    """The catalog with the colours in which its classes are shown; the same object for equal catalogs.

    Ids, names, keys, background and void stay. The background keeps its colour, since it is not laid over images, and takes
    no part in distances.
    """
    shown = _shown_colors(catalog)
    return replace(catalog, classes=tuple(replace(info, color=shown.get(info.id, info.color)) for info in catalog.classes))


def _shown_colors(catalog: ClassCatalog) -> dict[int, Color]:
    """Class id -> colour, of every class but the background."""
    classes = sorted((info for info in catalog.classes if info.id != catalog.background), key=lambda info: info.id)
    own = oklab(np.array([info.color for info in classes], dtype=np.uint8).reshape(-1, 3))
    palette = _FreeColors()
    shown: dict[int, Color] = {}
    for place, info in enumerate(classes):
        if _clear(own[place]) and _nearest(own[place : place + 1], palette.shown)[0] >= APART:
            shown[info.id] = info.color
            palette.show(own[place])
        else:
            shown[info.id] = palette.take(own[place])
    return shown


class _FreeColors:
    """The palette beside what is shown already."""

    def __init__(self) -> None:
        self.shown = np.zeros((0, 3))  # (N, 3) OKLab
        self._used: list[int] = []
        self._length = 0
        self._distances = np.zeros(0)  # of each colour of the palette to the nearest one that is shown

    def show(self, lab: NDArray[np.float64]) -> None:
        """A colour is shown, of the palette or not."""
        self.shown = np.concatenate([self.shown, lab[None]])
        if self._length:
            np.minimum(self._distances, _nearest(_palette(self._length)[1], lab[None]), out=self._distances)

    def take(self, own: NDArray[np.float64]) -> Color:
        """The colour of a class with an own one (OKLab) that is not clear."""
        for length, apart in PARTS.items():
            if length > len(self._used) and length >= self._length:
                self._reach(length)
                free = self._free()
                if free.max() >= apart:
                    break
        places = np.flatnonzero(free >= min(apart, float(free.max())))
        colors, lab = _palette(self._length)
        if np.hypot(*own[1:]) < _HUELESS:
            best = int(np.argmax(free))
        else:
            turns = np.arctan2(lab[places, 2], lab[places, 1]) - np.arctan2(own[2], own[1])
            best = int(places[np.argmin(np.abs(np.angle(np.exp(1j * turns))))])
        self._used.append(best)
        self.show(lab[best])
        red, green, blue = (int(part) for part in colors[best])
        return red, green, blue

    def _free(self) -> NDArray[np.float64]:
        """Distances of the palette's colours; 0 for used ones."""
        distances = self._distances.copy()
        distances[[place for place in self._used if place < len(distances)]] = 0
        return distances

    def _reach(self, length: int) -> None:
        if length != self._length:
            self._length = length
            self._distances = _nearest(_palette(length)[1], self.shown)


def _clear(lab: NDArray[np.float64]) -> bool:
    return bool(DARKEST <= lab[0] <= LIGHTEST and np.hypot(lab[1], lab[2]) >= PALEST)


def _nearest(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance of each of (N, 3) colours to the nearest of (M, 3) others; infinite without any."""
    if not len(others):
        return np.full(len(some), np.inf)
    return np.asarray(np.linalg.norm(some[:, None] - others[None], axis=2).min(axis=1))


@cache
def _palette(length: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The first colours of the palette: (length, 3) sRGB and OKLab. Each part begins with all shorter ones."""
    lengths = list(PARTS)
    part = lengths.index(length)
    least, most, darkest, lightest = _BOUNDS[min(part, len(_BOUNDS) - 1)]
    colors, lab = _palette(lengths[part - 1]) if part else (np.zeros((0, 3), np.uint8), np.zeros((0, 3)))
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)
    grid_lab = oklab(grid)
    chroma = np.hypot(grid_lab[:, 1], grid_lab[:, 2])
    fits = (chroma >= least) & (chroma <= most) & (grid_lab[:, 0] >= darkest) & (grid_lab[:, 0] <= lightest)
    grid, grid_lab = grid[fits], grid_lab[fits]
    apart = _nearest(grid_lab, lab)
    chosen: list[int] = []
    for _ in range(length - len(lab)):
        # Without any colour yet, the most colourful candidate comes first.
        best = int(np.argmax(apart if np.isfinite(apart[0]) else np.hypot(grid_lab[:, 1], grid_lab[:, 2])))
        chosen.append(best)
        apart = np.minimum(apart, np.linalg.norm(grid_lab - grid_lab[best], axis=1))
    return np.concatenate([colors, grid[chosen]]), np.concatenate([lab, grid_lab[chosen]])
