from __future__ import annotations

import json
import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import CatalogError, ProjectError
from deeplab_core.metrics import ConfusionMatrix, MeanScore, counting
from tests.unit.core.metrics.maps import GAPPED, WIDE, catalog_of, label_maps, naive_counts, naive_iou

ABC = catalog_of(0, 1, 2)


def matrix_of(rows: list[list[int]]) -> ConfusionMatrix:
    return ConfusionMatrix(ABC, np.array(rows))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ClassCatalog, np.ndarray, np.ndarray]:
    catalog = draw(st.sampled_from([GAPPED, WIDE]))
    truth = draw(label_maps(catalog))
    return catalog, truth, draw(label_maps(catalog, truth.shape))


@given(pairs())
def test_counts_equal_a_loop_over_the_pixels(case: tuple[ClassCatalog, np.ndarray, np.ndarray]) -> None:
    catalog, truth, prediction = case
    matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)
    assert np.array_equal(matrix.counts, naive_counts(truth, prediction, catalog))


@given(pairs())
def test_iou_equals_intersection_over_union_of_masks(case: tuple[ClassCatalog, np.ndarray, np.ndarray]) -> None:
    catalog, truth, prediction = case
    matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)
    expected = [naive_iou(truth, prediction, int(i), catalog.ignore) for i in catalog.ids]
    np.testing.assert_allclose(matrix.iou(), expected, rtol=0, atol=1e-15)


@given(pairs(), st.data())
def test_delta_equals_a_recount(case: tuple[ClassCatalog, np.ndarray, np.ndarray], data: st.DataObject) -> None:
    catalog, truth, before = case
    after = data.draw(label_maps(catalog, truth.shape))
    matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=before)
    matrix.add_delta(truth=truth, before=before, after=after)
    assert matrix == ConfusionMatrix(catalog).update(truth=truth, prediction=after)


@given(pairs(), st.data())
def test_pooling_equals_one_image_after_the_other(case: tuple[ClassCatalog, np.ndarray, np.ndarray], data: st.DataObject) -> None:
    catalog, truth, prediction = case
    other = data.draw(label_maps(catalog, truth.shape))
    first = ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)
    second = ConfusionMatrix(catalog).update(truth=other, prediction=prediction)
    pooled = ConfusionMatrix(catalog).update(truth=np.hstack([truth, other]), prediction=np.hstack([prediction, prediction]))
    assert first + second == pooled
    assert pooled - second == first
    first += second
    assert first == pooled


@given(pairs())
def test_stored_matrices_come_back(case: tuple[ClassCatalog, np.ndarray, np.ndarray]) -> None:
    catalog, truth, prediction = case
    matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)
    assert ConfusionMatrix.from_bytes(matrix.to_bytes(), catalog) == matrix
    assert ConfusionMatrix.from_dict(json.loads(json.dumps(matrix.to_dict())), catalog) == matrix


def test_golden_figures() -> None:
    # Rows truth a, b, c; columns a, b, c, void. Worked by hand.
    matrix = matrix_of([[50, 10, 0, 0], [5, 20, 0, 15], [0, 0, 0, 0]])
    assert matrix.total == 100
    assert matrix.void_predictions == 15
    np.testing.assert_allclose(matrix.iou(), [50 / 65, 20 / 50, math.nan])
    np.testing.assert_allclose(matrix.recall(), [50 / 60, 20 / 40, math.nan])
    np.testing.assert_allclose(matrix.precision(), [50 / 55, 20 / 30, math.nan])
    assert matrix.mean_iou() == pytest.approx(MeanScore((50 / 65 + 0.4) / 2, 2))
    assert matrix.pixel_accuracy() == pytest.approx(0.70)
    assert matrix.mean_accuracy() == pytest.approx(MeanScore((50 / 60 + 0.5) / 2, 2))
    assert matrix.frequency_weighted_iou() == pytest.approx(0.6 * 50 / 65 + 0.4 * 0.4)
    assert matrix.truth_pixels().tolist() == [60, 40, 0]
    assert matrix.prediction_pixels().tolist() == [55, 30, 0]


def test_an_invented_class_lowers_the_folder_mean_but_not_the_image_mean() -> None:
    matrix = matrix_of([[90, 0, 10, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert matrix.mean_iou("union") == pytest.approx(MeanScore(0.45, 2))
    assert matrix.mean_iou("truth") == pytest.approx(MeanScore(0.9, 1))
    assert math.isnan(matrix.iou()[1])
    assert matrix.iou()[2] == 0


def test_void_prediction_is_a_miss_and_nobodys_false_alarm() -> None:
    truth = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    prediction = np.array([[0, 255, 1, 255]], dtype=np.uint8)
    matrix = ConfusionMatrix(ABC).update(truth=truth, prediction=prediction)
    np.testing.assert_allclose(matrix.iou(), [0.5, 0.5, math.nan])
    np.testing.assert_allclose(matrix.precision(), [1, 1, math.nan])


def test_an_empty_matrix_has_no_scores() -> None:
    matrix = ConfusionMatrix(ABC)
    assert math.isnan(matrix.pixel_accuracy())
    assert math.isnan(matrix.frequency_weighted_iou())
    assert math.isnan(matrix.mean_iou().value)
    assert matrix.mean_iou().classes == 0
    assert math.isnan(matrix.mean_accuracy().value)


@pytest.mark.parametrize("role", ["truth", "prediction"])
@pytest.mark.parametrize("catalog", [GAPPED, WIDE], ids=["narrow", "wide"])
def test_undeclared_ids_are_refused_and_named(catalog: ClassCatalog, role: str) -> None:
    first = int(catalog.ids[0])
    maps = {name: np.full((4, 5), first, dtype=catalog.dtype) for name in ("truth", "prediction")}
    maps[role][1, 1:4] = 34
    matrix = ConfusionMatrix(catalog)
    with pytest.raises(CatalogError, match=rf"the {role} holds ids.*34 \(3 px\)"):
        matrix.update(**maps)
    assert matrix.total == 0


def test_an_undeclared_prediction_is_refused_even_under_void_truth() -> None:
    with pytest.raises(CatalogError, match="3"):
        ConfusionMatrix(ABC).update(truth=np.full((2, 2), 255, np.uint8), prediction=np.full((2, 2), 3, np.uint8))


@pytest.mark.parametrize("value", [-1, 256, 70000])
def test_wider_integers_are_taken_only_where_they_fit(value: int) -> None:
    truth = np.array([[0, 1], [2, 255]])
    matrix = ConfusionMatrix(ABC).update(truth=truth, prediction=truth)
    assert matrix.total == 3
    with pytest.raises(CatalogError, match=str(value)):
        matrix.update(truth=truth, prediction=np.array([[0, 1], [2, value]]))
    with pytest.raises(TypeError, match="integer"):
        matrix.update(truth=truth.astype(float), prediction=truth)


def test_maps_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        ConfusionMatrix(ABC).update(truth=np.zeros((2, 3), np.uint8), prediction=np.zeros((3, 2), np.uint8))


def test_update_and_add_delta_take_no_positional_maps() -> None:
    maps = np.zeros((2, 2), np.uint8)
    with pytest.raises(TypeError):
        ConfusionMatrix(ABC).update(maps, maps)  # type: ignore[misc]


def test_a_delta_from_an_uncounted_state_changes_nothing() -> None:
    truth = np.zeros((2, 2), np.uint8)
    matrix = ConfusionMatrix(ABC).update(truth=truth, prediction=truth)
    kept = matrix.copy()
    with pytest.raises(ValueError, match="not the one that was counted"):
        matrix.add_delta(truth=truth, before=np.full((2, 2), 2, np.uint8), after=truth)
    with pytest.raises(CatalogError):
        matrix.add_delta(truth=truth, before=truth, after=np.full((2, 2), 77, np.uint8))
    assert matrix == kept


def test_views_of_larger_maps_are_counted() -> None:
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 3, (2, 40, 50)).astype(np.uint8)
    window = np.s_[3:30:2, 5:44]
    matrix = ConfusionMatrix(ABC).update(truth=truth[window], prediction=prediction[window])
    assert np.array_equal(matrix.counts, naive_counts(truth[window], prediction[window], ABC))


def test_maps_beyond_float32_counts_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    # One cell of 2**24 + 1 pixels is where a float32 histogram first goes wrong.
    pixels = (1 << 24) + 3
    truth = np.zeros((1, pixels), np.uint8)
    matrix = ConfusionMatrix(ABC).update(truth=truth, prediction=truth)
    assert matrix.counts[0, 0] == pixels
    monkeypatch.setattr(counting, "_EXACT_FLOAT32", 7)
    small = np.arange(30, dtype=np.uint8).reshape(5, 6) % 3
    parts = ConfusionMatrix(ABC).update(truth=small, prediction=small)
    assert parts.counts.diagonal().tolist() == [10, 10, 10]


def test_matrices_of_different_classes_are_not_pooled() -> None:
    with pytest.raises(CatalogError, match="cannot be pooled"):
        ConfusionMatrix(ABC) + ConfusionMatrix(GAPPED)


def test_taking_out_what_was_never_in_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        ConfusionMatrix(ABC) - matrix_of([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_counts_are_read_only_and_inputs_are_copied() -> None:
    counts = np.ones((3, 4), np.int64)
    matrix = ConfusionMatrix(ABC, counts)
    counts[0, 0] = 99
    assert matrix.counts[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        matrix.counts[0, 0] = 5


@pytest.mark.parametrize(
    "counts", [np.zeros((3, 3), np.int64), np.zeros((3, 4)), np.full((3, 4), -1)], ids=["shape", "float", "negative"]
)
def test_impossible_counts_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="counts"):
        ConfusionMatrix(ABC, counts)


def test_damaged_and_foreign_bytes_are_distinguished() -> None:
    data = matrix_of([[5, 1, 0, 0], [2, 7, 0, 0], [0, 0, 1, 0]]).to_bytes()
    negative = data[:24] + zlib.compress(struct.pack("<Iq", 0, -5))
    torn = data[:24] + zlib.compress(struct.pack("<Iq", 0, 5)[:-1])
    other_shape = data[:12] + struct.pack("<3I", 1, 3, 3) + data[24:]
    zeros = data[:30] + b"\0" * (len(data) - 30)
    for damaged in (b"", data[:10], data[:-4], b"XXXX" + data[4:], zeros, negative, torn, other_shape):
        with pytest.raises(ProjectError, match="damaged"):
            ConfusionMatrix.from_bytes(damaged, ABC)
    with pytest.raises(CatalogError, match="other classes"):
        ConfusionMatrix.from_bytes(data, GAPPED)
    with pytest.raises(CatalogError, match="not a confusion matrix"):
        ConfusionMatrix.from_dict({"ids": [0, 1, 2]}, ABC)


def test_an_unknown_absent_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="absent"):
        ConfusionMatrix(ABC).mean_iou("mean")  # type: ignore[arg-type]
