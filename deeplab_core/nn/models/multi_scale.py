"""Several input scales inside the network, joined by the maximum (DeepLabv2, section 4.1; Caffe's and kazuto1011's ``MSC``)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.layers import resize


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
