"""FC-DenseNet, the hundred layers tiramisu (Jégou et al. 2016, arXiv 1611.09326)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.layers import initialise


@dataclass(frozen=True, slots=True, kw_only=True)
class FCDenseNetOptions:
    """Depth and growth.

    Attributes:
        down, bottleneck, up: layers per dense block.
        growth: channels that each layer adds.
        stem: channels of the first convolution.
    """

    down: tuple[int, ...] = (4, 5, 7, 10, 12)
    bottleneck: int = 15
    up: tuple[int, ...] = (12, 10, 7, 5, 4)
    growth: int = 16
    stem: int = 48


#: The networks of the paper's table 3, by name; 57 is 56 with one layer counted otherwise.
FC_DENSENETS = {
    "fc_densenet56": FCDenseNetOptions(down=(4,) * 5, bottleneck=4, up=(4,) * 5, growth=12),
    "fc_densenet67": FCDenseNetOptions(down=(5,) * 5, bottleneck=5, up=(5,) * 5, growth=16),
    "fc_densenet103": FCDenseNetOptions(),
}


class NormReluConv(nn.Module):
    """Batch norm, ReLU, convolution, dropout 0.2: the layer of dense networks; keys ``norm`` and ``conv``."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.dropout = nn.Dropout2d(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H, W)``."""
        out: Tensor = self.dropout(self.conv(functional.relu(self.norm(x))))
        return out


class DenseBlock(nn.Module):
    """Layers that each see all before them; returns everything, or the new features alone."""

    def __init__(self, in_channels: int, growth: int, layers: int, *, new_only: bool) -> None:
        super().__init__()
        self.new_only = new_only
        self.layers = nn.ModuleList(NormReluConv(in_channels + i * growth, growth, 3) for i in range(layers))
        self.out_channels = layers * growth + (0 if new_only else in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out_channels, H, W)``."""
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, dim=1)))
        return torch.cat(features[1:] if self.new_only else features, dim=1)


class FCDenseNet(SegmentationModel):
    """Dense blocks with transitions down and up.

    Keys: ``stem``, ``down``, ``pool``, ``bottleneck``, ``unpool``, ``up``, ``classifier``.

    Native output is the logarithm of the softmax (bfortuner's port).
    """

    def __init__(self, *, num_classes: int, options: FCDenseNetOptions) -> None:
        super().__init__(num_classes=num_classes, output_stride=1, output_strides=(1,))
        o = options
        self.minimum_side = 2 ** len(o.down)
        self.stem = nn.Conv2d(3, o.stem, 3, padding=1)
        self.down, self.pool, self.unpool, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = o.stem
        skips: list[int] = []
        for layers in o.down:
            block = DenseBlock(channels, o.growth, layers, new_only=False)
            channels = block.out_channels
            self.down.append(block)
            self.pool.append(NormReluConv(channels, channels, 1))
            skips.append(channels)
        self.bottleneck = DenseBlock(channels, o.growth, o.bottleneck, new_only=True)
        channels = self.bottleneck.out_channels
        for index, layers in enumerate(o.up):
            self.unpool.append(nn.ConvTranspose2d(channels, channels, 3, stride=2))
            block = DenseBlock(channels + skips.pop(), o.growth, layers, new_only=index < len(o.up) - 1)
            channels = block.out_channels
            self.up.append(block)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        initialise(self)

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (nothing is pooled)
        """Logits at input size: there is no coarser form."""
        out = self.stem(x)
        skips: list[Tensor] = []
        for block, pool in zip(self.down, self.pool, strict=True):
            out = block(out)
            skips.append(out)
            out = functional.max_pool2d(pool(out), 2)
        out = self.bottleneck(out)
        for unpool, block in zip(self.unpool, self.up, strict=True):
            skip = skips.pop()
            out = block(torch.cat([_centred(unpool(out), skip), skip], dim=1))
        logits: Tensor = self.classifier(out)
        return logits

    def native_logits(self, x: Tensor) -> Tensor:
        """Log-probabilities at input size."""
        return functional.log_softmax(self(x), dim=1)


def _centred(x: Tensor, like: Tensor) -> Tensor:
    """The middle of ``x``, of the size of ``like``."""
    top, left = (x.shape[-2] - like.shape[-2]) // 2, (x.shape[-1] - like.shape[-1]) // 2
    return x[..., top : top + like.shape[-2], left : left + like.shape[-1]]
