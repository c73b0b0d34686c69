"""What panes show and how labels lie over the photograph: plain values, kept in the settings as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from app.text import mark, percent, share_text, spaced, tr

if TYPE_CHECKING:  # numpy comes after the first frame
    from deeplab_core.catalogs.catalog import ClassCatalog

_E = TypeVar("_E", bound=StrEnum)


class PaneKind(StrEnum):
    """What a pane shows."""

    IMAGE = "image"
    PREDICTION = "prediction"
    MASK = "mask"
    TRUTH = "truth"
    ERRORS = "errors"
    BAND = "band"
    UNCERTAINTY = "uncertainty"
    REFINED = "refined"
    CHANGES = "changes"
    MODEL_A = "model_a"
    MODEL_B = "model_b"
    MODEL_C = "model_c"
    MODEL_D = "model_d"
    DIFFERENCE = "difference"


#: Titles as shown.
PANE_TITLES: dict[PaneKind, str] = {
    PaneKind.IMAGE: mark("Image"),
    PaneKind.PREDICTION: mark("Prediction"),
    PaneKind.MASK: mark("Mask"),
    PaneKind.TRUTH: mark("Ground truth"),
    PaneKind.ERRORS: mark("Errors"),
    PaneKind.BAND: mark("Trimap band"),
    PaneKind.UNCERTAINTY: mark("Uncertainty"),
    PaneKind.REFINED: mark("CRF preview"),
    PaneKind.CHANGES: mark("Changed by the CRF"),
    PaneKind.MODEL_A: mark("Model A"),
    PaneKind.MODEL_B: mark("Model B"),
    PaneKind.MODEL_C: mark("Model C"),
    PaneKind.MODEL_D: mark("Model D"),
    PaneKind.DIFFERENCE: mark("Where models differ"),
}

#: Panes of compared models, by their place in the comparison.
MODEL_PANES = (PaneKind.MODEL_A, PaneKind.MODEL_B, PaneKind.MODEL_C, PaneKind.MODEL_D)


class PaneLayout(StrEnum):
    """How many panes and where: one, two side by side, one over two, two by two, or one that a line divides."""

    SINGLE = "single"
    DOUBLE = "double"
    TRIPLE = "triple"
    QUAD = "quad"
    SPLIT = "split"

    @property
    def panes(self) -> int:
        """Number of panes, 1..4."""
        return _PANES[self]


_PANES = {PaneLayout.SINGLE: 1, PaneLayout.DOUBLE: 2, PaneLayout.TRIPLE: 3, PaneLayout.QUAD: 4, PaneLayout.SPLIT: 1}


@dataclass(frozen=True, slots=True)
class Pane:
    """One pane: its kind, and a second kind right of a draggable line in the split layout.

    Attributes:
        kind: what it shows (left of the line, if split).
        other: what it shows right of the line; None without a line.
        split: place of the line as a fraction of the pane's width, 0..1.
    """

    kind: PaneKind
    other: PaneKind | None = None
    split: float = 0.5


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """How labels are laid over the photograph.

    Attributes:
        opacity: of the fill, 0..1.
        visible: whether fill and contours are drawn at all.
        contours: whether class edges are drawn.
        outline: width of class edges in view px, 0..4; a dark line lies beside them.
        hidden: ids of classes that are not drawn.
        class_colors: ``"clear"`` for colours that can be seen and told apart, ``"catalog"`` for the catalog's own.
        error_colors: colour a wrong pixel by the kind of mistake (``"kind"``: false, missed, swapped) or by the class it was
            given (``"class"``).
        names: whether the names of classes stand on large regions.
        pixel_grid: lines between pixels from 8x on.
    """

    opacity: float = 0.5
    visible: bool = True
    contours: bool = True
    outline: int = 2
    hidden: frozenset[int] = frozenset()
    class_colors: str = "clear"
    error_colors: str = "kind"
    names: bool = True
    pixel_grid: bool = True

    def shown(self, catalog: ClassCatalog) -> ClassCatalog:
        """A catalog with the colours in which its classes are shown; the same object for equal catalogs."""
        if self.class_colors == "catalog":
            return catalog
        from deeplab_core.catalogs.display import clear_catalog

        return clear_catalog(catalog)


def panes_to_list(panes: Sequence[Pane]) -> list[dict[str, Any]]:
    """Plain values for JSON; :func:`panes_from_list` is the inverse."""
    return [{"kind": p.kind.value, "other": p.other.value if p.other else None, "split": p.split} for p in panes]


def panes_from_list(rows: object, default: Sequence[Pane]) -> list[Pane]:
    """Panes from :func:`panes_to_list`'s form; what is missing or malformed keeps its default."""
    panes = list(default)
    for index, row in enumerate(rows[: len(panes)] if isinstance(rows, list) else ()):
        if isinstance(row, dict):
            kind = member(PaneKind, row.get("kind"), panes[index].kind)
            other = None if row.get("other") is None else member(PaneKind, row.get("other"), kind)
            panes[index] = Pane(kind, other, min(max(_number(row.get("split"), panes[index].split), 0.0), 1.0))
    return panes


def overlay_to_dict(options: OverlayOptions) -> dict[str, Any]:
    """Plain values for JSON; :func:`overlay_from_dict` is the inverse."""
    return asdict(options) | {"hidden": sorted(options.hidden)}


def overlay_from_dict(data: object, default: OverlayOptions) -> OverlayOptions:
    """Options from :func:`overlay_to_dict`'s form; what is missing or malformed keeps its default."""
    if not isinstance(data, dict):
        return default
    hidden = data.get("hidden")
    return OverlayOptions(
        opacity=min(max(_number(data.get("opacity"), default.opacity), 0.0), 1.0),
        visible=bool(data.get("visible", default.visible)),
        contours=bool(data.get("contours", default.contours)),
        outline=int(min(max(_number(data.get("outline"), default.outline), 0), 4)),
        hidden=frozenset(i for i in hidden if isinstance(i, int)) if isinstance(hidden, list) else default.hidden,
        class_colors="catalog" if data.get("class_colors", default.class_colors) == "catalog" else "clear",
        error_colors="class" if data.get("error_colors", default.error_colors) == "class" else "kind",
        names=bool(data.get("names", default.names)),
        pixel_grid=bool(data.get("pixel_grid", default.pixel_grid)),
    )


def member(kind: type[_E], value: object, default: _E) -> _E:
    """The member of an enum with this value, or the default if there is none."""
    try:
        return kind(str(value))
    except ValueError:
        return default


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default


def pane_captions(
    *, band_width: int, around_mask: bool, in_band: float | None, by_hand: float, accuracy: float | None, predicted: bool
) -> dict[PaneKind, str]:
    """What the panes say besides their names; a figure that is not measured is left out.

    Args:
        band_width: of the trimap band in px.
        around_mask: the band follows the mask's edges, because there is no ground truth or the user chose it.
        in_band: mIoU within the band, 0..1.
        by_hand: share of the pixels that the user set, 0..1.
        accuracy: pixel accuracy of the image, 0..1.
        predicted: whether a model has predicted the image.
    """
    band = [tr("{width} px", width=band_width)]
    if around_mask:
        band.append(tr("around the mask"))
    if in_band is not None:
        band.append(tr("mIoU {mean}", mean=percent(in_band)))
    captions = {
        PaneKind.BAND: " · ".join(band),
        PaneKind.MASK: tr("edited by hand {share}", share=share_text(by_hand)) if by_hand else "",
    }
    if accuracy is not None:
        captions[PaneKind.ERRORS] = tr("pixel accuracy {accuracy}", accuracy=share_text(accuracy))
    if predicted:
        captions[PaneKind.UNCERTAINTY] = tr("1 − confidence")
    return captions


def preview_captions(changed: int | None, *, exact: bool) -> dict[PaneKind, str]:
    """What the panes of a CRF preview say; empty before it is known how many pixels it changes."""
    if changed is None:
        return {}
    state = tr("not applied") if exact else tr("not applied, draft")
    return {PaneKind.CHANGES: tr("{changed} px", changed=spaced(changed)), PaneKind.REFINED: state}
