"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) with atrous last stages, as the DeepLab encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.atrous import RateOnset, plan_stages
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.exact import applies
from deeplab_core.nn.layers import ConvNormAct, Norm, Window, set_atrous

#: Expansion, channels, units and stride of each stage (table 2 of the paper).
STAGES: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

#: Units with features that are the levels before the last.
_LEVEL_UNITS = (0, 2, 5, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV2Options:
    """What differs between the MobileNetV2 encoders of the field.

    Attributes:
        rate_onset: where a rate sets in (TensorFlow, VainF, bubbliiiing: after_first_unit; segmentation_models.pytorch:
            whole_stage; jfzhang95: next_stage).
        pad_before: ``"depthwise"`` pads the depthwise convolution's input, as the paper; ``"expansion"`` pads a unit's input, so
            that the border of the depthwise input is relu6(batch norm(0)) (VainF, jfzhang95).
        stem_padding: of the first 3x3 convolution; VainF has 0.
        last_channels: adds the classifier's 1x1 convolution (1280; segmentation_models.pytorch), or None.
        width: multiplier of every channel count, in steps that keep whole channels (TensorFlow's ``dm05`` releases: 0.5).
        level_tap: what the levels before the last are: a unit's ``"output"``, or its rectified ``"depthwise"`` convolution, six
            times as wide (TensorFlow's decoder over MobileNetV2 reads ``layer_4/depthwise_output``).
        norm_eps, norm_momentum, folded_norm: batch norm; folded weights have biases instead.
    """

    rate_onset: RateOnset = "after_first_unit"
    pad_before: Literal["depthwise", "expansion"] = "depthwise"
    stem_padding: int = 1
    last_channels: int | None = None
    width: float = 1.0
    level_tap: Literal["output", "depthwise"] = "output"
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    folded_norm: bool = False


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1 projection; identity shortcut where shapes agree."""

    border: Tensor | None
    border_bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        pad_before: Literal["depthwise", "expansion"],
        norm: Norm,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.pad_before = pad_before
        self.expand: nn.Module = ConvNormAct(in_channels, hidden, 1, norm=norm, act="relu6") if expansion != 1 else nn.Identity()
        self.depthwise = ConvNormAct(hidden, hidden, Window(3, stride=stride), groups=hidden, norm=norm, act="relu6")
        self.project = ConvNormAct(hidden, out_channels, 1, norm=norm, act=None)
        self.margin = 0
        self.register_buffer("border", None, persistent=False)
        self.register_buffer("border_bias", None, persistent=False)
        self.set_atrous(stride, 1)

    def set_atrous(self, stride: int, rate: int) -> None:
        """Stride and rate of the depthwise convolution."""
        set_atrous(self.depthwise.conv, stride=stride, rate=rate)
        if self.pad_before == "expansion":
            self.margin = rate
            self.depthwise.conv.padding = (0, 0)

    def save_arithmetic(self) -> None:
        """Where the unit's input is padded, the border of the depthwise input is a constant: it need not be expanded.

        Zero padding around the expanded features less that constant is the same, with the constant's share in the bias.
        """
        if self.pad_before != "expansion" or not isinstance(self.expand, ConvNormAct):
            return
        conv = self.depthwise.conv
        with torch.no_grad():
            border = self.expand(conv.weight.new_zeros(1, self.expand.conv.in_channels, 1, 1))
            bias = conv.weight.double().sum((1, 2, 3)) * border.double().flatten()
            bias = bias if conv.bias is None else bias + conv.bias.double()
        self.border, self.border_bias = border, bias.to(conv.weight.dtype)

    def expanded(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to the rectified depthwise features ``(N, in * expansion, ceil(H / stride), ceil(W / stride))``."""
        if self.border is not None and applies(x):
            layer, conv = self.depthwise, self.depthwise.conv
            inside = self.expand(x) - self.border
            margin = (self.margin, self.margin)
            sums = functional.conv2d(inside, conv.weight, self.border_bias, conv.stride, margin, conv.dilation, conv.groups)
            rectified: Tensor = layer.act(layer.norm(sums))
            return rectified
        padded = functional.pad(x, (self.margin,) * 4) if self.margin else x
        out: Tensor = self.depthwise(self.expand(padded))
        return out

    def finish(self, x: Tensor, expanded: Tensor) -> Tensor:
        """The unit's output from its input and :meth:`expanded`."""
        out: Tensor = self.project(expanded)
        return x + out if self.residual else out

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, ceil(H / stride), ceil(W / stride))``."""
        return self.finish(x, self.expanded(x))


class MobileNetV2(Encoder):
    """MobileNetV2 up to its 320-channel unit (or the 1280-channel convolution behind it); 17 units in ``blocks``.

    Levels: units 0 (stride 2, 16 channels), 2 (4, 24), 5 (8, 32), 12 (16, 96) and the encoder's end (32).
    """

    def __init__(self, options: MobileNetV2Options | None = None) -> None:
        super().__init__()
        self.options = options or MobileNetV2Options()
        norm = Norm(self.options.norm_eps, self.options.norm_momentum, self.options.folded_norm)
        channels = round(32 * self.options.width)
        self.stem = ConvNormAct(3, channels, Window(3, stride=2, padding=self.options.stem_padding), norm=norm, act="relu6")
        self.minimum_side = 1 if self.options.stem_padding else 3
        blocks: list[nn.Module] = []
        taps: list[int] = []
        for expansion, full_channels, units, stride in STAGES:
            out_channels = round(full_channels * self.options.width)
            for index in range(units):
                blocks.append(
                    InvertedResidual(
                        channels,
                        out_channels,
                        expansion=expansion,
                        stride=stride if index == 0 else 1,
                        pad_before=self.options.pad_before,
                        norm=norm,
                    )
                )
                taps.append(out_channels if self.options.level_tap == "output" else channels * expansion)
                channels = out_channels
        self.blocks = nn.ModuleList(blocks)
        self.last: nn.Module = nn.Identity()
        if self.options.last_channels is not None:
            self.last = ConvNormAct(channels, self.options.last_channels, 1, norm=norm, act="relu6")
            channels = self.options.last_channels
        self.level_channels = (*(taps[index] for index in _LEVEL_UNITS), channels)

    def set_output_stride(self, output_stride: int) -> None:
        """Remove strides beyond ``output_stride`` and dilate instead."""
        plans = plan_stages(
            [stride for _, _, _, stride in STAGES], entry_stride=2, output_stride=output_stride, onset=self.options.rate_onset
        )
        blocks = iter(self.blocks)
        for (_, _, units, _), plan in zip(STAGES, plans, strict=True):
            for index in range(units):
                block = next(blocks)
                assert isinstance(block, InvertedResidual)
                first = index == 0
                block.set_atrous(plan.stride if first else 1, plan.first_rate if first else plan.rest_rate)

    @property
    def chain(self) -> tuple[tuple[str, ...], ...]:
        """The stem, the units, the last convolution if there is one."""
        last = () if isinstance(self.last, nn.Identity) else (("last",),)
        return (("stem",), *((f"blocks.{index}",) for index in range(len(self.blocks))), *last)

    def run_chain(
        self, x: Tensor, levels: tuple[Tensor, ...] = (), *, first: int = 0, stop: int | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`Encoder.run_chain`."""
        end = len(self.chain) if stop is None else stop
        out, found = x, list(levels)
        for part in range(first, end):
            index = part - 1
            if part == 0:
                out = self.stem(out)
            elif index == len(self.blocks):
                out = self.last(out)
            elif index in _LEVEL_UNITS and self.options.level_tap == "depthwise":
                block = self.blocks[index]
                assert isinstance(block, InvertedResidual)
                found.append(block.expanded(out))
                out = block.finish(out, found[-1])
            else:
                out = self.blocks[index](out)
                if index in _LEVEL_UNITS:
                    found.append(out)
        if end == len(self.chain):
            found.append(out)
        return out, tuple(found)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        return self.run_chain(x)[1]
