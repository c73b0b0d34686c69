"""How far to go: found on images that are left out while learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.labels import LabelMap
from deeplab_core.learning import MANY_IMAGES, LearnPair, Verdict
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.training.adaptation.examples import TrainingExample
from deeplab_core.training.adaptation.fit import AdaptationTrainer, Schedule, State
from deeplab_core.training.adaptation.gathering import spread
from deeplab_core.training.adaptation.left_out import LeftOut
from deeplab_core.training.adaptation.validator import Validator, mean_iou

_FOLDS = 2
#: Shares of the change that are tried.
BLENDS = (0.25, 0.5, 1.0)
#: Without anything to leave out only part of the way is gone.
UNCHECKED_BLEND = 0.5
#: Pictures that are kept to be shown, and their longest side.
PAIRS, PAIR_SIDE = 6, 640
_CHECKING = "checking on images left out"


@dataclass(frozen=True, slots=True, eq=False)
class ChosenStep:
    """How far to go.

    Attributes:
        step: of the pace, after which learning stops.
        blend: share of the change that is taken.
        left_out: images while they were left out; None if nothing could be left out.
        pairs: what left-out images looked like before and after.
        images: how many were corrected.
        states: what was learned without the images of each fold, after ``step``.
    """

    step: int
    blend: float
    left_out: LeftOut | None
    pairs: tuple[LearnPair, ...]
    images: int
    states: tuple[State, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the images that were left out say."""
        return "not sure" if self.left_out is None else self.left_out.verdict


def folds_of(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """(learned from, left out) in turn: each image is left out once, or a third of many once; nothing for a single image."""
    if count < 2:
        return []
    order = np.random.Generator(np.random.PCG64([seed, count])).permutation(count).tolist()
    if count >= MANY_IMAGES:
        out = count // 3
        return [(sorted(order[out:]), sorted(order[:out]))]
    folds = min(_FOLDS, count)
    parts = [sorted(order[fold::folds]) for fold in range(folds)]
    return [(sorted(set(order) - set(part)), part) for part in parts]


def stops_of(steps: int) -> tuple[int, ...]:
    """Steps after which learning may stop: a third, and all."""
    return tuple(sorted({max(1, steps // 3), steps}))


def choose(
    trainer: AdaptationTrainer,
    validator: Validator,
    corrected: Sequence[TrainingExample],
    untouched: Sequence[TrainingExample],
    schedule: Schedule,
    seed: int,
    monitor: ProgressMonitor,
    span: tuple[float, float],
) -> ChosenStep:
    """Leave images out in turn, learn from the others, and see how far it is good to go."""
    stops = stops_of(schedule.steps)
    folds = folds_of(len(corrected), seed)
    if not folds:
        return ChosenStep(stops[-1], UNCHECKED_BLEND, None, (), len(corrected))
    ways = [(step, blend) for step in stops for blend in BLENDS]
    found: dict[tuple[int, float], list[ConfusionMatrix]] = {way: [] for way in ways}
    before: list[ConfusionMatrix] = []
    maps: dict[tuple[int, tuple[int, float]], NDArray[Any]] = {}
    learned: list[list[State]] = []
    shown = _shown(folds)
    length = (span[1] - span[0]) / len(folds)
    for number, (inside, outside) in enumerate(folds):
        begin = span[0] + number * length
        states = trainer.learn(
            [corrected[place] for place in inside], untouched, schedule, seed, monitor, (begin, begin + 0.8 * length), stops
        )
        learned.append(states)
        for place in outside:
            mask = corrected[place].mask
            assert mask is not None
            before.append(validator.nothing().update(truth=mask, prediction=corrected[place].before))
        for done, (step, blend) in enumerate(ways):
            monitor.step(begin + length * (0.8 + 0.2 * done / len(ways)), 0.0, _CHECKING)
            trainer.put(states[stops.index(step)], blend)
            for place, small in _validate(validator, corrected, outside, found[step, blend], shown, monitor).items():
                maps[place, (step, blend)] = small
    # Ties go to the smaller change.
    results = {way: LeftOut(tuple(before), tuple(after)) for way, after in found.items()}
    best = max(ways, key=lambda way: (round(mean_iou(results[way].pooled[1]), 4), -way[1], -way[0]))
    pairs = _pairs(corrected, {place: maps[place, best] for place in shown})
    states_there = tuple(states[stops.index(best[0])] for states in learned)
    return ChosenStep(best[0], best[1], results[best], pairs, len(corrected), states_there)


def taken_less(
    choice: ChosenStep,
    blend: float,
    trainer: AdaptationTrainer,
    validator: Validator,
    corrected: Sequence[TrainingExample],
    seed: int,
    monitor: ProgressMonitor,
) -> ChosenStep:
    """The choice with another share of the change, and what the images that were left out say of that one.

    Figures must be of what is saved: those of a larger share would describe another model than the saved one. The trainable part
    is left with what the last fold learned.

    Raises:
        Cancelled: asked between two images.
    """
    if choice.left_out is None:
        return replace(choice, blend=blend)
    folds = folds_of(len(corrected), seed)
    shown = _shown(folds)
    after: list[ConfusionMatrix] = []
    maps: dict[int, NDArray[Any]] = {}
    for state, (_, outside) in zip(choice.states, folds, strict=True):
        trainer.put(state, blend)
        maps |= _validate(validator, corrected, outside, after, shown, monitor)
    return replace(choice, blend=blend, left_out=LeftOut(choice.left_out.before, tuple(after)), pairs=_pairs(corrected, maps))


def _shown(folds: Sequence[tuple[list[int], list[int]]]) -> list[int]:
    """Places of the left-out images that are shown, ascending."""
    return spread(sorted(place for _, out in folds for place in out), PAIRS)


def _validate(
    validator: Validator,
    corrected: Sequence[TrainingExample],
    outside: Sequence[int],
    into: list[ConfusionMatrix],
    shown: Sequence[int],
    monitor: ProgressMonitor,
) -> dict[int, NDArray[Any]]:
    """Count what the network as it is now makes of images that were left out; small predictions of those that are shown."""
    small = {}
    for place in outside:
        monitor.check()
        mask, predicted = corrected[place].mask, validator.predicted(corrected[place])
        assert mask is not None
        into.append(validator.nothing().update(truth=mask, prediction=predicted))
        if place in shown:
            small[place] = reduced(predicted)
    return small


def _pairs(corrected: Sequence[TrainingExample], after: dict[int, NDArray[Any]]) -> tuple[LearnPair, ...]:
    """What left-out images looked like before, and after by place."""
    return tuple(
        LearnPair(name=corrected[place].name, before=reduced(corrected[place].before), after=after[place], held_out=True)
        for place in sorted(after)
    )


def reduced(labels: LabelMap) -> NDArray[Any]:
    """Labels for looking at: every n-th pixel, so that the longest side is at most :data:`PAIR_SIDE`."""
    step = -(-max(labels.shape) // PAIR_SIDE)
    small: NDArray[Any] = np.ascontiguousarray(labels[::step, ::step])
    return small
