"""Several ways to run one network on an image, each pass of the network computed once.

A pass is one scale of the image, mirrored or not, at one output stride and precision. Variants that differ in their CRF, their
threshold or the passes that they average share passes, so plain, mirrored, three scales and a CRF cost what the most expensive of
them costs. Labels are those of each variant alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from deeplab_core.errors import AtrousError, message
from deeplab_core.flavour import require_torch
from deeplab_core.inference.pixels import RGB
from deeplab_core.inference.predictor import Predictor
from deeplab_core.inference.scores import ScoreGrid, Scores
from deeplab_core.parallel import IsCancelled
from deeplab_core.records import EngineChoice, Precision, Prediction, PredictOptions, RunReport
from deeplab_core.refine.parameters import PRESETS, preset, read_params

Choice = TypeVar("Choice", Precision, EngineChoice)
_PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16", "fp16")
_ENGINES: tuple[EngineChoice, ...] = ("auto", "torch", "onnx", "openvino", "amx", "cuda-graph")


@dataclass(frozen=True, slots=True)
class RunVariant:
    """A name and the options that it stands for; the plain run is named ``""``."""

    name: str
    options: PredictOptions


def parse_variant(text: str, plain: PredictOptions) -> RunVariant:
    """A variant as it is written: parts joined by ``+``, each changing one option of the plain run.

    ``os8`` (output stride), ``flip``, ``scales:0.75,1,1.25``, ``crf`` or ``crf:PRESET`` or ``crf:FILE.json``, ``threshold:0.4``,
    ``precision:bf16``, ``engine:onnx``.

    Raises:
        AtrousError: what is written is no variant, or its value is none.
    """
    options = plain
    for part in text.split("+"):
        name, _, value = part.strip().partition(":")
        try:
            options = _changed(options, name.strip().lower(), value.strip())
        except (ValueError, KeyError) as error:
            raise AtrousError(
                message("'{part}' is no variant", part=part.strip()),
                why=str(error) if isinstance(error, ValueError) and str(error) else "",
                remedy=message(
                    "Write os8, flip, scales:0.75,1, crf:v2, threshold:0.4, precision:bf16 or engine:onnx, or several joined by +"
                ),
                option="--variant",
            ) from error
    return RunVariant(text, options)


def _changed(options: PredictOptions, name: str, value: str) -> PredictOptions:
    """The options with what a part of a variant changes. Raises KeyError or ValueError."""
    if name.startswith("os") and not value:
        return replace(options, output_stride=int(name[2:]))
    if name == "flip" and not value:
        return replace(options, flip=True)
    if name == "crf":
        return replace(options, crf=read_params(Path(value)) if value and value not in PRESETS else preset(value or "v1"))
    if name == "scales":
        scales = tuple(float(scale) for scale in value.split(","))
        if not all(0.1 <= scale <= 4 for scale in scales):
            raise ValueError("every scale must lie between 0.1 and 4")
        return replace(options, scales=scales)
    if name == "threshold":
        return replace(options, threshold=float(value))
    if name == "precision":
        return replace(options, precision=_chosen(name, value, _PRECISIONS))
    engine = _chosen(name, value, {"engine": _ENGINES}[name])
    if engine not in ("auto", "onnx"):
        require_torch(message("The engine {engine}", engine=engine))
    return replace(options, engine=engine)


def _chosen(name: str, value: str, choices: Sequence[Choice]) -> Choice:
    found = next((choice for choice in choices if choice == value), None)
    if found is None:
        raise ValueError(f"{name} is one of {', '.join(map(str, choices))}")
    return found


class VariantPredictor:
    """Predicts an image with every variant.

    Args:
        predictor: of the network.
        variants: in the order of the results.

    Raises:
        AtrousError: the network lacks an output stride, or takes no threshold.
    """

    def __init__(self, predictor: Predictor, variants: Sequence[RunVariant]) -> None:
        self._predictor, self.variants = predictor, tuple(variants)
        for variant in self.variants:
            predictor.check(variant.options)

    def __call__(self, rgb: RGB, *, cancel: IsCancelled | None = None) -> list[Prediction]:
        """One prediction for each variant; its report has the times that the variant costs by itself.

        Args:
            rgb: as for :class:`Predictor`.
            cancel: asked before every layer.

        Raises:
            Cancelled, ComputeError, DeviceOutOfMemory: as :class:`Predictor`.
        """
        passes: dict[tuple[PredictOptions, float], Scores] = {}
        predictions = []
        for variant in self.variants:
            scores = self._scores(rgb, variant.options, passes, cancel)
            predictions.append(self._predictor.decide(scores, "", variant.options, rgb=rgb, cancel=cancel))
        return predictions

    def _scores(
        self, rgb: RGB, options: PredictOptions, passes: dict[tuple[PredictOptions, float], Scores], cancel: IsCancelled | None
    ) -> Scores:
        network, grids, milliseconds, cpu_milliseconds, tiles = _network(options), [], 0.0, 0.0, 0
        notes: list[str] = []
        report = RunReport()
        for scale in options.scales:
            if (network, scale) not in passes:
                alone = replace(network, scales=(scale,), flip=self._mirrored(network, scale))
                passes[network, scale] = self._predictor.scores(rgb, options=alone, cancel=cancel)
            found = passes[network, scale]
            report = found.report
            chosen: list[ScoreGrid] = [grid for grid in found.grids if options.flip or not grid.mirrored]
            grids += chosen
            share = len(chosen) / len(found.grids)
            milliseconds += found.report.milliseconds * share
            cpu_milliseconds += found.report.cpu_milliseconds * share
            tiles += found.report.tiles * len(chosen) // len(found.grids)
            notes += found.report.notes
        report = replace(
            report, milliseconds=milliseconds, cpu_milliseconds=cpu_milliseconds, tiles=tiles, notes=tuple(dict.fromkeys(notes))
        )
        return Scores(tuple(grids), self._predictor.card.catalog, report)

    def _mirrored(self, network: PredictOptions, scale: float) -> bool:
        """Whether any variant averages this scale with its mirror image."""
        return any(
            variant.options.flip and scale in variant.options.scales and _network(variant.options) == network
            for variant in self.variants
        )


def _network(options: PredictOptions) -> PredictOptions:
    """What decides the passes: the options without those that only choose or judge them."""
    return replace(options, scales=(1.0,), flip=False, crf=None, crf_engine="auto", threshold=None)
