"""Uncertainty and disagreement, orders and what they find."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.analysis import gain_curve, rank
from deeplab_core.metrics.uncertainty import (
    confidence_uncertainty,
    disagreement,
    entropy,
    least_confidence,
    margin_uncertainty,
    mutual_information,
    score_image,
    uncertain_regions,
    vote_disagreement,
)


def column(*values: float) -> np.ndarray:
    """Probabilities of one pixel."""
    return np.array(values, np.float32).reshape(-1, 1, 1)


def test_maps_from_probabilities() -> None:
    probabilities = column(0.5, 0.3, 0.2)
    assert least_confidence(probabilities)[0, 0] == pytest.approx(0.5)
    assert margin_uncertainty(probabilities)[0, 0] == pytest.approx(0.8)
    by_hand = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)) / math.log(3)
    assert entropy(probabilities)[0, 0] == pytest.approx(by_hand, rel=1e-6)
    assert entropy(column(1, 0, 0))[0, 0] == 0
    assert entropy(column(0.25, 0.25, 0.25, 0.25))[0, 0] == pytest.approx(1)
    assert confidence_uncertainty(np.array([[255, 0, 51]], np.uint8))[0].tolist() == pytest.approx([0, 1, 0.8])
    with pytest.raises(ValueError, match="two classes"):
        margin_uncertainty(column(1))


def test_passes_that_agree_carry_no_information_however_unsure() -> None:
    unsure = column(0.5, 0.5)
    assert mutual_information([unsure, unsure])[0, 0] == pytest.approx(0, abs=1e-6)
    assert mutual_information([column(1, 0), column(0, 1)])[0, 0] == pytest.approx(1)
    with pytest.raises(ValueError, match="two passes"):
        mutual_information([unsure])


@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 6), st.just(2), st.just(3)), elements=st.integers(0, 3)))
def test_votes(votes: np.ndarray) -> None:
    found = vote_disagreement(list(votes))
    for y, x in np.ndindex(2, 3):
        most = max(np.bincount(votes[:, y, x]))
        assert found[y, x] == pytest.approx(1 - most / len(votes))


def test_disagreement_of_two_maps_passes_void_over() -> None:
    one, other = np.array([[1, 2, 255, 3]], np.uint8), np.array([[1, 3, 3, 255]], np.uint8)
    assert disagreement(one, other, 255).tolist() == [[0, 1, 0, 0]]
    with pytest.raises(ValueError, match="label maps"):
        disagreement(one, other[:, :2], 255)
    with pytest.raises(ValueError, match="two label maps"):
        vote_disagreement([one])


def test_images_are_scored_away_from_edges() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 1
    uncertainty = np.zeros((40, 40), np.float32)
    uncertainty[:, 18:22] = 1  # on the edge only
    assert score_image(uncertainty, labels, 255).mean == 0
    assert score_image(uncertainty, labels, 255, edge_band=0).mean == pytest.approx(0.1)
    uncertainty[5:8, 3:8] = 0.5
    score = score_image(uncertainty, labels, 255)
    assert score.expected_wrong == pytest.approx(7.5)
    assert score.worst == pytest.approx(0.5)
    assert math.isnan(score_image(uncertainty, np.full((40, 40), 255, np.uint8), 255).mean)
    # If nothing is far from an edge, everything counts.
    tiny = np.array([[0, 1]], np.uint8)
    assert score_image(np.array([[0.2, 0.4]], np.float32), tiny, 255).mean == pytest.approx(0.3)


def test_regions_by_expected_wrong_pixels() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[5:20, 5:20] = 7
    labels[25, 25] = 255
    uncertainty = np.where(labels == 7, 0.5, 0.01).astype(np.float32)
    first, second = uncertain_regions(uncertainty, labels, 255)
    assert (first.class_id, first.pixels, first.anchor) == (7, 225, (5, 5))
    assert first.mean == first.interior == pytest.approx(0.5)
    assert first.expected_wrong == pytest.approx(112.5)
    assert second.pixels == 30 * 30 - 226
    assert len(uncertain_regions(uncertainty, labels, 255, limit=1)) == 1
    thin = np.zeros((9, 9), np.uint8)
    thin[4] = 3
    assert math.isnan(next(r for r in uncertain_regions(np.ones((9, 9), np.float32), thin, 255) if r.class_id == 3).interior)


def test_rank_with_ties_and_unknowns() -> None:
    assert rank({"b": 0.5, "a": 0.5, "z": 0.9, "n": math.nan}) == ["z", "a", "b", "n"]


def test_gain_of_the_best_order_the_worst_and_none() -> None:
    errors = [0, 0, 1, 3]
    best = gain_curve([1, 2, 3, 4], errors)
    assert best.found.tolist() == [0, 0.75, 1, 1, 1]
    assert best.area == best.best_area == pytest.approx((0.375 + 0.875 + 1 + 1) / 4)
    assert best.skill == 1
    assert best.found_after(0.25) == 0.75
    worst = gain_curve([4, 3, 2, 1], errors)
    assert worst.skill == pytest.approx(-1)
    none = gain_curve([1, 1, 1, 1], errors)
    assert none.area == 0.5
    assert none.skill == 0
    assert gain_curve([1, math.nan], [0, 2]).found.tolist() == [0, 0, 1]
    assert math.isnan(gain_curve([1, 2], [1, 1]).skill)


def test_gain_with_costs_looks_at_errors_per_cost() -> None:
    curve = gain_curve([2, 1], [3, 1], costs=[9, 1])
    assert curve.looked.tolist() == [0, 0.9, 1]
    assert curve.area < curve.best_area
    for scores, errors, costs in (([1], [1, 2], None), ([1, 2], [0, 0], None), ([1], [-1], None), ([1], [1], [0])):
        with pytest.raises(ValueError, match=r"belong together|no error|at least 0"):
            gain_curve(scores, errors, costs)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=5).filter(
        lambda rows: sum(e for _, e in rows) > 0
    )
)
@settings(max_examples=40)
def test_ties_are_the_mean_over_their_orders(rows: list[tuple[int, int]]) -> None:
    scores, errors = zip(*rows, strict=True)
    areas = []
    for order in permutations(range(len(rows))):
        broken = [score + 0.01 * place for score, place in zip(scores, order, strict=True)]
        areas.append(gain_curve(broken, errors).area)
    curve = gain_curve(scores, errors)
    assert curve.area == pytest.approx(np.mean(areas))
    assert curve.area <= curve.best_area + 1e-12
