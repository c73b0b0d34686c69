"""Geometry of strokes and polygons against naive rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.edits import capsule_spans, disk_spans, line_pixels

SHAPE = (37, 53)
coordinate = st.floats(-30, 80, allow_nan=False)
points = st.tuples(coordinate, coordinate)


def painted(spans, shape=SHAPE):
    times = np.zeros(shape, dtype=int)
    for rect, where in spans.masks():
        times[rect.slices] += where
    return times


def whole(piece):
    """A piece as (H, W) integers."""
    rect, where = piece
    made = np.zeros(SHAPE, dtype=int)
    made[rect.slices] = where
    return made


def centre_distances(a, b, shape=SHAPE):
    """Distance of every pixel centre to the segment a-b, the plain way."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    ab = np.subtract(b, a)
    squared = float(ab @ ab)
    t = 0.0 if squared == 0 else np.clip(((x - a[0]) * ab[0] + (y - a[1]) * ab[1]) / squared, 0, 1)
    return np.hypot(x - a[0] - t * ab[0], y - a[1] - t * ab[1])


@given(points, points, st.floats(0.71, 40))
def test_a_capsule_covers_exactly_the_centres_within_its_radius(a, b, radius):
    distances = centre_distances(a, b)
    times = painted(capsule_spans(a, b, radius, SHAPE))
    clear = np.abs(distances - radius) > 1e-6  # what is on the rim to within rounding may fall either way
    assert np.array_equal((times > 0)[clear], (distances <= radius)[clear])
    assert times.max(initial=0) <= 1


@given(points, points, points, st.floats(0.71, 60), st.floats(0.71, 60), st.booleans())
def test_what_another_capsule_covers_can_be_left_out(a, b, c, radius, earlier, banded):
    """As between two segments of a stroke, where the brush may have become larger or smaller."""
    with pytest.MonkeyPatch.context() as patched:
        if banded:
            patched.setattr("app.state.edits.raster._BAND_PIXELS", 0)
            patched.setattr("app.state.edits.raster._BAND_ROWS", 5)
        before, now = capsule_spans(a, b, earlier, SHAPE), capsule_spans(b, c, radius, SHAPE)
        left = list(now.masks(without=before))
        assert np.array_equal(painted(now) & ~painted(before), sum((whole(piece) for piece in left), np.zeros(SHAPE, int)))
    boxes = np.zeros(SHAPE, int)
    for rect, where in left:
        assert rect.clipped(SHAPE) == rect
        assert where.shape == rect.size
        assert where.any()
        boxes[rect.slices] += 1
    assert boxes.max(initial=0) <= 1


def test_the_new_part_of_a_wide_stroke_costs_what_it_covers():
    shape = (4096, 4096)
    before = capsule_spans((2000, 2000), (2000, 2000), 500, shape)
    for to in [(2030, 2000), (2000, 2030), (2021, 2021)]:
        now = capsule_spans((2000, 2000), to, 500, shape)
        pieces = list(now.masks(without=before))
        assert sum(where.sum() for _, where in pieces) == now.area - before.area
        assert sum(where.size for _, where in pieces) < 200_000
        assert len(pieces) <= 16


@pytest.mark.parametrize("diameter", [2, 3, 5, 10, 200])
def test_a_disk_at_a_pixel_centre_includes_its_rim(diameter):
    spans = disk_spans((150.5, 140.5), diameter / 2, (300, 300))
    y, x = np.mgrid[:300, :300]
    assert np.array_equal(painted(spans, (300, 300)) > 0, (x - 150) ** 2 + (y - 140) ** 2 <= (diameter / 2) ** 2)
    assert spans.area == np.count_nonzero(painted(spans, (300, 300)))


def test_a_long_diagonal_comes_in_bands_that_cost_its_length():
    shape = (4096, 4096)
    pieces = list(capsule_spans((5, 5), (4000, 4050), 5, shape).masks())
    assert sum(where.size for _, where in pieces) < 64 * 4096 + 600_000
    mask = np.zeros(shape, dtype=bool)
    for rect, where in pieces:
        assert not (mask[rect.slices] & where).any()
        mask[rect.slices] |= where
    assert mask.sum() == pytest.approx(10 * np.hypot(3995, 4045), rel=0.01)


def test_a_capsule_outside_the_image_is_empty():
    for a, b in [((-50, 5), (-20, 9)), ((5, -50), (9, -20)), ((200, 5), (300, 5)), ((5, 200), (5, 300))]:
        assert list(capsule_spans(a, b, 3, SHAPE).masks()) == []


@given(points, points)
def test_a_line_of_single_pixels_is_connected_and_hits_both_ends(a, b):
    big = (400, 400)
    a, b = np.add(a, 100), np.add(b, 100)
    rows, columns = line_pixels(tuple(a), tuple(b), big)
    assert (rows[0], columns[0]) == (np.floor(a[1]), np.floor(a[0]))
    assert (rows[-1], columns[-1]) == (np.floor(b[1]), np.floor(b[0]))
    steps = np.maximum(np.abs(np.diff(rows)), np.abs(np.diff(columns)))
    assert set(steps.tolist()) <= {0, 1}
    assert len(rows) == max(abs(rows[-1] - rows[0]), abs(columns[-1] - columns[0]), 1) + 1
