"""Counts by cell against the dense array that they stand for."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.image import count_labels, inspect_image
from deeplab_core.analysis.record import band_name
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.metrics import counting, scores
from deeplab_core.metrics.cell_counts import CellCounts
from deeplab_core.metrics.counting import count_banded, count_pairs
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.records import TrimapBand
from tests.unit.core.metrics.maps import GAPPED, WIDE, catalog_of, label_maps, naive_counts

CLASSES, LAYERS = 3, 4
CELLS = CLASSES * (CLASSES + 1)
dense_counts = st.lists(st.integers(0, 3), min_size=LAYERS * CELLS, max_size=LAYERS * CELLS).map(
    lambda values: np.array(values, np.int64).reshape(LAYERS, CLASSES, CLASSES + 1)
)


def drawn_pixels(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, CELLS, number), random.integers(0, LAYERS, number)


@settings(max_examples=60, deadline=None)
@given(dense_counts, dense_counts)
def test_what_is_packed_added_and_taken_away_is_the_dense_array(one: np.ndarray, other: np.ndarray) -> None:
    counts = CellCounts.of(one)
    np.testing.assert_array_equal(counts.whole(), one)
    assert SparseCounts.of(counts).same(SparseCounts.of(one))
    SparseCounts.of(other).add_to(counts)
    np.testing.assert_array_equal(counts.whole(), one + other)
    copied = counts.copy()
    copied -= CellCounts.of(one)
    assert copied == CellCounts.of(other)
    copied += CellCounts.of(one)
    assert copied == counts
    SparseCounts.of(one).add_to(counts, -1)
    assert counts == CellCounts.of(other)
    assert counts.total() == other.sum()


@settings(max_examples=60, deadline=None)
@given(dense_counts)
def test_sums_are_those_of_the_dense_array(dense: np.ndarray) -> None:
    counts = CellCounts.of(dense)
    expected = np.stack([scores.hits(dense), scores.truth_pixels(dense), scores.prediction_pixels(dense)])
    np.testing.assert_array_equal(counts.sums(), expected)
    np.testing.assert_array_equal(counts.layer_sum(1, 3), dense[1:3].sum(axis=0))
    np.testing.assert_array_equal(counts.layer_sum(), dense.sum(axis=0))
    for truth in range(CLASSES):
        for prediction in range(CLASSES + 1):
            np.testing.assert_array_equal(counts.at(truth, prediction), dense[:, truth, prediction])


@pytest.mark.parametrize("number", [0, 1, 5, 500])
def test_counted_and_moved_pixels_are_where_a_loop_puts_them(number: int) -> None:
    cells, layer = drawn_pixels(1, number)
    after, _ = drawn_pixels(2, number)
    counts, dense = CellCounts((LAYERS, CLASSES, CLASSES + 1)), np.zeros((LAYERS, CELLS), np.int64)
    counts.count(cells, layer)
    np.add.at(dense, (layer, cells), 1)
    np.testing.assert_array_equal(counts.whole().reshape(LAYERS, CELLS), dense)
    counts.move(cells, after, layer)
    dense[:] = 0
    np.add.at(dense, (layer, after), 1)
    np.testing.assert_array_equal(counts.whole().reshape(LAYERS, CELLS), dense)


@pytest.mark.parametrize("number", [2, 500])
def test_what_was_not_counted_is_neither_moved_nor_taken_away(number: int) -> None:
    counts = CellCounts((LAYERS, CLASSES, CLASSES + 1))
    counts.count(np.array([4]), np.array([1]))
    known = counts.copy()
    for cell in (4, 5):  # counted once only; never counted
        with pytest.raises(ValueError, match="not the one that was counted"):
            counts.move(np.full(number, cell), np.zeros(number, np.int64), np.ones(number, np.int64))
        more = CellCounts(counts.shape)
        more.count(np.full(number, cell), np.ones(number, np.int64))
        with pytest.raises(ValueError, match="never added"):
            counts -= more
        assert counts == known


def test_the_last_axes_are_truth_and_prediction() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., C, C \+ 1\)"):
        CellCounts((4, 3, 3))
    with pytest.raises(ValueError, match="do not belong"):
        CellCounts((4, 3, 4)).__iadd__(CellCounts((5, 3, 4)))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from([GAPPED, WIDE]), st.integers(1, 40))
def test_band_figures_equal_those_of_one_matrix_per_band(data, catalog, part: int) -> None:
    truth, prediction = data.draw(label_maps(catalog, (9, 12))), data.draw(label_maps(catalog, (9, 12)))
    index = band_map(truth=truth, rule="edge", ignore=catalog.ignore)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_WIDE_PART", part)
        histogram = BandHistogram(catalog, rule="edge").update(index=index, truth=truth, prediction=prediction)
        whole = count_pairs(truth=truth, prediction=prediction, catalog=catalog)
    np.testing.assert_array_equal(whole, naive_counts(truth, prediction, catalog))
    dense = np.stack([naive_counts(truth[index == k], prediction[index == k], catalog) for k in range(1, 42)])
    np.testing.assert_array_equal(histogram.counts, dense)
    for rule in ("union", "truth", "all"):
        curve, inside = histogram.curve(rule), np.cumsum(dense[:40], axis=0)
        mean, classes = scores.mean_iou(inside, rule)
        np.testing.assert_array_equal(curve.mean_iou, mean)
        np.testing.assert_array_equal(curve.classes, classes)
        np.testing.assert_array_equal(curve.pixel_accuracy, scores.pixel_accuracy(inside))
    assert BandHistogram.from_bytes(histogram.to_bytes(), catalog, rule="edge") == histogram


def test_undeclared_ids_of_a_wide_map_are_counted_over_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_WIDE_PART", 4)
    truth = np.full((4, 4), 300, np.uint16)
    prediction = np.array([[3, 3, 3, 17]] * 4, np.uint16)
    with pytest.raises(counting.CatalogError, match=r"17 \(4 px\)"):
        count_banded(index=np.ones((4, 4), np.uint8), truth=truth, prediction=prediction, bands=1, catalog=WIDE)


def test_a_thousand_classes_take_the_memory_of_those_that_occur() -> None:
    """Dense, the bands of one image alone are 336 MB, and the parts of its errors 48."""
    catalog = catalog_of(*range(1000))
    random = np.random.default_rng(3)
    truth = np.kron(random.integers(0, 1000, (6, 8)), np.ones((20, 20))).astype(np.uint16)
    prediction = np.roll(truth, 3, axis=1)
    band, folder = TrimapBand(rule="edge"), FolderAnalysis(catalog)
    tracemalloc.start()
    try:
        folder.update("one", count_labels(prediction, catalog, truth=truth, band=band))
        folder.update("one", inspect_image(truth=truth, prediction=prediction, catalog=catalog))
        histogram = folder.band("edge")
        assert histogram.total().total == truth.size == folder.by_cell(band_name("edge")).total()
        histogram.curve()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120e6, f"{peak / 1e6:.0f} MB"
