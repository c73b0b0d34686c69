"""How large a network is, and what a forward pass costs."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.receptive import on_meta


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers, shared tensors once; running statistics of batch norm are not parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: SegmentationModel, size: tuple[int, int]) -> int:
    """Multiply-adds of convolutions, transposed convolutions and linear layers for one image of ``size`` (height, width).

    Computed on shapes alone: takes no memory. Half of torch's flop count, as papers of the field state it.
    """

    def call() -> int:
        x = torch.empty(1, model.in_channels, *size, device="meta")
        with FlopCounterMode(display=False) as counter:
            model(x)
        return int(counter.get_total_flops()) // 2

    return int(on_meta(model, call))
