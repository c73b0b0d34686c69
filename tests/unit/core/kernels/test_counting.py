"""The compiled counting loops against OpenCV's histograms."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.errors import CatalogError
from deeplab_core.kernels import compiled
from deeplab_core.kernels import counting as loops
from deeplab_core.metrics.counting import channel_table, count_banded, count_pairs
from tests.unit.core.metrics.maps import GAPPED, naive_counts


@pytest.fixture
def always(monkeypatch):
    """Compiled loops for maps of any size."""
    monkeypatch.setattr(compiled, "LARGE", 0)
    compiled.allow_compiled(True)
    yield
    compiled.allow_compiled(True)


def maps(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of all lengths, so that words repeat, are of one class, and are mixed."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 700))
    values = [*GAPPED.ids.tolist(), GAPPED.ignore]
    flat = [np.repeat(rng.choice(values, size), rng.integers(1, rng.integers(2, 60), size))[:size] for _ in range(2)]
    index = np.repeat(rng.integers(0, 6, size), rng.integers(1, 20, size))[:size]
    return flat[0].astype(np.uint8)[None], flat[1].astype(np.uint8)[None], index.astype(np.uint8)[None]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 7))
def test_pairs_equal_a_loop_over_pixels(seed: int, offset: int) -> None:
    truth, prediction, _ = (array[:, offset:] for array in maps(seed))  # words that start anywhere
    table = channel_table(GAPPED)
    counts = loops.pair_counts(np.ascontiguousarray(truth), np.ascontiguousarray(prediction), table.lut, 6)
    np.testing.assert_array_equal(counts[:4, :5], naive_counts(truth, prediction, GAPPED))
    assert counts.sum() == truth.size


@pytest.mark.parametrize("seed", range(30))
def test_bands_equal_one_matrix_per_band(always, seed: int) -> None:
    truth, prediction, index = maps(seed)
    counts = count_banded(index=index, truth=truth, prediction=prediction, bands=5, catalog=GAPPED).whole()
    for band in range(1, 6):
        inside = index == band
        np.testing.assert_array_equal(counts[band - 1], naive_counts(truth[inside], prediction[inside], GAPPED))


def test_maps_larger_than_a_part_are_added_up(always, monkeypatch) -> None:
    monkeypatch.setattr(loops, "_PART", 64)
    truth, prediction, index = maps(7)
    np.testing.assert_array_equal(
        count_pairs(truth=truth, prediction=prediction, catalog=GAPPED), naive_counts(truth, prediction, GAPPED)
    )
    counts = count_banded(index=index, truth=truth, prediction=prediction, bands=5, catalog=GAPPED)
    assert counts.total() == naive_counts(truth[index > 0], prediction[index > 0], GAPPED).sum()


@pytest.mark.parametrize("which", ["truth", "prediction"])
def test_undeclared_ids_are_named_wherever_they_stand(always, which: str) -> None:
    given_maps = {"truth": np.full((4, 9), 33, np.uint8), "prediction": np.full((4, 9), 7, np.uint8)}
    given_maps["truth"][0] = 255
    given_maps[which][0, 3] = 99
    with pytest.raises(CatalogError, match=rf"the {which} holds ids.*\n?.*99 \(1 px\)"):
        count_pairs(**given_maps, catalog=GAPPED)
    with pytest.raises(CatalogError, match=rf"the {which} holds ids"):
        count_banded(**given_maps, index=np.zeros((4, 9), np.uint8), bands=5, catalog=GAPPED)


def test_nothing_to_count(always) -> None:
    empty = np.zeros((0, 5), np.uint8)
    assert count_pairs(truth=empty, prediction=empty, catalog=GAPPED).sum() == 0


def test_loops_wait_for_a_large_map_and_may_be_forbidden() -> None:
    try:
        compiled.allow_compiled(True)
        assert not compiled.use_compiled(compiled.LARGE - 1)
        assert compiled.use_compiled(compiled.LARGE)
        assert compiled.use_compiled(1)
        compiled.allow_compiled(False)
        assert not compiled.use_compiled(compiled.LARGE)
    finally:
        compiled.allow_compiled(True)


def test_without_numba_the_counting_goes_on(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled.can_compile.cache_clear()
    try:
        compiled.allow_compiled(True)
        assert not compiled.use_compiled(compiled.LARGE)
        big = np.zeros((400, 400), np.uint8)
        assert count_pairs(truth=big, prediction=big, catalog=GAPPED)[1, 1] == 160_000
    finally:
        compiled.can_compile.cache_clear()
        compiled.allow_compiled(True)
