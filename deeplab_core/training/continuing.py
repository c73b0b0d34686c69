"""Whether a run may go on from a state: with the same recipe, the same classes, the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeplab_core.errors import AtrousError
from deeplab_core.training.dataset import SegmentationDataset
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.state import RunState
from deeplab_core.training.tables import first_difference

#: Values of a recipe that may change between a run and its continuation.
_FREE = {"name", "summary", "licence", "validate_every", "half", "compile"}
#: Values that name files: older runs kept them as they were typed, today's are absolute.
_FILES = {"init", "average_with"}


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
        if before != mine[key] and not (key in _FILES and _same_files(before, mine[key])):
            raise AtrousError(
                f"the run has another recipe: {key} was {before!r} and is {mine[key]!r}",
                remedy="Resume with the recipe.toml of that run, or choose another folder",
                path=path,
            )


def demand_same_data(state: RunState, mine: dict[str, Any], path: Path) -> bool:
    """Whether the validation images are the same too; states of older versions do not say and pass.

    Args:
        mine: what :func:`data_identity` gives now.

    Raises:
        AtrousError: the run had other classes or other training images; says what differs.
    """
    if not state.data:
        return True
    part = first_difference(state.data["classes"], mine["classes"])
    if not part and state.data["train"] != mine["train"]:
        before, now = state.data["train"]["images"], mine["train"]["images"]
        part = f"it had {before} training images, now there are {now}" if before != now else "its images had other names"
    if part:
        raise AtrousError(
            f"the run was trained on other data: {part}",
            remedy="Bring the data of the run back (its recipe.toml names them), or choose another folder",
            path=path,
        )
    return bool(state.data["val"] == mine["val"])


def _same_files(before: Any, now: Any) -> bool:
    old, new = ([value] if isinstance(value, str) else list(value) for value in (before, now))
    return len(old) == len(new) and all(
        one == other or (not Path(one).is_absolute() and Path(one).name == Path(other).name)
        for one, other in zip(old, new, strict=True)
    )
