"""``adapt``: a model learns from what the user corrected, and forgets nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.inference.watch import Watch
from deeplab_core.learning import LearnOptions, LearnPair, LearnReport
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.model_cards import settled_card
from deeplab_core.nn import SegmentationModel
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation.choosing import PAIRS, Choice, choose, folds_of, reduced, taken_less
from deeplab_core.training.adaptation.classes import ClassPlan, grow, plan_classes
from deeplab_core.training.adaptation.fit import Learner, Pace, State
from deeplab_core.training.adaptation.gathering import Gathered, Gatherer, lesson_of, spread, votes
from deeplab_core.training.adaptation.halves import Halves, halves_of, multiply_adds
from deeplab_core.training.adaptation.judging import Judge, mean_iou
from deeplab_core.training.adaptation.lessons import Corrected, Lesson, Untouched
from deeplab_core.training.adaptation.reporting import card_with_lineage, class_gains, summary
from deeplab_core.training.adaptation.views import Encoded, FeatureStore

#: A user's pixel against a predicted one, by strength.
_EMPHASIS = {"gentle": 1.0, "normal": 3.0, "strong": 10.0}
#: Adam's rate and the weight of the distance from the start, by strength.
_FREEDOM = {"gentle": (7e-4, 0.1), "normal": (1.5e-3, 0.03), "strong": (3e-3, 0.003)}
#: Share of the confident predictions elsewhere that must stay; else less of the change is taken.
_KEPT = 0.93
#: Multiply-adds of the learning half's forward passes over everything, and the bounds of the steps that follow from it. What
#: it costs decides, not the clock: the same corrections give the same model on every machine.
_BUDGET = 250e9
_STEPS = (20, 30)


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """What learning came to.

    Attributes:
        model: the adapted network, on the CPU.
        card: its card: the catalog with the new classes, and the lineage; without id and sha256 until it is saved.
        report: what was gained and what was kept.
        pairs: predictions before and after of some corrected images.
    """

    model: SegmentationModel
    card: ModelCard
    report: LearnReport
    pairs: tuple[LearnPair, ...]


def adapt(
    model: SegmentationModel,
    card: ModelCard,
    corrected: Sequence[Corrected],
    untouched: Sequence[Untouched] = (),
    *,
    labels: ClassCatalog | None = None,
    pairs: Mapping[int, int | None] | None = None,
    options: LearnOptions | None = None,
    device: torch.device | str = "cpu",
    cancel: IsCancelled | None = None,
    progress: ProgressCallback | None = None,
) -> Adapted:
    """Adapt a model to the user's corrections.

    The frozen half of the network runs once over every image; its output is kept, and the learning half is trained on the
    person's pixels, with the old model's confident predictions replayed on the rest of the corrected images and on images
    without corrections. How many steps are taken, and how much of the change, is decided on images that are left out in
    turn.

    Args:
        model: any network of this package, on the CPU in eval mode; left as it is.
        card: its card.
        corrected: corrected images.
        untouched: images with predictions that must not change; at most ``options.background`` of them are used.
        labels: catalog of the corrected masks; None is the model's.
        pairs: what each class of the model means among the labels, by id; None matches by name.
        options: see :class:`LearnOptions`.
        device: to compute on.
        cancel, progress: as for :class:`deeplab_core.inference.Predictor`.

    Raises:
        AtrousError: no corrected image can be used.
        StorageError: the temporary folder has no room for the features of a single image.
        WeightsError: the network cannot learn new classes.
        ComputeError: the network gives numbers that are not finite.
        Cancelled: ``cancel`` returned True.
    """
    began = time.monotonic()
    options = options or LearnOptions()
    card = settled_card(card, model.num_classes, inputs=model.in_channels)
    plan = plan_classes(card.catalog, labels or card.catalog, pairs, options.new_classes)
    plan = replace(plan, threshold=card.threshold)
    watch = Watch(cancel, progress)
    where = torch.device(device)
    with FeatureStore() as store:
        old = halves_of(model, options.layers, where)
        gatherer = Gatherer(old, card, plan, where, store, watch,
                            align_corners=model.align_corners, minimum_side=model.minimum_side)  # fmt: skip
        gathered = gatherer.gather(corrected, untouched, options.background, (0.0, 0.35))
        course = _Course(model, card, plan, options, where, watch)
        halves, report, shown = course.run(old, gathered)
        learned = halves.joined()
    watch.done("learned")
    report = replace(report, seconds=round(time.monotonic() - began, 2))
    names = [raw.name for raw in gathered.corrected]
    return Adapted(learned, card_with_lineage(card, plan, names, report, options, model.output_stride), report, shown)


class _Course:
    """From images that were read to a network that has learned."""

    def __init__(
        self,
        model: SegmentationModel,
        card: ModelCard,
        plan: ClassPlan,
        options: LearnOptions,
        device: torch.device,
        watch: Watch,
    ) -> None:
        self._model, self._card, self._plan, self._options = model, card, plan, options
        self._device, self._watch = device, watch

    def run(self, old: Halves, gathered: Gathered) -> tuple[Halves, LearnReport, tuple[LearnPair, ...]]:
        """Choose how far to go, go there with everything, and compare."""
        options, watch = self._options, self._watch
        parents = self._parents(old, gathered)
        halves = halves_of(grow(self._model, parents), options.layers, self._device) if parents else old
        corrected, untouched = self._lessons(halves, gathered)
        pace = self._pace(halves, gathered.corrected[0].encoded[0], len(corrected), bool(untouched))
        stand_ins = self._stand_ins(parents)
        judge = Judge(halves, self._plan, stand_ins, self._device)
        learner = Learner(halves, self._plan.members(), stand_ins, self._plan.new, self._device)
        choice = choose(learner, judge, corrected, untouched, pace, options.seed, watch, (0.4, 0.8))
        state = learner.learn(corrected, untouched, pace, options.seed, watch, (0.8, 0.95), (choice.step,))[-1]
        blend, kept = self._put(learner, judge, state, choice.blend, untouched)
        if blend != choice.blend:
            watch.step(0.96, 0.0, "checking on images left out")
            choice = taken_less(choice, blend, learner, judge, corrected, options.seed, watch)
            learner.put(state, blend)
        watch.step(0.97, 0.0, "comparing")
        report, pairs = self._compared(judge, corrected, choice)
        return (
            halves,
            replace(report, background=len(untouched), skipped=tuple(gathered.skipped), kept=kept,
                    steps=pace.steps, layers=halves.title),
            pairs,
        )  # fmt: skip

    def _parents(self, old: Halves, gathered: Gathered) -> tuple[int, ...]:
        """For each new class the old channel that the model takes it for most often: that is what it starts from."""
        found = []
        for channel in self._plan.new:
            place = int(self._plan.means[channel])
            counted = sum(votes(raw, place, old, self._card, self._device) for raw in gathered.corrected)
            found.append(int(np.argmax(counted)))
        return tuple(found)

    def _stand_ins(self, parents: tuple[int, ...]) -> torch.Tensor:
        """(C,) the channel that each counts as where old predictions are replayed: only background may hide a new class."""
        catalog = self._card.catalog
        background = -1 if catalog.background is None else catalog.index_of(catalog.background)
        grown = [parent if parent == background else channel for channel, parent in zip(self._plan.new, parents, strict=True)]
        return torch.tensor([*range(self._plan.old), *grown])

    def _lessons(self, halves: Halves, gathered: Gathered) -> tuple[list[Lesson], list[Lesson]]:
        random = np.random.Generator(np.random.PCG64(self._options.seed))
        made: list[Lesson] = []
        for raw in [*gathered.corrected, *gathered.untouched]:
            self._watch.step(0.35 + 0.05 * len(made) / (len(gathered.corrected) + len(gathered.untouched)), 0.0, "looking")
            made.append(lesson_of(raw, halves, self._plan, random, self._device))
        return made[: len(gathered.corrected)], made[len(gathered.corrected) :]

    def _pace(self, halves: Halves, example: Encoded, images: int, background: bool) -> Pace:
        strength = self._options.strength
        rate, pull = _FREEDOM[strength]
        pace = Pace(emphasis=_EMPHASIS[strength], rate=rate, pull=pull)
        cost = multiply_adds(halves, example.tensors(self._device), example.frame.canvas)
        rounds = len(folds_of(images, self._options.seed)) + 1
        views = pace.corrected + (pace.untouched if background else 0)
        affordable = _BUDGET / max(1, cost * views * rounds)
        return replace(pace, steps=int(np.clip(affordable, *_STEPS)))

    def _put(
        self, learner: Learner, judge: Judge, state: State, blend: float, untouched: list[Lesson]
    ) -> tuple[float, float | None]:
        """Put the change in, or as much of it as leaves confident predictions elsewhere as they were."""
        while True:
            learner.put(state, blend)
            kept = judge.kept(untouched)
            if kept is None or kept >= _KEPT or blend < 0.1:
                return blend, None if kept is None else round(kept, 5)
            blend /= 2

    def _compared(self, judge: Judge, corrected: list[Lesson], choice: Choice) -> tuple[LearnReport, tuple[LearnPair, ...]]:
        before, after = judge.nothing(), judge.nothing()
        shown = [] if choice.pairs else spread(range(len(corrected)), PAIRS)
        pairs = list(choice.pairs)
        for place, lesson in enumerate(corrected):
            assert lesson.mask is not None
            now = judge.predicted(lesson)
            before.update(truth=lesson.mask, prediction=lesson.before)
            after.update(truth=lesson.mask, prediction=now)
            if place in shown:
                pairs.append(LearnPair(name=lesson.name, before=reduced(lesson.before), after=reduced(now), held_out=False))
        verdict = choice.verdict
        left_out = choice.left_out
        report = LearnReport(
            verdict=verdict,
            summary=summary(verdict, len(corrected)),
            change=None if left_out is None else left_out.gain,
            images=len(corrected),
            background=0,
            pixels=sum(lesson.taught.pixels for lesson in corrected if lesson.taught is not None),
            corrected=_means(before, after),
            held_out=None if left_out is None else _means(*left_out.pooled),
            kept=None,
            step=choice.step,
            steps=choice.step,
            blend=choice.blend,
            layers="",
            seconds=0.0,
            classes=class_gains(corrected, self._plan, (before, after), left_out),
        )
        return report, tuple(pairs)


def _means(before: ConfusionMatrix, after: ConfusionMatrix) -> tuple[float, float]:
    return round(mean_iou(before), 5), round(mean_iou(after), 5)
