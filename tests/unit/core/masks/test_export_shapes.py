"""Outlines of regions: drawn again by the rules of their readers they give the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from deeplab_core.masks.export.shapes import (
    Region,
    corner_rings,
    filled_outline,
    filled_pixels,
    joined_corners,
    joined_outline,
    regions,
)

# pycocotools 2.0.11 asks numpy 2 for an array in numpy 1's way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

maps = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14),
    elements=st.sampled_from([0, 1, 2]),
)


def whole(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    inside = np.zeros(shape, np.uint8)
    inside[region.y : region.y + region.mask.shape[0], region.x : region.x + region.mask.shape[1]] = region.mask
    return inside


@settings(max_examples=200, deadline=None)
@given(maps)
def test_regions_cover_the_map_once(labels: np.ndarray) -> None:
    covered = np.zeros(labels.shape, int)
    for region in regions(labels, 0):
        inside = whole(region, labels.shape)
        assert int(inside.sum()) == region.pixels
        assert set(np.unique(labels[inside > 0])) == {region.value}
        covered += inside
    assert np.array_equal(covered, (labels != 0).astype(int))


@settings(max_examples=300, deadline=None)
@given(maps)
def test_pycocotools_fills_corner_rings_exactly(labels: np.ndarray) -> None:
    for region in regions(labels, 0):
        ring = joined_corners(corner_rings(region))
        shape = coco_mask.merge(coco_mask.frPyObjects([ring.reshape(-1).tolist()], *labels.shape))
        assert np.array_equal(coco_mask.decode(shape), whole(region, labels.shape))


@settings(max_examples=300, deadline=None)
@given(maps)
def test_opencv_draws_joined_outlines_exactly(labels: np.ndarray) -> None:
    for region in regions(labels, 0):
        drawn = np.zeros(labels.shape, np.uint8)
        cv2.fillPoly(drawn, [joined_outline(region)], 1)
        assert np.array_equal(drawn, whole(region, labels.shape))


@settings(max_examples=300, deadline=None)
@given(maps)
def test_outlines_painted_from_large_to_small_give_the_map(labels: np.ndarray) -> None:
    outlines = [(region.value, filled_outline(region)) for region in regions(labels, -1)]
    picture = Image.new("L", labels.shape[::-1])
    pen = ImageDraw.Draw(picture)
    for value, outline in sorted(outlines, key=lambda pair: -filled_pixels(pair[1])):
        assert len(outline) > 2
        pen.polygon([tuple(point) for point in outline.tolist()], outline=value, fill=value)
    assert np.array_equal(np.asarray(picture), labels)


def test_a_ring_of_pixels_has_one_hole() -> None:
    labels = np.ones((5, 6), np.uint8)
    labels[2, 2:4] = 0
    (region,) = regions(labels, 0)
    outer, holes = corner_rings(region)
    assert {tuple(point) for point in outer.tolist()} == {(0, 0), (6, 0), (6, 5), (0, 5)}
    assert [{tuple(point) for point in hole.tolist()} for hole in holes] == [{(2, 2), (4, 2), (4, 3), (2, 3)}]
