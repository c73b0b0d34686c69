"""DeepLabv2 (Chen et al. 2016, arXiv 1606.00915): the sum of atrous classifiers, over any encoder; and several
input scales inside the network, joined by the maximum (section 4.1; Caffe's and kazuto1011's ``MSC``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import Encoder, SegmentationModel
from deeplab_core.nn.layers import initialise, resize, set_atrous


@dataclass(frozen=True, slots=True, kw_only=True)
class PyramidSumOptions:
    """Head of DeepLabv2 over a residual network.

    Attributes:
        atrous_rates: of the 3x3 classifiers at output stride 8 (ASPP-L of the paper); () is one plain 1x1 classifier, which
            is what kazuto1011 calls DeepLabv1 over a ResNet.
        scale_rates: halve the rates at stride 16, quarter them at 32.
        align_corners: rule of upsampling.
    """

    atrous_rates: tuple[int, ...] = (6, 12, 18, 24)
    scale_rates: bool = True
    align_corners: bool = False


class PyramidSum(SegmentationModel):
    """Encoder and summed classifiers; keys ``encoder``, ``classifiers``. Native output is coarse."""

    def __init__(self, encoder: Encoder, *, num_classes: int, output_stride: int, options: PyramidSumOptions) -> None:
        super().__init__(
            num_classes=num_classes,
            output_stride=output_stride,
            output_strides=encoder.output_strides,
            align_corners=options.align_corners,
        )
        self.options = options
        self.minimum_side = encoder.minimum_side
        channels = encoder.level_channels[-1]
        kernels = [3] * len(options.atrous_rates) or [1]
        self.classifiers = nn.ModuleList(nn.Conv2d(channels, num_classes, kernel) for kernel in kernels)
        self.encoder = encoder
        initialise(self)
        for classifier in self.classifiers:
            assert isinstance(classifier, nn.Conv2d)
            # As published: the sum starts near zero.
            nn.init.normal_(classifier.weight, std=0.01)
        self.output_stride = output_stride

    def _set_output_stride(self, value: int) -> None:
        self.encoder.set_output_stride(value)
        for classifier, rate in zip(self.classifiers, self.options.atrous_rates, strict=False):
            assert isinstance(classifier, nn.Conv2d)
            set_atrous(classifier, rate=max(1, rate * 8 // value) if self.options.scale_rates else rate)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at the output stride."""
        features = self.encoder.levels(x)[-1]
        return torch.stack([classifier(features) for classifier in self.classifiers]).sum(0)

    def native_logits(self, x: Tensor) -> Tensor:
        """Coarse logits: upsampling is the evaluation's business in DeepLabv2."""
        return self.coarse_logits(x)


class MultiScale(SegmentationModel):
    """A network run at its input's size and at smaller scales; keys ``base.*``.

    Args:
        base: the network.
        scales: of the further inputs, e.g. (0.5, 0.75).
    """

    def __init__(self, base: SegmentationModel, scales: tuple[float, ...]) -> None:
        super().__init__(
            num_classes=base.num_classes,
            output_stride=base.output_stride,
            output_strides=base.output_strides,
            align_corners=base.align_corners,
        )
        self.base = base
        self.in_channels = base.in_channels
        self.scales = scales
        self.minimum_side = int(base.minimum_side / min(scales)) + 1

    def _set_output_stride(self, value: int) -> None:
        self.base.output_stride = value

    def _scaled(self, x: Tensor, scale: float) -> Tensor:
        # The factor itself, not the ratio of the rounded sizes, decides where samples lie, as in the
        # authors' code under torch >= 1.6.
        return functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)

    def _joined(self, parts: list[Tensor]) -> Tensor:
        size = (parts[0].shape[-2], parts[0].shape[-1])
        return torch.stack([resize(part, size, False) for part in parts]).amax(0)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (each scale pools by itself)
        """Largest logit over the scales, at the size of the unscaled input's coarse logits."""
        return self._joined([self.base.coarse_logits(x), *(self.base.coarse_logits(self._scaled(x, s)) for s in self.scales)])

    def native_logits(self, x: Tensor) -> Tensor:
        """As the authors' wrapper: the native outputs of the network inside, joined."""
        return self._joined([self.base.native_logits(x), *(self.base.native_logits(self._scaled(x, s)) for s in self.scales)])
