"""Boxes: every operation against sets of pixels, for boxes of all kinds and places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.geometry import Box

SHAPE = (9, 12)
boxes = st.builds(Box, st.integers(-4, 14), st.integers(-4, 12), st.integers(0, 8), st.integers(0, 8))


def pixels(box: Box) -> set[tuple[int, int]]:
    """(row, column) of every pixel."""
    return {(y, x) for y in range(box.y, box.y + box.height) for x in range(box.x, box.x + box.width)}


@given(boxes, boxes)
def test_boxes_combine_as_their_pixels_do(one: Box, other: Box) -> None:
    assert pixels(one.intersected(other)) == pixels(one) & pixels(other)
    assert one.overlaps(other) == bool(pixels(one) & pixels(other))
    assert one.empty == (not pixels(one))
    assert one.area == len(pixels(one))
    union = one.united(other)
    assert pixels(union) >= pixels(one) | pixels(other)
    if not one.empty and not other.empty:
        assert one.holds(other) == (pixels(other) <= pixels(one))
        rows, columns = zip(*(pixels(one) | pixels(other)), strict=True)
        assert union == Box.between(min(columns), min(rows), max(columns) + 1, max(rows) + 1)


@given(boxes, st.integers(0, 3))
def test_boxes_grow_and_stay_within_an_image(box: Box, margin: int) -> None:
    image = pixels(Box.whole(SHAPE))
    assert pixels(box.clipped(SHAPE)) == pixels(box) & image
    grown = box.grown(margin)
    assert (grown.x, grown.right, grown.y, grown.bottom) == (
        box.x - margin,
        box.right + margin,
        box.y - margin,
        box.bottom + margin,
    )
    assert box.grown(margin, SHAPE) == grown.clipped(SHAPE)
    assert box.moved(2, -1).within(Box(2, -1, 1, 1)) == box


@given(boxes)
def test_a_box_is_the_index_of_its_pixels(box: Box) -> None:
    inside = box.clipped(SHAPE)
    mask = np.zeros((*SHAPE, 3), bool)
    mask[inside.slices] = True
    assert set(zip(*(axis.tolist() for axis in np.nonzero(mask[..., 0])), strict=True)) == pixels(inside)
    assert Box.around(mask[..., 0]) == (None if inside.empty else inside)
    assert inside.size == mask[inside.slices].shape[:2]


def test_a_box_is_stored_as_its_four_numbers() -> None:
    assert list(Box(1, 2, 3, 4)) == [1, 2, 3, 4]
    assert Box.whole((5, 7, 3)) == (0, 0, 7, 5)
    assert Box.between(1, 2, 4, 6) == Box(1, 2, 3, 4)


@pytest.mark.parametrize("other", [Box(0, 0, 0, 0), Box(90, 3, 0, 5), Box(3, 90, 5, 0)])
def test_an_empty_box_adds_nothing(other: Box) -> None:
    assert Box(1, 2, 3, 4).united(other) == other.united(Box(1, 2, 3, 4)) == Box(1, 2, 3, 4)
