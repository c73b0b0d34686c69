"""Boundary, extent and segment errors: hand-made cases from the definition, and every pixel against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.analysis import ErrorPart, boundary_width, count_parts, partition, partition_errors
from deeplab_core.kernels import compiled
from tests.unit.core.analysis import oracle
from tests.unit.core.metrics.maps import WIDE, catalog_of

B, E, S = ErrorPart.BOUNDARY, ErrorPart.EXTENT, ErrorPart.SEGMENT


def empty(height: int = 24, width: int = 24) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def test_right_pixels_are_no_errors() -> None:
    truth = empty()
    truth[4:12, 4:12] = 1
    found = partition_errors(truth=truth, prediction=truth.copy(), width_px=2)
    assert not found.missed.any()
    assert not found.false.any()


def test_an_object_one_pixel_too_small_is_a_boundary_error_of_both_classes() -> None:
    truth, prediction = empty(), empty()
    truth[4:16, 4:16] = 1
    prediction[5:15, 5:15] = 1
    found = partition_errors(truth=truth, prediction=prediction, width_px=2)
    rim = truth != prediction
    assert (found.missed[rim] == B).all()
    assert (found.false[rim] == B).all()
    assert not found.missed[~rim].any()


def test_a_missing_half_is_extent_although_it_begins_at_an_edge() -> None:
    """Seen from the object, everything farther than the width from its found half is extent: the error reaches too far."""
    truth, prediction = empty(30, 40), empty(30, 40)
    truth[5:25, 4:36] = 1
    prediction[5:25, 4:20] = 1
    found = partition_errors(truth=truth, prediction=prediction, width_px=2)
    assert (found.missed[9:21, 24:36] == E).all()
    # Only where the missing half meets both the found half and the background is there a boundary.
    assert (found.missed[5, 20:22] == B).all()
    assert (found.missed[24, 20:22] == B).all()


def test_a_missed_object_is_a_segment_error() -> None:
    truth, prediction = empty(), empty()
    truth[4:10, 4:10] = 1
    found = partition_errors(truth=truth, prediction=prediction, width_px=2)
    assert (found.missed[4:10, 4:10] == S).all()
    # For the background it is too much of a segment that was found.
    assert set(np.unique(found.false[4:10, 4:10])) <= {B, E}


def test_an_invented_object_is_a_segment_error() -> None:
    truth, prediction = empty(), empty()
    truth[2:6, 2:6] = prediction[2:6, 2:6] = 1
    prediction[14:20, 14:20] = 1
    found = partition_errors(truth=truth, prediction=prediction, width_px=2)
    assert (found.false[14:20, 14:20] == S).all()


def test_a_second_object_that_touches_the_first_is_extent_and_apart_from_it_segment() -> None:
    truth, prediction = empty(30, 30), empty(30, 30)
    truth[2:8, 2:8] = prediction[2:8, 2:8] = 1
    prediction[8:28, 8:28] = 1  # touches at a corner: 8-connected
    assert (partition_errors(truth=truth, prediction=prediction, width_px=2).false[12:28, 12:28] == E).all()
    prediction[8, 8] = 0
    assert (partition_errors(truth=truth, prediction=prediction, width_px=2).false[12:28, 12:28] == S).all()


def test_a_thin_error_that_touches_only_hits_is_no_boundary() -> None:
    """A hole one pixel wide inside an object lies within the width of hits, but touches no true negative."""
    truth, prediction = empty(), empty()
    truth[2:22, 2:22] = prediction[2:22, 2:22] = 1
    prediction[11, 11] = 0
    found = partition_errors(truth=truth, prediction=prediction, width_px=3)
    assert found.missed[11, 11] == E


def test_a_swapped_object_is_a_segment_error_of_both() -> None:
    truth, prediction = empty(), empty()
    truth[4:16, 4:16], prediction[4:16, 4:16] = 1, 2
    found = partition_errors(truth=truth, prediction=prediction, width_px=2)
    assert (found.missed[4:16, 4:16] == S).all()
    assert (found.false[4:16, 4:16] == S).all()


def test_void_is_never_counted_but_carries_the_geometry() -> None:
    """A prediction that reaches through a void ring still has its boundary there."""
    truth, prediction = empty(30, 30), empty(30, 30)
    truth[8:22, 8:22] = 255
    truth[10:20, 10:20] = 1
    prediction[7:23, 7:23] = 1  # through the ring and one pixel beyond
    found = partition_errors(truth=truth, prediction=prediction, width_px=4)
    assert not found.missed[truth == 255].any()
    assert not found.false[truth == 255].any()
    assert (found.false[(truth == 0) & (prediction == 1)] == B).all()


def test_a_void_prediction_is_a_miss_of_the_truth_and_an_alarm_of_none() -> None:
    truth, prediction = empty(), empty()
    truth[4:10, 4:10], prediction[4:10, 4:10] = 1, 255
    found = partition_errors(truth=truth, prediction=prediction, width_px=2)
    assert (found.missed[4:10, 4:10] == S).all()
    assert not found.false.any()


def test_excluded_pixels_are_void() -> None:
    truth, prediction = empty(), empty()
    truth[4:10, 4:10] = 1
    exclude = truth == 1
    found = partition_errors(truth=truth, prediction=prediction, exclude=exclude)
    assert not found.missed.any()
    assert truth[4, 4] == 1


@pytest.mark.parametrize(("shape", "width"), [((375, 500), 6), ((480, 640), 8), ((1024, 2048), 23), ((4, 5), 1)])
def test_width_is_a_hundredth_of_the_diagonal(shape: tuple[int, int], width: int) -> None:
    assert boundary_width(shape) == width


def test_refuses_maps_of_different_shape_and_no_width() -> None:
    with pytest.raises(ValueError, match="shape"):
        partition_errors(truth=empty(3, 3), prediction=empty(3, 4))
    with pytest.raises(ValueError, match="at least 1 px"):
        partition_errors(truth=empty(3, 3), prediction=empty(3, 3), width_px=0)


maps = st.tuples(st.integers(2, 11), st.integers(2, 13)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]), fill=st.sampled_from([0, 1])),
        hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]), fill=st.sampled_from([0, 1])),
    )
)


@given(maps, st.integers(1, 4))
@settings(max_examples=60)
def test_every_pixel_as_by_the_definition(pair: tuple[np.ndarray, np.ndarray], width: int) -> None:
    truth, prediction = pair
    found = partition_errors(truth=truth, prediction=prediction, width_px=width)
    missed, false = oracle.partition(truth, prediction, 255, width)
    np.testing.assert_array_equal(found.missed, missed)
    np.testing.assert_array_equal(found.false, false)


@pytest.mark.parametrize("width", [2, 17])
def test_blobs_as_by_the_definition(width: int) -> None:
    """Smooth shapes, moved and speckled, with void; 17 px is beyond the widest disc and takes the distance transform."""
    rng = np.random.default_rng(width)
    for _ in range(3):
        y, x = np.mgrid[:26, :30]
        fields = [
            np.cos(y / rng.uniform(3, 7) + rng.uniform(0, 6)) + np.cos(x / rng.uniform(3, 7) + rng.uniform(0, 6)) for _ in "abc"
        ]
        truth = np.argmax(fields, axis=0).astype(np.uint8)
        prediction = np.roll(truth, (2, -1), (0, 1))
        speckle = rng.random(truth.shape) < 0.05
        prediction[speckle] = rng.integers(0, 3, int(speckle.sum()))
        truth[rng.random(truth.shape) < 0.05] = 255
        found = partition_errors(truth=truth, prediction=prediction, width_px=width)
        missed, false = oracle.partition(truth, prediction, 255, width)
        np.testing.assert_array_equal(found.missed, missed)
        np.testing.assert_array_equal(found.false, false)


def test_counts_by_channel_side_and_part() -> None:
    catalog = catalog_of(9, 0, 4)
    truth, prediction = np.full((12, 12), 0, np.uint8), np.full((12, 12), 0, np.uint8)
    truth[2:8, 2:8] = 9
    prediction[9:11, 9:11] = 4
    found = partition_errors(truth=truth, prediction=prediction, width_px=1)
    counts = count_parts(found, truth=truth, prediction=prediction, lut=catalog.index_lut(), classes=3)
    assert counts[0].tolist() == [[0, 0, 36], [0, 0, 0]]
    assert counts[2].tolist() == [[0, 0, 0], [0, 0, 4]]
    assert counts.sum() == 2 * 40


def test_wide_maps() -> None:
    truth = np.full((9, 9), 300, np.uint16)
    prediction = truth.copy()
    prediction[3:6, 3:6] = 65534
    found = partition_errors(truth=truth, prediction=prediction, ignore=WIDE.ignore, width_px=1)
    assert (found.false[3:6, 3:6] == S).all()


@pytest.fixture
def compiled_always(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "LARGE", 0)
    compiled.allow_compiled(True)
    yield
    compiled.allow_compiled(True)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("seed", range(25))
def test_all_classes_at_once_give_what_one_class_after_the_other_gives(
    compiled_always, monkeypatch, seed: int, kind: type
) -> None:
    random = np.random.default_rng(seed)
    block, ignore = int(random.integers(1, 7)), int(np.iinfo(kind).max)
    height, width = (int(random.integers(3, 50)) for _ in "hw")
    squares = random.choice(np.array([0, 1, 2, ignore], kind), (50, 50), p=[0.5, 0.3, 0.1, 0.1])
    truth = np.kron(squares, np.ones((block, block), kind))[:height, :width].astype(kind)
    prediction = np.roll(truth, (int(random.integers(-2, 3)), 1), (0, 1))
    flips = random.random(truth.shape) < 0.05
    prediction[flips] = random.choice(np.array([0, 1, 2, ignore], kind), int(flips.sum()))
    monkeypatch.setattr(partition, "_TILE", int(random.integers(4, 60)))
    monkeypatch.setattr(partition, "_MANY_RUNS", 1000 if seed % 2 else 0)
    given_maps = {"truth": truth, "prediction": prediction, "ignore": ignore, "width_px": int(random.integers(1, 9))}
    found = partition_errors(**given_maps)
    compiled.allow_compiled(False)
    expected = partition_errors(**given_maps)
    np.testing.assert_array_equal(found.missed, expected.missed)
    np.testing.assert_array_equal(found.false, expected.false)


def test_a_wide_disk_grows_by_runs_as_by_a_distance_transform(compiled_always, monkeypatch) -> None:
    random = np.random.default_rng(0)
    mask = np.kron(random.random((12, 9)) < 0.1, np.ones((6, 7), bool))
    for width in (1, 5, 20, 40):
        monkeypatch.setattr(partition, "_MANY_RUNS", 1000)
        by_runs = partition._within(mask, width)
        monkeypatch.setattr(partition, "_MANY_RUNS", 0)
        np.testing.assert_array_equal(by_runs, partition._within(mask, width))
        assert by_runs.sum() > mask.sum()
