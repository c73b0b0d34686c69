"""What learning did to images that were left out, with 95 % intervals over these images.

There are two to twenty-one of them, too few for a percentile bootstrap: of two images that change by chance it excludes 0 every
other time. So the interval is the jackknife's (Efron & Stein 1981) with Student's t: each image is taken out of the pool in turn,
and the spread of the gains that remain says how much a gain hangs on single images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deeplab_core.learning import GainInterval, Verdict
from deeplab_core.metrics import ConfusionMatrix, scores

#: Student's t, 97.5 %, by degrees of freedom from 1 on; the last value for more.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101,
    2.093, 2.086, 2.080,
)  # fmt: skip

#: A gain that is shown as 0.0 points.
_SHOWN = 0.0005

Counts = NDArray[np.int64]
Score = Callable[[Counts], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Images while they were left out.

    Attributes:
        before, after: one matrix for each image, in the same order, with the corrected mask as ground truth.
    """

    before: tuple[ConfusionMatrix, ...]
    after: tuple[ConfusionMatrix, ...]

    @cached_property
    def pooled(self) -> tuple[ConfusionMatrix, ConfusionMatrix]:
        """Before and after, pooled."""
        return _sum(self.before), _sum(self.after)

    @cached_property
    def gain(self) -> GainInterval:
        """Of the mean IoU over the classes of the ground truth."""
        return self._interval(_mean_iou, len(self.before))

    def class_gain(self, channel: int) -> GainInterval | None:
        """Of the IoU of one class; None if no image has it. With fewer than two such images there are no bounds."""
        images = sum(bool(matrix.truth_pixels()[channel]) for matrix in self.before)
        if not images:
            return None

        def iou(counts: Counts) -> NDArray[np.float64]:
            there = scores.truth_pixels(counts)[..., channel] > 0
            return np.where(there, scores.class_iou(counts)[..., channel], np.nan)

        return self._interval(iou, images)

    @property
    def verdict(self) -> Verdict:
        """``"better"`` and ``"worse"`` only where the interval excludes 0."""
        if not self.gain.certain or abs(self.gain.gain) < _SHOWN:
            return "not sure"
        return "better" if self.gain.gain > 0 else "worse"

    @property
    def clearly_worse(self) -> bool:
        """Whether mean IoU or pixel accuracy fell by more than a standard error.

        Rare classes on single images rule the mean IoU, so its error is large; a loss of common pixels shows in the accuracy.
        """
        return any(gain < -error for gain, error in map(self._gain_and_error, (_mean_iou, _accuracy)))

    def _interval(self, score: Score, images: int) -> GainInterval:
        gain, error = self._gain_and_error(score)
        if np.isnan(error):
            return GainInterval(gain=gain, low=None, high=None, images=images)
        reach = _T[min(len(self.before) - 1, len(_T)) - 1] * error
        return GainInterval(gain=gain, low=gain - reach, high=gain + reach, images=images)

    def _gain_and_error(self, score: Score) -> tuple[float, float]:
        number = len(self.before)
        each = np.stack([[matrix.counts for matrix in side] for side in (self.before, self.after)])
        whole = each.sum(axis=1)
        before, after = (float(score(counts)) for counts in whole)
        gain = after - before
        if number < 2 or np.isnan(gain):
            return gain, float("nan")
        without = score(whole[:, None] - each)
        spread = without[1] - without[0]
        return gain, float(np.sqrt((number - 1) / number * np.square(spread - spread.mean()).sum()))


def _accuracy(counts: Counts) -> NDArray[np.float64]:
    right = np.trace(counts[..., :-1], axis1=-2, axis2=-1)
    found: NDArray[np.float64] = right / np.maximum(1, counts.sum(axis=(-2, -1)))
    return found


def _mean_iou(counts: Counts) -> NDArray[np.float64]:
    return scores.mean_iou(counts, "truth")[0]


def _sum(matrices: tuple[ConfusionMatrix, ...]) -> ConfusionMatrix:
    pooled = matrices[0].copy()
    for matrix in matrices[1:]:
        pooled += matrix
    return pooled
