"""What may be said of a difference of two scores: its interval, its p-value, and the correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from deeplab_core.metrics.bootstrap import Scores
from deeplab_core.metrics.scores import FEW_IMAGES

#: Images that a class must occur in for a verdict.
FEWEST_IMAGES = FEW_IMAGES

_SIGNIFICANT = 0.05
#: A difference below this is printed as 0.0000. One wrong pixel in every image is never chance, and never worth a mark.
_SHOWN = 0.00005


class Verdict(StrEnum):
    """What may be said of a difference."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"
    FEW = "too few images"
    WITHHELD = "not the same ground truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """One score before and after; scores 0..1, nan if absent.

    Attributes:
        name: of the score or class.
        before, after: the score of both reports.
        low, high: interval of the difference after - before.
        p: two-sided p-value, corrected for the number of rows in its family (overall or classes); nan without a verdict.
        images: images that the score rests on.
        verdict: see :class:`Verdict`.
        classes: how many classes a mean runs over, the same before and after; None for a score that is not a mean over classes.
    """

    name: str
    before: float
    after: float
    low: float
    high: float
    p: float
    images: int
    verdict: Verdict
    classes: int | None = None

    @property
    def difference(self) -> float:
        """After - before."""
        return self.after - self.before

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null if absent."""
        numbers = ("before", "after", "difference", "low", "high", "p")
        plain = {key: None if math.isnan(value := float(getattr(self, key))) else value for key in numbers}
        return {"name": self.name, **plain, "classes": self.classes, "images": self.images, "verdict": str(self.verdict)}


def p_value(differences: Scores) -> float:
    """Two-sided bootstrap p-value of (R,) differences, ``2 min(P(d <= 0), P(d >= 0))`` with one draw added to both counts."""
    there = differences[~np.isnan(differences)]
    if not there.size:
        return math.nan
    return p_of_counts(int(np.count_nonzero(there <= 0)), int(np.count_nonzero(there >= 0)), there.size)


def p_of_counts(below: int, above: int, draws: int) -> float:
    """The p-value of :func:`p_value` from how many draws are ``<= 0`` and ``>= 0``."""
    return min(1.0, 2 * (min(below, above) + 1) / (draws + 1))


def needed_draws(tests: int) -> int:
    """Draws with which a difference that no draw contradicts passes Holm's correction over so many tests.

    The least p of R draws is 2 / (R + 1), and the correction multiplies it by the number of tests: 10,000 draws never reach 0.05
    over 250 tests, whatever the difference. 100 draws for each test leave it at 0.02.
    """
    return 100 * tests


def _verdict(change: ScoreChange) -> Verdict:
    if change.images < FEWEST_IMAGES:
        return Verdict.FEW
    if not (abs(change.difference) >= _SHOWN and change.p <= _SIGNIFICANT):
        return Verdict.UNCLEAR
    return Verdict.BETTER if change.difference > 0 else Verdict.WORSE


def corrected(changes: Sequence[ScoreChange]) -> tuple[ScoreChange, ...]:
    """Holm's correction over the changes that can have a verdict, as one family."""
    few = {place for place, change in enumerate(changes) if change.images < FEWEST_IMAGES}
    result = [replace(change, p=math.nan, verdict=Verdict.FEW) if at in few else change for at, change in enumerate(changes)]
    tested = holm([math.nan if place in few else change.p for place, change in enumerate(changes)])
    for place, p in enumerate(tested):
        if not math.isnan(p):
            change = replace(changes[place], p=p)
            result[place] = replace(change, verdict=_verdict(change))
    return tuple(result)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm's method as one family; nan is none, and stays."""
    found = list(values)
    ordered = sorted((place for place, p in enumerate(values) if not math.isnan(p)), key=lambda place: values[place])
    largest = 0.0
    for rank, place in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * values[place]))
        found[place] = largest
    return found


def count_verdict(net: int, p: float) -> Verdict:
    """What may be said of pixels won (lost, if negative), with a corrected p-value; nan where too few images changed."""
    if math.isnan(p):
        return Verdict.FEW
    return Verdict.UNCLEAR if p > _SIGNIFICANT or not net else Verdict.BETTER if net > 0 else Verdict.WORSE
