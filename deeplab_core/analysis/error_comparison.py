"""The difference of two runs as one result: errors fixed and made, and scores by slice with paired intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deeplab_core.analysis.compare import Comparison
from deeplab_core.analysis.compared_slices import AxisChange, compare_axes
from deeplab_core.analysis.count_changes import CellChange, CountChange, KindChange
from deeplab_core.analysis.difference import RunDifference
from deeplab_core.analysis.slice_scores import sliced_axes
from deeplab_core.analysis.summary import component_to_dict
from deeplab_core.analysis.verdicts import FEWEST_IMAGES, ScoreChange

#: Cells and components that JSON lists.
MOST_CELLS, MOST_COMPONENTS = 50, 50


@dataclass(frozen=True, slots=True, eq=False)
class ErrorComparison:
    """What a second run did to the errors of the first.

    Attributes:
        difference: the errors.
        axes: scores by slice; p-values are corrected over all slices.
        kinds: every kind of failure.
        cells, pairs: the cells, and the pairs of classes, that changed most.
    """

    difference: RunDifference
    axes: tuple[AxisChange, ...]
    kinds: tuple[KindChange, ...]
    cells: tuple[CellChange, ...]
    pairs: tuple[CellChange, ...]

    @classmethod
    def of(
        cls,
        difference: RunDifference,
        *,
        resamples: int,
        seed: int = 0,
        correct: bool = True,
        count_resamples: int | None = None,
    ) -> ErrorComparison:
        """Score the slices of both runs; arguments as for :func:`~deeplab_core.analysis.compared_slices.compare_axes`.

        Args:
            correct: False tests no kinds, cells and pairs: p-values of several comparisons would be one family.
            count_resamples: of the intervals and p-values of kinds, cells and pairs, which cost less; None takes ``resamples``.
        """
        counts = resamples if count_resamples is None else count_resamples
        sides = (sliced_axes(side, difference.own) for side in (difference.before, difference.after))
        axes = tuple(compare_axes(*sides, resamples=resamples, seed=seed, correct=correct))
        kinds = tuple(difference.kinds(resamples=counts, seed=seed, test=correct))
        cells, pairs = (
            tuple(difference.cells(MOST_CELLS, both_ways=both, resamples=counts, seed=seed, test=correct))
            for both in (False, True)
        )
        return cls(difference, axes, kinds, cells, pairs)

    def to_dict(self, components: int = MOST_COMPONENTS, names: Callable[[str], str] = str) -> dict[str, Any]:
        """Plain values for JSON.

        Args:
            components: how many of the largest components won and lost are listed.
            names: gives the name of an image of the difference.
        """
        found = self.difference
        return {
            "images": found.images,
            "wrong_px": {"before": found.before.wrong_px, "after": found.after.wrong_px},
            "fixed_px": found.fixed.wrong_px,
            "made_px": found.made.wrong_px,
            "stayed_px": found.stayed,
            "kinds": [kind_to_dict(row) for row in self.kinds],
            "cells": [cell_to_dict(row) for row in self.cells],
            "pairs": [cell_to_dict(row) for row in self.pairs],
            "slices": [axis.to_dict() for axis in self.axes],
            "won": [component_to_dict(replace(one, image=names(one.image))) for one in found.won(components)],
            "lost": [component_to_dict(replace(one, image=names(one.image))) for one in found.lost(components)],
            "not_compared": [error.to_dict() for error in found.failures],
        }


def slices_with_images(difference: RunDifference) -> int:
    """Slices of all axes in which enough images for a verdict have something: at most so many are tested."""
    axes = sliced_axes(difference.before, difference.own)
    return sum(int((axis.images_with_slice >= FEWEST_IMAGES).sum()) for axis in axes)


def kind_to_dict(row: KindChange) -> dict[str, Any]:
    """One kind; every figure of one that was not measured is null."""
    figures = _with_interval(asdict(row))
    if not row.measured:
        figures |= dict.fromkeys(
            ("before", "after", "fixed", "made", "images_better", "images_worse", "low", "high", "p", "verdict")
        )
    return {**figures, "kind": row.kind.value}


def cell_to_dict(row: CellChange) -> dict[str, Any]:
    """One cell, or one pair of classes."""
    return _with_interval(asdict(row))


def _with_interval(figures: dict[str, Any]) -> dict[str, Any]:
    figures["verdict"] = None if figures["verdict"] is None else str(figures["verdict"])
    return figures | {end: None if math.isnan(figures[end]) else figures[end] for end in ("low", "high", "p")}


def shown_cells(cells: Sequence[CellChange], limit: int) -> list[CellChange]:
    """The first cells with something fixed or made."""
    return [cell for cell in cells if cell.fixed or cell.made][:limit]


def table_of_changes(result: Comparison, errors: ErrorComparison | None) -> list[list[str]]:
    """Every figure of two runs as rows of a CSV, the first being the titles; empty where something was not measured.

    Scores are 0..1. Kinds, cells and pairs are pixels: their change is fixed minus made, so a positive change is
    always a gain.
    """
    titles = ["family", "axis", "name", "before", "after", "fixed", "made", "change", "low", "high", "p", "verdict", "count"]
    found = [titles]
    for family, changes in (("overall", result.overall), ("class", result.classes)):
        found += [_score_row(family, "", change, change.images) for change in changes]
    for axis in () if errors is None else errors.axes:
        found += [_score_row("slice", axis.name, row, count) for row, count in zip(axis.rows, axis.counts, strict=True)]
    return found if errors is None else [*found, *_count_rows(errors)]


def _count_rows(errors: ErrorComparison) -> Iterator[list[str]]:
    catalog = errors.difference.catalog
    classes = {info.id: info.name for info in catalog.classes} | {catalog.ignore: "void"}
    rows: list[tuple[str, str, CountChange]] = [("kind", one.kind.value, one) for one in errors.kinds if one.measured]
    for family, between, cells in (("cell", "called", errors.cells), ("pair", "and", errors.pairs)):
        rows += [(family, f"{classes[one.truth]} {between} {classes[one.prediction]}", one) for one in cells]
    for family, name, row in rows:
        counts = [str(count) for count in (row.before, row.after, row.fixed, row.made, row.fixed - row.made)]
        verdict = "" if row.verdict is None else str(row.verdict)
        images = str(row.images_better + row.images_worse)
        yield [family, "", name, *counts, *map(_number, (row.low, row.high, row.p)), verdict, images]


def _score_row(family: str, axis: str, change: ScoreChange, count: int) -> list[str]:
    before, after, *rest = map(_number, (change.before, change.after, change.difference, change.low, change.high, change.p))
    verdict = "" if math.isnan(change.difference) else str(change.verdict)
    return [family, axis, change.name, before, after, "", "", *rest, verdict, str(count)]


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
