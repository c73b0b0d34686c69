"""The state of a run on disk: enough to go on exactly, nothing that could run code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.reading import VALUE_ERRORS, parse_json, reason

_NOTE = "atrous_training"
_VERSION = 1
_MOST_BYTES = 256 << 20
_DAMAGE: tuple[type[Exception], ...] = (AtrousError, OSError, SafetensorError, *VALUE_ERRORS)


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
