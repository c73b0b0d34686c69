"""The training loop over kept features: a few hundred views, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.nn import class_logits
from deeplab_core.training.adaptation.examples import Drawn, TrainingExample
from deeplab_core.training.adaptation.frozen_split import FrozenSplit
from deeplab_core.training.adaptation.views import View
from deeplab_core.training.adaptation.windows import LearningWindows
from deeplab_core.training.schedule import poly_rate

#: How much faster the rows of classes learn that the network did not have or never predicted.
_FAST_RATE = 10.0

T = TypeVar("T")
State = list[Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long, how fast and how freely a network is trained.

    Attributes:
        steps: optimiser steps.
        rate: Adam's.
        corrected, untouched: views of a step.
        points: pixels that are drawn from a view.
        emphasis: how many predicted pixels one pixel of the user outweighs.
        least: smallest share of the user's pixels among those drawn from a corrected image.
        floor: least share of a class among the pixels that are drawn from an image that holds it.
        power: of a class's number of pixels in an image, in proportion to which the user's pixels are drawn; see
            :meth:`PixelPool.draw`.
        pull: weight of the squared distance from the start (L2-SP, Li et al. 2018).
        windows: parts of a view's grid that a decoder runs over, around pixels drawn like those that are learned from; 0 for the
            whole grid.
        side: of a window, in grid points.
    """

    steps: int = 100
    rate: float = 1.5e-3
    corrected: int = 2
    untouched: int = 1
    points: int = 2048
    emphasis: float = 3.0
    least: float = 0.1
    floor: float = 0.05
    power: float = 0.5
    pull: float = 0.03
    windows: int = 0
    side: int = 20


class AdaptationTrainer:
    """Trains the trainable part, and can put any blend of before and after into it.

    Args:
        split: the network; its trainable part is changed in place.
        members: (L, C) bool, see :meth:`ClassPlan.members`.
        parents: (C,) int64, see :func:`replay_loss`.
        fast: channels that have everything to learn: the network did not have them, or never predicted them.
    """

    def __init__(self, split: FrozenSplit, members: Tensor, parents: Tensor, fast: Sequence[int], device: torch.device) -> None:
        self._split, self._device = split, device
        self._members, self._parents = members.to(device), parents.to(device)
        self._parameters: list[nn.Parameter] = split.parameters()
        self._fast = list(fast)
        self._class_rows = split.class_rows()
        self._start = self.state()

    def state(self) -> State:
        """The trainable part as it is now."""
        return [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def put(self, state: State | None = None, blend: float = 1.0) -> None:
        """Set the trainable part to ``start + blend * (state - start)``, or to the start.

        A blend of before and after keeps what either knows (Wortsman et al. 2022).
        """
        for parameter, start, learned in zip(self._parameters, self._start, state or self._start, strict=True):
            parameter.copy_(torch.lerp(start, learned, blend))

    def learn(
        self,
        corrected: Sequence[TrainingExample],
        untouched: Sequence[TrainingExample],
        schedule: Schedule,
        seed: int,
        monitor: ProgressMonitor,
        span: tuple[float, float],
    ) -> State:
        """Train from the start; returns the trainable part, which is left like that.

        Args:
            corrected: at least one.
            span: fractions of the progress at begin and end.

        Raises:
            Cancelled: asked between two views.
        """
        self.put()
        still = self._without_a_teacher(corrected)
        random = np.random.Generator(np.random.PCG64([seed, len(corrected), len(untouched)]))
        optimizer = torch.optim.Adam(self._parameters, lr=schedule.rate)
        taught, replayed = _Shuffled(corrected, random), _Shuffled(untouched, random)
        for step in range(schedule.steps):
            monitor.step(span[0] + (span[1] - span[0]) * step / schedule.steps, 0.0, "learning")
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate * poly_rate(step, schedule.steps, warmup=min(5, schedule.steps))
            optimizer.zero_grad(set_to_none=True)
            drawn = [taught.draw() for _ in range(schedule.corrected)]
            if untouched:
                drawn += [replayed.draw() for _ in range(schedule.untouched)]
            for example in drawn:
                monitor.check()
                self._backward(example, example.views[int(random.integers(len(example.views)))], schedule, random, len(drawn))
            self._pull(schedule.pull)
            self._hold(still)
            before = [parameter.detach()[self._fast_rows(parameter)].clone() for parameter in self._class_rows]
            optimizer.step()
            self._speed_up(before)
        return self.state()

    def _backward(
        self, example: TrainingExample, view: View, schedule: Schedule, random: np.random.Generator, views: int
    ) -> None:
        share = example.taught_share(schedule.emphasis, schedule.least)
        number = round(schedule.points * share)
        windows = self._windows(example, view, schedule, share, random)
        parts: list[tuple[Drawn, bool]] = []
        for pool, wanted, by_user in ((example.taught, number, True), (example.replayed, schedule.points - number, False)):
            if pool is None or not wanted:
                continue
            there = pool if windows is None else pool.within(partial(_inside, windows, view))
            if there.pixels:
                power = schedule.power if by_user else 1.0
                parts.append((there.draw(wanted, random, floor=schedule.floor, power=power), by_user))
        if not parts:
            return
        encoded = view.encoded
        features = encoded.tensors(self._device)
        if windows is None:
            logits = class_logits(self._split.logits(features, encoded.frame.canvas))[0].float()
        else:
            logits = class_logits(self._split.window_logits(features, encoded.frame.canvas, windows.windows)).float()
        total = logits.new_zeros(())
        for (indices, places), by_user in parts:
            read = view.taps(indices).read(logits) if windows is None else windows.read(logits, view, indices)
            if by_user:
                loss = taught_loss(read, self._members, torch.from_numpy(places).to(self._device))
            else:
                old = torch.from_numpy(view.old_scores.values).to(self._device).float().permute(2, 0, 1)
                loss = replay_loss(read, view.taps(indices).read(old), self._parents)
            total = total + loss * (len(indices) / schedule.points / views)
        total.backward()  # type: ignore[no-untyped-call]

    def _windows(
        self, example: TrainingExample, view: View, schedule: Schedule, share: float, random: np.random.Generator
    ) -> LearningWindows | None:
        """Windows around pixels of the user, of each class as often, and around others, as often as either kind is drawn."""
        margin = self._split.window_margin
        if margin is None or not schedule.windows:
            return None
        by_user = min(schedule.windows, max(1, round(schedule.windows * share))) if share else 0
        centres: list[int] = []
        others = schedule.windows - by_user
        for pool, number, floor in ((example.taught, by_user, 1.0), (example.replayed, others, schedule.floor)):
            if pool is not None and number and pool.pixels:
                centres += pool.draw(number, random, floor=floor)[0].tolist()
        return LearningWindows.around(view, centres, schedule.side, margin, random) if centres else None

    def _without_a_teacher(self, corrected: Sequence[TrainingExample]) -> Tensor:
        """(C,) bool: channels without a pixel of the user."""
        shown = torch.zeros(self._members.shape[0], dtype=torch.bool, device=self._members.device)
        for example in corrected:
            shown[list(example.taught.groups if example.taught is not None else ())] = True
        return ~self._members[shown].any(0)

    def _hold(self, still: Tensor) -> None:
        """Classes without examples keep their rows of the classifier: they would only be learned away.

        The one row of a two-class network belongs to both its classes, so it learns as soon as one of them was shown.
        """
        for parameter in self._class_rows:
            if parameter.grad is not None:
                rows = still.all(0, keepdim=True) if len(parameter) == 1 else still
                parameter.grad[rows] = 0

    @torch.no_grad()
    def _speed_up(self, before: State) -> None:
        """These classes have everything to learn: their rows move :data:`_FAST_RATE` times as far as the optimiser's step."""
        for parameter, start in zip(self._class_rows, before, strict=True):
            rows = self._fast_rows(parameter)
            parameter[rows] = start + _FAST_RATE * (parameter[rows] - start)

    def _fast_rows(self, parameter: nn.Parameter) -> list[int]:
        """Rows of the fast classes; the one row of a two-class network belongs to both its classes."""
        return [0] if self._fast and len(parameter) == 1 else self._fast

    @torch.no_grad()
    def _pull(self, weight: float) -> None:
        """Add the gradient of ``weight * |p - start|^2``."""
        for parameter, start in zip(self._parameters, self._start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=2 * weight)


def _inside(windows: LearningWindows, view: View, flat: NDArray[Any]) -> NDArray[np.bool_]:
    return windows.of_pixels(flat, view.encoded.frame.image[1]) >= 0


class _Shuffled(Generic[T]):
    """Draws items in random order, each once before any comes again."""

    def __init__(self, items: Sequence[T], random: np.random.Generator) -> None:
        self._items, self._random = items, random
        self._order: list[int] = []

    def draw(self) -> T:
        if not self._order:
            self._order = self._random.permutation(len(self._items)).tolist()
        return self._items[self._order.pop()]


def taught_loss(logits: Tensor, members: Tensor, places: Tensor) -> Tensor:
    """Mean cross entropy where a class of the labels may be several channels: the sum of their probabilities counts.

    Args:
        logits: (P, C).
        members: (L, C) bool, which channels stand for each class of the labels; at least one for every class in ``places``.
        places: (P,) int64 classes.
    """
    logs = torch.log_softmax(logits, dim=1)
    meant = logs.masked_fill(~members[places], float("-inf"))
    return -torch.logsumexp(meant, dim=1).mean()


def replay_loss(logits: Tensor, teacher: Tensor, parents: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence from the old model's prediction (Hinton et al. 2015, at temperature 1).

    A new class may count as another one here: where the old model predicted background, a new class is allowed (the
    distillation of Cermelli et al. 2020). A predicted chair stays a chair.

    Args:
        logits: (P, C) of the network in training.
        teacher: (P, C) logits of the network before learning, new classes already among them.
        parents: (C,) int64, the channel that each channel counts as; itself for most.
    """
    learning, old = (_merged(torch.log_softmax(values, dim=1), parents) for values in (logits, teacher))
    return (old.exp() * (old - learning)).sum(1).mean()


def _merged(logs: Tensor, parents: Tensor) -> Tensor:
    """(P, K) log probabilities in which children are added to their parents."""
    children = [channel for channel, parent in enumerate(parents.tolist()) if parent != channel]
    if not children:
        return logs
    joined = list(logs.unbind(1))
    for channel in children:
        parent = int(parents[channel])
        joined[parent] = torch.logaddexp(joined[parent], joined[channel])
    return torch.stack([column for channel, column in enumerate(joined) if channel not in children], 1)
