"""What a network is made of, how large it is, and what a forward pass costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deeplab_core.errors import message
from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.receptive import demand_layers, on_meta

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers, shared tensors once; running statistics of batch norm are not parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: SegmentationModel, size: tuple[int, int]) -> int:
    """Multiply-adds of convolutions, transposed convolutions and linear layers for one image of ``size`` (height, width).

    Computed on shapes alone: takes no memory. Half of torch's flop count, as papers of the field state it.
    """
    x = torch.empty(1, model.in_channels, *size, device="meta")
    shapes = on_meta(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(x)
    return int(counter.get_total_flops()) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer, as it runs for one image.

    Attributes:
        name: path of its module, e.g. ``"encoder.layer1.0.conv1"``.
        kind: its class.
        channels: (in, out).
        kernel, stride, rate: (vertical, horizontal); 1 where the layer has none.
        groups: of a convolution; as many as channels where it is depthwise.
        output: (height, width).
        parameters: weights and biases.
        multiply_adds: for the image; 0 for a norm.
        runs: how often the layer ran.
    """

    name: str
    kind: str
    channels: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    rate: tuple[int, int] = (1, 1)
    groups: int = 1
    output: tuple[int, int] = (1, 1)
    parameters: int = 0
    multiply_adds: int = 0
    runs: int = 1


def layer_table(model: SegmentationModel, size: tuple[int, int]) -> tuple[LayerRow, ...]:
    """The convolutions, linear layers and batch norms that run for an image of ``size`` (height, width), in order.

    Computed on shapes alone: takes no memory. The multiply-adds sum to :func:`~deeplab_core.nn.count_multiply_adds`, except
    for products that are not layer's.

    Raises:
        ComputeError: TorchScript has compiled a part of the network.
    """
    demand_layers(model, message("this model has no layers to list"))
    shapes = on_meta(model)
    rows: dict[str, LayerRow] = {}
    names = {id(module): name for name, module in shapes.named_modules()}

    def note(module: nn.Module, inputs: tuple[Any, ...], out: Tensor) -> None:
        name = names[id(module)]
        row = _row(name, module, inputs[0], out)
        before = rows.get(name)
        if before is not None:
            row = LayerRow(
                **{field: getattr(row, field) for field in row.__slots__ if field not in ("multiply_adds", "runs")},
                multiply_adds=before.multiply_adds + row.multiply_adds,
                runs=before.runs + 1,
            )
        rows[name] = row

    for module in shapes.modules():
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear, nn.BatchNorm2d)):
            module.register_forward_hook(note)
    with torch.no_grad():
        shapes(torch.empty(1, model.in_channels, *size, device="meta"))
    return tuple(rows.values())


def _row(name: str, module: nn.Module, x: Tensor, out: Tensor) -> LayerRow:
    parameters = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    place = (int(out.shape[-2]), int(out.shape[-1])) if out.dim() == 4 else (1, 1)
    if isinstance(module, _CONVOLUTIONS):
        taps = module.kernel_size[0] * module.kernel_size[1]
        cells = (x if isinstance(module, nn.ConvTranspose2d) else out)[0, 0].numel()  # what each weight is multiplied with
        return LayerRow(
            name=name,
            kind=type(module).__name__,
            channels=(module.in_channels, module.out_channels),
            kernel=_pair(module.kernel_size),
            stride=_pair(module.stride),
            rate=_pair(module.dilation),
            groups=module.groups,
            output=place,
            parameters=parameters,
            multiply_adds=cells * taps * module.in_channels * module.out_channels // module.groups,
        )
    if isinstance(module, nn.Linear):
        channels = (module.in_features, module.out_features)
        cost = channels[0] * channels[1] * (out.numel() // channels[1])
        return LayerRow(name=name, kind="Linear", channels=channels, parameters=parameters, multiply_adds=cost)
    width = int(out.shape[1])
    return LayerRow(name=name, kind=type(module).__name__, channels=(width, width), output=place, parameters=parameters)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return int(values[0]), int(values[1])
