"""The scores that images are ranked by, declared once, and how well a ranking found the errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import MessageText, message


@dataclass(frozen=True, slots=True)
class RankingScore:
    """One score; higher is worse.

    Attributes:
        name: as the command line, files and code have it.
        title: of the ranking, as the window shows it.
        text: what the figure is.
        needs: what to do if no image has it.
        of: what it is measured on: the mask as it is, the kept prediction, or the given labels of the ground truth.
        option: of ``atrous rank``, without which it is not measured; empty where it always is.
        aliases: names of earlier versions, in files and on the command line.
    """

    name: str
    title: MessageText
    text: MessageText
    needs: MessageText
    of: Literal["mask", "prediction", "truth"] = "prediction"
    option: str = ""
    aliases: tuple[str, ...] = ()


_RUN = message("Run the model on the folder.")
_RUN_AGAIN = message("Run the model on the folder again: predictions made before this version did not keep it.")

#: All scores by name, in the order in which rankings are listed.
RANKINGS: dict[str, RankingScore] = {
    score.name: score
    for score in (
        RankingScore(
            "iou",
            message("Lowest IoU"),
            message("1 - mean IoU of the mask as it is, over the classes of the ground truth"),
            message("Evaluate the folder (Ctrl+J)."),
            of="mask",
        ),
        RankingScore(
            "confidence", message("Least confident"), message("mean of 1 - confidence, away from predicted edges"), _RUN
        ),
        RankingScore(
            "least_certain",
            message("Worst spot"),
            message("mean of 1 - confidence over the least certain hundredth, away from edges"),
            _RUN,
        ),
        RankingScore(
            "expected_wrong",
            message("Most expected errors"),
            message("sum of 1 - confidence, in pixels, away from edges"),
            _RUN,
        ),
        RankingScore(
            "margin",
            message("Smallest margin"),
            message("1 - lead of the first class over the second"),
            _RUN_AGAIN,
            aliases=("model_margin",),
        ),
        RankingScore(
            "entropy",
            message("Highest entropy"),
            message("entropy of the class probabilities over ln C"),
            _RUN_AGAIN,
            aliases=("model_entropy",),
        ),
        RankingScore(
            "passes",
            message("Flip and scales disagree"),
            message("mutual information of the passes"),
            message("Run with flip or several scales (Model dock)."),
            option="--flip or several --scales",
            aliases=("model_passes",),
        ),
        RankingScore(
            "disagreement",
            message("Two models disagree"),
            message("pixels on which another prediction differs, away from edges"),
            message("Run a second model on the folder, or the same one with other settings."),
            option="--second-model",
            aliases=("second_model", "other"),
        ),
        RankingScore(
            "crf",
            message("Model and CRF disagree"),
            message("pixels that the CRF changed, away from edges"),
            message("Apply the CRF to the folder."),
            option="--crf",
        ),
        RankingScore(
            "label_errors",
            message("Possible label errors"),
            message("1 - softmin of the confidence in the labels, without edges and void"),
            message("It needs ground truth and a prediction."),
            of="truth",
            aliases=("labels",),
        ),
    )
}

#: The ranking that is shown first.
DEFAULT_RANKING = "iou"
#: Names of the scores of a prediction.
OF_PREDICTION = tuple(name for name, score in RANKINGS.items() if score.of == "prediction")
_ALIASES = {alias: name for name, score in RANKINGS.items() for alias in score.aliases}


def ranking_name(text: str) -> str:
    """The name of a score from its name or that of an earlier version. Raises KeyError for one that does not exist."""
    return text if text in RANKINGS else _ALIASES[text]


def rank(scores: Mapping[str, float], images: Iterable[str] = ()) -> list[str]:
    """Names by falling score, equal ones by name; then those without a score (missing or nan) by name: none drops out.

    Args:
        scores: by name.
        images: further names.
    """
    found = {name for name, score in scores.items() if not math.isnan(score)}
    return sorted(found, key=lambda name: (-scores[name], name)) + sorted({*scores, *images} - found)


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
