"""Lite reduced atrous spatial pyramid pooling (Howard et al. 2019, section 6.4), as torchvision builds it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deeplab_core.nn.base import Encoder, SegmentationModel, region_mean
from deeplab_core.nn.exact import applies
from deeplab_core.nn.layers import ConvNormAct, Norm, initialise, resize


@dataclass(frozen=True, slots=True, kw_only=True)
class LRASPPOptions:
    """Head of LRASPP.

    Attributes:
        channels: of the high branch.
        low_level: index of the level that the low branch reads (2: stride 8).
        norm_eps, norm_momentum: of the head's batch norm.
        align_corners: rule of upsampling.
    """

    channels: int = 128
    low_level: int = 2
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    align_corners: bool = False


class LRASPP(SegmentationModel):
    """Features of the encoder's end, scaled by the image mean, classified together with those of stride 8.

    Keys: ``encoder``, ``project``, ``scale``, ``low_classifier``, ``high_classifier``.
    """

    def __init__(self, encoder: Encoder, *, num_classes: int, output_stride: int, options: LRASPPOptions) -> None:
        super().__init__(
            num_classes=num_classes,
            output_stride=output_stride,
            output_strides=encoder.output_strides,
            align_corners=options.align_corners,
        )
        self.options = options
        high = encoder.level_channels[-1]
        self.project = ConvNormAct(high, options.channels, 1, norm=Norm(options.norm_eps, options.norm_momentum))
        self.scale = nn.Conv2d(high, options.channels, 1, bias=False)
        self.low_classifier = nn.Conv2d(encoder.level_channels[options.low_level], num_classes, 1)
        self.high_classifier = nn.Conv2d(options.channels, num_classes, 1)
        self.encoder = encoder
        self.classify_first = False
        initialise(self)
        self.output_stride = output_stride

    def save_arithmetic(self) -> None:
        """Classifying before upsampling needs fewer channels on the finer grid."""
        self.classify_first = True

    def _set_output_stride(self, value: int) -> None:
        self.encoder.set_output_stride(value)

    def pooled_context(self, x: Tensor, region: tuple[int, int, int, int] | None = None) -> Tensor:
        """Mean encoder features ``(N, C, 1, 1)`` of a region of ``x``."""
        return region_mean(self.encoder.levels(x)[-1], region, self.output_stride)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Logits at stride 8."""
        levels = self.encoder.levels(x)
        low, high = levels[self.options.low_level], levels[-1]
        mean = high.mean((2, 3), keepdim=True) if pooled is None else pooled
        scaled = self.project(high) * torch.sigmoid(self.scale(mean))
        size = (low.shape[-2], low.shape[-1])
        if self.classify_first and applies(x):  # interpolation weights add up to 1: the same scores, bias included
            scores = resize(self.high_classifier(scaled), size, self.align_corners)
        else:
            scores = self.high_classifier(resize(scaled, size, self.align_corners))
        out: Tensor = self.low_classifier(low) + scores
        return out
