"""The training loop over kept features: a few hundred views, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from deeplab_core.inference.watch import Watch
from deeplab_core.training.adaptation.halves import Halves
from deeplab_core.training.adaptation.lessons import Lesson, PixelPool
from deeplab_core.training.adaptation.losses import replay_loss, taught_loss
from deeplab_core.training.adaptation.views import View
from deeplab_core.training.schedule import poly_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, and how freely, a network learns.

    Attributes:
        steps: optimiser steps.
        rate: AdamW's.
        views: corrected views of a step.
        untouched: views of images nobody has corrected of a step.
        points: pixels that are drawn from a view, for each of the two losses.
        replay: weight of the old model's predictions against the person's pixels.
        decay: weight decay.
    """

    steps: int = 60
    rate: float = 1e-3
    views: int = 4
    untouched: int = 2
    points: int = 2048
    replay: float = 1.0
    decay: float = 1e-4


class Learner:
    """Trains the learning half, and can put any blend of before and after into it.

    Args:
        halves: the divided network; its learning half is changed in place.
        members: (L, C) bool, see :meth:`ClassPlan.members`.
        parents: (C,) int64, see :func:`replay_loss`.
    """

    def __init__(self, halves: Halves, members: Tensor, parents: Tensor, device: torch.device) -> None:
        self._halves, self._device = halves, device
        self._members, self._parents = members.to(device), parents.to(device)
        self._parameters: list[nn.Parameter] = halves.parameters()
        self._start = [parameter.detach().clone() for parameter in self._parameters]

    def reset(self) -> None:
        """Forget everything that was learned."""
        self.put(self._start)

    def state(self) -> list[Tensor]:
        """The learning half as it is now."""
        return [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def put(self, state: Sequence[Tensor], blend: float = 1.0) -> None:
        """Set the learning half to ``start + blend * (state - start)`` (Wortsman et al. 2022: robust fine-tuning by weights)."""
        for parameter, start, learned in zip(self._parameters, self._start, state, strict=True):
            parameter.copy_(torch.lerp(start, learned, blend))

    def learn(
        self,
        corrected: Sequence[Lesson],
        untouched: Sequence[Lesson],
        pace: Pace,
        seed: int,
        watch: Watch,
        span: tuple[float, float],
        stops: Sequence[int] = (),
    ) -> list[list[Tensor]]:
        """Learn from lessons, from where the learning half stands.

        Args:
            span: fractions of the progress at begin and end.
            stops: steps after which the state is kept.

        Returns:
            The states at ``stops``.

        Raises:
            Cancelled: asked between two views.
        """
        random = np.random.Generator(np.random.PCG64([seed, len(corrected)]))
        optimizer = torch.optim.AdamW(self._parameters, lr=pace.rate, weight_decay=pace.decay)
        kept = []
        taught, replayed = _Deck(corrected, random), _Deck([*untouched], random)
        for step in range(pace.steps):
            watch.step(span[0] + (span[1] - span[0]) * step / pace.steps, 0.0, "learning")
            for group in optimizer.param_groups:
                group["lr"] = pace.rate * poly_rate(step, pace.steps, warmup=min(5, pace.steps))
            optimizer.zero_grad(set_to_none=True)
            drawn = [taught.draw() for _ in range(pace.views)]
            more = [replayed.draw() for _ in range(pace.untouched)] if untouched else []
            weights = np.array([_importance(lesson) for lesson, _ in drawn])
            for (lesson, view), share in zip(drawn, weights / weights.sum(), strict=True):
                watch.check()
                self._backward(lesson, view, pace, random, float(share), 0.5 / pace.views if more else 1 / pace.views)
            for lesson, view in more:
                watch.check()
                self._backward(lesson, view, pace, random, 0.0, 0.5 / len(more))
            optimizer.step()
            if step + 1 in stops:
                kept.append(self.state())
        return kept

    def _backward(
        self, lesson: Lesson, view: View, pace: Pace, random: np.random.Generator, share: float, replay_share: float
    ) -> None:
        logits = self._halves.logits(view.tensors(self._device), view.frame.canvas)[0].float()
        loss = logits.new_zeros(())
        if lesson.taught is not None and lesson.taught.pixels:
            indices, places = lesson.taught.draw(pace.points, random)
            points = view.taps(indices).read(logits)
            loss = loss + share * taught_loss(points, self._members, torch.from_numpy(places).to(self._device))
        if lesson.replayed.pixels and pace.replay:
            indices, _ = lesson.replayed.draw(pace.points, random)
            taps = view.taps(indices)
            said = torch.from_numpy(view.said.values).to(self._device).float().permute(2, 0, 1)
            loss = loss + pace.replay * replay_share * replay_loss(taps.read(logits), taps.read(said), self._parents)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]


def _importance(lesson: Lesson) -> float:
    """Weight of an image's corrections: a dab must not count as much as a whole mask."""
    return float(np.sqrt(lesson.taught.pixels)) if lesson.taught is not None else 0.0


class _Deck:
    """Draws lessons in random order, each once before any comes again, and one of its views."""

    def __init__(self, lessons: Sequence[Lesson], random: np.random.Generator) -> None:
        self._lessons, self._random = lessons, random
        self._order: list[int] = []

    def draw(self) -> tuple[Lesson, View]:
        if not self._order:
            self._order = self._random.permutation(len(self._lessons)).tolist()
        lesson = self._lessons[self._order.pop()]
        return lesson, lesson.views[int(self._random.integers(len(lesson.views)))]


__all__ = ["Learner", "Pace", "PixelPool"]
