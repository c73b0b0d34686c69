"""DilatedNet (Yu and Koltun 2015, arXiv 1511.07122): a VGG front end without padding, and the context module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.layers import ConvNormAct, Window, fill_bilinear, initialise
from deeplab_core.nn.models.vgg import vgg_stages

#: Pixels that the unpadded front end consumes on each side; filled by reflection of the image.
MARGIN = 186

#: Multiples of the class count: channels of the large module's layers.
_LARGE = (2, 2, 4, 8, 16, 32, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class DilatedNetOptions:
    """Which context module.

    Attributes:
        context: ``"basic"``, ``"large"`` or None for the front end alone.
        rates: of its 3x3 layers: (1, 1, 2, 4, 8, 16, 1) is Dilation8, without 16 Dilation7, with 32 and 64 Dilation10.
        upsampling: adds Dilation10's grouped transposed convolution of stride 8.
    """

    context: Literal["basic", "large"] | None = "basic"
    rates: tuple[int, ...] = (1, 1, 2, 4, 8, 16, 1)
    upsampling: bool = False


def identity_init(conv: nn.Conv2d, classes: int, noise: float = 0.01) -> None:
    """Equations 4 and 5 of the paper: pass features through by groups of classes, plus a little noise.

    Every output channel is the mean of its group's input channels, so that the untrained module returns what it is given.

    Args:
        classes: C; channel ``a`` of the input feeds channel ``b`` of the output where floor(a C / c_in) = floor(b C / c_out).
        noise: standard deviation times c_out / C elsewhere.
    """
    out_channels, in_channels = conv.weight.shape[:2]
    if conv.weight.is_meta:
        return
    with torch.no_grad():
        conv.weight.normal_(std=noise * classes / out_channels)
        source = torch.arange(in_channels) * classes // in_channels
        target = torch.arange(out_channels) * classes // out_channels
        middle = conv.kernel_size[0] // 2
        same = target[:, None] == source[None, :]
        conv.weight[:, :, middle, middle] += same * (classes / in_channels)
        if conv.bias is not None:
            conv.bias.zero_()


class DilatedNet(SegmentationModel):
    """Front end (keys ``stages``, ``fc6``, ``fc7``, ``front``) and context module (``context``, ``classifier``, ``upsampling``).

    ``coarse_logits`` reflect the image's border by 186 px and are at stride 8; native output takes an image that already has its
    margin and returns the scores of its inside.
    """

    def __init__(self, *, num_classes: int, options: DilatedNetOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=8, output_strides=(8,))
        self.options = o = options
        self.stages = vgg_stages(paddings=(0,) * 5, rates=(1, 1, 1, 1, 2))
        self.fc6 = ConvNormAct(512, 4096, Window(7, rate=4, padding=0), norm=None)
        self.fc7 = ConvNormAct(4096, 4096, 1, norm=None)
        self.dropout = nn.Dropout(0.5)
        self.front = nn.Conv2d(4096, num_classes, 1)
        initialise(self)
        self.context = nn.Sequential()
        self.classifier: nn.Conv2d | None = None
        if o.context is not None:
            widths = [num_classes * (_LARGE[min(i, 6)] if o.context == "large" else 1) for i in range(len(o.rates))]
            channels = num_classes
            for index, (width, rate) in enumerate(zip(widths, o.rates, strict=True)):
                # The large module pads once, by what all its layers consume.
                padding = (sum(o.rates) if index == 0 else 0) if o.context == "large" else rate
                layer = ConvNormAct(channels, width, Window(3, rate=rate, padding=padding), norm=None)
                identity_init(layer.conv, num_classes)
                self.context.append(layer)
                channels = width
            self.classifier = nn.Conv2d(channels, num_classes, 1)
            identity_init(self.classifier, num_classes)
        self.upsampling: nn.ConvTranspose2d | None = None
        if o.upsampling:
            self.upsampling = nn.ConvTranspose2d(
                num_classes, num_classes, 16, stride=8, padding=4, groups=num_classes, bias=False
            )
            fill_bilinear(self.upsampling)

    def front_end(self, x: Tensor) -> Tensor:
        """Scores of the front end for an image with its margin: ``(N, C, (H - 372) / 8, (W - 372) / 8)``."""
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number < 3:
                x = functional.max_pool2d(x, 2, 2, ceil_mode=True)
        out: Tensor = self.front(self.dropout(self.fc7(self.dropout(self.fc6(x)))))
        return out

    def _contextual(self, x: Tensor) -> Tensor:
        scores = self.front_end(x)
        if self.classifier is None:
            return scores
        out: Tensor = self.classifier(self.context(scores))
        return out

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at stride 8 of an image without margin."""
        return self._contextual(_mirrored(_mirrored(x, 2), 3))

    def native_logits(self, x: Tensor) -> Tensor:
        """Scores before the softmax of an image *with* its margin; eight times finer with Dilation10's upsampling."""
        scores = self._contextual(x)
        return scores if self.upsampling is None else self.upsampling(scores)


def _mirrored(x: Tensor, dimension: int) -> Tensor:
    """Reflect by :data:`MARGIN` on both sides without repeating the edge, as often as a small image needs."""
    size = x.shape[dimension]
    # What reaches a multiple of 8 at the far side is reflected too, so that the features cover the whole image.
    index = torch.arange(-MARGIN, size + MARGIN + (-size) % 8)
    period = max(1, 2 * (size - 1))
    index = index.remainder(torch.arange(period, period + 1))  # a tensor: the ONNX exporter divides by no symbolic number
    index = torch.where(index < size, index, period - index)
    return x.index_select(dimension, index.to(x.device))
