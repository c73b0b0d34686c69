"""Polygons against a rule that looks at one pixel centre at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.geometry import Box, polygon_mask


def naive_inside(polygon, shape):
    """Even-odd, one centre at a time: count the edges that a ray to the left crosses."""
    inside = np.zeros(shape, dtype=bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            x, y, odd = column + 0.5, row + 0.5, False
            for (ax, ay), (bx, by) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
                if ay > by:
                    ax, ay, bx, by = bx, by, ax, ay
                if ay <= y < by and ax + (y - ay) * ((bx - ax) / (by - ay)) <= x:
                    odd = not odd
            inside[row, column] = odd
    return inside


def as_map(polygon, shape):
    rect, mask = polygon_mask(polygon, shape)
    result = np.zeros(shape, dtype=bool)
    result[rect.slices] = mask
    return result


small = st.one_of(st.floats(-6, 20, allow_nan=False), st.integers(-6, 20).map(lambda n: n / 2))


@given(st.lists(st.tuples(small, small), min_size=3, max_size=9))
def test_a_polygon_covers_the_centres_inside_by_the_even_odd_rule(polygon):
    assert np.array_equal(as_map(polygon, (13, 15)), naive_inside(polygon, (13, 15)))


@given(st.tuples(small, small))
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(middle):
    frame = [(-8.0, -8.0), (24.0, -8.0), (24.0, 24.0), (-8.0, 24.0)]
    cover = sum(as_map([a, b, middle], (13, 15)).astype(int) for a, b in zip(frame, [*frame[1:], frame[0]], strict=True))
    assert np.array_equal(cover, np.ones((13, 15)))


def test_polygons_without_area_hold_no_pixel():
    for polygon in [[], [(1, 1)], [(1, 1), (9, 9)], [(1, 1), (5, 5), (9, 9)], [(30, 30), (40, 30), (40, 40)]]:
        assert not as_map([(float(x), float(y)) for x, y in polygon], (13, 15)).any()
    assert polygon_mask([(30.0, 30.0), (40.0, 30.0), (40.0, 40.0)], (13, 15))[0] == Box(0, 0, 0, 0)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(-8, 40), st.integers(-8, 40)), min_size=1, max_size=9), st.integers(1, 3))
def test_arrays_of_corners_far_outside_follow_the_same_rule(corners, parts):
    path = np.array(corners, float) / parts
    expected = naive_inside(path.tolist(), (11, 13)) if len(path) > 2 else np.zeros((11, 13), bool)
    assert np.array_equal(as_map(path, (11, 13)), expected)
