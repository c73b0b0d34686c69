"""Sizes and coordinates against torch and the TensorFlow code's conventions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from deeplab_core.errors import WeightsError
from deeplab_core.inference.geometry import axis_taps, frame_for, scale_length, shortened
from deeplab_core.inference.network import plan_axis
from deeplab_core.records import Preprocessing


@given(st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_taps_are_torchs_interpolation(image: int, grid: int, align_corners: bool) -> None:
    values = torch.arange(grid, dtype=torch.float64) ** 1.5
    expected = (
        interpolate(values[None, None, :, None], size=(image, 1), mode="bilinear", align_corners=align_corners).flatten().numpy()
    )
    taps = axis_taps(image=image, scaled=image, canvas=image, grid=grid, align_corners=align_corners)
    row = values.numpy()
    got = row[taps.lower] * (1 - taps.weight) + row[taps.upper] * taps.weight
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_taps_of_a_mirrored_image_run_backwards() -> None:
    forward = axis_taps(image=11, scaled=11, canvas=17, grid=5, align_corners=True)
    backward = axis_taps(image=11, scaled=11, canvas=17, grid=5, align_corners=True, mirrored=True)
    np.testing.assert_array_equal(backward.lower, forward.lower[::-1])
    np.testing.assert_array_equal(backward.weight, forward.weight[::-1])


@pytest.mark.parametrize(
    ("rule", "image", "scaled"),
    [
        ("native", (375, 500), (375, 500)),
        ("long_side:513", (375, 500), (385, 513)),
        ("long_side:513", (481, 640), (386, 513)),
        ("short_side:520", (480, 640), (520, 693)),
        ("long_side:513", (1, 2000), (1, 513)),
    ],
)
def test_resize_rules(rule: str, image: tuple[int, int], scaled: tuple[int, int]) -> None:
    frame = frame_for(image, Preprocessing(resize=rule), align_corners=False)
    assert frame.scaled == frame.canvas == scaled


def test_padding_rules() -> None:
    def canvas(padding: str, scale: float = 1.0, resize: str = "native") -> tuple[int, int]:
        return frame_for((300, 500), Preprocessing(padding=padding, resize=resize), scale=scale, align_corners=True).canvas

    assert canvas("none") == (300, 500)
    assert canvas("canvas:513") == (513, 513)
    assert canvas("canvas:513", scale=0.5) == (257, 257)
    assert canvas("canvas:400") == (400, 500)  # never crops
    assert canvas("multiple:32") == (320, 512)
    assert canvas("grid:16") == (305, 513)  # 16 k + 1
    assert canvas("grid:16", scale=0.5) == (161, 257)
    assert canvas("canvas:513", resize="long_side:513") == (513, 513)


def test_scales_follow_the_corner_rule() -> None:
    assert [scale_length(513, s, True) for s in (0.5, 0.75, 1.25, 1.5, 1.75)] == [257, 385, 641, 769, 897]
    assert scale_length(512, 0.5, False) == 256
    assert scale_length(3, 0.1, False) == 1


@pytest.mark.parametrize("rule", ["long_side", "long_side:x", "long_side:0", "width:513", "long_side:-3"])
def test_malformed_rules_say_what_is_allowed(rule: str) -> None:
    with pytest.raises(WeightsError, match="native, long_side:N, short_side:N"):
        frame_for((10, 10), Preprocessing(resize=rule), align_corners=False)


@given(st.integers(1, 4000), st.integers(1, 700), st.integers(0, 200), st.sampled_from([8, 16, 32]), st.sampled_from([0, 1]))
def test_spans_cover_every_pixel_once_with_context(length: int, tile: int, margin: int, quantum: int, rest: int) -> None:
    spans = plan_axis(length, tile, margin, quantum, rest)
    assert spans[0].core_start == 0
    assert spans[-1].core_stop == length
    for before, after in pairwise(spans):
        assert before.core_stop == after.core_start
    for span in spans:
        assert span.start % quantum == 0
        assert span is spans[-1] or span.length % quantum == rest
        assert span.core_start % quantum == 0
        assert 0 <= span.start <= span.core_start < span.core_stop <= span.stop <= length
        assert span.start == 0 or span.core_start - span.start >= margin
        assert span.stop == length or span.stop - span.core_stop >= margin
    assert len(spans) <= max(1, length // max(1, tile // 3 // quantum * quantum or quantum) + 1)


@pytest.mark.parametrize(
    ("image", "scaled"),
    [
        ((8, 4000), (17, 8320)),
        ((4000, 8), (8320, 17)),
        ((1, 1), (520, 520)),
        ((100, 1600), (520, 8320)),
        ((600, 100_000), (520, 86_667)),
    ],
)
def test_a_short_side_enlarges_within_bounds(image: tuple[int, int], scaled: tuple[int, int]) -> None:
    frame = frame_for(image, Preprocessing(resize="short_side:520"), align_corners=False)
    assert frame.scaled == scaled
    assert shortened(image, "short_side:520") is (min(scaled) < 520)
    assert not shortened(image, "long_side:520")
