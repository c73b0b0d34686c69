"""Uncertainty of an image: exact where the lattice holds every pixel, and close to that where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deeplab_core.inference import ScoreGrid, Scores
from deeplab_core.inference.geometry import NetworkFrame
from deeplab_core.inference.scores import LATTICE, store_scores, uncertainty_scores
from deeplab_core.metrics.uncertainty import entropy, margin_uncertainty
from tests.unit.core.inference.networks import catalog


def made(values: np.ndarray, image: tuple[int, int], *more: np.ndarray) -> Scores:
    grids = tuple(
        ScoreGrid(store_scores(grid.astype(np.float32)), NetworkFrame(image, image, image), False) for grid in (values, *more)
    )
    return Scores(grids, catalog(values.shape[-1]))


def two_sure_halves(lead: float) -> np.ndarray:
    values = np.zeros((8, 8, 4))
    values[:, :4, 1] = lead
    values[:, 4:, 2] = lead
    return values


def test_one_class_everywhere_is_measured_exactly() -> None:
    values = np.zeros((4, 4, 3))
    values[..., 1] = math.log(8)  # probabilities 0.1, 0.8, 0.1
    figures = uncertainty_scores(made(values, (32, 32)))
    assert figures["margin"] == pytest.approx(0.3, abs=1e-3)
    exact = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1)) / math.log(3)
    assert figures["entropy"] == pytest.approx(exact, abs=1e-3)
    assert "passes" not in figures


def test_edges_between_classes_do_not_count() -> None:
    figures = uncertainty_scores(made(two_sure_halves(60.0), (64, 64)))
    assert figures["margin"] < 0.02


def test_noise_everywhere_counts_everything() -> None:
    values = np.random.default_rng(0).normal(0, 3, (20, 20, 5))
    scores = made(values, (20, 20))
    probabilities = scores.probabilities()
    figures = uncertainty_scores(scores)
    assert 0 < figures["margin"] <= 1
    assert 0 < figures["entropy"] <= 1
    assert figures["entropy"] <= entropy(probabilities).max()
    assert figures["margin"] <= margin_uncertainty(probabilities).max()


def test_the_lattice_speaks_for_a_large_image() -> None:
    rng = np.random.default_rng(2)
    values = np.zeros((40, 60, 3))
    values[..., 0] = 2 + rng.normal(0, 0.2, (40, 60))
    scores = made(values, (400, 600))
    assert min(scores.size) > LATTICE
    probabilities = scores.probabilities()
    assert uncertainty_scores(scores)["margin"] == pytest.approx(float(margin_uncertainty(probabilities).mean()), abs=0.01)


def test_passes_that_agree_have_no_disagreement_and_those_that_contradict_have() -> None:
    one = np.zeros((4, 4, 2))
    one[..., 0] = 6
    other = one[..., ::-1].copy()
    assert uncertainty_scores(made(one, (16, 16), one))["passes"] == pytest.approx(0, abs=1e-4)
    assert uncertainty_scores(made(one, (16, 16), other))["passes"] > 0.9


def test_a_single_class_is_never_uncertain() -> None:
    assert uncertainty_scores(made(np.zeros((4, 4, 1)), (8, 8))) == {}
