"""Colours for classes that have none: far from each other for the eye, on request for colour-blind eyes too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import Color, is_background

#: The same colours as several eyes see them: (N, 3) OKLab each.
_Views = tuple[NDArray[np.float64], ...]

#: Values of a channel that candidates take: 9**3 candidates.
_LEVELS = np.array([0, 32, 64, 96, 128, 160, 192, 224, 255])
#: OKLab lightness of candidates: darker and lighter ones disappear beside shadows and highlights of photographs.
_DARKEST, _LIGHTEST = 0.35, 0.92

#: Colours of a background without one, the first that no class has: it covers most of an image and must not draw the eye.
_NEUTRAL: tuple[Color, ...] = ((0, 0, 0), (96, 96, 96), (160, 160, 160), (224, 224, 224))

#: sRGB (linear) -> LMS and LMS' -> OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020.
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
#: What eyes without red and without green cones see, on linear sRGB: Machado, Oliveira and Fernandes, "A physiologically-based
#: model for simulation of color vision deficiency", IEEE TVCG 15 (2009), severity 1.0.
_PROTAN = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])
_DEUTAN = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])


def oklab(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """OKLab coordinates of sRGB colours.

    Args:
        colors: (N, 3) uint8 sRGB.

    Returns:
        (N, 3) float64: lightness 0..1, and two opponent axes of about -0.4..0.4.
    """
    return _lab(_linear(colors))


def color_distance(first: Color, second: Color, *, color_blind: bool = False) -> float:
    """Distance of two colours in OKLab, 0..1; ``color_blind``: the least that full, red-blind and green-blind eyes see."""
    views = _views(np.array([first, second], dtype=np.uint8), color_blind=color_blind)
    return float(np.min([np.linalg.norm(view[0] - view[1]) for view in views]))


def distinct_colors(count: int, *, taken: Iterable[Color] = (), color_blind: bool = False) -> list[Color]:
    """Colours that are easy to tell apart, the same for the same arguments.

    Each colour is the candidate of which the nearest chosen one is farthest (Gonzalez' farthest-first rule), so that the first
    ones of a long list are as far apart as a short list's.

    Args:
        count: how many; beyond the number of candidates (some 500) they repeat.
        taken: colours that are used already.
        color_blind: distances count as red-blind and green-blind eyes see them too.

    Returns:
        ``count`` sRGB triples of 0..255.
    """
    candidates, views = _candidates(color_blind)
    nearest = np.full(len(candidates), np.inf)
    used = np.array(list(taken), dtype=np.uint8).reshape(-1, 3)
    for place in range(len(used)):
        _approach(nearest, views, _views(used[place : place + 1], color_blind=color_blind))
    chosen: list[Color] = []
    for _ in range(count):
        if not np.isfinite(nearest).any():
            best = 0  # the clear red
        else:
            best = int(np.argmax(nearest))
            if nearest[best] <= 0:
                nearest[:] = np.inf  # every candidate is taken: begin again
                best = len(chosen) % len(candidates)
        red, green, blue = (int(part) for part in candidates[best])
        chosen.append((red, green, blue))
        _approach(nearest, views, tuple(view[best : best + 1] for view in views))
    return chosen


def class_colors(classes: Sequence[tuple[str, Color | None]], *, color_blind: bool = False) -> list[Color]:
    """Colours of named classes: those that they have, black or a grey for the background, and distinct ones for the others.

    Args:
        classes: name and colour, None where it has none.
        color_blind: see :func:`distinct_colors`.
    """
    taken = [color for _, color in classes if color is not None]
    chosen: list[Color | None] = []
    for name, color in classes:
        if color is None and is_background(name):
            color = next((grey for grey in _NEUTRAL if grey not in taken), None)
            taken += [color] if color is not None else []
        chosen.append(color)
    fresh = iter(distinct_colors(chosen.count(None), taken=taken, color_blind=color_blind))
    return [next(fresh) if color is None else color for color in chosen]


def _approach(
    nearest: NDArray[np.float64], views: tuple[NDArray[np.float64], ...], colors: tuple[NDArray[np.float64], ...]
) -> None:
    distances = np.min([np.linalg.norm(view - color, axis=1) for view, color in zip(views, colors, strict=True)], axis=0)
    np.minimum(nearest, distances, out=nearest)


@cache
def _candidates(color_blind: bool) -> tuple[NDArray[np.uint8], _Views]:
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)
    lightness = oklab(grid)[:, 0]
    grid = grid[(lightness >= _DARKEST) & (lightness <= _LIGHTEST)]
    # A clear red first: grey photographs have nothing like it.
    red = np.argmin(np.linalg.norm(oklab(grid) - oklab(np.array([[224, 32, 32]], np.uint8)), axis=1))
    grid = np.concatenate([grid[red : red + 1], np.delete(grid, red, axis=0)])
    return grid, _views(grid, color_blind=color_blind)


def _views(colors: NDArray[np.uint8], *, color_blind: bool) -> _Views:
    linear = _linear(colors)
    if not color_blind:
        return (_lab(linear),)
    return _lab(linear), *(_lab(np.clip(linear @ seen.T, 0, 1)) for seen in (_PROTAN, _DEUTAN))


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Linear light of sRGB values (IEC 61966-2-1), 0..1."""
    value = np.asarray(colors, dtype=np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T)
