"""Colour tables: from a label, an error or a confidence to a premultiplied ARGB value. A change of colour touches no pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.annotate.panes import OverlayOptions
from deeplab_core.catalogs.catalog import ClassCatalog

Table = NDArray[np.uint32]

#: How far an outline is mixed towards white. Beside it lies a dark line: light beside dark reads on any background.
_LIGHTEN = 0.55
_TWIN, _TWIN_ALPHA = 12, 0.65


def premultiplied(rgb: NDArray[np.float64], alpha: float | NDArray[np.float64]) -> Table:
    """(...) uint32 of (..., 3) sRGB 0..255 with an alpha 0..1, in the layout of QImage.Format_ARGB32_Premultiplied."""
    parts = np.round(rgb * np.expand_dims(np.asarray(alpha, dtype=np.float64), -1)).astype(np.uint32)
    alphas = np.broadcast_to(np.round(np.asarray(alpha, dtype=np.float64) * 255).astype(np.uint32), parts.shape[:-1])
    red, green, blue = (parts[..., place] for place in range(3))
    packed: Table = (alphas << np.uint32(24)) | (red << np.uint32(16)) | (green << np.uint32(8)) | blue
    return packed


def gray(value: int, alpha: float) -> int:
    """One premultiplied grey."""
    return int(premultiplied(np.full(3, float(value)), alpha))


def rgba(color: tuple[int, int, int], alpha: float) -> int:
    """One premultiplied colour."""
    return int(premultiplied(np.asarray(color, dtype=np.float64), alpha))


#: The error view's colours by kind, apart for colour-blind eyes too: a class where none is, none where one is, another class.
ERROR_COLORS = {"false": (255, 92, 46), "missed": (84, 160, 255), "swapped": (255, 222, 89)}
#: What stands for 'no class here' beside the colours of classes.
_UNNAMED = gray(225, 0.8)


#: Where two models differ: who is right by the truth. Blue and orange stay apart for colour-blind eyes, pale means neither.
DIFFERENCE_COLORS = {
    "first": (74, 158, 255), "second": (255, 150, 46), "neither": (226, 228, 232), "unjudged": (246, 214, 72),
}  # fmt: skip


@cache
def difference_colors() -> dict[str, int]:
    """:data:`DIFFERENCE_COLORS` as premultiplied ARGB."""
    return {name: rgba(color, 0.82) for name, color in DIFFERENCE_COLORS.items()}


#: What is added up to tell the kind of an error: its label is a class, its ground truth is a class, or void.
CLAIMED, DUE, UNJUDGED = 2, 4, 8


def kind_of(claimed: bool, due: bool) -> str:
    """Kind of an error, a name in :data:`ERROR_COLORS`.

    False is a class on background, missed is background or void on a class, swapped is a class on another one. Without a
    background class nothing is false.

    Args:
        claimed, due: whether a wrong pixel's label, and its ground truth, are a class other than the background.
    """
    if claimed:
        return "swapped" if due else "false"
    return "missed"


@cache
def error_colors() -> dict[str, int]:
    """:data:`ERROR_COLORS` as premultiplied ARGB."""
    return {name: rgba(color, 0.85) for name, color in ERROR_COLORS.items()}


@cache
def error_lines() -> dict[str, int]:
    """The same for outlines, lighter."""
    return {name: int(premultiplied(_lighter(np.array(color, np.float64)), 0.95)) for name, color in ERROR_COLORS.items()}


def _lighter(colors: NDArray[np.float64]) -> NDArray[np.float64]:
    return colors + (255 - colors) * _LIGHTEN


@dataclass(frozen=True, slots=True, eq=False)
class OverlayTables:
    """Lookup tables indexed by label value (256 entries, 65,536 for a wide catalog), ARGB premultiplied.

    Attributes:
        fill: the laid-over colour; 0 for background, void and hidden classes.
        wrong: a wrong pixel in the error view, by what it was given; opaque enough to be found at a glance.
        line: outlines: light for a class with fill, dark for one without.
        wrong_line: outlines of the error view.
        twin: the dark line beside an outline.
        order: label value -> its place: void, unknown values and hidden classes 0, the background 1, classes from 2. An outline
            lies on the side of the higher one, its dark line on the side of the lower one.
        claims: uint8, :data:`CLAIMED` for a class other than the background.
        due: uint8 for ground truth, :data:`DUE` for such a class and :data:`UNJUDGED` for void.
        plain: whether label values without void are in this order themselves.
        ignore: the void value.
        background: the class without fill, or None.
        hatch: colour of the hatching over void; 0 where the overlay is off.
    """

    fill: Table
    wrong: Table
    line: Table
    wrong_line: Table
    twin: np.uint32
    order: NDArray[Any]
    claims: NDArray[np.uint8]
    due: NDArray[np.uint8]
    plain: bool
    ignore: int
    background: int | None
    hatch: int


def overlay_tables(catalog: ClassCatalog, options: OverlayOptions) -> OverlayTables:
    """Tables of a catalog under some options."""
    size = 65536 if catalog.wide else 256
    colors = np.zeros((size, 3), dtype=np.float64)
    filled = np.zeros(size, dtype=bool)
    for info in options.shown(catalog).classes:
        colors[info.id] = info.color
        filled[info.id] = info.id != catalog.background and info.id not in options.hidden
    light = premultiplied(_lighter(colors), 0.95)
    claims = np.zeros(size, dtype=bool)
    claims[[info.id for info in catalog.classes if info.id != catalog.background]] = True
    wrong = np.where(claims, premultiplied(colors + (255 - colors) * 0.15, 0.85), np.uint32(_UNNAMED))
    seen = np.array(sorted(set(catalog.ids.tolist()) - options.hidden - {catalog.background}), dtype=np.intp)
    order = np.zeros(size, dtype=catalog.dtype)
    order[seen] = np.arange(2, len(seen) + 2)
    if catalog.background is not None and catalog.background not in options.hidden:
        order[catalog.background] = 1
    due = claims * np.uint8(DUE)
    due[catalog.ignore] = UNJUDGED
    twin = np.uint32(gray(_TWIN, _TWIN_ALPHA))
    return OverlayTables(
        fill=np.where(filled, premultiplied(colors, options.opacity), 0).astype(np.uint32),
        wrong=wrong.astype(np.uint32),
        line=np.where(filled, light, twin).astype(np.uint32),
        wrong_line=np.where(claims, light, np.uint32(gray(255, 0.95))).astype(np.uint32),
        twin=twin,
        order=order,
        claims=claims * np.uint8(CLAIMED),
        due=due,
        plain=not options.hidden and catalog.background in (None, min(catalog.ids.tolist())),
        ignore=catalog.ignore,
        background=catalog.background,
        hatch=gray(235, min(options.opacity, 1.0) * 0.7),
    )


@cache
def uncertainty_table() -> Table:
    """(256,) premultiplied colours by confidence (0..255): certain is a dark veil, uncertain glows.

    The colours run through OKLCh (B. Ottosson, 'A perceptual color space for image processing', 2020) with lightness growing
    linearly from black to pale yellow while the hue turns from violet over red: even steps of uncertainty look even, and they
    stay apart for colour-blind eyes by lightness alone. Full scale is a confidence of 0.25: below that all is as bad.
    """
    t = np.clip((255 - np.arange(256)) / (255 * 0.75), 0, 1)
    lightness = 0.04 + 0.92 * t
    chroma = 0.19 * np.sin(np.pi * np.clip(t, 0, 1) ** 0.9) ** 0.8 + 0.09 * t
    hue = np.deg2rad(-75 + 180 * t**0.95)
    rgb = _oklch_to_srgb(lightness, chroma, hue)
    return premultiplied(rgb, 0.66 + 0.3 * np.sqrt(t))


def _oklch_to_srgb(lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) sRGB 0..255; colours outside the gamut lose chroma, not lightness."""
    rgb = np.zeros((len(lightness), 3))
    open_ = np.ones(len(lightness), dtype=bool)
    for share in np.linspace(1, 0, 201):
        linear = _oklab_to_linear(lightness, share * chroma * np.cos(hue), share * chroma * np.sin(hue))
        fits = open_ & np.all((linear >= -1e-4) & (linear <= 1 + 1e-4), axis=1)
        rgb[fits] = linear[fits]
        open_ &= ~fits
    rgb = np.clip(rgb, 0, 1)
    return 255 * np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)


def _oklab_to_linear(lightness: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) linear sRGB of OKLab, with Ottosson's published matrices."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return np.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        axis=1,
    )
