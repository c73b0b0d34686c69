"""The click network: Google's MobileNetV2 encoder, unchanged, and a small DeepLabv3+ behind it that also sees clicks and a mask.

The encoder sees the image only and is not trained, so its features serve every click of an image or crop. Clicks (disks, as
RITM draws them, arXiv 2102.06583) and the mask so far enter through a stem of strided convolutions that is joined to the
features at strides 2, 4, 8 and 16. Each click also gives a prototype: the mean of an embedding around it. The products
of prototype and embedding say where the image looks like the clicked place (as in metric learning; PANet, arXiv 1908.06391).
Atrous convolutions at stride 16 and a decoder to stride 2 follow (DeepLabv3+, arXiv 1802.02611).

All grids of inputs of 16 k + 1 px lie on each other's points, so every enlargement aligns corners, as the encoder was trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.correction.clicks.graphs import IMAGENET_MEAN, IMAGENET_STD
from deeplab_core.nn.base import Encoder

#: Radius of the disk that stands for a click, px of the network's input (RITM).
RADIUS = 5.0
#: Sides of inputs are multiples of this, plus one.
GRAIN = 16
#: Channels of what the encoder gives at strides 2, 4, 8, 16 and 16.
LEVELS = (16, 24, 32, 96, 320)


def _conv(inside: int, outside: int, kernel: int = 3, *, stride: int = 1, rate: int = 1) -> nn.Sequential:
    margin = rate * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride=stride, padding=margin, dilation=rate, bias=False),
        nn.BatchNorm2d(outside, momentum=0.03),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int, rate: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, rate=rate)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv(x)
        return out


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """Features at the size of a finer grid, bilinear with aligned corners."""
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def around_points(maps: Tensor) -> Tensor:
    """(N, C, H, W) means over the 9x9 points around every point of a grid four times coarser."""
    return functional.avg_pool2d(maps, 9, 4, 4, count_include_pad=False)


class Likeness(nn.Module):
    """How much every place looks like the clicked ones.

    Args:
        inside: channels of the features.
        channels: of the embedding; the result has twice as many, for positive and negative clicks.
    """

    def __init__(self, inside: int, channels: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(inside, channels, 1, bias=False), nn.BatchNorm2d(channels, momentum=0.03))

    def forward(self, features: Tensor, weight: Tensor) -> Tensor:
        """Features (N, C, h, w) and how much of each point was clicked, (N, 2, h, w), to (N, 2 * channels, h, w)."""
        embedding = self.embed(features)
        found = []
        for sign in range(2):
            share = weight[:, sign : sign + 1]
            prototype = (embedding * share).sum(dim=(2, 3), keepdim=True) / (share.sum(dim=(2, 3), keepdim=True) + 1e-4)
            found.append(embedding * prototype)
        return torch.cat(found, dim=1)


class ClickHead(nn.Module):
    """What is trained: features of the encoder, clicks and mask so far to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleList(
            [_conv(3, 16, stride=2), _conv(16, 32, stride=2), _conv(32, 48, stride=2), _conv(48, 64, stride=2)]
        )
        self.alike_fine, self.alike_coarse = Likeness(LEVELS[1], 16), Likeness(LEVELS[3] + LEVELS[4], 32)
        self.take = nn.ModuleList([_conv(LEVELS[0], 8, 1), _conv(LEVELS[1], 24, 1), _conv(LEVELS[2], 32, 1)])
        self.take_coarse = _conv(LEVELS[3] + LEVELS[4], 96, 1)
        self.join16 = _conv(96 + 64 + 64, 128, 1)
        self.pyramid = nn.Sequential(*(_Residual(128, rate) for rate in (1, 2, 4, 8)))
        self.narrow16, self.narrow8, self.narrow4 = _conv(128, 64, 1), _conv(64, 48, 1), _conv(48, 16, 1)
        self.at8 = nn.Sequential(_conv(64 + 32 + 48, 64), _Residual(64, 1))
        self.at4 = nn.Sequential(_conv(48 + 24 + 32 + 32, 48), _Residual(48, 1))
        self.at2 = nn.Sequential(_conv(16 + 8 + 16, 16), _Residual(16, 1))
        self.logits = nn.Conv2d(16, 1, 1)

    def forward(self, levels: Sequence[Tensor], maps: Tensor) -> Tensor:
        """Args:
            levels: five feature maps of the encoder, at strides 2, 4, 8, 16 and 16.
            maps: (N, 3, H, W) disks of positive clicks, of negative ones, mask so far; 0..1.

        Returns:
            (N, 1, H, W) logits.
        """
        seen, x = [], maps
        for layer in self.stem:
            x = layer(x)
            seen.append(x)
        near = around_points(maps[:, :2])
        coarse = torch.cat([levels[3], levels[4]], dim=1)
        x = self.join16(torch.cat([self.take_coarse(coarse), seen[3], self.alike_coarse(coarse, around_points(near))], dim=1))
        x = self.narrow16(self.pyramid(x))
        fine = self.take[2](levels[2])
        x = self.narrow8(self.at8(torch.cat([enlarged(x, fine), fine, seen[2]], dim=1)))
        fine = self.take[1](levels[1])
        x = self.narrow4(self.at4(torch.cat([enlarged(x, fine), fine, seen[1], self.alike_fine(levels[1], near)], dim=1)))
        fine = self.take[0](levels[0])
        x = self.logits(self.at2(torch.cat([enlarged(x, fine), fine, seen[0]], dim=1)))
        return enlarged(x, maps)


def disks(points: Tensor, height: int, width: int) -> Tensor:
    """Clicks as RITM's graphs take them, drawn.

    Args:
        points: (N, 2n, 3) row, column and order; the positive ones first, rows below 0 are none.

    Returns:
        (N, 2, height, width) 0 or 1.
    """
    rows = torch.arange(height, dtype=points.dtype, device=points.device).view(1, 1, 1, -1, 1)
    columns = torch.arange(width, dtype=points.dtype, device=points.device).view(1, 1, 1, 1, -1)
    halves = points.view(points.shape[0], 2, -1, 3)
    y, x, order = (halves[..., part, None, None] for part in range(3))
    away = (rows - y) ** 2 + (columns - x) ** 2 + 1e8 * (order < 0).to(points.dtype)
    return (away.amin(dim=2) <= RADIUS**2).to(points.dtype)


class ClickGraph(nn.Module):
    """Encoder and head in RITM's signature, for export.

    The normalisation is RITM's, with ImageNet's mean, so that programs recognise how colours are taken; what follows turns it
    into the encoder's -1..1.
    """

    def __init__(self, encoder: Encoder, head: ClickHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("mean", mean.view(1, 3, 1, 1))
        self.register_buffer("std", std.view(1, 3, 1, 1))
        self.register_buffer("factor", (2 * std).view(1, 3, 1, 1))
        self.register_buffer("offset", (2 * mean - 1).view(1, 3, 1, 1))

    def forward(self, image: Tensor, points: Tensor) -> Tensor:
        """Image (1, 4, H, W) of colours 0..1 and mask so far, points (1, 2n, 3); H and W multiples of 16. Logits (1, 1, H, W)."""
        height, width = image.shape[2], image.shape[3]
        padded = functional.pad(image, (0, 1, 0, 1), mode="replicate")
        normalised = (padded[:, :3] - self.mean) / self.std
        levels = self.encoder(normalised * self.factor + self.offset)
        drawn = disks(points, height, width)
        maps = torch.cat([functional.pad(drawn, (0, 1, 0, 1)), padded[:, 3:]], dim=1)
        found: Tensor = self.head(levels, maps)[:, :, :height, :width]
        return found
