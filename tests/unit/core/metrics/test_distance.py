from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.metrics import distance as distance_module
from deeplab_core.metrics.distance import distance_to_edge, distance_to_void, fill_void

VOID = 255
maps = st.tuples(st.integers(1, 12), st.integers(1, 14)).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1, 5, VOID]), fill=st.nothing())
)


def naive_chebyshev(labels: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(labels == VOID)
    found = np.full(labels.shape, np.inf)
    for y, x in np.ndindex(labels.shape):
        if len(ys):
            found[y, x] = np.maximum(abs(ys - y), abs(xs - x)).min()
    return found


def naive_edge(labels: np.ndarray) -> np.ndarray:
    found = np.full(labels.shape, np.inf)
    for y, x in np.ndindex(labels.shape):
        ys, xs = np.nonzero(labels != labels[y, x])
        if len(ys):
            found[y, x] = math.sqrt(((ys - y) ** 2 + (xs - x) ** 2).min())
    return found


def naive_fill(labels: np.ndarray) -> np.ndarray:
    filled = labels.copy()
    ys, xs = np.nonzero(labels != VOID)
    for y, x in zip(*np.nonzero(labels == VOID), strict=True):
        if len(ys):
            squares = (ys - y) ** 2 + (xs - x) ** 2
            filled[y, x] = labels[ys, xs][squares == squares.min()].min()
    return filled


def dilated_by_square(mask: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(mask, width)
    found = np.zeros_like(mask)
    for dy in range(2 * width + 1):
        for dx in range(2 * width + 1):
            found |= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]]
    return found


@given(maps)
def test_void_distance_is_chebyshev(labels: np.ndarray) -> None:
    assert np.array_equal(distance_to_void(labels), naive_chebyshev(labels))


@given(maps, st.integers(1, 6))
def test_void_band_is_the_papers_dilation(labels: np.ndarray, width: int) -> None:
    assert np.array_equal(distance_to_void(labels) <= width, dilated_by_square(labels == VOID, width))


@given(maps)
def test_void_takes_the_nearest_class(labels: np.ndarray) -> None:
    assert np.array_equal(fill_void(labels), naive_fill(labels))


@given(maps)
def test_edge_distance_is_euclidean_to_another_class(labels: np.ndarray) -> None:
    np.testing.assert_allclose(distance_to_edge(labels), naive_edge(naive_fill(labels)), rtol=1e-6)


@given(maps, st.sampled_from([0, 512]), st.integers(2, 6))
@settings(max_examples=100)
def test_regions_and_pieces_give_the_same_fill(labels: np.ndarray, regions: int, piece: int) -> None:
    kept = distance_module._MANY_REGIONS, distance_module._PIECE
    distance_module._MANY_REGIONS, distance_module._PIECE = regions, piece
    try:
        assert np.array_equal(fill_void(labels), naive_fill(labels))
    finally:
        distance_module._MANY_REGIONS, distance_module._PIECE = kept


def test_a_large_thin_ring_is_filled_like_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    yy, xx = np.ogrid[:700, :900]
    radius = np.hypot(yy - 340, (xx - 450) * 0.8)
    labels = np.where(radius < 250, np.uint8(3), np.uint8(0))
    labels[:, 450:][radius[:, 450:] < 200] = 9
    labels[np.abs(radius - 250) < 4] = VOID
    cut = fill_void(labels)
    monkeypatch.setattr(distance_module, "_PIECE", 2000)
    assert np.array_equal(cut, fill_void(labels))
    assert not (cut == VOID).any()


@given(maps)
@settings(max_examples=40)
def test_mirrored_maps_give_mirrored_distances(labels: np.ndarray) -> None:
    for flip in (np.flipud, np.fliplr):
        np.testing.assert_allclose(distance_to_edge(flip(labels)), flip(distance_to_edge(labels)), rtol=1e-6)
        np.testing.assert_array_equal(fill_void(flip(labels)), flip(fill_void(labels)))


def test_one_is_a_4_neighbour_and_the_border_is_no_edge() -> None:
    labels = np.zeros((7, 9), np.uint8)
    labels[:, 4:] = 1
    assert distance_to_edge(labels)[3].tolist() == [4, 3, 2, 1, 1, 2, 3, 4, 5]


def test_a_void_ring_is_an_edge_in_its_middle() -> None:
    labels = np.array([[0, 0, 0, VOID, VOID, VOID, VOID, 9, 9]], np.uint8)
    assert distance_to_edge(labels)[0].tolist() == [5, 4, 3, 2, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("value", [0, VOID])
def test_without_an_edge_everything_is_infinitely_far(value: int) -> None:
    labels = np.full((5, 6), value, np.uint8)
    assert np.isinf(distance_to_edge(labels)).all()
    assert np.array_equal(fill_void(labels), labels)


def test_without_void_everything_is_infinitely_far() -> None:
    assert np.isinf(distance_to_void(np.zeros((5, 6), np.uint8))).all()


def test_wide_maps_and_views() -> None:
    labels = np.zeros((20, 30), np.uint16)
    labels[:, 10:] = 300
    labels[5, 5] = 65535
    assert distance_to_edge(labels[::2, ::-1], 65535).min() == 1
    assert distance_to_void(labels[1:], 65535)[4, 5] == 0


def test_maps_are_not_changed() -> None:
    labels = np.array([[0, VOID, 1]], np.uint8)
    labels.flags.writeable = False
    fill_void(labels)
    distance_to_edge(labels)
    assert labels.tolist() == [[0, VOID, 1]]


def test_large_distances_are_exact() -> None:
    labels = np.zeros((300, 900), np.uint8)
    labels[-1, -1] = 1
    assert distance_to_edge(labels)[0, 0] == pytest.approx(math.hypot(299, 899), abs=1e-3)
    labels[-1, -1] = VOID
    assert distance_to_void(labels)[0, 0] == 899


@given(maps, st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=60)
def test_void_is_as_far_in_tiles(labels: np.ndarray, reach: int, tile: int) -> None:
    kept = distance_module._TILE
    distance_module._TILE = tile
    limited = np.full(labels.shape, np.inf)
    try:
        for place, distance in distance_module.near_distances(labels, VOID, reach, to_void=True):
            limited[place] = distance
    finally:
        distance_module._TILE = kept
    exact = distance_to_void(labels)
    near = exact <= reach
    np.testing.assert_array_equal(limited[near], exact[near])
    assert (limited[~near] > reach).all()


@given(maps, st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=60)
def test_limited_reach_is_exact_within_it(labels: np.ndarray, reach: int, tile: int) -> None:
    kept = distance_module._TILE
    distance_module._TILE = tile
    try:
        limited = distance_to_edge(labels, reach=reach)
    finally:
        distance_module._TILE = kept
    exact = distance_to_edge(labels)
    near = exact <= reach
    np.testing.assert_allclose(limited[near], exact[near], rtol=1e-6)
    assert (limited[~near] > reach).all()
