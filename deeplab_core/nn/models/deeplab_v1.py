"""DeepLabv1 (Chen et al. 2014, arXiv 1412.7062): VGG-16 with holes and a large field of view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.layers import ConvNormAct, Window, initialise, resize
from deeplab_core.nn.models.vgg import vgg_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFOVOptions:
    """Field of view and pooling.

    Attributes:
        kernel, rate: of fc6 (table 2 of the paper: 7x7 rate 4, 4x4 rate 4 or 8, 3x3 rate 12).
        channels: of fc6 and fc7 (1024; 4096 in the 7x7 and 4x4 variants).
        pool_ceil: sizes round up in pooling (Caffe; floor in the PyTorch ports).
        fc7_padded: one ring of zeros around the input of fc7, a 1x1 convolution, so that the scores cover one feature
            more on each side (a PyTorch listing).
        align_corners: rule of the upsampling of the scores (True in Caffe's ``Interp``).
        native_output: what the authors' code returns: logits at the ``"input"`` size, or at 8 times the ``"features"``' size.
    """

    kernel: int = 3
    rate: int = 12
    channels: int = 1024
    pool_ceil: bool = True
    fc7_padded: bool = False
    align_corners: bool = True
    native_output: Literal["input", "features"] = "input"


class LargeFOV(SegmentationModel):
    """DeepLab-LargeFOV: pool4 and pool5 do not stride, conv5 has rate 2, fc6 is a 3x3 convolution of rate 12. Stride 8."""

    def __init__(self, *, num_classes: int, options: LargeFOVOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=8, output_strides=(8,), align_corners=options.align_corners)
        self.options = o = options
        self.minimum_side = 3 if o.fc7_padded else 1
        self.stages = vgg_stages(paddings=(1, 1, 1, 1, 2), rates=(1, 1, 1, 1, 2))
        self.fc6 = ConvNormAct(512, o.channels, Window(o.kernel, rate=o.rate), norm=None)
        self.fc7 = ConvNormAct(o.channels, o.channels, Window(1, padding=int(o.fc7_padded)), norm=None)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Conv2d(o.channels, num_classes, 1)
        initialise(self)
        nn.init.normal_(self.classifier.weight, std=0.01)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at stride 8."""
        return self._classified(self._features(x))

    def native_logits(self, x: Tensor) -> Tensor:
        """Logits at the size that the authors' code returns."""
        if self.options.native_output == "input":
            return self(x)  # type: ignore[no-any-return]
        features = self._features(x)
        return resize(self._classified(features), (8 * features.shape[-2], 8 * features.shape[-1]), self.align_corners)

    def _features(self, x: Tensor) -> Tensor:
        for number, stage in enumerate(self.stages):
            stride = 2 if number < 3 else 1
            x = functional.max_pool2d(stage(x), 3, stride, padding=1, ceil_mode=self.options.pool_ceil)
        return functional.avg_pool2d(x, 3, 1, padding=1)

    def _classified(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.dropout(self.fc7(self.dropout(self.fc6(x)))))
        return out
