"""Numbers of images without zeros give what dense arrays give, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import sparse_features
from deeplab_core.analysis.sparse_features import SparseFeatures
from deeplab_core.metrics import bootstrap
from deeplab_core.metrics.bootstrap import drawn_groups, drawn_weights


def dense_of(seed: int, images: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 50, (images, *shape)) * (rng.random((images, *shape)) < 0.3)).astype(np.float64)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 9), st.tuples(st.integers(1, 4), st.just(3), st.integers(1, 5)))
def test_it_is_the_dense_array(seed: int, images: int, shape: tuple[int, int, int]) -> None:
    dense = dense_of(seed, images, shape)
    sparse = SparseFeatures.of(dense, shape)
    assert len(sparse) == images
    np.testing.assert_array_equal(sparse.total(), dense.sum(axis=0))
    np.testing.assert_array_equal(sparse.images_with(1, 1), (dense[:, :, 1].sum(axis=2) > 0).sum(axis=0))
    flat = dense.reshape(images, int(np.prod(shape)))
    weights = next(drawn_weights(images, 20, seed, 20)) if images > 1 else np.zeros((0, images))
    expected = (weights @ flat).reshape(-1, *shape)
    np.testing.assert_array_equal(sparse.pools(20, seed), expected)
    order = np.random.default_rng(seed).permutation(images)[: images // 2]
    np.testing.assert_array_equal(sparse.take(order).total(), dense[order].sum(axis=0))
    np.testing.assert_array_equal(sparse.take(order).pools(5, 1), SparseFeatures.of(dense[order], shape).pools(5, 1))


def test_parts_of_the_images_give_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (3, 3, 4)
    sparse = SparseFeatures.of(dense_of(1, 30, shape), shape)
    whole = sparse.pools(40, 2)
    monkeypatch.setattr(sparse_features, "_BYTES", 8 * 36 * 4)  # four images at a time
    monkeypatch.setattr(sparse_features, "_DRAWS", 30 * 7)  # seven pools at a time
    np.testing.assert_array_equal(sparse.pools(40, 2), whole)
    monkeypatch.setattr(sparse_features, "_BLOCK_BYTES", 8 * 36 * 3)  # three pools at a time
    blocks = list(sparse.pool_blocks(40, 2))
    assert [len(block) for block in blocks] == [3] * 13 + [1]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_zeros_take_no_memory() -> None:
    shape = (12, 3, 150)
    images = [np.zeros(shape) for _ in range(50)]
    for image in images:
        image[2, :, 7] = 5
    assert SparseFeatures.of(images, shape).nbytes == 50 * 8 + 50 * 3 * 16


def test_many_images_are_drawn_in_groups_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "MOST_DRAWN", 10)
    monkeypatch.setattr(sparse_features, "MOST_DRAWN", 10)
    groups = drawn_groups(32)
    assert np.bincount(groups).tolist() == [4] * 8
    dense = dense_of(3, 32, (2, 3, 1))
    weights = next(drawn_weights(8, 50, 4, 50))
    expected = weights @ np.stack([dense[groups == group].sum(axis=0).reshape(-1) for group in range(8)])
    np.testing.assert_array_equal(SparseFeatures.of(dense, (2, 3, 1)).pools(50, 4).reshape(50, -1), expected)


def test_groups_have_the_spread_of_images() -> None:
    """6,001 images in 1,501 groups: sums vary as those of all images do, and a constant does not vary but for the last group."""
    values = np.random.default_rng(0).gamma(1.0, 50.0, 6001).round()
    packed = SparseFeatures.of(np.stack([values, np.full(6001, 7.0)], axis=1), (2,))
    drawn = packed.pools(2000, 0)
    assert drawn[:, 0].std() == pytest.approx(values.std() * 6001**0.5, rel=0.08)
    assert drawn[:, 0].mean() == pytest.approx(values.sum(), rel=0.002)
    assert drawn[:, 1].std() < 0.002 * 7 * 6001


def test_sums_of_entries_and_columns() -> None:
    dense = dense_of(5, 20, (6,))
    rows, places = np.nonzero(np.ones((20, 6)))
    halves = np.concatenate([rows, rows[::-1]]), np.concatenate([places, places[::-1]])
    values = np.concatenate([dense.reshape(-1) - 3, np.full(120, 3.0)])
    sparse = SparseFeatures.summed(*halves, values, 20, (6,))
    np.testing.assert_array_equal(sparse.pools(9, 1), SparseFeatures.of(dense, (6,)).pools(9, 1))
    chosen = np.array([1, 4])
    np.testing.assert_array_equal(sparse.columns(chosen).pools(9, 1), sparse.pools(9, 1)[:, chosen])
