"""``adapt``: a model learns from what the user corrected, and forgets nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import message
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.learning import ClassGain, LearnOptions, LearnPair, LearnReport, Verdict
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.model_cards import settled_card
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.receptive import demand_layers
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation.choosing import (
    FOLD_STEPS,
    PAIRS,
    ChosenShare,
    choose,
    folds_of,
    reduced,
    taken_less,
)
from deeplab_core.training.adaptation.classes import ClassPlan, grow, plan_classes
from deeplab_core.training.adaptation.examples import Corrected, TrainingExample, Untouched, never_predicted
from deeplab_core.training.adaptation.fit import AdaptationTrainer, Schedule, State
from deeplab_core.training.adaptation.frozen_split import FrozenSplit, multiply_adds, split_network
from deeplab_core.training.adaptation.gathering import Gathered, Gatherer, make_example, spread, votes
from deeplab_core.training.adaptation.left_out import LeftOut
from deeplab_core.training.adaptation.validator import Kept, Validator, mean_iou
from deeplab_core.training.adaptation.views import FeatureStore
from deeplab_core.training.adaptation.windows import LearningWindows

#: A user's pixel against a predicted one, by strength.
_EMPHASIS = {"gentle": 1.0, "normal": 3.0, "strong": 10.0}
#: Adam's rate and the weight of the distance from the start, by strength.
_FREEDOM = {"gentle": (1.5e-3, 0.1), "normal": (3e-3, 0.03), "strong": (3e-3, 0.003)}
#: What is left of the rate where some classes have everything to learn: their rows would carry the other classes off.
_RATE_WITH_FAST = 0.5
#: Share of the confident predictions elsewhere that must stay; else less of the change is taken.
_KEPT = 0.93
#: Multiply-adds of the trainable part's forward passes over everything, and the bounds of the steps that follow from it. What
#: it costs decides, not the clock: the same corrections give the same model on every machine.
_BUDGET = 900e9
_STEPS = (20, 100)
#: Steps that each corrected image adds to the fewest: a single one would be learned by heart in a hundred.
_STEPS_OF_AN_IMAGE = 8
#: Parts of a view that a costly decoder runs over.
_WINDOWS = 2
#: Corrected images below which more of them are asked for.
_FEW = 10

Before = ConfusionMatrix
After = ConfusionMatrix


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

    The frozen part of the network runs once over every image; its output is kept, and the rest is trained on the user's
    pixels, with the old model's confident predictions replayed on the rest of the corrected images and on images
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
        ComputeError: it is a graph for another engine, or TorchScript has compiled it.
        ComputeError: the network gives numbers that are not finite.
        Cancelled: ``cancel`` returned True.
    """
    began = time.monotonic()
    demand_layers(model, message("this model cannot learn from corrections"))
    options = options or LearnOptions()
    card = settled_card(card, model.num_classes, inputs=model.in_channels)
    plan = plan_classes(card.catalog, labels or card.catalog, pairs, options.new_classes)
    plan = replace(plan, threshold=card.threshold)
    monitor = ProgressMonitor(cancel, progress)
    where = torch.device(device)
    with FeatureStore() as store:
        old = split_network(model, options.layers, where)
        gatherer = Gatherer(old, card, plan, where, store, monitor,
                            align_corners=model.align_corners, minimum_side=model.minimum_side)  # fmt: skip
        gathered = gatherer.gather(corrected, untouched, options.background, (0.0, 0.35))
        adaptation = _AdaptationRun(model, card, plan, options, where, monitor)
        split, report, shown = adaptation.run(old, gathered)
        learned = split.joined()
    monitor.done("learned")
    report = replace(report, seconds=round(time.monotonic() - began, 2))
    names = [raw.name for raw in gathered.corrected]
    return Adapted(learned, card_with_lineage(card, plan, names, report, options, model.output_stride), report, shown)


class _AdaptationRun:
    """One adaptation: from the images that were read to the trained network."""

    def __init__(
        self,
        model: SegmentationModel,
        card: ModelCard,
        plan: ClassPlan,
        options: LearnOptions,
        device: torch.device,
        monitor: ProgressMonitor,
    ) -> None:
        self._model, self._card, self._plan, self._options = model, card, plan, options
        self._device, self._monitor = device, monitor

    def run(self, old: FrozenSplit, gathered: Gathered) -> tuple[FrozenSplit, LearnReport, tuple[LearnPair, ...]]:
        """Choose how far to go, go there with everything, and compare."""
        options, monitor = self._options, self._monitor
        parents = self._parents(old, gathered)
        split = split_network(grow(self._model, parents), options.layers, self._device) if parents else old
        corrected, untouched = self._examples(split, gathered)
        schedule = self._schedule(split, corrected, bool(untouched))
        asleep = never_predicted(corrected, untouched, self._plan)
        stand_ins = self._stand_ins(parents, asleep)
        validator = Validator(split, self._plan, stand_ins, self._device)
        fast = (*self._plan.new, *asleep)
        if fast:
            schedule = replace(schedule, rate=schedule.rate * _RATE_WITH_FAST)
        trainer = AdaptationTrainer(split, self._plan.members(), stand_ins, fast, self._device)
        choice = choose(trainer, validator, corrected, untouched, schedule, options.seed, monitor, (0.4, 0.8))
        state = trainer.learn(corrected, untouched, schedule, options.seed, monitor, (0.8, 0.95))
        blend, kept = self._put(trainer, validator, state, choice.blend, untouched)
        if blend != choice.blend:
            monitor.step(0.96, 0.0, "checking on images left out")
            choice = taken_less(choice, blend, trainer, validator, corrected, options.seed, monitor)
            trainer.put(state, blend)
        monitor.step(0.97, 0.0, "comparing")
        report, pairs = self._compared(validator, corrected, choice)
        return (
            split,
            replace(
                report,
                background=len(untouched),
                skipped=tuple(gathered.skipped),
                kept=None if kept.share is None else round(kept.share, 5),
                faded=self._faded(kept),
                step=schedule.steps,
                steps=schedule.steps,
                layers=split.title,
            ),
            pairs,
        )

    def _faded(self, kept: Kept) -> tuple[tuple[str, float], ...]:
        names = self._plan.catalog.names
        return tuple((names[one], round(float(kept.same[one] / kept.total[one]), 5)) for one in kept.faded())

    def _parents(self, old: FrozenSplit, gathered: Gathered) -> tuple[int, ...]:
        """For each new class the old channel that the model predicts there most often: its start."""
        if not self._plan.new:
            return ()
        places = len(self._plan.labels)
        counted = np.sum([votes(raw, places, old, self._card, self._device) for raw in gathered.corrected], axis=0)
        return tuple(int(np.argmax(counted[int(self._plan.means[channel])])) for channel in self._plan.new)

    def _stand_ins(self, parents: tuple[int, ...], asleep: Sequence[int]) -> torch.Tensor:
        """(C,) the channel that each counts as where old predictions are replayed: only background may hide a new class, or one
        that was never predicted.
        """
        catalog = self._card.catalog
        background = -1 if catalog.background is None else catalog.index_of(catalog.background)
        grown = [parent if parent == background else channel for channel, parent in zip(self._plan.new, parents, strict=True)]
        hidden = set() if background < 0 else set(asleep)
        return torch.tensor([*(background if channel in hidden else channel for channel in range(self._plan.old)), *grown])

    def _examples(self, split: FrozenSplit, gathered: Gathered) -> tuple[list[TrainingExample], list[TrainingExample]]:
        random = np.random.Generator(np.random.PCG64(self._options.seed))
        made: list[TrainingExample] = []
        for raw in [*gathered.corrected, *gathered.untouched]:
            self._monitor.step(0.35 + 0.05 * len(made) / (len(gathered.corrected) + len(gathered.untouched)), 0.0, "looking")
            made.append(make_example(raw, split, self._plan, random, self._device))
        return made[: len(gathered.corrected)], made[len(gathered.corrected) :]

    def _schedule(self, split: FrozenSplit, corrected: Sequence[TrainingExample], background: bool) -> Schedule:
        """As many steps as are affordable, in windows where the network has a decoder."""
        strength = self._options.strength
        rate, pull = _FREEDOM[strength]
        windows = 0 if split.window_margin is None else _WINDOWS
        schedule = Schedule(emphasis=_EMPHASIS[strength], rate=rate, pull=pull, windows=windows)
        view = corrected[0].views[0]
        parts = None if not windows else LearningWindows.around(view, [0] * windows, schedule.side, 0, np.random.default_rng(0))
        cost = multiply_adds(
            split, view.encoded.tensors(self._device), view.encoded.frame.canvas, None if parts is None else parts.windows
        )
        rounds = FOLD_STEPS * len(folds_of(len(corrected), self._options.seed)) + 1
        views = schedule.corrected + (schedule.untouched if background else 0)
        affordable = _BUDGET / max(1, cost * views * rounds)
        wanted = min(_STEPS[1], _STEPS[0] + _STEPS_OF_AN_IMAGE * len(corrected))
        return replace(schedule, steps=int(np.clip(affordable, _STEPS[0], wanted)))

    def _put(
        self, trainer: AdaptationTrainer, validator: Validator, state: State, blend: float, untouched: list[TrainingExample]
    ) -> tuple[float, Kept]:
        """Put the change in, or as much of it as leaves confident predictions elsewhere as they were."""
        while True:
            trainer.put(state, blend)
            kept = validator.kept(untouched)
            if kept.share is None or kept.share >= _KEPT or blend < 0.1:
                return blend, kept
            blend /= 2

    def _compared(
        self, validator: Validator, corrected: list[TrainingExample], choice: ChosenShare
    ) -> tuple[LearnReport, tuple[LearnPair, ...]]:
        before, after = validator.nothing(), validator.nothing()
        shown = [] if choice.pairs else spread(range(len(corrected)), PAIRS)
        pairs = list(choice.pairs)
        for place, example in enumerate(corrected):
            assert example.mask is not None
            now = validator.predicted(example)
            before.update(truth=example.mask, prediction=example.before)
            after.update(truth=example.mask, prediction=now)
            if place in shown:
                pairs.append(LearnPair(name=example.name, before=reduced(example.before), after=reduced(now), held_out=False))
        verdict = choice.verdict
        left_out = choice.left_out
        report = LearnReport(
            verdict=verdict,
            summary=summary(verdict, len(corrected)),
            change=None if left_out is None else left_out.gain,
            images=len(corrected),
            background=0,
            pixels=sum(example.taught.pixels for example in corrected if example.taught is not None),
            corrected=_means(before, after),
            held_out=None if left_out is None else _means(*left_out.pooled),
            kept=None,
            step=0,
            steps=0,
            blend=choice.blend,
            layers="",
            seconds=0.0,
            classes=class_gains(corrected, self._plan, (before, after), left_out),
        )
        return report, tuple(pairs)


def _means(before: ConfusionMatrix, after: ConfusionMatrix) -> tuple[float, float]:
    return round(mean_iou(before), 5), round(mean_iou(after), 5)


def class_gains(
    examples: Sequence[TrainingExample], plan: ClassPlan, seen: tuple[Before, After], left_out: LeftOut | None
) -> tuple[ClassGain, ...]:
    """Gain of every class that was corrected or that the corrected masks hold; those with most pixels first."""
    new = {int(plan.means[channel]) for channel in plan.new}
    rows = []
    for place, info in enumerate(plan.labels.classes):
        counts = [example.taught.counts[place] for example in examples if example.taught and place in example.taught.counts]
        if not counts and not seen[0].truth_pixels()[place]:
            continue
        rows.append(
            ClassGain(
                id=info.id, name=info.name, color=info.color, pixels=sum(counts), images=len(counts), new=place in new,
                corrected=(_iou(seen[0], place), _iou(seen[1], place)),
                held_out=_pair(left_out, place), change=None if left_out is None else left_out.class_gain(place),
            )
        )  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (-row.pixels, row.id)))


def summary(verdict: Verdict, images: int) -> str:
    """What the user should make of it."""
    if verdict == "better":
        return message("Better: images that were left out while learning gained. It is worth accepting.")
    if verdict == "worse" and images < _FEW:
        return message("Worse: images that were left out while learning lost: discard this, and correct more images first.")
    if verdict == "worse":
        return message("Worse: images that were left out while learning lost: discard this.")
    if images > 1:
        return message(
            "Not sure: on the images that were left out the change may be chance. Look closely, or correct more images first."
        )
    return message(
        "Not sure: with one corrected image nothing could be left out for a check. Look closely, or correct a second one."
    )


def card_with_lineage(card: ModelCard, plan: ClassPlan, names: Sequence[str], report: LearnReport, options: LearnOptions,
                      output_stride: int) -> ModelCard:  # fmt: skip
    """The adapted model's card; ``id`` and ``sha256`` come when it is saved.

    ``extra["lineage"]`` has one entry for every time that a model learned, the latest last: parent, images, pixels, options and
    figures. ``extra["training"]`` stays what it was: how the first ancestor was trained.
    """
    lineage: list[dict[str, Any]] = list(card.extra.get("lineage", []))
    lineage.append(
        {
            "parent": card.id,
            "parent_name": card.name,
            "parent_sha256": card.sha256,
            "corrected": list(names),
            "pixels": {row.name: row.pixels for row in report.classes if row.pixels},
            "options": {**asdict(options), "new_classes": list(options.new_classes)},
            "verdict": report.verdict,
            "corrected_mean_iou": list(report.corrected),
            "held_out_mean_iou": None if report.held_out is None else list(report.held_out),
            "held_out_gain": None if report.change is None else asdict(report.change),
            "kept": report.kept,
            "step": report.step,
            "blend": report.blend,
        }
    )
    root = card.name.partition(" · learned")[0]
    times = len(lineage)
    images = f"{report.images} image{'' if report.images == 1 else 's'}"
    return replace(
        card,
        id="",
        sha256="",
        name=f"{root} · learned from {images}" + (f" (round {times})" if times > 1 else ""),
        catalog=plan.catalog,
        output_stride=output_stride,
        source=card.source,
        summary=f"{root}, adapted to {images} that you corrected",
        extra={**card.extra, "lineage": lineage},
    )


def _pair(left_out: LeftOut | None, place: int) -> tuple[float | None, float | None]:
    if left_out is None:
        return None, None
    before, after = left_out.pooled
    return _iou(before, place), _iou(after, place)


def _iou(matrix: ConfusionMatrix, place: int) -> float | None:
    """IoU of a class where the masks hold it."""
    return round(float(matrix.iou()[place]), 5) if matrix.truth_pixels()[place] else None
