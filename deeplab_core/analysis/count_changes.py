"""Counts of errors that were fixed and made, by kind and by cell: intervals over images, and p-values as one family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import FailureKind
from deeplab_core.analysis.sparse_features import SparseFeatures
from deeplab_core.analysis.verdicts import Verdict, count_verdict, holm, needed_draws, p_of_counts
from deeplab_core.metrics.bootstrap import interval
from deeplab_core.metrics.scores import FEW_IMAGES

#: Cells whose drawn sums are held at once.
_DRAWN_AT_ONCE = 500
#: Draws for p-values at most. Holm's correction over more than 2,500 counts leaves none below 0.05 then.
_MOST_DRAWS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChange:
    """Errors of one sort that were fixed and made.

    Attributes:
        before, after: wrong pixels of it.
        fixed, made: pixels that became right, and that were right.
        images_better, images_worse: images with more of it fixed than made, and the reverse.
        low, high: 95 % interval of ``fixed - made`` over images, px; nan without one.
        p: two-sided p-value of ``fixed - made``, corrected by Holm's method over all counts of its family that changed; nan if it
            was not tested, or changed in fewer than six images.
        verdict: what that says; None if it was not tested.
    """

    before: int
    after: int
    fixed: int
    made: int
    images_better: int
    images_worse: int
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindChange(CountChange):
    """One kind of failure. ``after = before - fixed + made``, and what stayed wrong but became another kind.

    Attributes:
        kind: which.
        measured: whether the data says anything of this kind.
    """

    kind: FailureKind
    measured: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange(CountChange):
    """One cell of the confusion matrix, or both cells of a pair of classes.

    Attributes:
        truth, prediction: class ids; the prediction may be void.
        both_ways: whether it is a pair: the cell and its mirrored one.
    """

    truth: int
    prediction: int
    both_ways: bool = False


@dataclass(frozen=True, slots=True)
class CountDraws:
    """How K counts are resampled.

    Attributes:
        resamples, seed: of the draws; 0 for none. For p-values more are made where their correction needs it
            (:func:`~deeplab_core.analysis.verdicts.needed_draws`), up to :data:`_MOST_DRAWS`.
        tested: of which of them p-values are wanted.
        listed: how many, from the first, have intervals whether they can be tested or not.
    """

    resamples: int
    seed: int
    tested: Sequence[bool]
    listed: int


@dataclass(frozen=True, slots=True)
class NetChanges:
    """What some counts have won over the images, for each of K counts.

    Attributes:
        better, worse: (K,) images with more fixed than made, and the reverse.
        bounds: (K, 2) interval of ``fixed - made``; nan without one.
        p: corrected over all K; nan if fewer than six images changed.
        verdicts: what p says; all None without draws.
    """

    better: NDArray[np.int64]
    worse: NDArray[np.int64]
    bounds: NDArray[np.float64]
    p: Sequence[float]
    verdicts: Sequence[Verdict | None]

    def of(self, place: int) -> dict[str, Any]:
        """Fields of a row."""
        low, high = self.bounds[place].tolist()
        return {
            "images_better": int(self.better[place]), "images_worse": int(self.worse[place]), "low": low, "high": high,
            "p": self.p[place], "verdict": self.verdicts[place],
        }  # fmt: skip


def net_changes(
    fixed: FolderAnalysis, made: FolderAnalysis, name: str, groups: Sequence[Sequence[int]], draws: CountDraws
) -> NetChanges:
    """What each group of places of a count has won: images, the interval of the sum over images, and its p-value.

    Args:
        fixed, made: errors of the same images.
        name: of the count.
        groups: K groups of its places, no place in two of them.
        draws: how they are resampled and tested.
    """
    where = np.full(max((place for group in groups for place in group), default=0) + 1, -1)
    for at, group in enumerate(groups):
        where[list(group)] = at
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    names = sorted(fixed)  # draws do not depend on the order in which images came
    for row, image in enumerate(names):
        for folder, sign in ((fixed, 1), (made, -1)):
            record = folder.get(image)
            assert record is not None
            counts = record.counts[name]
            known = counts.places < len(where)
            at, values = where[counts.places[known]], counts.values[known].astype(np.float64)
            entries.append((np.full(np.count_nonzero(at >= 0), row), at[at >= 0], sign * values[at >= 0]))
    empty = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    rows, places, values = (np.concatenate(part) for part in zip(empty, *entries, strict=True))
    net = SparseFeatures.summed(rows, places, values, len(names), (len(groups),))
    better, worse = (
        np.bincount(net.places[side], minlength=len(groups)) for side in (net.values > 0, net.values < 0)
    )  # fmt: skip
    drawable = bool(draws.resamples) and len(names) > 1
    wanted = np.asarray(draws.tested, dtype=bool)
    tested = wanted & (better + worse >= FEW_IMAGES) & drawable
    bounds, p = np.full((len(groups), 2), math.nan), np.full(len(groups), math.nan)
    listed = np.arange(min(draws.listed, len(groups))) if drawable else np.zeros(0, np.int64)
    for first in range(0, len(listed), _DRAWN_AT_ONCE):
        part = listed[first : first + _DRAWN_AT_ONCE]
        bounds[part] = interval(net.columns(part).pools(draws.resamples, draws.seed))
    chosen = np.flatnonzero(tested)
    if chosen.size:
        enough = max(draws.resamples, min(needed_draws(chosen.size), _MOST_DRAWS))
        p[chosen] = _p_values(net.columns(chosen), enough, draws.seed)
    corrected = holm(p.tolist())
    verdicts = [
        count_verdict(int(won), one) if drawable and asked else None
        for won, one, asked in zip(net.total(), corrected, wanted, strict=True)
    ]
    return NetChanges(better, worse, bounds, corrected, verdicts)


def _p_values(net: SparseFeatures, resamples: int, seed: int) -> list[float]:
    """p-values of (N, K) numbers summed over the images, counted while they are drawn: so many sums are never held at once."""
    below, above = np.zeros(net.shape, np.int64), np.zeros(net.shape, np.int64)
    for pools in net.pool_blocks(resamples, seed):
        below += np.count_nonzero(pools <= 0, axis=0)
        above += np.count_nonzero(pools >= 0, axis=0)
    return [p_of_counts(low, high, resamples) for low, high in zip(below.tolist(), above.tolist(), strict=True)]
