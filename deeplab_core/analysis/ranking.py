"""Orders to look at things in, and how well an order found the errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def worst_first(scores: Mapping[str, float]) -> list[str]:
    """Names by falling score; equal ones by name, those without a score (nan) last."""
    return sorted(scores, key=lambda name: (math.isnan(scores[name]), -scores[name] if scores[name] == scores[name] else 0, name))


@dataclass(frozen=True, slots=True, eq=False)
class GainCurve:
    """How much of the error is found when things are looked at in an order.

    Attributes:
        looked: (K,) float64 rising from 0 to 1: share of the cost spent (images, or pixels).
        found: (K,) float64 from 0 to 1: share of the error in what was looked at. Equally scored things are looked at together,
            in the mean over their orders, so the curve does not depend on how ties are broken.
        area: area under the curve, 0..1; 0.5 is what a random order expects.
        best_area: area of the order by true error per cost, the best there is.
    """

    looked: NDArray[np.float64]
    found: NDArray[np.float64]
    area: float
    best_area: float

    @property
    def skill(self) -> float:
        """0 for a random order, 1 for the best one, negative for worse than random; nan where all orders are alike."""
        span = self.best_area - 0.5
        return (self.area - 0.5) / span if span > 1e-12 else math.nan

    def found_after(self, share: float) -> float:
        """Share of the error found after spending a share of the cost, 0..1."""
        return float(np.interp(share, self.looked, self.found))


def gain_curve(scores: Sequence[float], errors: Sequence[float], costs: Sequence[float] | None = None) -> GainCurve:
    """Cumulative gain of looking at the highest scores first.

    Args:
        scores: (N,) what the order is made from; nan counts as the lowest.
        errors: (N,) what is to be found, >= 0: wrong pixels of an image, or 1 for a wrong label.
        costs: (N,) > 0, what looking costs; None takes 1 each. With per-pixel inputs this is the sparsification curve.

    Raises:
        ValueError: lengths differ, nothing to find, or values out of range.
    """
    order = np.asarray(scores, dtype=np.float64)
    wrong = np.asarray(errors, dtype=np.float64)
    cost = np.ones(len(order)) if costs is None else np.asarray(costs, dtype=np.float64)
    if not order.shape == wrong.shape == cost.shape or order.ndim != 1:
        raise ValueError(f"{order.shape} scores, {wrong.shape} errors and {cost.shape} costs do not belong together")
    if not (wrong >= 0).all() or not (cost > 0).all():
        raise ValueError("errors are at least 0 and costs above 0")
    if not wrong.sum() > 0:
        raise ValueError("there is no error to find")
    looked, found = _curve(np.where(np.isnan(order), -np.inf, order), wrong, cost)
    best = _curve(wrong / cost, wrong, cost)
    return GainCurve(looked, found, _area(looked, found), _area(*best))


def _curve(
    scores: NDArray[np.float64], wrong: NDArray[np.float64], cost: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    groups, member = np.unique(-scores, return_inverse=True)
    looked = np.concatenate(([0.0], np.cumsum(np.bincount(member, weights=cost, minlength=len(groups)))))
    found = np.concatenate(([0.0], np.cumsum(np.bincount(member, weights=wrong, minlength=len(groups)))))
    return looked / looked[-1], found / found[-1]


def _area(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1])).sum() / 2)
