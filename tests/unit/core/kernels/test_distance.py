"""The compiled transforms against the plain ones, which are themselves held against brute force elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.kernels import compiled
from deeplab_core.kernels import distance as compiled_loops
from deeplab_core.kernels import fill as fill_loops
from deeplab_core.metrics import distance as distance_module
from deeplab_core.metrics.boundary_f import mean_boundary_f, mean_csurka_f
from deeplab_core.metrics.distance import distance_to_edge, fill_void
from deeplab_core.metrics.trimap import band_map


@pytest.fixture
def plain_and_compiled(monkeypatch):
    """Call a function without and with compiled loops, whatever the size of the map."""

    def both(function, *arguments, **named):
        monkeypatch.setattr(compiled, "LARGE", 0)
        compiled.allow_compiled(False)
        plain = function(*arguments, **named)
        compiled.allow_compiled(True)
        try:
            return plain, function(*arguments, **named)
        finally:
            compiled.allow_compiled(True)

    return both


def blocks(seed: int, dtype=np.uint8, void: int = 255) -> np.ndarray:
    """Flat areas of random size, some of them void, as label maps have them."""
    rng = np.random.default_rng(seed)
    height, width, side = int(rng.integers(1, 100)), int(rng.integers(1, 100)), int(rng.integers(1, 30))
    small = rng.choice([0, 1, 2, 7, void], (height // side + 1, width // side + 1), p=[0.4, 0.2, 0.1, 0.1, 0.2])
    return np.ascontiguousarray(np.kron(small, np.ones((side, side)))[:height, :width].astype(dtype))


@pytest.mark.parametrize("seed", range(25))
def test_void_is_filled_alike(plain_and_compiled, seed: int) -> None:
    plain, fast = plain_and_compiled(fill_void, blocks(seed))
    np.testing.assert_array_equal(plain, fast)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(("rule", "around"), [("void", "truth"), ("edge", "truth"), ("edge", "prediction")])
def test_bands_are_alike(plain_and_compiled, seed: int, rule, around) -> None:
    truth = blocks(seed)
    prediction = np.roll(truth, (2, -3), (0, 1))
    plain, fast = plain_and_compiled(band_map, truth=truth, prediction=prediction, rule=rule, around=around)
    np.testing.assert_array_equal(plain, fast)
    assert fast.dtype == np.uint8


@pytest.mark.parametrize("seed", range(6))
def test_sixteen_bit_maps_are_alike(plain_and_compiled, seed: int) -> None:
    truth = blocks(seed, np.uint16, 65535)
    for rule in ("void", "edge"):
        plain, fast = plain_and_compiled(band_map, truth=truth, ignore=65535, rule=rule)
        np.testing.assert_array_equal(plain, fast)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, compiled_loops.FARTHEST))
def test_edge_squares_equal_whole_transforms(seed: int, reach: int) -> None:
    filled = fill_void(blocks(seed))
    squares = np.round(distance_to_edge(filled).astype(np.float64) ** 2)
    squares[~(squares <= reach**2)] = (reach + 1) ** 2
    np.testing.assert_array_equal(compiled_loops.edge_squares(filled, reach), squares)


def test_distances_within_reach_are_the_exact_ones(plain_and_compiled) -> None:
    labels = blocks(3)
    exact = distance_to_edge(labels)
    for found in plain_and_compiled(distance_to_edge, labels, reach=20):
        near = exact <= 20
        np.testing.assert_allclose(found[near], exact[near], rtol=1e-6)
        assert (found[~near] > 20).all()


@pytest.mark.parametrize("seed", range(25))
def test_tiles_fill_void_as_the_whole_map(plain_and_compiled, monkeypatch, seed: int) -> None:
    labels = blocks(seed)
    whole = plain_and_compiled(fill_void, labels)
    monkeypatch.setattr(distance_module, "_WHOLE_PX", 0)
    monkeypatch.setattr(distance_module, "_FILL_TILE", 16)
    for margin in (4, 12, 40):  # void is deeper than the first, in most maps
        monkeypatch.setattr(distance_module, "_FILL_MARGIN", margin)
        np.testing.assert_array_equal(plain_and_compiled(fill_void, labels), whole)


def test_void_of_a_large_map_is_filled_in_tiles(monkeypatch) -> None:
    labels = np.zeros((2100, 2200), np.uint8)
    labels[:, 900:], labels[:, 890:905], labels[:40] = 3, 255, 255
    sizes = []
    whole = distance_module._fill_whole
    monkeypatch.setattr(distance_module, "_fill_whole", lambda part, ignore: sizes.append(part.size) or whole(part, ignore))
    filled = fill_void(labels)
    assert (filled[1000, [895, 899]] == [0, 3]).all()
    assert not (filled == 255).any()
    assert sizes
    assert max(sizes) < labels.size / 2  # memory follows the tiles
    labels[:500] = 255
    sizes.clear()
    assert not (fill_void(labels) == 255).any()
    assert sizes == [labels.size]  # too deep for tiles


def test_very_thick_void_is_left_to_the_transforms(plain_and_compiled, monkeypatch) -> None:
    monkeypatch.setattr(fill_loops, "_PATIENCE", 100)
    labels = np.full((40, 60), 255, np.uint8)
    labels[3, 5], labels[30, 50] = 4, 2
    assert fill_loops.filled(labels, 255) is None
    plain, fast = plain_and_compiled(fill_void, labels)
    np.testing.assert_array_equal(plain, fast)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("measure", [mean_boundary_f, mean_csurka_f])
@pytest.mark.parametrize("ratio", [0.0075, 0.06])
def test_contours_match_alike(plain_and_compiled, seed: int, measure, ratio: float) -> None:
    truth = blocks(seed)
    rng = np.random.default_rng(seed)
    speckle = rng.choice([0, 7, 9, 255], truth.shape).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.02, speckle, np.roll(truth, (1, -2), (0, 1)))
    plain, fast = plain_and_compiled(measure, truth=truth, prediction=prediction, ratio=ratio)
    np.testing.assert_allclose(fast, plain, rtol=1e-12)
