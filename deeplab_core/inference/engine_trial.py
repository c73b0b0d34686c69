"""Which engine computes: a short trial at first use of a network and size class, remembered on this machine."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from deeplab_core import __version__
from deeplab_core.atomic import atomic_write
from deeplab_core.backends.compiled import TOLERANCE, CompiledNetwork
from deeplab_core.backends.cuda_graph import CudaGraphNetwork, eager_logits
from deeplab_core.backends.engines import PACKAGES, installed_engines, installed_version
from deeplab_core.errors import AtrousError, ComputeError
from deeplab_core.inference.device import PrecisionName, processor
from deeplab_core.inference.memory import is_out_of_memory
from deeplab_core.inference.network import ChosenEngine
from deeplab_core.kernels.compiled import multiplies_tiles
from deeplab_core.nn import SegmentationModel
from deeplab_core.reading import json_text, read_json
from deeplab_core.records import EngineChoice

#: Least share of pixels that must keep their label under a reduced precision.
LEAST_AGREEMENT = 0.995
#: Timed runs of each engine; the fastest counts, since other programs only ever make one slower.
_RUNS = 3
#: An engine other than torch has to be this much faster to be chosen.
_WORTH = 0.95
#: Trials that are remembered; the oldest are forgotten.
_MOST_TRIALS = 500
_VERSION = 1
_Name = Literal["onnx", "openvino", "amx", "cuda-graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trial found.

    Attributes:
        engine: the fastest that gives torch's numbers: ``torch``, ``onnx``, ``openvino``, ``amx`` or ``cuda-graph``.
        milliseconds: of one forward pass, by engine.
        refused: why an engine is not used, by engine.
        agreement: share of equal labels on the coarse grid, 0..1, by engine other than torch.
    """

    engine: str
    milliseconds: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: object) -> Trial | None:
        """A trial as it was kept; None for anything else."""
        if not isinstance(data, dict) or data.get("engine") not in ("torch", *PACKAGES, CudaGraphNetwork.engine):
            return None
        numbers = [data.get("milliseconds"), data.get("agreement")]
        texts = data.get("refused")
        if not all(isinstance(part, dict) for part in (*numbers, texts)):
            return None
        if not all(isinstance(value, (int, float)) for part in numbers for value in part.values()):  # type: ignore[union-attr]
            return None
        return cls(
            engine=data["engine"], milliseconds=data["milliseconds"], agreement=data["agreement"],
            refused={str(name): str(text) for name, text in data["refused"].items()},
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "engine": self.engine, "milliseconds": self.milliseconds, "agreement": self.agreement, "refused": self.refused,
        }  # fmt: skip


class TrialRecord:
    """Trials of this machine in a JSON file; one that cannot be read, or is of another form, is empty and written again.

    Args:
        path: the file; None remembers in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._trials: dict[str, Trial] = self._read()

    def find(self, key: str) -> Trial | None:
        """The trial of a key."""
        return self._trials.get(key)

    def all(self) -> dict[str, Trial]:
        """Every trial, the oldest first."""
        return dict(self._trials)

    def keep(self, key: str, trial: Trial) -> None:
        """Remember a trial. A file that cannot be written is not a reason to stop: the next start tries again."""
        self._trials = {**self._read(), **self._trials}  # another process may have added some
        self._trials.pop(key, None)
        self._trials[key] = trial
        self._trials = dict(list(self._trials.items())[-_MOST_TRIALS:])
        if self._path is None:
            return
        data = {"version": _VERSION, "trials": {name: kept.to_dict() for name, kept in self._trials.items()}}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path, (json_text(data, indent=1) + "\n").encode())
        except (AtrousError, OSError):
            return

    def _read(self) -> dict[str, Trial]:
        if self._path is None or not self._path.is_file():
            return {}
        try:
            data = read_json(self._path)
        except AtrousError:
            return {}
        trials = data.get("trials") if isinstance(data, dict) and data.get("version") == _VERSION else None
        found = {str(key): Trial.from_dict(value) for key, value in trials.items()} if isinstance(trials, dict) else {}
        return {key: trial for key, trial in found.items() if trial is not None}


class EngineChooser:
    """Chooses the engine of one network.

    Args:
        model: prepared for inference.
        identity: what tells the network from others, e.g. the digest of its file; empty remembers nothing beyond this object.
        record: where trials are remembered.
    """

    def __init__(self, model: SegmentationModel, identity: str, record: TrialRecord) -> None:
        self._model, self._identity = model, identity
        self._record = record if identity else TrialRecord()
        self._networks: dict[tuple[str, str, int, str], CompiledNetwork | CudaGraphNetwork] = {}
        self._mutex = threading.RLock()  # several threads may ask for the same network

    def choose(
        self,
        asked: EngineChoice,
        precision: PrecisionName,
        size: tuple[int, int],
        sample: Callable[[], Tensor],
        *,
        on: str = "cpu",
    ) -> ChosenEngine:
        """The engine for canvases of a size.

        Args:
            asked: ``torch`` asks no further; ``auto`` takes the fastest of those that are installed; a name takes that one,
                unless it is missing or gives other numbers.
            precision: of the arithmetic.
            size: (height, width) of the canvas.
            sample: gives a part of the canvas, (1, C, H, W) float32 on the device, to try with; asked only if there is a trial.
            on: name of the device; on others than ``cpu`` CUDA graphs are the engine to try.
        """
        if asked == "torch":
            return ChosenEngine(None)
        every: tuple[_Name, ...] = installed_engines() if on == "cpu" else (CudaGraphNetwork.engine,)
        with self._mutex:
            return self._choose(asked, every if asked == "auto" else (asked,), precision, size, sample, on)

    def give_back_memory(self) -> None:
        """Free the memory that engines keep between two images; no image may be computed at the same time."""
        with self._mutex:
            for network in self._networks.values():
                if isinstance(network, CompiledNetwork):
                    network.give_back_memory()

    def _choose(
        self,
        asked: EngineChoice,
        names: tuple[_Name, ...],
        precision: PrecisionName,
        size: tuple[int, int],
        sample: Callable[[], Tensor],
        on: str,
    ) -> ChosenEngine:
        if not names:
            return ChosenEngine(None)
        key = self._key(asked, precision, size, on)
        trial = self._record.find(key)
        if trial is None:
            try:
                trial = self._try(asked, names, precision, sample(), on)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                return ChosenEngine(None, "Memory ran out in the trial of engines; torch computes.")
            self._record.keep(key, trial)
        if trial.engine == "torch":
            note = "" if asked == "auto" else f"{asked} is not used: {trial.refused.get(asked, 'it was refused')}."
            return ChosenEngine(None, note)
        try:
            network = self._network(trial.engine, precision, on)  # type: ignore[arg-type]
        except ComputeError as error:  # removed since
            return ChosenEngine(None, f"{trial.engine} is not used: {error.what}.")
        share = 100 * trial.agreement.get(trial.engine, 1.0)
        reduced = precision != "fp32" and on == "cpu"  # a GPU's trial compares equal precisions
        return ChosenEngine(network, f"{precision}: {share:.2f} % of the labels as in fp32, in a trial." if reduced else "")

    def _network(self, name: _Name, precision: PrecisionName, on: str) -> CompiledNetwork | CudaGraphNetwork:
        key = name, precision, torch.get_num_threads() if on == "cpu" else 0, on
        if key not in self._networks:
            self._networks[key] = (
                CudaGraphNetwork(self._model, precision)
                if name == "cuda-graph"
                else CompiledNetwork(self._model, name, "bf16" if precision == "bf16" else "fp32")
            )
        return self._networks[key]

    def _key(self, asked: EngineChoice, precision: str, size: tuple[int, int], on: str) -> str:
        """Machine, versions, network, stride and size class: everything that a trial depends on."""
        versions = [f"{name} {installed_version(name) or '-'}" for name in ("torch", *PACKAGES.values())]
        parts = [
            processor(), *(["tiles"] if multiplies_tiles() else []), f"{torch.get_num_threads()} threads",
            f"atrous {__version__}", *versions, self._identity,
            f"stride {self._model.output_stride}", precision, f"{size_class(size)} px", asked, *([] if on == "cpu" else [on]),
        ]  # fmt: skip
        return " | ".join(parts)

    def _try(self, asked: EngineChoice, names: tuple[_Name, ...], precision: PrecisionName, x: Tensor, on: str) -> Trial:
        """Compare and time the engines on one image; CUDA graphs with what torch gives in the same precision."""
        torchs: PrecisionName = "fp32" if on == "cpu" else precision
        expected = eager_logits(self._model, x, torchs)
        calls: dict[str, Callable[[], Tensor]] = {"torch": lambda: eager_logits(self._model, x, torchs)}
        refused: dict[str, str] = {}
        agreement: dict[str, float] = {}
        for name in names:
            try:
                network = self._network(name, precision, on)
                if on != "cpu":
                    network(x)  # by torch; a graph computes the second
                agreement[name], reason = _agreement(network(x), expected, precision if on == "cpu" else "fp32")
                if isinstance(network, CudaGraphNetwork):
                    reason = network.refused or reason
            except AtrousError as error:
                reason = ": ".join(part for part in (error.what, error.why) if part)
            except Exception as error:  # an engine may raise anything; torch goes on
                if is_out_of_memory(error):
                    raise
                reason = str(error)[:200] or type(error).__name__
            if reason:
                refused[name] = reason
            else:
                calls[name] = lambda network=network: network(x)  # type: ignore[misc]
        milliseconds = _fastest(calls)
        best = min(milliseconds, key=lambda name: milliseconds[name] * (1.0 if name != "torch" else _WORTH))
        if asked != "auto":  # what was asked for is used unless it is refused, fast or not
            best = asked if asked in milliseconds else "torch"
        for unused in [key for key in self._networks if key[0] != best and key[1] == precision]:
            del self._networks[unused]  # its copy of the weights
        return Trial(engine=best, milliseconds=milliseconds, refused=refused, agreement=agreement)


def _agreement(got: Tensor, expected: Tensor, precision: str) -> tuple[float, str]:
    """Share of equal labels, and why these logits are refused; an empty reason accepts them."""
    if got.shape != expected.shape:
        return 0.0, f"its logits are {tuple(got.shape)}, torch's {tuple(expected.shape)}"
    span = float(expected.max() - expected.min())
    difference = float((got - expected).abs().max()) / (span or 1.0)
    labels = (expected > 0, got > 0) if expected.shape[1] == 1 else (expected.argmax(1), got.argmax(1))
    share = float((labels[0] == labels[1]).double().mean())
    if not math.isfinite(difference):
        return share, "its logits are not finite"
    if precision == "fp32" and difference > TOLERANCE:
        return share, f"its logits differ by {difference:.1e} of their range"
    if precision != "fp32" and share < LEAST_AGREEMENT:
        return share, f"in {precision} only {100 * share:.2f} % of the labels stay ({100 * LEAST_AGREEMENT:.1f} % are needed)"
    return share, ""


def _fastest(calls: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Milliseconds of each call, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_RUNS):
        for name, call in calls.items():
            began = time.perf_counter()
            found = call()
            if found.is_cuda:
                torch.cuda.synchronize(found.device)
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: round(min(values), 1) for name, values in times.items()}


def size_class(size: tuple[int, int]) -> int:
    """Pixels of a canvas, rounded to a power of two."""
    return 1 << round(math.log2(max(1, size[0] * size[1])))
