"""Numbers of images without zeros give what dense arrays give, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import sparse_features
from deeplab_core.analysis.sparse_features import SparseFeatures
from deeplab_core.metrics.bootstrap import pooled_sums


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
    expected = pooled_sums(dense.reshape(images, int(np.prod(shape))), 20, seed).reshape(-1, *shape)
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
