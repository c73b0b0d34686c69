"""The difference of two runs as one result: errors fixed and made, and scores by slice with paired intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from deeplab_core.analysis.compared_slices import AxisChange, compare_axes
from deeplab_core.analysis.difference import CellChange, KindChange, RunDifference
from deeplab_core.analysis.slice_scores import sliced_axes
from deeplab_core.analysis.summary import component_to_dict

#: Cells and components that JSON lists.
MOST_CELLS, MOST_COMPONENTS = 50, 50


@dataclass(frozen=True, slots=True, eq=False)
class ErrorComparison:
    """What a second run did to the errors of the first.

    Attributes:
        difference: the errors.
        axes: scores by slice; p-values are corrected over all slices.
    """

    difference: RunDifference
    axes: tuple[AxisChange, ...]

    @classmethod
    def of(cls, difference: RunDifference, *, resamples: int, seed: int = 0, correct: bool = True) -> ErrorComparison:
        """Score the slices of both runs; arguments as for :func:`~deeplab_core.analysis.compared_slices.compare_axes`."""
        sides = (sliced_axes(side, difference.own) for side in (difference.before, difference.after))
        return cls(difference, tuple(compare_axes(*sides, resamples=resamples, seed=seed, correct=correct)))

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
            "kinds": [kind_to_dict(row) for row in found.kinds()],
            "cells": [asdict(row) for row in found.cells(MOST_CELLS)],
            "slices": [axis.to_dict() for axis in self.axes],
            "won": [component_to_dict(component) for component in found.won(components)],
            "lost": [component_to_dict(component) for component in found.lost(components)],
            "not_compared": [error.to_dict() for error in found.failures],
        }


def kind_to_dict(row: KindChange) -> dict[str, Any]:
    """One kind; every figure of one that was not measured is null."""
    figures = asdict(row)
    if not row.measured:
        figures |= dict.fromkeys(("before", "after", "fixed", "made", "images_better", "images_worse"))
    return {**figures, "kind": row.kind.value}


def shown_cells(cells: list[CellChange], limit: int) -> list[CellChange]:
    """The first cells with something fixed or made."""
    return [cell for cell in cells if cell.fixed or cell.made][:limit]
