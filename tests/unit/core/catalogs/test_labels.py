"""Label maps: validity, counting, translating."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.labels import apply_lut, check_labels, class_histogram, describe_values, undeclared, value_counts

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=33)


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), SHAPES))
def test_value_counts_equal_a_plain_count(values: np.ndarray) -> None:
    found = value_counts(values)
    plain = dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True))
    assert {int(v): int(found[v]) for v in np.flatnonzero(found)} == plain


def test_counts_beyond_the_range_of_single_precision_are_exact() -> None:
    values = np.zeros((4097, 4097), dtype=np.uint8)
    values[0, 0] = 7
    counts = value_counts(values)
    assert counts[0] == 4097 * 4097 - 1
    assert counts[7] == 1


@given(hnp.arrays(np.uint8, SHAPES), st.permutations(range(256)))
def test_apply_lut_equals_indexing(values: np.ndarray, order: list[int]) -> None:
    lut = np.array(order, dtype=np.uint8)
    found = apply_lut(values, lut)
    assert np.array_equal(found, lut[values])
    assert found.shape == values.shape


def test_apply_lut_keeps_a_single_row_and_widens() -> None:
    values = np.array([[1, 2, 3]], dtype=np.uint8)
    assert apply_lut(values, np.arange(256, dtype=np.uint8)[::-1].copy()).shape == (1, 3)
    assert apply_lut(values, np.arange(256, dtype=np.uint16) + 300).dtype == np.uint16


def test_check_labels_names_undeclared_ids_with_their_counts() -> None:
    labels = np.zeros((4, 5), dtype=np.uint8)
    labels[0, :3] = 21
    labels[1, 0] = 255
    with pytest.raises(MaskFormatError, match=r"21 \(3 px\)"):
        check_labels(labels, get_catalog("voc21"))
    labels[0, :3] = 20
    check_labels(labels, get_catalog("voc21"))


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((3, 3), dtype=np.int64),
        np.zeros((3, 3, 1), dtype=np.uint8),
        np.zeros((0, 3), dtype=np.uint8),
        np.zeros((4, 6), dtype=np.uint8)[:, ::2],
    ],
)
def test_check_labels_refuses_other_arrays(labels: np.ndarray) -> None:
    with pytest.raises(MaskFormatError):
        check_labels(labels, get_catalog("voc21"))


def test_class_histogram_is_in_channel_order_with_void_last() -> None:
    catalog = get_catalog("ade20k150")
    labels = np.array([[1, 1, 150], [255, 255, 255]], dtype=np.uint8)
    histogram = class_histogram(labels, catalog)
    assert (histogram[0], histogram[149], histogram[150], histogram.sum()) == (2, 1, 3, 6)


def test_descriptions_are_short_and_most_frequent_first() -> None:
    counts = np.zeros(256, dtype=np.int64)
    counts[[3, 9, 30, 40, 50, 60, 70]] = [1, 1200, 2, 3, 4, 5, 6]
    text = describe_values(undeclared(counts, np.array([3])))
    assert text.startswith("9 (1,200 px), 70 (6 px)")
    assert text.endswith("and 1 more")
