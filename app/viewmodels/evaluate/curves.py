"""mIoU over the width of the band: what the trimap dock draws."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.text import mark


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of the plot.

    Attributes:
        name: ``"model"``, ``"now"``, ``"with CRF"`` or the title of a compared model; the plot's colours go by it.
        values: mIoU inside the band of width 1, 2, ... px, 0..1; nan if no class is in the band.
        place: of a compared model, among those that are compared.
    """

    name: str
    values: tuple[float, ...]
    place: int | None = None


@dataclass(frozen=True, slots=True)
class CurveSet:
    """Lines of the image in view and of the folder.

    Attributes:
        why_empty: what to say where the image has no line.
    """

    image: tuple[Curve, ...] = field(default=())
    folder: tuple[Curve, ...] = field(default=())
    why_empty: str = mark("Requires ground truth. The curve shows mIoU inside the band for every width.")
