"""Augmentation: deterministic, image and labels stay together, what the image does not cover is void."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.errors import AtrousError
from deeplab_core.training import Recipe
from deeplab_core.training.augment import augment, generator
from deeplab_core.training.losses import VOID

PLAIN = Recipe(crop=(24, 32), scales=(0.5, 2.0), jitter=0.0)


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with 20 x the label in its red channel, in blocks."""
    labels = (np.arange(height)[:, None] // 12 + np.arange(width)[None] // 12).astype(np.int16) % 10
    rgb = np.repeat((labels * 20)[..., None], 3, axis=2).astype(np.uint8)
    return rgb, labels


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 50))
def test_a_crop_has_the_size_and_only_known_labels(height: int, width: int, number: int) -> None:
    rgb, labels = coded(height, width)
    picture, cut = augment(rgb, labels, PLAIN, generator(1, 0, number), void=VOID)
    assert picture.shape == (24, 32, 3)
    assert picture.dtype == np.uint8
    assert cut.shape == (24, 32)
    assert cut.dtype == np.int16
    assert set(np.unique(cut)) <= set(range(10)) | {VOID}
    assert picture.flags.c_contiguous
    assert cut.flags.c_contiguous


@given(st.integers(0, 200))
def test_labels_move_with_the_picture(number: int) -> None:
    rgb, labels = coded(96, 96)
    picture, cut = augment(rgb, labels, PLAIN, generator(3, 1, number), void=VOID)
    known = cut != VOID
    assert known.any()
    # Only pixels at an edge of a block may be interpolated between two labels.
    agree = np.abs(picture[..., 0].astype(int) - cut * 20)[known] <= 4
    assert agree.mean() > 0.6
    middle = picture[..., 0].astype(int)
    flat = known & (np.abs(np.gradient(middle.astype(float))[0]) + np.abs(np.gradient(middle.astype(float))[1]) == 0)
    assert (np.abs(middle - cut * 20)[flat] == 0).mean() > 0.97


def test_padding_has_the_mean_colour_and_is_void() -> None:
    rgb, labels = coded(6, 6)
    recipe = replace(PLAIN, scales=(1.0, 1.0), flip=False)
    picture, cut = augment(rgb, labels, recipe, generator(1, 0, 0), void=VOID)
    assert np.count_nonzero(cut != VOID) == 36
    assert (picture[cut == VOID] == np.round(recipe.mean)).all()


@pytest.mark.parametrize("recipe", [PLAIN, replace(PLAIN, jitter=0.4, blur=0.5, noise=0.5), replace(PLAIN, scale_step=0.25)])
def test_the_same_number_gives_the_same_crop_and_another_another(recipe: Recipe) -> None:
    rgb, labels = coded(80, 90)
    one = augment(rgb, labels, recipe, generator(1, 2, 3), void=VOID)
    again = augment(rgb, labels, recipe, generator(1, 2, 3), void=VOID)
    other = augment(rgb, labels, recipe, generator(1, 2, 4), void=VOID)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(rgb, np.zeros_like(rgb))  # the source is left alone


def test_a_wide_hue_turns_red_into_every_colour() -> None:
    red = np.full((8, 8, 3), (200, 40, 40), np.uint8)
    recipe = Recipe(crop=(8, 8), scales=(1.0, 1.0), flip=False, jitter=0.0, hue=0.5)
    labels = np.zeros((8, 8), np.int16)
    crops = [augment(red, labels, recipe, generator(1, 0, number), void=VOID)[0][0, 0] for number in range(40)]
    assert {int(np.argmax(color)) for color in crops} == {0, 1, 2}
    with pytest.raises(AtrousError, match="hue"):
        Recipe(hue=0.7)


def test_neutral_jitter_changes_nothing_and_hue_keeps_grey() -> None:
    from deeplab_core.training.augment import _jittered

    rgb = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert np.abs(_jittered(rgb, 1, 1, 1, 0).astype(int) - rgb).max() <= 1
    grey = np.full((4, 4, 3), 90, dtype=np.uint8)
    assert np.abs(_jittered(grey, 1, 1, 0.3, 0.2).astype(int) - 90).max() <= 1
    assert _jittered(grey, 1.5, 1, 1, 0).mean() == pytest.approx(135, abs=1)
