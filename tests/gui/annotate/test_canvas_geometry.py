"""Mapping and sampling: every device pixel of the picture has exactly one image pixel, at any place and scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF

from app.ui.canvas.colors import uncertainty_table
from app.ui.canvas.geometry import Mapping, sample
from app.ui.canvas.layers import PictureSource
from deeplab_core.geometry import Box

mappings = st.builds(
    Mapping,
    scale=st.floats(0.02, 64),
    left=st.floats(-300, 300),
    top=st.floats(-300, 300),
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    image_width=st.integers(1, 300),
    image_height=st.integers(1, 300),
    ratio=st.sampled_from([1.0, 1.25, 2.0]),
)


@given(mappings)
def test_the_picture_covers_exactly_the_pixels_with_their_centre_on_it(mapping):
    rect = mapping.picture_rect()
    columns, rows = mapping.columns(0, mapping.width), mapping.rows(0, mapping.height)
    on = np.flatnonzero((columns >= 0) & (columns < mapping.image_width))
    assert list(on) == list(range(rect.left(), rect.left() + rect.width()))
    on = np.flatnonzero((rows >= 0) & (rows < mapping.image_height))
    assert list(on) == list(range(rect.top(), rect.top() + rect.height()))


@given(mappings, st.integers(0, 250), st.integers(0, 250), st.integers(1, 50), st.integers(1, 50))
def test_a_changed_rectangle_reaches_all_its_device_pixels(mapping, x, y, width, height):
    device = mapping.device_rect(Box(x, y, width, height), 0)
    columns = mapping.columns(0, mapping.width)
    for at in np.flatnonzero((columns >= x) & (columns < x + width)):
        assert device.isEmpty() or device.left() <= at < device.left() + device.width()


@given(mappings, st.floats(-100, 400), st.floats(-100, 400))
def test_there_and_back(mapping, x, y):
    assert mapping.to_image(mapping.to_view(x, y)) == pytest.approx((x, y), abs=1e-6)
    assert mapping.to_image(QPointF(0, 0)) == (mapping.left, mapping.top)


@given(mappings)
def test_sampling_equals_indexing(mapping):
    rect = mapping.picture_rect()
    if rect.isEmpty():
        return
    image = np.arange(mapping.image_width * mapping.image_height, dtype=np.uint32)
    image = image.reshape(mapping.image_height, mapping.image_width)
    rows = mapping.rows(rect.top(), rect.top() + rect.height())
    columns = mapping.columns(rect.left(), rect.left() + rect.width())
    assert np.array_equal(sample(image, rows, columns), image[np.ix_(rows, columns)])


def test_the_pyramid_halves_down_and_keeps_the_mean():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (2000, 3001, 3), dtype=np.uint8)
    picture = PictureSource(rgb)
    assert picture.rgb is rgb
    assert picture.size == (3001, 2000)
    assert rgb.nbytes < picture.nbytes < rgb.nbytes * 1.4


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_a_picture_is_rgb_bytes(wrong):
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        PictureSource(wrong)


def test_uncertainty_grows_lighter_in_even_steps():
    table = uncertainty_table()
    alpha = (table >> 24) / 255
    red, green, blue = (np.clip(((table >> shift) & 255) / 255 / alpha, 0, 1) ** 2.2 for shift in (16, 8, 0))
    lightness = 116 * np.cbrt(0.2126 * red + 0.7152 * green + 0.0722 * blue) - 16  # CIE L*
    steps = np.diff(lightness[::-1])
    assert np.all(steps > -0.5)
    assert np.all(steps[192:] == 0)  # below a confidence of 0.25 all is as bad
    assert lightness[0] > 90
    assert lightness[255] <= 0
