"""What a run of the click network is made of: read from TOML, see docs/models/clicks/*.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from deeplab_core.reading import read_toml

_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPlan:
    """Labelled images of one kind.

    Attributes:
        images, masks: folders; a mask has the stem of its image. Stored values are ids.
        ignore: void.
        background: class whose components are no objects; -1 for none.
        model: checkpoint whose masks are corrected; empty: the truth is spoiled instead.
        share: of the crops, relative to the other sets.
        every: every n-th image only, by name.
        skip: files with one stem on each line: images that must not be learned from.
    """

    images: str
    masks: str
    ignore: int = 255
    background: int = -1
    model: str = ""
    share: float = 1.0
    every: int = 1
    skip: list[str] = field(default_factory=list)

    def pairs(self) -> list[tuple[Path, Path]]:
        """Image and mask of each image of the set, by name."""
        skipped = {stem for path in self.skip for stem in Path(path).read_text(encoding="utf-8").split()}
        found = []
        for image in sorted(Path(self.images).iterdir()):
            mask = Path(self.masks) / f"{image.stem}.png"
            if image.suffix.lower() in _SUFFIXES and mask.is_file() and image.stem not in skipped:
                found.append((image, mask))
        return found[:: self.every]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickRecipe:
    """How the head learns.

    Attributes:
        encoder: checkpoint whose encoder is taken, and stays as it is.
        sets: labelled images.
        steps, batch: optimiser steps, and tasks in each.
        side: of a crop, px; 16 k + 1.
        fresh: crops that are encoded anew in each step.
        pool: encoded crops that tasks are drawn from; the oldest leave.
        rate, weight_decay: of AdamW; the rate falls as a half cosine after a warm-up of ``warmup`` steps.
        objects: share of tasks that begin with an empty mask.
        rounds: most clicks that are added by the network's own errors before a step.
        clip: largest norm of the gradient.
        average: decay of the moving average of the weights, which is what is saved.
        bf16: compute the head in bfloat16 (autocast): 1.7 times as fast on processors that have it.
        seed: of everything random.
    """

    encoder: str
    sets: tuple[SetPlan, ...]
    steps: int = 3000
    batch: int = 12
    side: int = 289
    fresh: int = 3
    pool: int = 96
    rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 50
    objects: float = 0.25
    rounds: int = 2
    clip: float = 5.0
    average: float = 0.995
    bf16: bool = True
    seed: int = 0

    @classmethod
    def read(cls, path: Path, **changes: Any) -> Self:
        """From a file.

        Raises:
            AtrousError: unreadable TOML.
            SystemExit: an unknown or missing value; it names it.
        """
        values: Mapping[str, Any] = {**read_toml(path), **changes}
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise SystemExit(f"{path}: unknown {', '.join(unknown)}")
        try:
            return cls(**{**values, "sets": tuple(SetPlan(**plan) for plan in values["sets"])})
        except (KeyError, TypeError) as error:
            raise SystemExit(f"{path}: {error}") from error

    def record(self) -> dict[str, Any]:
        """As JSON values, for the run's state."""
        return {**asdict(self), "sets": [asdict(plan) for plan in self.sets]}
