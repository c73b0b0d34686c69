"""Pixel values of every kind to the three 8-bit channels that the rest of the program works on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Largest values of the bit depths that cameras and scanners store in 16-bit files.
_FULL_SCALES = (255, 1023, 4095, 16383, 65535)


def to_uint8(values: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Scale pixel values of any type to 0..255.

    Unsigned 16-bit values are divided by the full scale of the smallest usual bit depth (8, 10, 12, 14, 16) that holds the
    largest value, because 10- to 14-bit sensors store their values unscaled. Floats in 0..1 are multiplied by 255; wider
    types outside 0..255 are stretched from smallest to largest. Negative 16-bit values and NaN become 0.

    Returns:
        uint8 array of the same shape, and a note in words (empty where nothing was scaled).
    """
    if values.dtype == np.uint8:
        return values, ""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255, ""
    if values.dtype in (np.uint16, np.int16):
        positive = np.maximum(values, 0).astype(np.uint16)
        top = int(positive.max(initial=0))
        full = next(scale for scale in _FULL_SCALES if top <= scale)
        if full == 255:
            return positive.astype(np.uint8), "16-bit file with 8-bit values"
        table = np.round(np.arange(65536) * (255.0 / full)).clip(0, 255).astype(np.uint8)
        return table[positive], f"16-bit values of 0..{full} scaled to 0..255 (largest {top})"
    finite = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    if low >= 0 and high <= 1:
        return np.round(finite * 255).astype(np.uint8), "values of 0..1 scaled to 0..255"
    if low >= 0 and high <= 255:
        return np.round(finite).astype(np.uint8), "values rounded to whole numbers"
    return np.round((finite - low) * (255.0 / (high - low))).astype(np.uint8), f"values {low:g}..{high:g} stretched to 0..255"


def grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) to (H, W, 3) with three equal channels."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def bgr_to_rgb(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) in OpenCV's order to RGB."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2RGB), dtype=np.uint8)
