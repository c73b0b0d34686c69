"""Bilinear interpolation as a transposed convolution (Long et al. 2015, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def bilinear_kernel(side: int) -> Tensor:
    """``(side, side)`` float32 kernel that interpolates linearly between features ``ceil(side / 2)`` pixels apart."""
    half = (side + 1) // 2
    centre = half - 1.0 if side % 2 else half - 0.5
    line = 1.0 - (torch.arange(side, dtype=torch.float32) - centre).abs() / half
    return line[:, None] * line[None, :]


def fill_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Make a transposed convolution upsample every channel by itself; no-op on the meta device."""
    if layer.weight.is_meta:
        return
    with torch.no_grad():
        layer.weight.zero_()
        kernel = bilinear_kernel(layer.weight.shape[-1])
        for channel in range(layer.weight.shape[0]):
            layer.weight[channel, 0 if layer.groups > 1 else channel] = kernel
