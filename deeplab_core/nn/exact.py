"""Savings of arithmetic that change no result: what a network computes twice, or finer than it has to.

Upsampling is linear and acts on every channel by itself; a convolution is linear and acts on every position in the same way. The
two commute where the kernel is one pixel, and a larger kernel is a sum of such ones, each moved by its offset. Everything here
follows from that, so the results differ from the plain ones by rounding only. Modules that know such a saving have
:meth:`Saving.save_arithmetic`; :func:`save_arithmetic` calls it on all of them, in a copy that only predicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Output rows or columns of a block: long enough for fast products, short enough that the few coarse lines that a block needs,
#: and not all of them, are multiplied.
_BLOCK = 64
#: Least ratio of fine to coarse positions at which the coarse grid is worth its two products with interpolation weights.
_LEAST_RATIO = 3.0


@runtime_checkable
class Saving(Protocol):
    """A module that has a cheaper way to the same numbers."""

    def save_arithmetic(self) -> None:
        """Prepare the cheaper way from the weights as they are; they must not change afterwards."""


def can_save_arithmetic(model: nn.Module) -> bool:
    """Whether a module of a network has a cheaper way."""
    return any(isinstance(module, Saving) for module in model.modules())


def save_arithmetic(model: nn.Module) -> bool:
    """Let every module of a network for inference take its cheaper way, and say whether there was one.

    Args:
        model: in eval mode, its weights final. It is changed, its state dict is not.
    """
    modules = [module for module in model.modules() if isinstance(module, Saving)]
    for module in modules:
        module.save_arithmetic()
    return bool(modules)


def applies(x: Tensor) -> bool:
    """Whether a prepared way may be taken: where only numbers are wanted.

    Gradients (effective receptive fields) and shapes without numbers (theoretical ones) follow the layers as they are.
    """
    return not (torch.is_grad_enabled() or x.is_meta)


def _symbolic() -> bool:
    """Whether sizes may stand for any size because a graph is written."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def _taps(size: int, source: int, align_corners: bool, device: torch.device) -> Tensor:
    """Weights of bilinear upsampling along one axis, moved by -1, 0 and 1: (3, size, source) float32.

    Row ``y`` of part ``k`` has the weights of upsampled position ``y + k - 1``, and zeros where that is outside, as a
    convolution with zero padding sees it. The coordinates are torch's own (``interpolate`` with a size), in float32 as there.
    """
    place = torch.arange(size, device=device, dtype=torch.float32)
    if align_corners:
        scale = torch.scalar_tensor(source - 1, device=device) / torch.scalar_tensor(max(size - 1, 1), device=device)
        place = place * scale
    else:
        scale = torch.scalar_tensor(source, device=device) / torch.scalar_tensor(size, device=device)
        place = (place + 0.5) * scale - 0.5
    place = torch.minimum(place.clamp(min=0), torch.scalar_tensor(source - 1, device=device))
    weights = functional.relu(1 - (place[:, None] - torch.arange(source, device=device)).abs())
    framed = functional.pad(weights, (0, 0, 1, 1))
    return torch.stack([framed[:-2], framed[1:-1], framed[2:]])


_kept_taps = lru_cache(maxsize=64)(_taps)


def _blocks(size: int, source: int) -> list[tuple[int, int, int, int]]:
    """Fine (start, stop) and the coarse (start, stop) that it needs, of each block of an axis."""
    if _symbolic() or size <= 2 * _BLOCK:
        return [(0, size, 0, source)]

    def places(fine: int) -> tuple[float, float]:
        """The coarse position of a fine one, by either corner rule."""
        return fine * (source - 1) / (size - 1), (fine + 0.5) * source / size - 0.5

    found = []
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)  # taps reach one position beyond a block
        low, high = math.floor(min(places(start - 1))) - 1, math.floor(max(places(stop))) + 3
        found.append((start, stop, max(0, low), min(source, high)))
    return found


class ConvOverUpsampled(nn.Module):
    """A 3x3 convolution over fine features beside upsampled coarse ones, without upsampling the coarse ones.

    The part over the coarse features is nine 1x1 convolutions on the coarse grid; their results are upsampled along one axis and
    then the other, each moved by its offset in the kernel. For 256 channels from a grid of a quarter of the sides that takes a
    seventh of the multiplications.

    Args:
        conv: kernel 3x3, stride 1, rate 1, padding 1, one group; its weight (out, fine + coarse, 3, 3).
        fine: which of its input channels are the fine features'; the others are the coarse ones'.
        align_corners: rule of the upsampling.

    Attributes:
        by_convolution: write the products as 1x1 convolutions. OpenVINO multiplies matrices of more than two axes in float32,
            whatever precision it is asked for; in float32 the matrices are 4 % faster.
        own: another way to the convolution of the fine features.
        products: another way to what :meth:`_products` gives.
    """

    fine_weight: Tensor
    fine_bias: Tensor | None
    coarse_weight: Tensor

    def __init__(self, conv: nn.Conv2d, fine: slice, align_corners: bool) -> None:
        super().__init__()
        channels = list(range(conv.in_channels))
        own = channels[fine]
        others = channels[: own[0]] + channels[own[-1] + 1 :]
        weight = conv.weight.detach()
        self.align_corners = align_corners
        self.by_convolution = False
        self.own: Callable[[Tensor], Tensor] | None = None
        self.products: Callable[[Tensor], Tensor] | None = None
        self.out_channels = conv.out_channels
        # Buffers that are not kept: a state dict has the weights once, where they belong.
        self.register_buffer("fine_weight", weight[:, own].contiguous(memory_format=torch.channels_last), persistent=False)
        self.register_buffer("fine_bias", None if conv.bias is None else conv.bias.detach(), persistent=False)
        # (row of the kernel, coarse channel, column of the kernel and output channel)
        taps = weight[:, others].permute(2, 1, 3, 0).reshape(3, len(others), 3 * conv.out_channels)
        self.register_buffer("coarse_weight", taps.contiguous(), persistent=False)

    @staticmethod
    def fits(conv: nn.Conv2d) -> bool:
        """Whether a convolution is of the form that this takes."""
        plain = (conv.kernel_size, conv.stride, conv.dilation, conv.padding) == ((3, 3), (1, 1), (1, 1), (1, 1))
        return plain and conv.groups == 1 and conv.padding_mode == "zeros"

    @staticmethod
    def pays(fine: Tensor, coarse: Tensor) -> bool:
        """Whether the coarse grid is so much smaller that this is the cheaper way; always where sizes are free."""
        if _symbolic():
            return True
        return fine.shape[-2] * fine.shape[-1] >= _LEAST_RATIO * coarse.shape[-2] * coarse.shape[-1]

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """``(N, fine, H, W)`` and ``(N, coarse, h, w)`` to ``(N, out, H, W)``."""
        batch, _, h, w = coarse.shape
        height, width = fine.shape[-2:]
        out = self.out_channels
        taps = self._products(coarse).reshape(batch, 3, h, w * 3 * out)
        tall = self._along_rows(taps, height, h).reshape(batch, height, w, 3, out)
        own = self.own(fine) if self.own is not None else functional.conv2d(fine, self.fine_weight, self.fine_bias, padding=1)
        return own + self._along_columns(tall, width, w).permute(0, 3, 1, 2)

    def _products(self, coarse: Tensor) -> Tensor:
        """The nine products at every coarse position of (N, coarse, h, w): N x 3 rows of the kernel x h x w x 3 columns x out."""
        if self.products is not None:
            return self.products(coarse)
        batch, channels, h, w = coarse.shape
        if self.by_convolution:
            parts = [functional.conv2d(coarse, row.t()[..., None, None]).permute(0, 2, 3, 1) for row in self.coarse_weight]
            return torch.cat(parts, dim=1)
        lines = coarse.permute(0, 2, 3, 1).reshape(batch, 1, h * w, channels)
        return torch.matmul(lines, self.coarse_weight)

    def _weights(self, size: int, source: int, like: Tensor) -> Tensor:
        make = _taps if _symbolic() else _kept_taps
        return make(size, source, self.align_corners, like.device).to(like.dtype)

    def _along_rows(self, taps: Tensor, height: int, h: int) -> Tensor:
        """(N, 3, h, columns) to (N, height, columns)."""
        weights = self._weights(height, h, taps)
        if _symbolic():  # slices of a graph copy, whole ones as well
            rows = weights.permute(1, 0, 2).reshape(height, 3 * h)
            return torch.matmul(rows, taps.reshape(taps.shape[0], 3 * h, taps.shape[3]))
        parts = []
        for start, stop, low, high in _blocks(height, h):
            rows = weights[:, start:stop, low:high].permute(1, 0, 2).reshape(stop - start, 3 * (high - low))
            parts.append(torch.matmul(rows, taps[:, :, low:high].reshape(taps.shape[0], 3 * (high - low), taps.shape[3])))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _along_columns(self, tall: Tensor, width: int, w: int) -> Tensor:
        """(N, height, w, 3, out) to (N, height, width, out)."""
        weights = self._weights(width, w, tall)
        batch, height, out = tall.shape[0], tall.shape[1], tall.shape[4]
        if _symbolic():
            columns = weights.permute(1, 2, 0).reshape(width, 3 * w)
            return torch.matmul(columns, tall.reshape(batch, height, 3 * w, out))
        parts = []
        for start, stop, low, high in _blocks(width, w):
            columns = weights[:, start:stop, low:high].permute(1, 2, 0).reshape(stop - start, 3 * (high - low))
            parts.append(torch.matmul(columns, tall[:, :, low:high].reshape(batch, height, 3 * (high - low), out)))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
