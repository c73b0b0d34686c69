"""MobileNetV3-Large (Howard et al. 2019, arXiv 1905.02244) with an atrous last stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.atrous import RateOnset, plan_stages
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import Activation, ConvNormAct, Norm, Window, set_atrous


class UnitPlan(NamedTuple):
    """One row of table 1: kernel, expanded and output channels, squeeze-and-excitation, activation, stride."""

    kernel: int
    expanded: int
    out_channels: int
    squeeze: bool
    act: Activation
    stride: int


LARGE: tuple[UnitPlan, ...] = (
    UnitPlan(3, 16, 16, False, "relu", 1),
    UnitPlan(3, 64, 24, False, "relu", 2),
    UnitPlan(3, 72, 24, False, "relu", 1),
    UnitPlan(5, 72, 40, True, "relu", 2),
    UnitPlan(5, 120, 40, True, "relu", 1),
    UnitPlan(5, 120, 40, True, "relu", 1),
    UnitPlan(3, 240, 80, False, "hardswish", 2),
    UnitPlan(3, 200, 80, False, "hardswish", 1),
    UnitPlan(3, 184, 80, False, "hardswish", 1),
    UnitPlan(3, 184, 80, False, "hardswish", 1),
    UnitPlan(3, 480, 112, True, "hardswish", 1),
    UnitPlan(3, 672, 112, True, "hardswish", 1),
    UnitPlan(5, 672, 160, True, "hardswish", 2),
    UnitPlan(5, 960, 160, True, "hardswish", 1),
    UnitPlan(5, 960, 160, True, "hardswish", 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV3Options:
    """What differs between MobileNetV3 encoders.

    Attributes:
        rate_onset: where a rate sets in (torchvision: whole_stage).
        tap: levels are the outputs of a stage's ``"first_unit"`` (torchvision's segmentation models) or ``"last_unit"``.
        norm_eps, norm_momentum: 1e-3 and 0.01 in torchvision.
    """

    rate_onset: RateOnset = "whole_stage"
    tap: Literal["first_unit", "last_unit"] = "first_unit"
    norm_eps: float = 1e-3
    norm_momentum: float = 0.01


def squeezed(expanded: int) -> int:
    """Channels between the two layers of squeeze-and-excitation: a quarter, to a multiple of 8 that loses at most a tenth."""
    wanted = expanded // 4
    rounded = max(8, (wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class SqueezeExcite(nn.Module):
    """Channel attention from the image mean (Hu et al. 2018), with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed(channels), 1)
        self.fc2 = nn.Conv2d(squeezed(channels), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` scaled per channel."""
        scale = self.fc2(functional.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * functional.hardsigmoid(scale)


class InvertedResidualV3(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, linear projection."""

    def __init__(self, in_channels: int, plan: UnitPlan, norm: Norm) -> None:
        super().__init__()
        self.residual = plan.stride == 1 and in_channels == plan.out_channels
        self.expand: nn.Module = nn.Identity()
        if plan.expanded != in_channels:
            self.expand = ConvNormAct(in_channels, plan.expanded, 1, norm=norm, act=plan.act)
        self.depthwise = ConvNormAct(
            plan.expanded, plan.expanded, Window(plan.kernel, stride=plan.stride), groups=plan.expanded, norm=norm, act=plan.act
        )
        self.squeeze: nn.Module = SqueezeExcite(plan.expanded) if plan.squeeze else nn.Identity()
        self.project = ConvNormAct(plan.expanded, plan.out_channels, 1, norm=norm, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, ceil(H / stride), ceil(W / stride))``."""
        out: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + out if self.residual else out


class MobileNetV3Large(Encoder):
    """MobileNetV3-Large up to its 960-channel convolution; keys ``stem``, ``blocks``, ``last``.

    Levels: stem (stride 2), then the stages of stride 4, 8, 16 where the options tap them, and the end (32).
    """

    def __init__(self, options: MobileNetV3Options | None = None) -> None:
        super().__init__()
        self.options = options or MobileNetV3Options()
        norm = Norm(self.options.norm_eps, self.options.norm_momentum)
        self.stem = ConvNormAct(3, 16, Window(3, stride=2), norm=norm, act="hardswish")
        channels = [16, *(plan.out_channels for plan in LARGE)]
        self.blocks = nn.ModuleList(InvertedResidualV3(before, plan, norm) for before, plan in zip(channels, LARGE, strict=False))
        self.last = ConvNormAct(160, 960, 1, norm=norm, act="hardswish")
        starts = [index for index, plan in enumerate(LARGE) if plan.stride == 2]
        ends = [start - 1 for start in starts[1:]]
        self.taps = starts[:3] if self.options.tap == "first_unit" else ends
        self.level_channels = (16, *(LARGE[tap].out_channels for tap in self.taps), 960)

    def set_output_stride(self, output_stride: int) -> None:
        """Remove strides beyond ``output_stride`` and dilate instead."""
        # One stage runs from a strided unit to the next one.
        starts = [0, *(index for index, plan in enumerate(LARGE) if plan.stride == 2), len(LARGE)]
        strides = [LARGE[start].stride for start in starts[:-1]]
        plans = plan_stages(strides, entry_stride=2, output_stride=output_stride, onset=self.options.rate_onset)
        for begin, end, stage in zip(starts[:-1], starts[1:], plans, strict=True):
            for index in range(begin, end):
                block = self.blocks[index]
                assert isinstance(block, InvertedResidualV3)
                first = index == begin
                rate = stage.first_rate if first else stage.rest_rate
                set_atrous(block.depthwise.conv, stride=stage.stride if first else 1, rate=rate)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        out = self.stem(x)
        levels: list[Tensor] = [out]
        for index, block in enumerate(self.blocks):
            out = block(out)
            if index in self.taps:
                levels.append(out)
        levels.append(self.last(out))
        return tuple(levels)
