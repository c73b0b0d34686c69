"""Whether a run may go on from a state: with the same recipe, the same classes, the same images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deeplab_core.errors import AtrousError, message
from deeplab_core.training.dataset import SegmentationDataset
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.state import RunState
from deeplab_core.training.tables import first_difference

#: Values of a recipe that may change between a run and its continuation.
_FREE = {"name", "summary", "licence", "validate_every", "half", "compile", "epochs", "steps"}
#: Values that name files: older runs kept them as they were typed, today's are absolute.
_FILES = {"init", "average_with"}

_ONCE_USUAL = "deeplabv3plus"


def data_identity(train: SegmentationDataset, val: SegmentationDataset | None) -> dict[str, Any]:
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
