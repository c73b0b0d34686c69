"""How much of a change to take: found on images that are left out while learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.labels import LabelMap
from deeplab_core.learning import LearnPair, Verdict, groups_of
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.training.adaptation.examples import TrainingExample
from deeplab_core.training.adaptation.fit import AdaptationTrainer, Schedule, State
from deeplab_core.training.adaptation.gathering import spread
from deeplab_core.training.adaptation.left_out import LeftOut
from deeplab_core.training.adaptation.validator import Validator, mean_iou

#: Shares of the change that are tried.
BLENDS = (0.25, 0.5, 1.0)
#: Steps of a model that learns without the images left out, in parts of those of the model that is kept.
FOLD_STEPS = 0.6
#: Without anything to leave out only part of the way is gone.
UNCHECKED_BLEND = 0.5
#: Pictures that are kept to be shown, and their longest side.
PAIRS, PAIR_SIDE = 6, 640
_CHECKING = "checking on images left out"


@dataclass(frozen=True, slots=True, eq=False)
class ChosenShare:
    """How much of the change is taken.

    Attributes:
        blend: share of the change.
        left_out: images while they were left out; None if nothing could be left out.
        pairs: what left-out images looked like before and after.
        states: what was learned without the images of each fold.
    """

    blend: float
    left_out: LeftOut | None
    pairs: tuple[LearnPair, ...]
    states: tuple[State, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the images that were left out say."""
        return "not sure" if self.left_out is None else self.left_out.verdict


def folds_of(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """(learned from, left out) in turn: each image is left out once; nothing for a single image."""
    if count < 2:
        return []
    order = np.random.Generator(np.random.PCG64([seed, count])).permutation(count).tolist()
    folds = groups_of(count)
    parts = [sorted(order[fold::folds]) for fold in range(folds)]
    return [(sorted(set(order) - set(part)), part) for part in parts]


def fold_steps(steps: int) -> int:
    """Steps of a model that learns without the images left out, of those of the whole."""
    return max(1, round(FOLD_STEPS * steps))


def choose(
    trainer: AdaptationTrainer,
    validator: Validator,
    corrected: Sequence[TrainingExample],
    untouched: Sequence[TrainingExample],
    schedule: Schedule,
    seed: int,
    monitor: ProgressMonitor,
    span: tuple[float, float],
) -> ChosenShare:
    """Leave images out in turn, learn from the others, and see how much of the change is good."""
    folds = folds_of(len(corrected), seed)
    if not folds:
        return ChosenShare(UNCHECKED_BLEND, None, ())
    brief = replace(schedule, steps=fold_steps(schedule.steps))
    found: dict[float, list[ConfusionMatrix]] = {blend: [] for blend in BLENDS}
    before: list[ConfusionMatrix] = []
    maps: dict[tuple[int, float], NDArray[Any]] = {}
    learned: list[State] = []
    shown = _shown(folds)
    length = (span[1] - span[0]) / len(folds)
    for number, (inside, outside) in enumerate(folds):
        begin = span[0] + number * length
        within = (begin, begin + 0.8 * length)
        learned.append(trainer.learn([corrected[place] for place in inside], untouched, brief, seed, monitor, within))
        for place in outside:
            mask = corrected[place].mask
            assert mask is not None
            before.append(validator.nothing().update(truth=mask, prediction=corrected[place].before))
        for done, blend in enumerate(BLENDS):
            monitor.step(begin + length * (0.8 + 0.2 * done / len(BLENDS)), 0.0, _CHECKING)
            trainer.put(learned[-1], blend)
            for place, small in _validate(validator, corrected, outside, found[blend], shown, monitor).items():
                maps[place, blend] = small
    results = {blend: LeftOut(tuple(before), tuple(after)) for blend, after in found.items()}
    share = largest_share(results)
    return ChosenShare(share, results[share], _pairs(corrected, {place: maps[place, share] for place in shown}), tuple(learned))


def largest_share(results: Mapping[float, LeftOut]) -> float:
    """The largest share of a change that is not clearly worse on the images left out than the one with the best mean IoU.

    Breiman et al. (1984) take the simplest of the models within one standard error of the best; here it is the one that learned
    most. Models that learn without some of the images gain less than the one that is kept, so that the best share for them is too
    small for it.
    """
    best = max(results, key=lambda share: (round(mean_iou(results[share].pooled[1]), 4), share))
    larger = sorted((share for share in results if share > best), reverse=True)
    return next((share for share in larger if not LeftOut(results[best].after, results[share].after).clearly_worse), best)


def taken_less(
    choice: ChosenShare,
    blend: float,
    trainer: AdaptationTrainer,
    validator: Validator,
    corrected: Sequence[TrainingExample],
    seed: int,
    monitor: ProgressMonitor,
) -> ChosenShare:
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
