"""The eight EXIF orientations, against Pillow and against each other."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from deeplab_core.images import swaps_sides, to_oriented, to_stored
from deeplab_core.images.probe import exif_orientation

ORIENTATIONS = st.integers(1, 8)
DTYPES = st.sampled_from([np.uint8, np.uint16, np.float32, np.int64, np.bool_])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7)


@given(st.data(), DTYPES, SHAPES, ORIENTATIONS)
def test_to_stored_inverts_to_oriented(data: st.DataObject, dtype: type, shape: tuple[int, ...], orientation: int) -> None:
    array = data.draw(hnp.arrays(dtype, shape))
    turned = to_oriented(array, orientation)
    assert turned.dtype == array.dtype
    assert turned.flags.c_contiguous
    assert turned.shape == ((shape[1], shape[0], *shape[2:]) if swaps_sides(orientation) else shape)
    np.testing.assert_array_equal(to_stored(turned, orientation), array)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_orientation_agrees_with_pillow(orientation: int, dtype: type) -> None:
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    picture = Image.fromarray(stored)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(to_oriented(stored.astype(dtype), orientation), expected)


@pytest.mark.parametrize("orientation", [0, 9, -1])
def test_other_values_are_refused(orientation: int) -> None:
    with pytest.raises(ValueError, match=r"outside 1\.\.8"):
        to_oriented(np.zeros((2, 2), np.uint8), orientation)
    with pytest.raises(ValueError, match=r"outside 1\.\.8"):
        to_stored(np.zeros((2, 2), np.uint8), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_blocks_are_read(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    block = exif.tobytes()
    assert exif_orientation(block) == orientation
    assert exif_orientation(block.removeprefix(b"Exif\x00\x00")) == orientation


@given(st.binary(max_size=64))
def test_broken_exif_is_orientation_one_or_a_valid_value(block: bytes) -> None:
    assert 1 <= exif_orientation(b"II*\x00" + block) <= 8


def test_an_orientation_outside_the_eight_counts_as_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 42
    assert exif_orientation(exif.tobytes()) == 1
    assert exif_orientation(b"") == 1
    assert io.BytesIO(exif.tobytes()).read(4) == b"Exif"
