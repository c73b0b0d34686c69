"""Pixels on their way to the network: resampled as by Pillow and normalised as by arithmetic, bit for bit."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.inference import pixels as pixels_module
from deeplab_core.inference.pixels import PixelCanvas, resize_rgb, to_network_channels
from deeplab_core.inference.torch_network import Canvas
from deeplab_core.kernels import compiled
from deeplab_core.kernels.resampling import resampled
from deeplab_core.networks import ComputeDevice
from deeplab_core.records import ChannelOrder, Preprocessing
from tests.unit.core.inference.networks import photograph

sides = st.integers(1, 70)


def by_pillow(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).resize((size[1], size[0]), Image.Resampling.BILINEAR))


@settings(max_examples=100, deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.booleans(), st.integers(0, 999))
def test_every_step_rounds_as_pillow(before: tuple[int, int], after: tuple[int, int], black_and_white: bool, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*before, 3), np.uint8)
    if black_and_white:
        rgb = (rgb // 128) * np.uint8(255)
    tall, wide = (after[0], before[1]), (before[0], after[1])
    columns, rows = by_pillow(rgb, tall), by_pillow(rgb, wide)
    np.testing.assert_array_equal(resampled(rgb, tall, columns_first=True), columns)
    np.testing.assert_array_equal(resampled(rgb, wide, columns_first=False), rows)
    # Which step comes first is Pillow's choice, which its versions make differently.
    np.testing.assert_array_equal(resampled(rgb, after, columns_first=True), by_pillow(columns, after))
    np.testing.assert_array_equal(resampled(rgb, after, columns_first=False), by_pillow(rows, after))


@settings(max_examples=60, deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.integers(0, 99))
def test_all_images_of_a_size_are_resampled_as_by_pillow(before: tuple[int, int], after: tuple[int, int], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pixels_module, "_orders", {})
        for number in range(5):
            rgb = np.random.default_rng(seed + number).integers(0, 256, (*before, 3), np.uint8)
            np.testing.assert_array_equal(resize_rgb(rgb, after), by_pillow(rgb, after))


@pytest.mark.parametrize("size", [(97, 131), (260, 61), (61, 260), (300, 300)])
def test_our_own_loops_take_over_from_the_third_image_of_a_size(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels_module, "_orders", {})
    images = [photograph(150, 200, seed) for seed in range(4)]
    expected = [by_pillow(rgb, size) for rgb in images]
    flat = np.full((150, 200, 3), 7, np.uint8)
    assert (resize_rgb(flat, size) == 7).all()
    assert (resize_rgb(flat, size) == 7).all()  # tells nothing of Pillow's order
    for rgb, wanted in zip(images[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(resize_rgb(rgb, size), wanted)
    monkeypatch.setattr(pixels_module, "_by_pillow", None)
    for rgb, wanted in zip(images[2:], expected[2:], strict=True):
        np.testing.assert_array_equal(resize_rgb(rgb, size), wanted)


def test_a_pillow_that_does_something_else_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels_module, "_orders", {})
    monkeypatch.setattr(pixels_module, "_by_pillow", lambda rgb, size: by_pillow(rgb, size) ^ 1)
    for seed in range(4):
        rgb = photograph(50, 40, seed)
        np.testing.assert_array_equal(resize_rgb(rgb, (30, 20)), by_pillow(rgb, (30, 20)) ^ 1)


def test_nobody_waits_for_loops_that_another_thread_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: dict[tuple[int, int, int, int], Literal["rows"]] = {(50, 40, 30, 20): "rows"}
    monkeypatch.setattr(pixels_module, "_orders", orders)
    monkeypatch.setattr(compiled._Choice, "compiling", -1)
    monkeypatch.setattr(pixels_module, "_by_pillow", lambda _rgb, size: np.zeros((*size, 3), np.uint8))
    assert not resize_rgb(photograph(50, 40), (30, 20)).any()


def test_sizes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels_module, "_orders", {})
    monkeypatch.setattr(pixels_module, "_MOST_SIZES", 3)
    for side in range(2, 12):
        resize_rgb(photograph(13, 14), (side, side))
        assert len(pixels_module._orders) <= 3


@pytest.mark.parametrize("window", [(0, 0, 40, 60), (0, 0, 45, 70), (8, 16, 40, 64), (32, 48, 64, 80), (48, 64, 50, 70)])
@pytest.mark.parametrize("order", ["RGB", "BGR", "gray", "RGBA"])
def test_a_window_is_the_arithmetic_of_the_card(order: ChannelOrder, window: tuple[int, int, int, int]) -> None:
    channels = {"gray": 1, "RGBA": 4}.get(order, 3)
    pre = Preprocessing(
        channel_order=order, mean=(123.675, 116.28, 103.53, 50.5)[:channels], std=(58.395, 57.12, 57.375, 0.3)[:channels],
        pad_value=(0.0, 11.5, 255.0, 3.0)[:channels],
    )  # fmt: skip
    image = np.dstack([photograph(40, 60), photograph(40, 60, 1)])[..., : 4 if order == "RGBA" else 3]
    image.flags.writeable = False  # as Pillow gives it
    mean, std, pad = (np.array(values, np.float32) for values in (pre.mean, pre.std, pre.pad_value))
    top, left, bottom, right = window
    expected = np.empty((100, 100, channels), np.float32)
    expected[:] = (pad - mean) / std
    expected[:40, :60] = (to_network_channels(image, order).astype(np.float32) - mean) / std
    wanted = expected[top:bottom, left:right].transpose(2, 0, 1)[None]
    x = Canvas(image, pre, ComputeDevice("cpu")).window(*window)
    np.testing.assert_array_equal(x.numpy(), wanted)
    assert channels == 1 or x.permute(0, 2, 3, 1).is_contiguous()
    found = PixelCanvas(image, pre).window(*window)
    np.testing.assert_array_equal(found, wanted)
    assert found.flags.c_contiguous
