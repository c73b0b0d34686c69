"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597): the classic network with batch norm, and the decoder over any encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import Encoder, SegmentationModel
from deeplab_core.nn.layers import ConvNormAct, Norm, initialise, resize


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetOptions:
    """The classic network, as milesial/Pytorch-UNet builds it (padded convolutions, batch norm).

    Attributes:
        upsampling: ``"transposed"`` 2x2 convolutions (31.0 M parameters) or ``"bilinear"`` with aligned corners (17.3 M).
        width: channels of the first level; each level doubles them.
    """

    upsampling: Literal["transposed", "bilinear"] = "transposed"
    width: int = 64


class DoubleConv(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or out_channels
        self.first = ConvNormAct(in_channels, middle, 3, norm=Norm())
        self.second = ConvNormAct(middle, out_channels, 3, norm=Norm())

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H, W)``."""
        out: Tensor = self.second(self.first(x))
        return out


class Up(nn.Module):
    """Doubles the resolution, pads to the skipped features, concatenates ``[skip, up]``, convolves twice."""

    def __init__(self, in_channels: int, out_channels: int, upsampling: Literal["transposed", "bilinear"]) -> None:
        super().__init__()
        self.up: nn.ConvTranspose2d | None = None
        if upsampling == "transposed":
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, 2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)
        else:
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarser features and the skipped ones to ``(N, out, *skip.shape[-2:])``."""
        up = resize(x, (2 * x.shape[-2], 2 * x.shape[-1]), True) if self.up is None else self.up(x)
        rows, columns = skip.shape[-2] - up.shape[-2], skip.shape[-1] - up.shape[-1]
        up = functional.pad(up, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        out: Tensor = self.conv(torch.cat([skip, up], dim=1))
        return out


class UNet(SegmentationModel):
    """Four poolings, four upsamplings; keys ``stem``, ``down``, ``up``, ``classifier``."""

    minimum_side = 16

    def __init__(self, *, num_classes: int, options: UNetOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=1, output_strides=(1,), align_corners=True)
        w = options.width
        halved = 2 if options.upsampling == "bilinear" else 1
        self.stem = DoubleConv(3, w)
        self.down = nn.ModuleList([DoubleConv(w, 2 * w), DoubleConv(2 * w, 4 * w), DoubleConv(4 * w, 8 * w)])
        self.down.append(DoubleConv(8 * w, 16 * w // halved))
        plans = ((16 * w, 8 * w // halved), (8 * w, 4 * w // halved), (4 * w, 2 * w // halved), (2 * w, w))
        self.up = nn.ModuleList(Up(before, after, options.upsampling) for before, after in plans)
        self.classifier = nn.Conv2d(w, num_classes, 1)
        initialise(self)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size: there is no coarser form."""
        levels = [self.stem(x)]
        for block in self.down:
            levels.append(block(functional.max_pool2d(levels[-1], 2)))
        out = levels.pop()
        for block in self.up:
            out = block(out, levels.pop())
        logits: Tensor = self.classifier(out)
        return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderUNetOptions:
    """The decoder of segmentation_models.pytorch's ``Unet``.

    Attributes:
        decoder_channels: of the five blocks, coarse to fine.
        interpolation: how features are enlarged (``decoder_interpolation``); bilinear and bicubic without aligned corners.
        norm_eps, norm_momentum: batch norm of the decoder.
    """

    decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "nearest"
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1


class EncoderUNet(SegmentationModel):
    """Upsampling to each finer level, concatenation, two 3x3 convolutions; a 3x3 classifier.

    Keys: ``encoder``, ``blocks.i.0``, ``blocks.i.1``, ``classifier``.
    """

    def __init__(self, encoder: Encoder, *, num_classes: int, output_stride: int, options: EncoderUNetOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=output_stride, output_strides=encoder.output_strides)
        norm = Norm(options.norm_eps, options.norm_momentum)
        self.minimum_side = encoder.minimum_side
        self.interpolation = options.interpolation
        *skips, channels = encoder.level_channels
        blocks: list[nn.Module] = []
        for skip, width in zip([*reversed(skips), 0], options.decoder_channels, strict=True):
            pair = (ConvNormAct(channels + skip, width, 3, norm=norm), ConvNormAct(width, width, 3, norm=norm))
            blocks.append(nn.Sequential(*pair))
            channels = width
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.encoder = encoder
        initialise(self)
        self.output_stride = output_stride

    def _set_output_stride(self, value: int) -> None:
        self.encoder.set_output_stride(value)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size: there is no coarser form."""
        *skips, out = self.encoder.levels(x)
        for block, skip in zip(self.blocks, [*reversed(skips), None], strict=True):
            size = x.shape[-2:] if skip is None else skip.shape[-2:]
            out = functional.interpolate(out, size=(size[0], size[1]), mode=self.interpolation)
            out = block(out if skip is None else torch.cat([out, skip], dim=1))
        logits: Tensor = self.classifier(out)
        return logits
