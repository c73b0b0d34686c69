"""The files of a run: its state, enough to continue exactly and without code, what it may continue with, and its log."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.reading import VALUE_ERRORS, parse_json, reason
from deeplab_core.training.dataset import TrainingData
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.tables import DataTables, first_difference

_NOTE = "atrous_training"
_VERSION = 1
_MOST_BYTES = 256 << 20
_DAMAGE: tuple[type[Exception], ...] = (AtrousError, OSError, SafetensorError, *VALUE_ERRORS)
#: Values of a recipe that may change between a run and its continuation.
_FREE = {"name", "summary", "licence", "validate_every", "half", "compile", "epochs", "steps"}
#: Values that name files: older runs kept them as they were typed, today's are absolute.
_FILES = {"init", "average_with"}

_ONCE_USUAL = "deeplabv3plus"


@dataclass(slots=True)
class RunState:
    """Everything that the next optimiser step depends on.

    Attributes:
        step: optimiser steps done.
        model, ema: tensors by parameter name.
        optimizer: its tensors by parameter name and key, e.g. ``classifier.weight/momentum_buffer``.
        random: torch's generators by device and process, e.g. ``cpu.0``; uint8.
        scaler: state of the fp16 loss scaler.
        history: one row of figures per epoch.
        recipe: of the run, for comparison.
        data: names of the classes and what the data sets are, for comparison; empty in states of older versions.
        best: largest validation mIoU over the classes of the ground truth, and its epoch.
        seconds: of training so far.
        steps: optimiser steps of the whole run; 0 in states of older versions.
        raised: where the length of the run was raised: the step, and the lengths before and after.
        preprocessing: of the network's input, as its card records it; empty in states of older versions, which took the recipe's.
        epoch_loss: sum of the losses of the current epoch, and how many steps they are of.
    """

    step: int = 0
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    ema: dict[str, Tensor] = field(default_factory=dict)
    random: dict[str, Tensor] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    best: tuple[float, int] = (float("-inf"), -1)
    seconds: float = 0.0
    epoch_loss: tuple[float, int] = (0.0, 0)
    steps: int = 0
    raised: list[dict[str, int]] = field(default_factory=list)
    preprocessing: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Save atomically as safetensors; the old state stays until the new one is whole.

        Raises:
            StorageError: full disk, read-only folder.
        """
        groups = {"model": self.model, "optimizer": self.optimizer, "ema": self.ema, "random": self.random}
        tensors = {
            f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
            for group, named in groups.items()
            for name, tensor in named.items()
        }
        note = {
            "version": _VERSION,
            "step": self.step,
            "scaler": self.scaler,
            "history": self.history,
            "recipe": self.recipe,
            "data": self.data,
            "best": [None if self.best[1] < 0 else self.best[0], self.best[1]],
            "seconds": self.seconds,
            "epoch_loss": list(self.epoch_loss),
            "steps": self.steps,
            "raised": self.raised,
            "preprocessing": self.preprocessing,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, to_bytes(tensors, {_NOTE: json.dumps(note)}))

    @classmethod
    def read(cls, path: Path) -> RunState:
        """Read a state written by :meth:`write`.

        Raises:
            WeightsError: no such state, or damaged.
        """
        try:
            with safe_open(path, framework="pt") as file:
                note = parse_json((file.metadata() or {})[_NOTE], limit=_MOST_BYTES, what="the note of the run")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            if note["version"] != _VERSION:
                raise ValueError(f"version {note['version']}")
            state = cls(
                step=int(note["step"]),
                scaler=dict(note["scaler"]),
                history=list(note["history"]),
                recipe=dict(note["recipe"]),
                data=dict(note.get("data", {})),
                best=(float("-inf") if note["best"][0] is None else float(note["best"][0]), int(note["best"][1])),
                seconds=float(note["seconds"]),
                epoch_loss=(float(note["epoch_loss"][0]), int(note["epoch_loss"][1])),
                steps=int(note.get("steps", 0)),
                raised=list(note.get("raised", [])),
                preprocessing=dict(note.get("preprocessing", {})),
            )
        except _DAMAGE as error:
            raise WeightsError(
                message("the state of the run cannot be read"),
                why=reason(error),
                remedy=message("Start again in another folder, or without --resume"),
                path=path,
            ) from error
        for key, tensor in tensors.items():
            group, _, name = key.partition("/")
            named: dict[str, Tensor] = getattr(state, group) if group in ("model", "optimizer", "ema", "random") else {}
            named[name] = tensor
        return state


def random_states(device: torch.device, rank: int) -> dict[str, Tensor]:
    """States of the generators that this process draws from."""
    states = {f"cpu.{rank}": torch.get_rng_state()}
    if device.type == "cuda":
        states[f"cuda.{rank}"] = torch.cuda.get_rng_state(device)
    return states


def restore_random(states: dict[str, Tensor], device: torch.device, rank: int) -> None:
    """Undo of :func:`random_states`; a process that was not there before keeps its fresh generator."""
    if f"cpu.{rank}" in states:
        torch.set_rng_state(states[f"cpu.{rank}"])
    if device.type == "cuda" and f"cuda.{rank}" in states:
        torch.cuda.set_rng_state(states[f"cuda.{rank}"], device)


def data_identity(train: TrainingData, val: TrainingData | None) -> dict[str, Any]:
    """What a state keeps of the data: JSON values."""
    held_out = None if val is None else val.identity()
    return {"classes": list(train.catalog.names), "train": train.identity(), "val": held_out}


def demand_same_recipe(state: RunState, recipe: Recipe, path: Path) -> None:
    """Raise AtrousError where the run at ``path`` had another recipe; the first difference is named."""
    mine, usual = recipe.to_dict(), Recipe().to_dict()
    for key in (name for name in mine if name not in _FREE):
        # A key that the state does not hold is younger than the run, which had its default.
        before = state.recipe.get(key, usual[key])
        if key == "network" and not mine[key] and before == _ONCE_USUAL:
            continue  # what an empty name stands for was written out once; with init it was not looked at
        if before != mine[key] and not (key in _FILES and _same_files(before, mine[key])):
            raise AtrousError(
                message(
                    "the run has another recipe: {key} was {before} and is {now}",
                    key=key,
                    before=repr(before),
                    now=repr(mine[key]),
                ),
                remedy=message("Resume with the recipe.toml of that run, or choose another folder"),
                path=path,
            )


def raise_length(state: RunState, steps: int, per_epoch: int, rate: Callable[[int, int], float], path: Path) -> str:
    """Compare the length of the run before and now, and note in the state where it was raised.

    Args:
        steps: optimiser steps of the whole run now.
        per_epoch: steps of an epoch.
        rate: the learning rate at a step of a run of that many steps.

    Returns:
        What was raised, in words; empty if nothing was.

    Raises:
        AtrousError: the run would become shorter.
    """
    # States of older versions do not say their length, but their recipe does.
    given, epochs = state.recipe.get("steps", 0), state.recipe.get("epochs", 0)
    before = state.steps or int(given) or max(1, math.ceil(epochs * per_epoch))
    if steps < before:
        raise AtrousError(
            message("the run has {before} steps, which can be raised but not reduced to {steps}", before=before, steps=steps),
            remedy=message("Give at least as many epochs or steps as before; Ctrl+C ends a run early"),
            path=path,
        )
    state.steps = steps
    if steps == before:
        return ""
    last = rate(min(state.step, before - 1), before)
    now = rate(state.step, steps)
    state.raised.append({"step": state.step, "from": before, "to": steps})
    return f"raised from {before} to {steps} steps; the rate goes on at {now:.3g} (it was {last:.3g}), as in a run of that length"


def demand_same_data(state: RunState, mine: dict[str, Any], path: Path) -> bool:
    """Whether the validation images are the same too; states of older versions do not say and pass.

    Args:
        mine: what :func:`data_identity` gives now.

    Raises:
        AtrousError: the run had other classes or other training images; it names the difference.
    """
    if not state.data:
        return True
    part = first_difference(state.data["classes"], mine["classes"])
    if not part and state.data["train"] != mine["train"]:
        before, now = state.data["train"]["images"], mine["train"]["images"]
        part = (
            message("it had {before} training images, now there are {now}", before=before, now=now)
            if before != now
            else message("its images had other names")
        )
    if part:
        raise AtrousError(
            message("the run was trained on other data: {difference}", difference=part),
            remedy=message("Bring the data of the run back (its recipe.toml names them), or choose another folder"),
            path=path,
        )
    return bool(state.data["val"] == mine["val"])


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Give a network the weights of a state.

    Raises:
        AtrousError: they are of another network.
    """
    target = model.state_dict()
    differing = [
        name for name in target.keys() | weights.keys()
        if name not in target or name not in weights or target[name].shape != weights[name].shape
    ]  # fmt: skip
    if differing:
        raise AtrousError(
            message(
                "the run has another network: {count} tensors differ, {tensor} among them",
                count=len(differing),
                tensor=min(differing),
            ),
            remedy=message("Resume with the recipe.toml of that run and the same checkpoint for init, or choose another folder"),
            path=path,
        )
    model.load_state_dict(dict(weights))


def _same_files(before: Any, now: Any) -> bool:
    old, new = ([value] if isinstance(value, str) else list(value) for value in (before, now))
    return len(old) == len(new) and all(
        one == other or (not Path(one).is_absolute() and Path(one).name == Path(other).name)
        for one, other in zip(old, new, strict=True)
    )


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What a run keeps on disk.

    Attributes:
        folder: of the run.
        data_note: JSON values about the data, for the card.
        data_tables: where the data is, for the folder's ``recipe.toml``, which is then enough to continue.
        feature_folder: of the features of frozen layers; None is ``folder/features``. Only with ``cache_features``.
        feature_bytes: that they may take.
        minutes_between_states: how often the state is saved.
        tensorboard: whether its events are written too.
    """

    folder: Path
    data_note: Mapping[str, Any] = field(default_factory=dict)
    data_tables: DataTables | None = None
    feature_folder: Path | None = None
    feature_bytes: int = 8 << 30
    minutes_between_states: float = 10.0
    tensorboard: bool = False

    @property
    def features(self) -> Path:
        """Folder of the features of frozen layers."""
        return self.feature_folder or self.folder / "features"


class TrainingCallback(Protocol):
    """What a run reports to; called by the leading process only."""

    def step(self, step: int, steps: int, loss: float, rate: float) -> None:
        """An optimiser step is done."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is done; ``row`` is its line of the log."""

    def note(self, text: str) -> None:
        """Something the user should read."""


class RunLog:
    """``log.csv`` and, if the package tensorboard is there and wanted, its events, in one folder."""

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self._path = folder / "log.csv"
        self._writer: Any = None
        if tensorboard and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, history: Sequence[dict[str, Any]]) -> None:
        """Write all epochs; the file is rewritten whole, so that a resumed run leaves no gap and no double row."""
        columns: dict[str, None] = {}
        for row in history:
            columns.update(dict.fromkeys(_flat(row)))
        text = io.StringIO()
        table = csv.DictWriter(text, list(columns), lineterminator="\n")
        table.writeheader()
        table.writerows(_flat(row) for row in history)
        atomic_write(self._path, text.getvalue().encode())
        if self._writer is not None and history:
            step = int(history[-1]["step"])
            for name, value in _flat(history[-1]).items():
                if isinstance(value, (int, float)) and name != "step":
                    self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Finish the events file."""
        if self._writer is not None:
            self._writer.close()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat.update({f"{name}/{key}": part for key, part in _flat(value).items()})
        else:
            flat[name] = value
    return flat
