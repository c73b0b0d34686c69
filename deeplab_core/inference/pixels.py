"""From uint8 pixels to the network's input, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deeplab_core.inference.geometry import Size
from deeplab_core.records import Preprocessing

RGB = NDArray[np.uint8]


def check_rgb(rgb: NDArray[Any]) -> None:
    """Raise TypeError or ValueError unless ``rgb`` is a non-empty (H, W, 3) uint8 array."""
    if rgb.dtype != np.uint8:
        raise TypeError(f"expected uint8 pixels, got {rgb.dtype}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected (H, W, 3) RGB pixels, got shape {rgb.shape}")


def resize_rgb(rgb: RGB, size: Size) -> RGB:
    """Bilinear resampling of (H, W, 3) uint8 to ``size`` by the half-pixel rule; shrinking averages over the pixels it swallows.

    The same array is returned where the size is already right.
    """
    if rgb.shape[:2] == size:
        return rgb
    resized = Image.fromarray(np.ascontiguousarray(rgb)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


class Canvas:
    """The scaled image with its padding, as the network sees it; windows of it are made on demand.

    Args:
        scaled: (h, w, 3) uint8 RGB.
        preprocessing: of the model card: channel order, mean and std, padding value.
        device: where windows are made.
    """

    def __init__(self, scaled: RGB, preprocessing: Preprocessing, device: torch.device) -> None:
        self._scaled = scaled
        self._device = device
        self._reverse = preprocessing.channel_order == "BGR"
        mean, std, pad = (
            torch.tensor(values, dtype=torch.float32, device=device).view(1, 1, 3)
            for values in (preprocessing.mean, preprocessing.std, preprocessing.pad_value)
        )
        self._mean, self._std = mean, std
        self._pad = (pad - mean) / std

    def window(self, top: int, left: int, bottom: int, right: int) -> Tensor:
        """(1, 3, bottom - top, right - left) float32 in channels-last memory; what lies outside the image is padding."""
        part = self._scaled[top:bottom, left:right]
        if self._reverse:
            part = part[..., ::-1]
        pixels = torch.from_numpy(np.array(part, order="C")).to(self._device)
        normal = pixels.float().sub_(self._mean).div_(self._std)
        height, width = bottom - top, right - left
        if part.shape[:2] != (height, width):
            padded = self._pad.expand(height, width, 3).clone()
            padded[: part.shape[0], : part.shape[1]] = normal
            normal = padded
        return normal.permute(2, 0, 1).unsqueeze(0).contiguous(memory_format=torch.channels_last)
