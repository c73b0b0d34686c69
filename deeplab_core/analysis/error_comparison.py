"""The difference of two runs as one result: errors fixed and made, and scores by slice with paired intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deeplab_core.analysis.compared_slices import AxisChange, compare_axes
from deeplab_core.analysis.difference import CellChange, KindChange, RunDifference
from deeplab_core.analysis.slice_scores import sliced_axes
from deeplab_core.analysis.summary import component_to_dict
from deeplab_core.analysis.verdicts import FEWEST_IMAGES

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
            count_resamples: of the intervals of kinds, cells and pairs, which cost less; None takes ``resamples``.
        """
        counts = resamples if count_resamples is None else count_resamples
        sides = (sliced_axes(side, difference.own) for side in (difference.before, difference.after))
        axes = tuple(compare_axes(*sides, resamples=resamples, seed=seed, correct=correct))
        kinds = tuple(difference.kinds(resamples=counts, seed=seed))
        cells, pairs = (
            tuple(difference.cells(MOST_CELLS, both_ways=both, resamples=counts, seed=seed)) for both in (False, True)
        )
        return cls(difference, axes, kinds, cells, pairs)

    def to_dict(self, components: int = MOST_COMPONENTS) -> dict[str, Any]:
        """Plain values for JSON.

        Args:
            components: how many of the largest components won and lost are listed.
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
            "won": [component_to_dict(component) for component in found.won(components)],
            "lost": [component_to_dict(component) for component in found.lost(components)],
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
        figures |= dict.fromkeys(("before", "after", "fixed", "made", "images_better", "images_worse", "low", "high"))
    return {**figures, "kind": row.kind.value}


def cell_to_dict(row: CellChange) -> dict[str, Any]:
    """One cell, or one pair of classes."""
    return _with_interval(asdict(row))


def _with_interval(figures: dict[str, Any]) -> dict[str, Any]:
    return figures | {end: None if math.isnan(figures[end]) else figures[end] for end in ("low", "high")}


def shown_cells(cells: Sequence[CellChange], limit: int) -> list[CellChange]:
    """The first cells with something fixed or made."""
    return [cell for cell in cells if cell.fixed or cell.made][:limit]
