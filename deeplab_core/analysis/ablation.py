"""Models and settings side by side: what each row does to the first one, in classes, bands, slices and time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deeplab_core.analysis.compare import Comparison
from deeplab_core.analysis.compared_slices import AxisChange, correct_axes
from deeplab_core.analysis.error_comparison import ErrorComparison
from deeplab_core.analysis.verdicts import ScoreChange, Verdict, corrected

FORMAT = "atrous-ablation-1"

#: What a verdict is called of a setting.
WORDS = {
    Verdict.BETTER: "helps",
    Verdict.WORSE: "hurts",
    Verdict.UNCLEAR: "cannot tell",
    Verdict.FEW: "too few",
    Verdict.WITHHELD: "not the same ground truth",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AblationRow:
    """One model with one setting.

    Attributes:
        model, variant: names; the variant of a plain run is empty.
        seconds: per image by the clock, as if it had run alone; without the first image, with which loops are compiled.
        cpu_seconds: of the processor per image, of all threads; other work on the machine does not stretch them.
        images: predicted.
        comparison: with the first row; None for the first row itself.
        errors: what it did to the errors of the first row; None for the first row, or if they were not compared.
    """

    model: str
    variant: str
    seconds: float
    images: int
    cpu_seconds: float = math.nan
    comparison: Comparison | None = None
    errors: ErrorComparison | None = None

    @property
    def name(self) -> str:
        """``"rooms-voc os8"``."""
        return f"{self.model} {self.variant}".strip()


@dataclass(frozen=True, slots=True)
class ChangeOf:
    """One score of one row.

    Attributes:
        row: which.
        family: ``"overall"``, ``"class"`` or ``"slice"``.
        axis: of a slice; empty otherwise.
        change: the score.
        count: images, or objects for slices of objects.
    """

    row: AblationRow
    family: str
    axis: str
    change: ScoreChange
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """The rows, the first being what the others are compared with."""

    rows: tuple[AblationRow, ...]

    @classmethod
    def of(cls, rows: Sequence[AblationRow]) -> Ablation:
        """Correct p-values by Holm's method over all rows at once, for overall scores, classes and slices separately.

        Args:
            rows: compared with ``correct=False``.
        """
        compared = [row.comparison for row in rows if row.comparison is not None]
        overall = iter(_corrected([one.overall for one in compared]))
        classes = iter(_corrected([one.classes for one in compared]))
        axes = iter(correct_axes([axis for row in rows if row.errors is not None for axis in row.errors.axes]))
        found = []
        for row in rows:
            comparison, errors = row.comparison, row.errors
            if comparison is not None:
                comparison = replace(comparison, overall=next(overall), classes=next(classes))
            if errors is not None:
                errors = replace(errors, axes=tuple(next(axes) for _ in errors.axes))
            found.append(replace(row, comparison=comparison, errors=errors))
        return cls(tuple(found))

    @property
    def plain(self) -> AblationRow:
        """What the others are compared with."""
        return self.rows[0]

    @property
    def others(self) -> tuple[AblationRow, ...]:
        """The rows after the first."""
        return self.rows[1:]

    def changes(self) -> Iterator[ChangeOf]:
        """Every score of every row after the first."""
        for row in self.others:
            if row.comparison is not None:
                for family, changes in (("overall", row.comparison.overall), ("class", row.comparison.classes)):
                    yield from (ChangeOf(row, family, "", change, change.images) for change in changes)
            for axis in () if row.errors is None else row.errors.axes:
                yield from (
                    ChangeOf(row, "slice", axis.name, one, number) for one, number in zip(axis.rows, axis.counts, strict=True)
                )

    @property
    def axes(self) -> tuple[AxisChange, ...]:
        """The axes of the first row that was compared: names, labels and counts are the same in all."""
        return next((row.errors.axes for row in self.others if row.errors is not None), ())

    @property
    def correction(self) -> str:
        """Over how many scores p is corrected, as a sentence."""
        tested = [one.family for one in self.changes() if not math.isnan(one.change.p)]
        counts = [tested.count(family) for family in ("overall", "class", "slice")]
        return (
            f"p is corrected by Holm's method over all rows at once: {counts[0]} overall scores, {counts[1]} classes and "
            f"{counts[2]} slices separately."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": FORMAT,
            "correction": self.correction,
            "rows": [
                {
                    "model": row.model,
                    "variant": row.variant,
                    "images": row.images,
                    "seconds_per_image": row.seconds if math.isfinite(row.seconds) else None,
                    "cpu_seconds_per_image": row.cpu_seconds if math.isfinite(row.cpu_seconds) else None,
                    "comparison": None if row.comparison is None else row.comparison.to_dict() | {"correction": self.correction},
                    "errors": None if row.errors is None else row.errors.to_dict(),
                }
                for row in self.rows
            ],
        }

    def table(self) -> list[list[str]]:
        """Every score as rows of a CSV, the first being the titles."""
        titles = [
            "model",
            "variant",
            "family",
            "axis",
            "name",
            "before",
            "after",
            "change",
            "low",
            "high",
            "p",
            "verdict",
            "count",
        ]
        found = [[*titles, "seconds_per_image", "seconds_of_first", "cpu_seconds_per_image", "cpu_seconds_of_first"]]
        for one in self.changes():
            change = one.change
            numbers = (change.before, change.after, change.difference, change.low, change.high, change.p)
            cells = ["" if math.isnan(number) else repr(float(number)) for number in numbers]
            seconds = [f"{row.seconds:.4f}" for row in (one.row, self.plain)]
            seconds += [f"{row.cpu_seconds:.4f}" for row in (one.row, self.plain)]
            head = [one.row.model, one.row.variant, one.family, one.axis, change.name]
            found.append([*head, *cells, WORDS[change.verdict], str(one.count), *seconds])
        return found


def _corrected(groups: Sequence[Sequence[ScoreChange]]) -> list[tuple[ScoreChange, ...]]:
    """Holm's correction over all groups as one family; withheld verdicts stay as they are."""
    open_rows = [change for group in groups for change in group if change.verdict is not Verdict.WITHHELD]
    found = iter(corrected(open_rows))
    return [tuple(change if change.verdict is Verdict.WITHHELD else next(found) for change in group) for group in groups]
