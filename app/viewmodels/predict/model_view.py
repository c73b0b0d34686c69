"""What the model dock shows: choices, device, settings of a run. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy comes after the first frame
    from deeplab_core.records import PredictOptions


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be loaded."""

    path: Path
    title: str
    tooltip: str = ""


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
    """

    output_stride: int = 0
    scales: str = "1"
    flip: bool = False
    device: str = "auto"
    precision: str = "auto"
    threshold: float = 0.0

    def options(self) -> PredictOptions:
        """The options for the compute process; scales that are no numbers count as 1."""
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
        )
