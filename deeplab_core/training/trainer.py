"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.errors import AtrousError, message
from deeplab_core.nn import SegmentationModel
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import json_text
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.training.augment import fixed_views
from deeplab_core.training.dataset import Batch, TrainingData
from deeplab_core.training.distributed import TrainingGroup, same_everywhere, synchronise_norms
from deeplab_core.training.frozen_part import FeatureCache, FrozenPart
from deeplab_core.training.losses import LossOfNetwork, class_weights
from deeplab_core.training.network import MovingAverage, build_network, demand_enough_images, frozen_parts, parameter_groups
from deeplab_core.training.recipe import Recipe
from deeplab_core.training.schedule import poly_rate
from deeplab_core.training.state import (
    RunFiles,
    RunLog,
    RunState,
    TrainingCallback,
    data_identity,
    demand_same_data,
    demand_same_recipe,
    load_weights,
    raise_length,
    random_states,
    restore_random,
)
from deeplab_core.training.validation import Validation, validate
from deeplab_core.weights import save_model

#: Scale of fp16's loss below which an overflow is the network's, not the format's.
_LEAST_SCALE = 2.0**-14


@dataclass(slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        model_path: the finished model; None where the run was stopped before its end.
        card: its card.
        history: one row per epoch.
        step: optimiser steps done.
    """

    model_path: Path | None
    card: ModelCard | None
    history: list[dict[str, Any]]
    step: int


class Trainer:
    """Trains one network by one recipe; :meth:`run` may be called once.

    The folder of a run holds ``state.safetensors`` (to go on), ``log.csv``, ``recipe.toml``, ``best.safetensors`` (the best
    validation so far) and, at the end, ``model.safetensors``.

    Gradients are summed over processes in one all-reduce per step and divided by the pixels of the whole batch, so that any
    number of processes and accumulation rounds takes the same step as one process with one round (where batch norm sees the same
    batch).
    """

    def __init__(
        self,
        recipe: Recipe,
        train: TrainingData,
        val: TrainingData | None,
        files: RunFiles,
        group: TrainingGroup,
        callback: TrainingCallback,
        *,
        stop: IsCancelled = lambda: False,
    ) -> None:
        """Build everything; reads and writes nothing but ``recipe.init``.

        Args:
            stop: asked after every step; True saves the state and ends the run.
        """
        if recipe.micro_batch % group.world:
            raise AtrousError(
                message(
                    "{images} images of a round cannot be shared by {processes} processes",
                    images=recipe.micro_batch,
                    processes=group.world,
                ),
                remedy=message("Choose a batch that is a multiple of accumulate x processes"),
            )
        recipe.check_run(train.catalog)
        torch.manual_seed(recipe.seed)
        self.recipe, self.train, self.val, self.files, self.group = recipe, train, val, files, group
        self.callback, self._stop, self.folder = callback, stop, files.folder
        start = build_network(recipe, train.catalog, lambda how: train.some_inputs(recipe, how))
        model, self.lineage, self.preprocessing, self.start_lines = start.model, start.lineage, start.preprocessing, start.lines
        self._frozen = frozen_parts(model, recipe, start.taken)
        model.train()
        self._frozen.apply()
        demand_enough_images(model, recipe, group.world)
        same_everywhere(model, group)
        self.average = MovingAverage(model.to(group.device), recipe.ema) if recipe.ema else None
        if recipe.sync_norm:
            model = synchronise_norms(model, group)
            self._frozen = frozen_parts(model, recipe, start.taken)
        model.to(group.device)
        if recipe.channels_last:
            model.to(memory_format=torch.channels_last)
        self.model: SegmentationModel = model
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        groups = parameter_groups(model, recipe, start.taken)
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum)
            if recipe.optimizer == "sgd"
            else torch.optim.AdamW(groups, lr=recipe.rate)
        )
        self.scaler = torch.amp.GradScaler(group.device.type, enabled=recipe.precision == "fp16")
        rule = recipe.class_weighting
        weights = None
        if rule != "none":
            weights = torch.from_numpy(class_weights(train.counts.pixels, train.counts.present, rule)).to(group.device)
        self._plain_forward = LossOfNetwork(model, recipe, weights)
        self.forward: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = self._plain_forward
        if recipe.compile:
            self.forward = torch.compile(self._plain_forward)
        self.per_epoch = train.steps_per_epoch(recipe)
        self.steps = recipe.steps or max(1, math.ceil(recipe.epochs * self.per_epoch))
        self.state = RunState(
            recipe=recipe.to_dict(), data=data_identity(train, val), steps=self.steps, preprocessing=asdict(self.preprocessing)
        )
        self.features: FeatureCache | None = None
        if recipe.cache_features:
            part = FrozenPart(model, self._plain_forward.scores)
            views = len(train) * len(fixed_views(recipe))
            say = callback.note if group.leads else (lambda _text: None)
            self.features = FeatureCache(part, files.features, files.feature_bytes, views=views, say=say)
        self._saved, self._saved_step = time.monotonic(), 0
        torch.manual_seed(recipe.seed + 7919 * group.rank)  # dropout differs between processes

    # The run

    def resume(self) -> None:
        """Go on from the folder's state.

        Raises:
            WeightsError: there is none, or it is damaged.
            AtrousError: it belongs to another recipe, other classes or other images; the first difference is named.
        """
        state = RunState.read(self.state_path)
        mine = data_identity(self.train, self.val)
        demand_same_recipe(state, self.recipe, self.state_path)
        raised = raise_length(state, self.steps, self.per_epoch, self._rate, self.state_path)
        if raised and self.group.leads:
            self.callback.note(raised)
        if not demand_same_data(state, mine, self.state_path):
            # Figures on other images cannot be compared, so the best network is searched again.
            state.best = (float("-inf"), -1)
            if self.group.leads:
                self.callback.note("note: the validation images differ from those before; the best network is chosen again")
        if not state.preprocessing:  # a run of an older version took the recipe's, whatever it began with
            mean, std = self.recipe.mean, self.recipe.std
            self.preprocessing = Preprocessing(mean=mean, std=std, resize=self.recipe.resize, pad_value=mean)
            state.preprocessing = asdict(self.preprocessing)
        load_weights(self.model, state.model, self.state_path)
        if self.average is not None:
            self.average.model.load_state_dict(state.ema)
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                prefix = f"{self.names[id(parameter)]}/"
                for name, tensor in state.optimizer.items():
                    if name.startswith(prefix):
                        key = name.removeprefix(prefix)
                        place = "cpu" if key == "step" else parameter.device  # AdamW counts its steps on the CPU
                        self.optimizer.state[parameter][key] = tensor.to(place)
        if state.scaler:
            self.scaler.load_state_dict(state.scaler)
        restore_random(state.random, self.group.device, self.group.rank)
        state.recipe, state.data = self.recipe.to_dict(), mine
        self.state, self._saved_step = state, state.step

    def run(self) -> Outcome:
        """Train to the end, or until ``stop``.

        Raises:
            AtrousError: the loss, the gradient or a weight is not finite; the images of the batch are named and the last good
                state stays on disk.
        """
        if self.group.leads:
            make_folder(self.folder)
            if not self.state.step:
                for line in self.start_lines:
                    self.callback.note(line)
                note = {"lineage": self.lineage, "preprocessing": asdict(self.preprocessing)}
                atomic_write(self.folder / "start.json", (json_text(note, indent=1) + "\n").encode())
            tables = None if self.files.data_tables is None else self.files.data_tables.to_dict()
            atomic_write(self.folder / "recipe.toml", self.recipe.to_toml(tables).encode("utf-8", "surrogateescape"))
        if self.features is not None:
            self.features.open()
        log = RunLog(self.folder, tensorboard=self.files.tensorboard) if self.group.leads else None
        try:
            while self.state.step < self.steps:
                if not self._epoch(log):
                    return Outcome(None, None, self.state.history, self.state.step)
        finally:
            if log is not None:
                log.close()
        self._save_state()
        card = self.write_model(self.folder / "model.safetensors") if self.group.leads else None
        self.group.wait()
        return Outcome(self.folder / "model.safetensors", card, self.state.history, self.state.step)

    def _epoch(self, log: RunLog | None) -> bool:
        """Train to the end of the current epoch; False if the run should stop."""
        state, recipe = self.state, self.recipe
        epoch, first = divmod(state.step, self.per_epoch)
        started = time.monotonic()
        self.model.train()
        self._frozen.apply()
        batches = self.train.batches(
            recipe, epoch, preprocessing=self.preprocessing, first=first, rank=self.group.rank, world=self.group.world
        )
        last = min(self.steps, (epoch + 1) * self.per_epoch)
        while state.step < last:
            rate = self._rate(state.step, self.steps)
            now = time.monotonic()
            wants = (self._stop(), now - self._saved > 60 * self.files.minutes_between_states)
            loss, wants = self._step(batches, rate, wants)
            state.step += 1
            state.epoch_loss = (state.epoch_loss[0] + loss, state.epoch_loss[1] + 1)
            if self.group.leads:
                self.callback.step(state.step, self.steps, loss, rate)
            if any(wants) and state.step < last:
                state.seconds += time.monotonic() - started
                self._save_state()
                started = time.monotonic()
                if wants[0]:
                    return False
        state.seconds += time.monotonic() - started
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "step": state.step,
            "steps": self.steps,
            "rate": rate,
            "loss": round(state.epoch_loss[0] / max(1, state.epoch_loss[1]), 5),
            "seconds": round(state.seconds, 1),
        }
        due = recipe.validate_every and (epoch + 1) % recipe.validate_every == 0
        state.epoch_loss = (0.0, 0)
        if self.val is not None and (due or state.step >= self.steps):
            self._validate(row)
        state.history.append(row)
        if log is not None:
            log.write(state.history)
            self.callback.epoch(row)
        stopping = self._agree(self._stop()) and state.step < self.steps
        late = time.monotonic() - self._saved > 60 * self.files.minutes_between_states
        if self._agree(stopping or "val" in row or late):
            self._save_state()
        return not stopping

    def _validate(self, row: dict[str, Any]) -> None:
        assert self.val is not None
        self._demand_finite()
        found: Validation = validate(self.best_network, self.val, self.recipe, self.group, preprocessing=self.preprocessing)
        row["val"] = found.to_dict()
        if found.compared_iou > self.state.best[0]:
            self.state.best = (found.compared_iou, int(row["epoch"]))
            if self.group.leads:
                self.write_model(self.folder / "best.safetensors", figures=row["val"])

    def _step(self, batches: Iterator[Batch], rate: float, wants: tuple[bool, bool]) -> tuple[float, tuple[bool, bool]]:
        """One optimiser step; returns the mean loss over the whole batch and what the processes agreed to do."""
        recipe, device = self.recipe, self.group.device
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        figures = torch.zeros(4, device=device)
        figures[2], figures[3] = float(wants[0]), float(wants[1])
        images: list[str] = []
        for _ in range(recipe.accumulate):
            batch = next(batches)
            images += batch.names
            labels = batch.labels.to(device, non_blocking=True)
            total, weight = self._loss(batch, labels)
            # A constant keeps the gradient in range; the exact divisor is known when all rounds are summed.
            self.scaler.scale(total / labels.numel()).backward()  # type: ignore[no-untyped-call]
            figures[0] += total.detach()
            figures[1] += weight
            pixels = labels.numel()
        figures = self.group.sum(figures)
        loss = float(figures[0]) / max(float(figures[1]), 1e-9)
        if not math.isfinite(loss):
            raise self._nonsense(message("the loss is {loss}", loss=loss), images)
        norm = self._gather_gradients(pixels / max(float(figures[1]), 1e-9))
        # In fp16 gradients overflow now and then: the scaler leaves such a step out and scales less. Where that never ends, no
        # scale helps.
        bearable = self.scaler.is_enabled() and self.scaler.get_scale() > _LEAST_SCALE
        if not (bearable or math.isfinite(norm)):
            raise self._nonsense(message("the gradient has the norm {norm}", norm=norm), images)
        self._take_step()
        return loss, (bool(figures[2]), bool(figures[3]))

    def _loss(self, batch: Batch, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the loss of a round and its weight."""
        device = self.group.device
        if self.features is None:
            x = batch.input().to(device, non_blocking=True)
            if self.recipe.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            with self._autocast():
                return self.forward(x, labels)
        features = self.features.features(batch, device)
        # Only the size of the input matters any more.
        x = features[0].new_zeros(()).expand(len(batch.names), self.model.in_channels, *batch.pixels.shape[1:3])
        with self.features.part.replay(features), self._autocast():
            return self.forward(x, labels)

    def _rate(self, step: int, steps: int) -> float:
        """Base rate at a step of a run of so many steps."""
        return self.recipe.rate * poly_rate(step, steps, power=self.recipe.power, warmup=self.recipe.warmup)

    def _nonsense(self, what: str, images: list[str]) -> AtrousError:
        """The error that ends a run before a step that would spoil it; names the images of all processes."""
        if self.group.world > 1:
            shares: list[list[str]] = [[] for _ in range(self.group.world)]
            dist.all_gather_object(shares, images)
            images = [name for share in shares for name in share]
        remedy = message("Look at these images and masks; else lower the rate, set clip, or use fp32")
        if self.state.step and self._saved_step == self.state.step:
            remedy = message(
                "The state on disk leads here again, so start again in another folder: lower the rate, set clip, or use fp32"
            )
        return AtrousError(
            message(
                "{what} at step {step}; training stopped before the network was spoiled", what=what, step=self.state.step + 1
            ),
            why=message("Batch of {images}", images=", ".join(images)),
            remedy=remedy,
        )

    def _gather_gradients(self, factor: float) -> float:
        """Sum gradients over processes, scale them to the mean over the batch's pixels, clip; returns their norm before that."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.group.world > 1:
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            dist.all_reduce(flat)
            for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view(gradient.shape))
        self.scaler.unscale_(self.optimizer)
        torch._foreach_mul_(gradients, factor)
        # Without a bound the norm is only looked at: the gradients stay as they are, bit for bit.
        norm = nn.utils.get_total_norm(gradients)
        if self.recipe.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.recipe.clip, norm)
        return float(norm)

    def _take_step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model, self.state.step)

    def _agree(self, wants: bool) -> bool:
        """Whether any process wants it."""
        return bool(self.group.sum(torch.tensor(float(wants), device=self.group.device)))

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        kind = kinds.get(self.recipe.precision)
        with torch.autocast(self.group.device.type, dtype=kind, enabled=kind is not None):
            yield

    # What is kept

    @property
    def state_path(self) -> Path:
        """Where the state lies."""
        return self.folder / "state.safetensors"

    @property
    def best_network(self) -> SegmentationModel:
        """The moving average if there is one, else the network itself."""
        return self.model if self.average is None else self.average.model

    def _demand_finite(self) -> None:
        """To be called by all processes before weights are written.

        Raises:
            AtrousError: a weight or statistic is not finite, or so large that its square is not.
        """
        gathered = [("", self.model), *([] if self.average is None else [("moving average: ", self.average.model)])]
        spoiled = [
            f"{prefix}{name}"
            for prefix, model in gathered
            for name, tensor in model.state_dict().items()
            if tensor.is_floating_point() and not bool(torch.isfinite(torch.linalg.vector_norm(tensor.float())))
        ]
        if self._agree(bool(spoiled)):
            raise AtrousError(
                message("the network is spoiled after step {step}, so it is not written", step=self.state.step),
                why=message("Not finite: {spoiled}", spoiled=", ".join(spoiled[:3]))
                if spoiled
                else message("Another process found values that are not finite"),
                remedy=message("Lower the rate, set clip, or use fp32; an older state in the folder is as it was"),
                path=self.folder,
            )

    def _save_state(self) -> None:
        """Collect every process's generator and write, in the leading process.

        Raises:
            AtrousError: the weights are not finite.
        """
        self._demand_finite()
        state, group = self.state, self.group
        mine = random_states(group.device, group.rank)
        gathered: list[dict[str, Tensor]] = [mine]
        if group.world > 1:
            gathered = [{} for _ in range(group.world)]
            dist.all_gather_object(gathered, mine)
        if group.leads:
            state.model = dict(self.model.state_dict())
            state.ema = {} if self.average is None else dict(self.average.model.state_dict())
            state.optimizer = {
                f"{self.names[id(parameter)]}/{key}": tensor
                for parameter, kept in self.optimizer.state.items()
                for key, tensor in kept.items()
                if isinstance(tensor, Tensor)
            }
            state.random = {name: tensor for states in gathered for name, tensor in states.items()}
            state.scaler = dict(self.scaler.state_dict())
            state.write(self.state_path)
        group.wait()
        self._saved, self._saved_step = time.monotonic(), state.step

    def write_model(self, path: Path, figures: dict[str, Any] | None = None) -> ModelCard:
        """Write the network (the moving average if there is one) with its card."""
        recipe, built = self.recipe, self.model.architecture
        last = next((row["val"] for row in reversed(self.state.history) if "val" in row), None)
        training = {
            # A card travels: it records the file that the weights came from, not its folder.
            "recipe": recipe.to_dict()
            | {"init": Path(recipe.init).name, "average_with": [Path(name).name for name in recipe.average_with]},
            "lineage": self.lineage,
            "data": {**self.files.data_note, "images": len(self.train), "validation_images": len(self.val) if self.val else 0},
            "steps": self.state.step,
            "minutes": round(self.state.seconds / 60, 1),
            "validation": figures or last,
        }
        card = ModelCard(
            id="",
            name=recipe.name or f"{built['name']} {built['backbone']}, {self.train.catalog.title}",
            architecture=self.model.architecture,
            catalog=self.train.catalog,
            preprocessing=self.preprocessing,
            align_corners=self.model.align_corners,
            output_stride=self.model.output_stride,
            source="trained with atrous train",
            licence=recipe.licence,
            summary=recipe.summary,
            extra={"training": training},
        )
        return save_model(path, self.best_network, replace(card), half=recipe.half)
