"""The native engine against the full O(N^2) mean field, and against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.refine import CRFParams, DenseCRF
from deeplab_core.refine.lattice import Lattice, bilateral_features, position_features
from tests.unit.core.refine.exact import exact_mean_field
from tests.unit.core.refine.scenes import blob

WIDE = CRFParams(bilateral_sxy=10, bilateral_srgb=13, bilateral_compat=4)
NARROW = CRFParams(bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4, gaussian_sxy=1)


@pytest.mark.parametrize("normalization", ["symmetric", "after"])
@pytest.mark.parametrize("params", [WIDE, NARROW], ids=["wide", "narrow"])
def test_close_to_the_full_mean_field(params: CRFParams, normalization: str) -> None:
    """The lattice is an approximation of the Gaussian. Measured on these pictures: after one step 0.0049 on average and 0.093 at
    worst, after ten 0.0022 on average (an undecided pixel may then turn)."""
    params = replace(params, normalization=normalization)
    for seed in range(3):
        rgb, probabilities = blob(seed=seed)
        one = replace(params, iterations=1)
        error = np.abs(DenseCRF(rgb, one, prune=False).refine(probabilities) - exact_mean_field(rgb, probabilities, one))
        assert error.mean() < 0.006
        assert error.max() < 0.12
        ours = DenseCRF(rgb, params, prune=False).refine(probabilities)
        exact = exact_mean_field(rgb, probabilities, params)
        assert np.abs(ours - exact).mean() < 0.003
        assert (ours.argmax(0) == exact.argmax(0)).mean() >= 0.99
        assert np.abs(exact - probabilities).mean() > 0.2, "the CRF must have had something to do"


@pytest.mark.parametrize("sxy", [2.0, 4.0, 6.0])
def test_one_point_spreads_as_a_gaussian(sxy: float) -> None:
    """As exp(-d^2 / 2 sxy^2) up to the lattice's error: measured, 8 to 10 % of it lie elsewhere, the peak is 0.73 to 0.9."""
    size = 61
    lattice = Lattice.build(position_features(size, size, sxy))
    spike = np.zeros((size * size, 1), np.float32)
    spike[(size // 2) * size + size // 2] = 1.0
    answer = lattice.filter(spike).reshape(size, size)
    y, x = np.mgrid[:size, :size] - size // 2
    gaussian = np.exp(-(x**2 + y**2) / (2 * sxy**2))
    assert 0.7 < answer.max() < 1.0
    assert answer.sum() == pytest.approx(gaussian.sum(), rel=0.15)
    assert np.abs(answer / answer.sum() - gaussian / gaussian.sum()).sum() < 0.12
    assert (answer * (x**2 + y**2)).sum() / answer.sum() == pytest.approx(2 * sxy**2, rel=0.06)


def test_filter_is_its_own_adjoint_up_to_the_order_of_axes() -> None:
    rng = np.random.default_rng(1)
    rgb, _ = blob(seed=1)
    lattice = Lattice.build(bilateral_features(rgb, 20, 30))
    a, b = rng.random((2, rgb.shape[0] * rgb.shape[1], 1), np.float32)
    left, right = (lattice.filter(a) * b).sum(), (lattice.filter(b) * a).sum()
    assert left == pytest.approx(right, rel=0.01)


@pytest.mark.parametrize("labels", [1, 3, 4, 5, 8, 9, 21])
def test_filter_treats_every_plane_alike(labels: int) -> None:
    rng = np.random.default_rng(labels)
    rgb, _ = blob(16, 20)
    lattice = Lattice.build(bilateral_features(rgb, 15, 20))
    planes = rng.random((320, labels), np.float32)
    together = lattice.filter(planes)
    apart = np.concatenate([lattice.filter(planes[:, k : k + 1]) for k in range(labels)], axis=1)
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-7)


def test_weights_are_barycentric_and_mass_is_that_of_ones() -> None:
    rgb, _ = blob()
    lattice = Lattice.build(bilateral_features(rgb, 10, 5))
    assert lattice.weights.min() > -1e-4
    np.testing.assert_allclose(lattice.weights.sum(axis=1), 1.0, atol=1e-5)
    ones = np.ones((lattice.mass.size, 1), np.float32)
    np.testing.assert_array_equal(lattice.filter(ones)[:, 0], lattice.mass)


def test_rows_hold_every_vertex_at_most_once_per_axis() -> None:
    rgb, _ = blob()
    lattice = Lattice.build(bilateral_features(rgb, 10, 5))
    for row in lattice.rows:
        vertices = np.where(row < 0, ~row, row)
        assert np.unique(vertices).size == vertices.size
        assert row[-1] < 0


def test_without_weights_or_steps_the_probabilities_come_back() -> None:
    rgb, probabilities = blob(classes=5)
    for params in (
        CRFParams(gaussian_compat=0, bilateral_compat=0),
        CRFParams(iterations=0),
    ):
        np.testing.assert_allclose(DenseCRF(rgb, params, prune=False).refine(probabilities), probabilities, atol=3e-5)


@pytest.mark.parametrize("off", ["gaussian_compat", "bilateral_compat"])
def test_each_kernel_works_alone(off: str) -> None:
    params = replace(WIDE, **{off: 0.0})
    rgb, probabilities = blob()
    ours = DenseCRF(rgb, params, prune=False).refine(probabilities)
    assert np.abs(ours - exact_mean_field(rgb, probabilities, params)).mean() < 0.004


def test_temperature_and_clip_as_written() -> None:
    params = replace(WIDE, temperature=2.5, clip=0.02, iterations=3)
    rgb, probabilities = blob()
    ours = DenseCRF(rgb, params, prune=False).refine(probabilities)
    exact = exact_mean_field(rgb, probabilities, params)
    assert np.abs(ours - exact).mean() < 0.004


@settings(max_examples=15)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(2, 10), st.integers(0, 1000))
def test_rows_sum_to_one_and_labels_can_be_renamed(height: int, width: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    probabilities = rng.dirichlet(np.full(classes, 0.3), (height, width)).transpose(2, 0, 1).astype(np.float32)
    crf = DenseCRF(rgb, CRFParams(iterations=3), prune=False)
    refined = crf.refine(probabilities)
    assert refined.shape == probabilities.shape
    assert np.isfinite(refined).all()
    np.testing.assert_allclose(refined.sum(axis=0), 1.0, atol=1e-5)
    order = rng.permutation(classes)
    np.testing.assert_allclose(crf.refine(probabilities[order]), refined[order], atol=2e-4)
