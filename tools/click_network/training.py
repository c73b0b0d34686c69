"""The run: crops are encoded once and used for several tasks. A step is determined by its number, so a run resumes exactly."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from deeplab_core.atomic import atomic_write
from deeplab_core.nn.base import Encoder
from deeplab_core.reading import parse_json
from deeplab_core.regions import Regions
from tools.click_network.data import Crop, Sources
from tools.click_network.loss import normalised_focal_loss
from tools.click_network.network import ClickHead, disks
from tools.click_network.recipe import ClickRecipe
from tools.click_network.simulate import Task, correction_task, errors_of, next_click, object_task, objects_of, spoiled

_NOTE = "click_network"
#: Streams of random numbers, so that a crop or a task depends on its own number only.
_CROPS, _TASKS = 1, 2
#: Share of crops with a network's mask whose mask is spoiled truth all the same.
_SPOILED = 0.25


@dataclass(eq=False)
class Encoded:
    """A crop with its features, five (C, h, w) float16, the labels to correct, and what there is to click on."""

    crop: Crop
    levels: list[Tensor]
    labels: NDArray[np.uint8]
    objects: Regions
    errors: Regions


def encode(encoder: Encoder, rgb: NDArray[np.uint8]) -> list[Tensor]:
    """Features of an (H, W, 3) image, as Google's network takes it."""
    x = torch.from_numpy(rgb.transpose(2, 0, 1).astype(np.float32))[None] / 127.5 - 1
    with torch.no_grad():
        return [level[0].half() for level in encoder(x.contiguous(memory_format=torch.channels_last))]


def maps_of(tasks: Sequence[Task]) -> Tensor:
    """(N, 3, H, W) disks and mask so far."""
    height, width = tasks[0].target.shape
    room = max(len(task.points) for task in tasks)
    rows = np.full((len(tasks), 2, room, 3), -1, np.float32)
    for number, task in enumerate(tasks):
        for order, (y, x, positive) in enumerate(task.points):
            rows[number, int(not positive), order] = y, x, order
    drawn = disks(torch.from_numpy(rows.reshape(len(tasks), -1, 3)), height, width)
    masks = torch.from_numpy(np.stack([task.mask for task in tasks]))[:, None]
    return torch.cat([drawn, masks], dim=1)


class Run:
    """A run that goes on step by step.

    Args:
        recipe: see there.
        encoder: in eval mode, not trained.
        sources: of crops.
        head: to go on from, or a new one.
    """

    def __init__(self, recipe: ClickRecipe, encoder: Encoder, sources: Sources, head: ClickHead | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.encoder, self.sources = recipe, encoder, sources
        self.head = (head or ClickHead()).to(memory_format=torch.channels_last)
        self.average = {name: value.detach().clone() for name, value in self.head.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.head.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
        self.step = 0
        self.seconds = 0.0
        self._pool: dict[int, Encoded] = {}

    def _encoded(self, number: int) -> Encoded:
        drawn = np.random.default_rng([self.recipe.seed, _CROPS, number])
        crop = self.sources.draw(self.recipe.side, drawn)
        labels = crop.labels
        if labels is None or drawn.random() < _SPOILED:
            labels = spoiled(crop.truth, crop.ignore, drawn)
        objects = objects_of(crop.truth, crop.ignore, crop.background)
        return Encoded(crop, encode(self.encoder, crop.rgb), labels, objects, errors_of(crop.truth, labels, crop.ignore))

    def _crops(self) -> list[Encoded]:
        """The pool at this step: crop numbers up to ``(step + 1) * fresh``, the newest ``pool`` of them."""
        end = self.recipe.pool + (self.step + 1) * self.recipe.fresh
        wanted = range(end - self.recipe.pool, end)
        self._pool = {number: self._pool.get(number) or self._encoded(number) for number in wanted}
        return list(self._pool.values())

    def _tasks(self, drawn: np.random.Generator) -> tuple[list[Task], list[Tensor]]:
        crops = self._crops()
        tasks: list[Task] = []
        chosen: list[Encoded] = []
        while len(tasks) < self.recipe.batch:
            one = crops[int(drawn.integers(len(crops)))]
            crop = one.crop
            task = (
                object_task(crop.truth, crop.ignore, one.objects, drawn)
                if drawn.random() < self.recipe.objects
                else correction_task(crop.truth, one.labels, crop.ignore, one.errors, drawn, crop.background)
            )
            if task is not None:
                tasks.append(task)
                chosen.append(one)
        levels = [torch.stack(parts).float() for parts in zip(*(one.levels for one in chosen), strict=True)]
        return tasks, [level.contiguous(memory_format=torch.channels_last) for level in levels]

    def _more_clicks(self, tasks: list[Task], levels: Sequence[Tensor], drawn: np.random.Generator) -> None:
        """Clicks where the network is wrong, as often as is drawn for each task; its answers become the mask so far."""
        rounds = [self._rounds(task, drawn) for task in tasks]
        self.head.eval()
        for done in range(max(rounds)):
            rows = [number for number, count in enumerate(rounds) if count > done]
            with torch.no_grad(), self._precision():
                logits = self.head([level[rows] for level in levels], maps_of([tasks[row] for row in rows]))
            answer = torch.sigmoid(logits.float())
            for row, probability in zip(rows, answer[:, 0].numpy(), strict=True):
                task = tasks[row]
                click = next_click(probability, task.target, task.weight > 0, drawn)
                if click is not None:
                    task.points.append(click)
                    task.mask = probability

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.recipe.bf16 else nullcontext()

    def _rounds(self, task: Task, drawn: np.random.Generator) -> int:
        """Objects are clicked more often than corrections, which are mostly asked for by one click."""
        if not task.mask.any():
            return int(drawn.integers(0, self.recipe.rounds + 1))
        return int(drawn.integers(1, self.recipe.rounds + 1)) if drawn.random() < 0.2 and self.recipe.rounds else 0

    def rate(self) -> float:
        """Of this step."""
        recipe = self.recipe
        warm = min((self.step + 1) / max(recipe.warmup, 1), 1.0)
        return recipe.rate * warm * max(0.5 * (1 + float(np.cos(np.pi * min(self.step / recipe.steps, 1.0)))), 0.01)

    def advance(self) -> dict[str, float]:
        """One step; loss, and mean IoU of what the answers change with what they should, around the clicks."""
        start = time.process_time()
        drawn = np.random.default_rng([self.recipe.seed, _TASKS, self.step])
        tasks, levels = self._tasks(drawn)
        begun = torch.from_numpy(np.stack([task.mask > 0.5 for task in tasks]))[:, None]
        self._more_clicks(tasks, levels, drawn)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.head.train()
        with self._precision():
            logits = self.head(levels, maps_of(tasks)).float()
        target, weight = (
            torch.from_numpy(np.stack([getattr(task, name) for task in tasks]).astype(np.float32))[:, None]
            for name in ("target", "weight")
        )
        loss = normalised_focal_loss(logits, target, weight)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.head.parameters(), self.recipe.clip)
        self.optimizer.step()
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.head.state_dict().items():
                if value.dtype.is_floating_point:
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)
            changed, wanted = ((other != begun) & (weight >= 1) for other in (logits > 0, target > 0))
            union = (changed | wanted).sum(dim=(1, 2, 3)).clamp(min=1)
            iou = ((changed & wanted).sum(dim=(1, 2, 3)) / union).mean()
        self.step += 1
        self.seconds += time.process_time() - start
        return {"step": self.step, "loss": float(loss.detach()), "iou": float(iou), "seconds": self.seconds}

    def save(self, path: Path) -> None:
        """All that the next step depends on, in one file that replaces the old one when it is whole."""
        tensors: dict[str, Tensor] = {f"head/{name}": value for name, value in self.head.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for name, parameter in self.head.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{name}/{key}"] = value
        note = {"step": self.step, "seconds": self.seconds, "recipe": self.recipe.record(), "images": self._images()}
        data = save({name: value.contiguous() for name, value in tensors.items()}, {_NOTE: json.dumps(note)})
        atomic_write(path, data)

    def _images(self) -> list[int]:
        return [len(images) for images in self.sources.sets]

    def load(self, path: Path) -> None:
        """Go on where a run of the same recipe and images stopped; the number of steps may be another one.

        Raises:
            SystemExit: another recipe or other images; it says what differs.
        """
        tensors, note = read_state(path)
        own = {"recipe": self.recipe.record(), "images": self._images()}
        note["recipe"]["steps"] = self.recipe.steps
        for name, value in own.items():
            if note[name] != value:
                raise SystemExit(f"{path} is of another run: {name} differs\nthere {note[name]}\nhere {value}")
        self.head.load_state_dict(_part(tensors, "head/"))
        self.average = _part(tensors, "average/")
        for name, parameter in self.head.named_parameters():
            kept = _part(tensors, f"optimizer/{name}/")
            if kept:
                self.optimizer.state[parameter] = {key: value.clone() for key, value in kept.items()}
        self.step, self.seconds = int(note["step"]), float(note["seconds"])


def _part(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and note of :meth:`Run.save`."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, parse_json(file.metadata()[_NOTE])  # noqa: SIM118


def save_head(head: ClickHead, path: Path) -> None:
    """The head alone in half precision: no weight of the encoder is in the file. :func:`averaged_head` reads it."""
    tensors = {
        f"average/{name}": value.half() if value.is_floating_point() else value for name, value in head.state_dict().items()
    }  # fmt: skip
    atomic_write(path, save(tensors, {_NOTE: json.dumps({"head": "tools.click_network.network.ClickHead"})}))


def averaged_head(path: Path) -> ClickHead:
    """The head that a run has come to, or that :func:`save_head` wrote, in eval mode."""
    head = ClickHead()
    head.load_state_dict(_part(read_state(path)[0], "average/"))
    return head.eval()


def train(run: Run, out: Path, *, every: float = 300.0, until: float | None = None) -> Iterator[dict[str, float]]:
    """Step to the recipe's end, or to ``until`` seconds of CPU.

    The state is saved after every ``every`` seconds of time and at the end; the means of 20 steps are logged and given.
    """
    out.mkdir(parents=True, exist_ok=True)
    state, log = out / "state.safetensors", out / "log.csv"
    saved = time.monotonic()
    rows: list[dict[str, float]] = []
    while run.step < run.recipe.steps and (until is None or run.seconds < until):
        rows.append(run.advance())
        if len(rows) == 20:
            mean = {name: float(np.mean([row[name] for row in rows])) for name in ("loss", "iou")}
            mean = {"step": run.step, **mean, "rate": run.rate(), "seconds": run.seconds}
            _log(log, mean)
            rows.clear()
            yield mean
        if time.monotonic() - saved > every:
            run.save(state)
            saved = time.monotonic()
    run.save(state)


def _log(path: Path, row: Mapping[str, float]) -> None:
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(row)
        writer.writerow([f"{value:.5g}" if isinstance(value, float) else value for value in row.values()])
