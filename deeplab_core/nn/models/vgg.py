"""The VGG-16 trunk (Simonyan and Zisserman 2014, arXiv 1409.1556) in the forms that the classic segmentation networks use."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from deeplab_core.nn.layers import ConvNormAct, Norm, Window

#: Channels and number of 3x3 convolutions of the five stages.
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class CaffeMean(NamedTuple):
    """Mean of a training set in BGR, subtracted from 0..255 pixels."""

    blue: float
    green: float
    red: float


def vgg_stages(
    *, paddings: tuple[int, ...] = (1, 1, 1, 1, 1), rates: tuple[int, ...] = (1, 1, 1, 1, 1), first_padding: int | None = None,
    norm: Norm | None = None,
) -> nn.ModuleList:  # fmt: skip
    """Five stages of 3x3 convolutions with ReLU; pooling is the network's own business.

    Args:
        paddings, rates: per stage.
        first_padding: overrides the padding of the very first convolution (100 in the FCNs).
        norm: behind every convolution, or None; biases either way.
    """
    stages = nn.ModuleList()
    channels = 3
    for (width, count), padding, rate in zip(STAGES, paddings, rates, strict=True):
        convs = nn.Sequential()
        for index in range(count):
            first = not len(stages) and index == 0 and first_padding is not None
            convs.append(
                ConvNormAct(
                    channels, width, Window(3, rate=rate, padding=first_padding if first else padding), norm=norm, bias=True
                )
            )
            channels = width
        stages.append(convs)
    return stages
