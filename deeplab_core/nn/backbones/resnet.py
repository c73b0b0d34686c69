"""Dilated residual networks (He et al. 2015, arXiv 1512.03385) with atrous last stages (DeepLabv3, arXiv 1706.05587)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from torch import Tensor, nn

from deeplab_core.nn.atrous import RateOnset, plan_stages
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import Norm, set_atrous

#: Block kind and units per stage.
RESNETS: dict[str, tuple[Literal["basic", "bottleneck"], tuple[int, int, int, int]]] = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetOptions:
    """What differs between the ResNets of the field.

    Attributes:
        multi_grid: rates of the units of the last stage relative to the stage's rate (DeepLabv3, section 4.3), or None.
        rate_onset: where a rate sets in; None takes ``whole_stage`` with a multi-grid and ``after_first_unit`` without.
        stride_in: where a bottleneck strides: its middle convolution (``"3x3"``, torchvision) or its first (``"1x1"``, Caffe,
            kazuto1011).
        pool_ceil: size of the first max pooling rounds up (Caffe, kazuto1011).
        norm_eps, norm_momentum: of every batch norm.
    """

    multi_grid: tuple[int, ...] | None = None
    rate_onset: RateOnset | None = None
    stride_in: Literal["3x3", "1x1"] = "3x3"
    pool_ceil: bool = False
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1

    @property
    def onset(self) -> RateOnset:
        """The placement that applies."""
        return self.rate_onset or ("whole_stage" if self.multi_grid else "after_first_unit")


@dataclass(frozen=True, slots=True)
class UnitForm:
    """What the units of a stage have in common.

    Attributes:
        bottleneck: 1x1, 3x3, 1x1 convolutions instead of two 3x3 ones.
        norm: behind each of them.
        stride_in: see :class:`ResNetOptions`.
        residual: off leaves the shortcut out (the last layers of DRN-C).
    """

    bottleneck: bool
    norm: Norm
    stride_in: Literal["3x3", "1x1"] = "3x3"
    residual: bool = True


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions (basic) or 1x1, 3x3, 1x1 (bottleneck) beside a shortcut; keys as torchvision's.

    Args:
        project: the shortcut is a 1x1 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        form: UnitForm,
        *,
        stride: int,
        project: bool,
    ) -> None:
        super().__init__()
        bottleneck, norm = form.bottleneck, form.norm
        out_channels = width * 4 if bottleneck else width
        self.bottleneck = bottleneck
        self.stride_in = form.stride_in
        self.residual = form.residual
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(in_channels, width, 1 if bottleneck else 3, bias=False)
        self.bn1 = norm.build(width)
        self.conv2 = nn.Conv2d(width, width, 3, bias=False)
        self.bn2 = norm.build(width)
        if bottleneck:
            self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
            self.bn3 = norm.build(out_channels)
        self.downsample: nn.Sequential | None = None
        if project:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), norm.build(out_channels))
        self.set_atrous(stride, 1)

    def set_atrous(self, stride: int, rate: int, second_rate: int | None = None) -> None:
        """Stride of the unit, and rates of its 3x3 convolutions; a basic unit's second one stands behind the stride."""
        if self.bottleneck:
            set_atrous(self.conv1, stride=stride if self.stride_in == "1x1" else 1)
            set_atrous(self.conv2, stride=stride if self.stride_in == "3x3" else 1, rate=rate)
        else:
            set_atrous(self.conv1, stride=stride, rate=rate)
            set_atrous(self.conv2, rate=second_rate or rate)
        if self.downsample is not None:
            shortcut = self.downsample[0]
            assert isinstance(shortcut, nn.Conv2d)
            set_atrous(shortcut, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, ceil(H / stride), ceil(W / stride))``."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.bottleneck:
            out = self.bn3(self.conv3(self.relu(out)))
        result: Tensor = self.relu(out + shortcut if self.residual else out)
        return result


class ResNet(Encoder):
    """Residual network without its classifier; state dict keys are torchvision's, so ImageNet weights load by name.

    Levels: after the first 7x7 convolution (stride 2), then the four stages (4, 8, 16, 32).
    """

    def __init__(self, name: str, options: ResNetOptions | None = None) -> None:
        super().__init__()
        kind, depths = RESNETS[name]
        self.options = options or ResNetOptions()
        norm = Norm(self.options.norm_eps, self.options.norm_momentum)
        form = UnitForm(kind == "bottleneck", norm, self.options.stride_in)
        expansion = 4 if form.bottleneck else 1
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm.build(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=self.options.pool_ceil)
        self.depths = depths
        channels = 64
        for number, (units, width, stride) in enumerate(zip(depths, (64, 128, 256, 512), (1, 2, 2, 2), strict=True), start=1):
            stage = []
            for index in range(units):
                project = index == 0 and (stride != 1 or channels != width * expansion)
                stage.append(
                    ResidualUnit(
                        channels,
                        width,
                        form,
                        stride=stride if index == 0 else 1,
                        project=project,
                    )
                )
                channels = width * expansion
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.level_channels = (64, *(width * expansion for width in (64, 128, 256, 512)))

    def set_output_stride(self, output_stride: int) -> None:
        """Remove strides beyond ``output_stride`` and dilate instead."""
        plans = plan_stages((1, 2, 2, 2), entry_stride=4, output_stride=output_stride, onset=self.options.onset)
        for number, plan in enumerate(plans, start=1):
            stage = self.get_submodule(f"layer{number}")
            grid = self.options.multi_grid if number == 4 and self.options.multi_grid else (1,)
            for index, unit in enumerate(stage.children()):
                assert isinstance(unit, ResidualUnit)
                relative = grid[min(index, len(grid) - 1)]
                rates = (plan.first_rate if index == 0 else plan.rest_rate, plan.rest_rate)
                unit.set_atrous(plan.stride if index == 0 else 1, rates[0] * relative, rates[1] * relative)

    @property
    def chain(self) -> tuple[tuple[str, ...], ...]:
        """The first convolution with its norm, then every unit."""
        units = ((f"layer{stage}.{index}",) for stage, count in enumerate(self.depths, start=1) for index in range(count))
        return (("conv1", "bn1"), *units)

    def run_chain(
        self, x: Tensor, levels: tuple[Tensor, ...] = (), *, first: int = 0, stop: int | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See :meth:`Encoder.run_chain`."""
        chain = self.chain
        ends = set(accumulate(self.depths))  # parts that end a stage
        out, found = x, list(levels)
        for part in range(first, len(chain) if stop is None else stop):
            if part == 0:
                found.append(self.relu(self.bn1(self.conv1(out))))
                out = self.maxpool(found[0])
                continue
            out = self.get_submodule(chain[part][0])(out)
            if part in ends:
                found.append(out)
        return out, tuple(found)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        return self.run_chain(x)[1]
