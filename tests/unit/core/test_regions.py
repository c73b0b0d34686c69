"""Connected regions, their facts, and exact outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.analysis import outline
from deeplab_core.geometry import Box
from deeplab_core.kernels import compiled
from deeplab_core.regions import find_regions
from tests.unit.core.analysis import oracle


@pytest.fixture(scope="module", params=["compiled", "OpenCV"], autouse=True)
def engine(request: pytest.FixtureRequest):
    """Every test by both ways to find regions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "LARGE", 0)
        compiled.allow_compiled(request.param == "compiled")
        yield
    compiled.allow_compiled(True)


small = st.tuples(st.integers(1, 8), st.integers(1, 9))


@given(small.flatmap(lambda shape: st.tuples(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)), hnp.arrays(bool, shape))))
@settings(max_examples=50)
def test_regions_are_the_connected_components(pair: tuple[np.ndarray, np.ndarray]) -> None:
    values, chosen = pair
    regions = find_regions(values, chosen)
    expected = oracle.brute_regions(values, lambda pixel: bool(chosen[pixel]))
    found = {frozenset(oracle.where(regions.numbers == row + 1)): int(regions.values[row]) for row in range(len(regions))}
    assert found == expected
    assert not regions.numbers[~chosen].any()
    assert regions.numbers.dtype == np.int32
    order = [(int(value), int(y), int(x)) for value, (x, y) in zip(regions.values, regions.anchors, strict=True)]
    assert order == sorted(order), "by value, within a value in reading order"
    for row in range(len(regions)):
        pixels = np.argwhere(regions.numbers == row + 1)
        (top, left), (bottom, right) = pixels.min(axis=0), pixels.max(axis=0)
        assert regions.box(row) == Box(left, top, right - left + 1, bottom - top + 1)
        assert regions.pixels[row] == len(pixels) == regions.mask(row).sum()
        np.testing.assert_allclose(regions.centroids[row], pixels.mean(axis=0)[::-1])
        assert regions.anchors[row].tolist() == pixels[0][::-1].tolist()


def test_regions_of_wide_values_and_of_nothing() -> None:
    values = np.array([[70000, 70000, 5]])
    assert find_regions(values).values.tolist() == [5, 70000]
    assert len(find_regions(values, np.zeros(values.shape, bool))) == 0


def test_regions_are_numbered_by_value_then_in_reading_order() -> None:
    values = np.array([[3, 1, 3, 1], [3, 3, 2, 1], [1, 3, 2, 1]], np.uint16)
    regions = find_regions(values)
    assert regions.values.tolist() == [1, 1, 1, 2, 3]
    assert regions.anchors.tolist() == [[1, 0], [3, 0], [0, 2], [2, 1], [0, 0]]


def test_regions_that_begin_in_neighbouring_rows_are_in_reading_order() -> None:
    values = np.zeros((8, 12), np.uint8)
    values[3:7, 1:4] = values[2:7, 8:11] = 9  # the right one begins a row higher; OpenCV looks at both rows at once
    regions = find_regions(values, values == 9)
    assert regions.anchors.tolist() == [[8, 2], [1, 3]]
    assert regions.boxes.tolist() == [[8, 2, 3, 5], [1, 3, 3, 4]]
    assert regions.pixels.tolist() == [15, 12]
    assert regions.centroids.tolist() == [[9, 4], [2, 4.5]]
    assert [int(regions.numbers[y, x]) for x, y in regions.anchors] == [1, 2]
    np.testing.assert_array_equal(regions.numbers > 0, values == 9)


def test_sums_over_regions() -> None:
    regions = find_regions(np.array([[0, 0, 1]], np.uint8))
    assert regions.sums(np.array([[1.5, 2.0, 4.0]])).tolist() == [3.5, 4.0]


def filled(loops: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Even-odd filling: a pixel is inside where an odd number of vertical edges lies to its left."""
    inside = np.zeros(shape, bool)
    for loop in loops:
        for (x, y), (x2, y2) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            assert (x == x2) != (y == y2)  # along the pixel grid, never of length 0
            if x == x2:
                inside[min(y, y2) : max(y, y2), x:] ^= True
    return inside


@given(small.flatmap(lambda shape: hnp.arrays(bool, shape)))
def test_filling_the_outline_gives_the_mask_back(mask: np.ndarray) -> None:
    loops = outline(mask)
    np.testing.assert_array_equal(filled(loops, mask.shape), mask)
    for loop in loops:
        steps = np.sign(np.roll(loop, -1, axis=0) - loop)
        assert not (steps == np.roll(steps, 1, axis=0)).all(axis=1).any()  # straight runs are one edge


def test_outline_of_a_frame_has_a_hole_and_an_offset() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    outer, hole = outline(mask, (10, 20))
    assert outer.tolist() == [[13, 20], [13, 23], [10, 23], [10, 20]]
    assert sorted(map(tuple, hole.tolist())) == [(11, 21), (11, 22), (12, 21), (12, 22)]
    assert outline(np.zeros((2, 2), bool)) == []


@pytest.mark.parametrize(("margin", "expected"), [(0, (2, 1, 3, 4)), (2, (0, 0, 6, 7))])
def test_boxes_grow_within_the_image(margin: int, expected: tuple[int, ...]) -> None:
    assert Box(2, 1, 3, 4).grown(margin, (8, 6)) == expected
