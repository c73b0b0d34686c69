"""What learning came to, as figures, words and a line in the model's lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from deeplab_core.learning import ClassGain, LearnOptions, LearnReport, Verdict
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation.classes import ClassPlan
from deeplab_core.training.adaptation.examples import TrainingExample
from deeplab_core.training.adaptation.left_out import LeftOut

#: Corrected images below which more of them are asked for.
_FEW, _MORE = 10, ", and correct more images first"

Before = ConfusionMatrix
After = ConfusionMatrix


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
        return "Better: images that were left out while learning gained. It is worth accepting."
    if verdict == "worse":
        return f"Worse: images that were left out while learning lost: discard this{_MORE if images < _FEW else ''}."
    if images > 1:
        return "Not sure: on the images that were left out the change may be chance. Look closely, or correct more images first."
    return "Not sure: with one corrected image nothing could be left out for a check. Look closely, or correct a second one."


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
