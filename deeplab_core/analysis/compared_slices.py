"""Scores by slice of two runs over the same images: paired intervals, one family of tests over all slices of all axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deeplab_core.analysis.slice_scores import SlicedAxis, SliceUnit, paired_axis_scores
from deeplab_core.analysis.verdicts import ScoreChange, Verdict, corrected, p_value
from deeplab_core.metrics.bootstrap import LEVEL, interval
from deeplab_core.metrics.scores import FEW_OBJECTS


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisChange:
    """One axis, before and after.

    Attributes:
        name, text, unit, own: as of :class:`~deeplab_core.analysis.slice_scores.SlicedAxis`.
        rows: its slices that hold something; ``images`` is how many images do.
        counts: objects, or images, behind each row.
        limits: ``low <= value < high`` of each row, nan where it is no range.
    """

    name: str
    text: str
    unit: SliceUnit
    own: bool
    rows: tuple[ScoreChange, ...]
    counts: tuple[int, ...]
    limits: tuple[tuple[float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "text": self.text,
            "unit": self.unit,
            "own": self.own,
            "slices": [
                {**row.to_dict(), "count": count, "low_value": _finite(low), "high_value": _finite(high)}
                for row, count, (low, high) in zip(self.rows, self.counts, self.limits, strict=True)
            ],
        }


def compare_axes(
    before: Sequence[SlicedAxis], after: Sequence[SlicedAxis], *, resamples: int, seed: int = 0, correct: bool = True
) -> list[AxisChange]:
    """The axes that both sides have.

    A slice in fewer than six images, or with fewer than ten objects, gets no verdict.

    Args:
        before, after: axes of both sides, of images that are named alike.
        resamples, seed: of the bootstrap.
        correct: Holm's correction over all slices; False leaves p as it is, for several comparisons that are one family.
    """
    others = {axis.name: axis for axis in after}
    found = [
        _axis(axis, others[axis.name], resamples, seed)
        for axis in before
        if axis.name in others and axis.labels == others[axis.name].labels
    ]
    return correct_axes(found) if correct else found


def correct_axes(axes: Sequence[AxisChange]) -> list[AxisChange]:
    """Holm's correction over all rows of all axes, as one family."""
    rows = iter(corrected([row for axis in axes for row in axis.rows]))
    return [replace(axis, rows=tuple(_few(next(rows), axis.unit, count) for count in axis.counts)) for axis in axes]


def _axis(before: SlicedAxis, after: SlicedAxis, resamples: int, seed: int) -> AxisChange:
    whole, drawn = paired_axis_scores(before, after, resamples=resamples, seed=seed)
    images = before.images_with_slice
    kept = [at for at in range(len(before.labels)) if before.counts[at]]
    rows = []
    for at in kept:
        differences = drawn[1, :, at] - drawn[0, :, at]
        low, high = interval(differences, LEVEL).tolist() if len(differences) else (math.nan, math.nan)
        change = whole[1, at] - whole[0, at]
        few = before.unit == "object" and int(before.counts[at]) < FEW_OBJECTS
        rows.append(
            ScoreChange(
                name=before.labels[at], before=float(whole[0, at]), after=float(whole[1, at]), low=float(low), high=float(high),
                p=math.nan if few or math.isnan(change) else p_value(differences), images=int(images[at]),
                verdict=Verdict.UNCLEAR,
            )
        )  # fmt: skip
    return AxisChange(
        name=before.name, text=before.text, unit=before.unit, own=before.own, rows=tuple(rows),
        counts=tuple(int(before.counts[at]) for at in kept), limits=tuple(before.limits[at] for at in kept),
    )  # fmt: skip


def _few(row: ScoreChange, unit: SliceUnit, number: int) -> ScoreChange:
    return replace(row, verdict=Verdict.FEW) if unit == "object" and number < FEW_OBJECTS else row


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
