"""Scores by size, occlusion, distance, brightness and contrast."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core import geometry
from deeplab_core.analysis import (
    OBJECT,
    ErrorComponents,
    FailureKind,
    ObjectAxis,
    PixelAxis,
    PixelSlices,
    Slice,
    inspect_image,
    slice_objects,
)
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.slices import (
    OBJECT_EDGES,
    PIXEL_EDGES,
    SLICE_COLUMNS,
    brightness_map,
    contrast_strips,
    objects_within,
    slice_pixels,
)
from deeplab_core.catalogs import get_catalog
from deeplab_core.metrics import ConfusionMatrix
from tests.unit.core.metrics.maps import catalog_of

VOC = get_catalog("voc21")


def test_objects_by_size() -> None:
    truth, prediction = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[2:12, 2:12] = 9  # 100 px, missed
    truth[20:55, 5:40] = 9  # 1,225 px, half of it found and 100 px too much
    prediction[20:55, 5:25] = 9
    prediction[20:30, 50:60] = 9  # invented: in no slice
    prediction[2:12, 2:12] = 18
    prediction[50:55, 0:5] = 9
    rows = inspect_image(truth=truth, prediction=prediction, catalog=VOC).objects
    small, middle = [row for row in slice_objects(rows, ObjectAxis.SIZE, class_id=9) if row.objects]
    assert (small.low, small.high, small.pixels) == (0, 256, 100)
    assert (small.recall, small.iou, small.swapped, small.lost) == (0, 0, 1, 1)
    assert (middle.low, middle.pixels, middle.recall) == (1024, 1225, 700 / 1225)
    assert middle.iou == 700 / (1225 + 25)
    assert slice_objects(rows, ObjectAxis.SIZE, class_id=18)[0].objects == 0
    assert math.isnan(slice_objects(rows, ObjectAxis.SIZE, class_id=18)[0].recall)
    assert [row.objects for row in slice_objects(rows, ObjectAxis.SIZE, edges=(0, 1000))] == [1, 1]


blobs = st.lists(
    st.tuples(st.integers(0, 34), st.integers(0, 44), st.integers(2, 18), st.integers(2, 18), st.sampled_from([0, 9, 18, 255])),
    min_size=1, max_size=7,
)  # fmt: skip


def drawn(patches: list[tuple[int, int, int, int, int]]) -> np.ndarray:
    labels = np.zeros((40, 50), np.uint8)
    for y, x, height, width, class_id in patches:
        labels[y : y + height, x : x + width] = class_id
    return labels


@given(blobs, blobs)
@settings(max_examples=60, deadline=None)
def test_the_components_of_a_slice_are_what_its_scores_count(true: list, called: list) -> None:
    truth, prediction = drawn(true), drawn(called)
    rgb = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    inspection = inspect_image(truth=truth, prediction=prediction, catalog=VOC, rgb=rgb, per_cell=10**6, per_image=10**6)
    folder = FolderAnalysis(VOC)
    folder.update("one", inspection)
    for axis in (ObjectAxis.SIZE, ObjectAxis.BORDER_SHARE):
        for place in range(len(OBJECT_EDGES[axis])):
            within = Slice(axis, place)
            listed = folder.components_within(within, 9, limit=10**6)
            chosen = inspection.objects[objects_within(inspection.objects, within, class_id=9)]
            missed = int(chosen["pixels"].sum()) - int(chosen["right"].sum())
            assert sum(one.pixels for one in listed if one.truth == 9) == missed
            assert sum(one.pixels for one in listed if one.prediction == 9) == chosen["false"].sum()
            assert all(9 in (one.truth, one.prediction) for one in listed)
    for axis in PixelAxis:
        first = SLICE_COLUMNS[axis]
        counts = inspection.slices[axis]
        wrong = counts.sum(axis=(1, 2)) - counts[:, range(len(VOC)), range(len(VOC))].sum(axis=1)
        rows = inspection.errors.rows["slices"][:, first : first + len(counts)]
        assert rows.sum(axis=0).tolist() == wrong.tolist()
        for place in range(len(counts)):
            sizes = [entry for entry in rows[:, place].tolist() if entry]
            assert len(folder.components_within(Slice(axis, place), limit=10**6)) == len(sizes)


def test_a_slice_knows_its_edges_and_refuses_what_it_cannot_sort() -> None:
    assert Slice(ObjectAxis.VISIBLE_FRACTION, 1).edges == (0.25, 0.5)
    assert Slice(PixelAxis.DISTANCE, 6).edges == (41, math.inf)
    with pytest.raises(ValueError, match="not objects"):
        objects_within(np.zeros(0, OBJECT), Slice(PixelAxis.DISTANCE, 0))
    with pytest.raises(ValueError, match="by a kind or by a slice"):
        ErrorComponents().components(kind=FailureKind.EXTENT, within=Slice(PixelAxis.DISTANCE, 0))


def test_unknown_values_are_in_no_slice() -> None:
    truth = np.zeros((20, 20), np.uint8)
    truth[5:15, 5:15] = 9
    rows = inspect_image(truth=truth, prediction=truth, catalog=VOC).objects
    assert sum(row.objects for row in slice_objects(rows, ObjectAxis.VISIBLE_FRACTION)) == 0
    assert sum(row.objects for row in slice_objects(rows, ObjectAxis.BRIGHTNESS)) == 0
    assert sum(row.objects for row in slice_objects(rows, ObjectAxis.BORDER_SHARE)) == 1


def test_brightness_and_contrast_of_a_photograph() -> None:
    rgb = np.full((40, 40, 3), 100, np.uint8)
    rgb[:, 20:] = (200, 200, 200)
    brightness = brightness_map(rgb)
    assert (brightness[:, :20] == 100).all()
    assert (brightness[:, 20:] == 200).all()
    ((_, contrast),) = contrast_strips(brightness)
    assert contrast[20, 2] == pytest.approx(0, abs=0.05)
    assert contrast[20, 12] == pytest.approx(0, abs=0.05)
    share = 7 / 15  # of the window around column 19 that lies to the right of the step
    assert contrast[20, 19] == pytest.approx(100 * math.sqrt(share * (1 - share)), rel=1e-3)
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 25:35] = 9
    row = inspect_image(truth=truth, prediction=truth, catalog=VOC, rgb=rgb).objects[0]
    assert row["brightness"] == 200


@pytest.mark.parametrize("rows", [1, 7, 8, 50])
def test_contrast_of_strips_is_that_of_the_whole_image(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    luma = np.random.default_rng(3).integers(0, 256, (50, 30), np.uint8)
    size = (15, 15)
    mean, square = cv2.blur(luma.astype(np.float32), size), cv2.sqrBoxFilter(luma.astype(np.float32), cv2.CV_32F, size)
    monkeypatch.setattr("deeplab_core.geometry._STRIP_PX", rows * 30)
    found = np.concatenate([part for _, part in contrast_strips(luma)])
    np.testing.assert_array_equal(found, np.sqrt(np.maximum(square - mean * mean, 0)))


def test_pixels_by_slice_add_up_to_the_matrix() -> None:
    rng = np.random.default_rng(5)
    catalog = catalog_of(4, 0, 200)
    truth, prediction = (rng.choice(np.array([0, 4, 200, 255], np.uint8), (30, 40)) for _ in "ab")
    values = rng.uniform(0, 260, truth.shape).astype(np.float32)
    sliced = slice_pixels({PixelAxis.BRIGHTNESS: values}, truth=truth, prediction=prediction, catalog=catalog)
    counts = sliced[PixelAxis.BRIGHTNESS].whole()
    edges = [*PIXEL_EDGES[PixelAxis.BRIGHTNESS], math.inf]
    for slot in range(len(edges) - 1):
        inside = (values >= edges[slot]) & (values < edges[slot + 1])
        expected = ConfusionMatrix(catalog).update(truth=np.where(inside, truth, 255).astype(np.uint8), prediction=prediction)
        np.testing.assert_array_equal(counts[slot], expected.counts)
    slices = PixelSlices(PixelAxis.BRIGHTNESS, sliced[PixelAxis.BRIGHTNESS], np.ones(len(counts), np.int64))
    assert [row.pixels for row in slices.rows()] == counts.sum(axis=(1, 2)).tolist()
    assert slices.rows()[0].accuracy == pytest.approx(np.trace(counts[0][:, :-1]) / counts[0].sum())


def test_pixels_by_distance_to_an_edge() -> None:
    truth = np.zeros((20, 60), np.uint8)
    truth[:, 30:] = 9
    prediction = truth.copy()
    prediction[:, 30] = 0  # wrong where it touches
    folder = FolderAnalysis(VOC)
    folder.update("one", inspect_image(truth=truth, prediction=prediction, catalog=VOC))
    rows = folder.slices[PixelAxis.DISTANCE].rows()
    assert [(row.low, row.pixels) for row in rows[:4]] == [(1, 40), (2, 40), (3, 80), (5, 160)]
    assert rows[0].accuracy == 0.5
    assert rows[1].accuracy == 1
    assert math.isnan(rows[-1].accuracy)


def test_an_image_in_strips_gives_what_it_gives_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    ids, block = np.array([0, 9, 18, 255], np.uint8), np.ones((5, 5), np.uint8)
    truth, prediction = (np.kron(random.choice(ids, (8, 10)), block) for _ in "ab")
    rgb = random.integers(0, 256, (40, 50, 3), np.uint8)
    at_once = inspect_image(truth=truth, prediction=prediction, catalog=VOC, rgb=rgb)
    monkeypatch.setattr(geometry, "_STRIP_PX", 170)  # three rows
    assert len(list(geometry.strips(truth.shape))) == 14
    in_strips = inspect_image(truth=truth, prediction=prediction, catalog=VOC, rgb=rgb)
    assert in_strips.errors.to_bytes() == at_once.errors.to_bytes()
    for axis, counts in at_once.slices.items():
        np.testing.assert_array_equal(in_strips.slices[axis], counts)
    for name in OBJECT.names[:-1]:
        np.testing.assert_allclose(in_strips.objects[name], at_once.objects[name], rtol=1e-6)
