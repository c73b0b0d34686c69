"""What the model dock shows, and the text beside a receptive field. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.text import tr

if TYPE_CHECKING:  # numpy comes after the first frame
    from deeplab_core.receptive import ReceptiveField
    from deeplab_core.records import ModelCard, PredictOptions


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be loaded; ``figures`` says in one line how good it is, and on which images."""

    path: Path
    title: str
    tooltip: str = ""
    figures: str = ""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """Where the model runs.

    Attributes:
        device: as torch names it; empty before a model is loaded.
        state: shown while there is no device: "starting…", "no model".
        milliseconds: of the last prediction.
        reason: why it is not the device that was asked for, or what else the user should know.
        tooltip: versions and devices of the compute process.
        trouble: whether to show it as a warning.
    """

    device: str = ""
    state: str = ""
    milliseconds: float | None = None
    reason: str = ""
    tooltip: str = ""
    trouble: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The user's inference options; see :class:`deeplab_core.records.PredictOptions`.

    Attributes:
        output_stride: 0 takes the model's own.
        scales: relative scales, separated by spaces.
        threshold: of a two-class (sigmoid) network; 0 for every other one.
        engine: what computes on the CPU.
    """

    output_stride: int = 0
    scales: str = "1"
    flip: bool = False
    device: str = "auto"
    precision: str = "auto"
    threshold: float = 0.0
    engine: str = "torch"

    def options(self) -> PredictOptions:
        """The options for the compute process; scales that are not numbers count as 1."""
        from deeplab_core.records import PredictOptions

        try:
            scales = tuple(float(part) for part in self.scales.split()) or (1.0,)
        except ValueError:
            scales = (1.0,)
        return PredictOptions(
            output_stride=self.output_stride or None,
            scales=scales,
            flip=self.flip,
            device=self.device,
            precision=self.precision,  # type: ignore[arg-type]
            threshold=self.threshold or None,
            engine=self.engine,  # type: ignore[arg-type]
        )


def time_text(milliseconds: float) -> str:
    """A time as shown: ``84 ms``, ``2.3 s``."""
    return tr("{value:.0f} ms", value=milliseconds) if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def card_texts(card: ModelCard, path: Path | None, summary: str) -> tuple[str, str]:
    """(summary, details) of a model: what it is in a line; its classes, source, licence and file.

    Args:
        summary: of the card, in the language of the window; empty if it has none.
    """
    summary = summary or tr("{title}, stride {output_stride}", title=tr(card.catalog.title), output_stride=card.output_stride)
    licence = tr("Licence: {licence}", licence=card.licence) if card.licence else ""
    details = (tr(card.catalog.title), card.source, licence, str(path or ""))
    return summary, "\n".join(part for part in details if part)


def field_text(field: ReceptiveField, name: str) -> str:
    """The text beside a receptive field; ``name`` is the class of the label that it is about."""
    whole = field.theoretical[0].extent
    size = tr("{width} × {height} px", width=round(whole.width), height=round(whole.height))
    scale = field.extent.width / max(field.gradient.shape[1], 1)
    radii = ", ".join(
        tr("{share:.0%} within {radius} px", share=share, radius=round(radius * scale)).replace("%", " %")
        for share, radius in field.radii
    )
    lines = [
        tr("{name} at {x}, {y}: theory {size}", name=name, x=field.x, y=field.y, size=size),
        tr("gradient: {radii} · {milliseconds}", radii=radii, milliseconds=time_text(field.milliseconds)),
    ]
    branches = ", ".join(f"{branch.name}: {round(branch.extent.width)}" for branch in field.theoretical[1:])
    if branches:
        lines.insert(1, tr("dotted, by branch: {branches} px", branches=branches))
    return "\n".join([*lines, field.note] if field.note else lines)
