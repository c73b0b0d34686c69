"""Scores by size, occlusion, distance, brightness and contrast."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.inspection import ObjectAxis, PixelAxis, PixelSlices, inspect_image, slice_objects
from deeplab_core.inspection.slices import PIXEL_EDGES, brightness_map, contrast_map, slice_pixels
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
    contrast = contrast_map(brightness)
    assert contrast[20, 2] == pytest.approx(0, abs=0.05)
    assert contrast[20, 12] == pytest.approx(0, abs=0.05)
    share = 7 / 15  # of the window around column 19 that lies to the right of the step
    assert contrast[20, 19] == pytest.approx(100 * math.sqrt(share * (1 - share)), rel=1e-3)
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 25:35] = 9
    row = inspect_image(truth=truth, prediction=truth, catalog=VOC, rgb=rgb).objects[0]
    assert row["brightness"] == 200


def test_pixels_by_slice_add_up_to_the_matrix() -> None:
    rng = np.random.default_rng(5)
    catalog = catalog_of(4, 0, 200)
    truth, prediction = (rng.choice(np.array([0, 4, 200, 255], np.uint8), (30, 40)) for _ in "ab")
    values = rng.uniform(0, 260, truth.shape).astype(np.float32)
    counts = slice_pixels({PixelAxis.BRIGHTNESS: values}, truth=truth, prediction=prediction, catalog=catalog)[
        PixelAxis.BRIGHTNESS
    ]
    edges = [*PIXEL_EDGES[PixelAxis.BRIGHTNESS], math.inf]
    for slot in range(len(edges) - 1):
        inside = (values >= edges[slot]) & (values < edges[slot + 1])
        expected = ConfusionMatrix(catalog).update(truth=np.where(inside, truth, 255).astype(np.uint8), prediction=prediction)
        np.testing.assert_array_equal(counts[slot], expected.counts)
    slices = PixelSlices(catalog, PixelAxis.BRIGHTNESS)
    slices.add(counts)
    slices.add(counts)
    slices.add(counts, -1)
    np.testing.assert_array_equal(slices.counts, counts)
    assert [row.pixels for row in slices.rows()] == counts.sum(axis=(1, 2)).tolist()
    assert slices.rows()[0].accuracy == pytest.approx(np.trace(counts[0][:, :-1]) / counts[0].sum())


def test_pixels_by_distance_to_an_edge() -> None:
    truth = np.zeros((20, 60), np.uint8)
    truth[:, 30:] = 9
    prediction = truth.copy()
    prediction[:, 30] = 0  # wrong where it touches
    counts = inspect_image(truth=truth, prediction=prediction, catalog=VOC).slices[PixelAxis.DISTANCE]
    slices = PixelSlices(VOC, PixelAxis.DISTANCE)
    slices.add(counts)
    rows = slices.rows()
    assert [(row.low, row.pixels) for row in rows[:4]] == [(1, 40), (2, 40), (3, 80), (5, 160)]
    assert rows[0].accuracy == 0.5
    assert rows[1].accuracy == 1
    assert math.isnan(rows[-1].accuracy)
