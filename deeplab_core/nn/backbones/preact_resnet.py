"""Residual networks with full pre-activation (He et al. 2016, arXiv 1603.05027), with atrous last stages.

Every unit normalises and rectifies the input of each convolution, and the sum passes unchanged. The layout is that of
TensorFlow's and timm's ``resnetv2``: no norm behind the first convolution, a projection reads the rectified input, and one norm
follows the last stage.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from deeplab_core.nn.atrous import RateOnset, plan_stages
from deeplab_core.nn.backbones.resnet import RESNETS
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import Norm, set_atrous

#: Names, and the residual network of the same depth.
PREACT_RESNETS = {f"preact_{name}": name for name in RESNETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreActResNetOptions:
    """What may differ.

    Attributes:
        multi_grid: rates of the units of the last stage relative to the stage's rate (DeepLabv3, section 4.3), or None.
        rate_onset: where a rate sets in; None takes ``whole_stage`` with a multi-grid and ``after_first_unit`` without.
        norm_eps, norm_momentum: of every batch norm.
    """

    multi_grid: tuple[int, ...] | None = None
    rate_onset: RateOnset | None = None
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1


class PreActUnit(nn.Module):
    """Norm, ReLU, convolution, two (basic) or three times (bottleneck), beside a shortcut."""

    def __init__(self, in_channels: int, width: int, *, bottleneck: bool, stride: int, norm: Norm) -> None:
        super().__init__()
        out_channels = width * 4 if bottleneck else width
        self.bottleneck = bottleneck
        self.relu = nn.ReLU()
        self.bn1 = norm.build(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 1 if bottleneck else 3, bias=False)
        self.bn2 = norm.build(width)
        self.conv2 = nn.Conv2d(width, width, 3, bias=False)
        if bottleneck:
            self.bn3 = norm.build(width)
            self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        projects = stride != 1 or in_channels != out_channels
        self.downsample = nn.Conv2d(in_channels, out_channels, 1, bias=False) if projects else None
        self.set_atrous(stride, 1)

    def set_atrous(self, stride: int, rate: int, second_rate: int | None = None) -> None:
        """Stride of the unit, and rates of its 3x3 convolutions; a basic unit's second one stands behind the stride."""
        if self.bottleneck:
            set_atrous(self.conv2, stride=stride, rate=rate)
        else:
            set_atrous(self.conv1, stride=stride, rate=rate)
            set_atrous(self.conv2, rate=second_rate or rate)
        if self.downsample is not None:
            set_atrous(self.downsample, stride=stride)

    def activated(self, x: Tensor) -> Tensor:
        """The unit's input as its first convolution sees it."""
        out: Tensor = self.relu(self.bn1(x))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, ceil(H / stride), ceil(W / stride))``."""
        first = self.activated(x)
        shortcut = x if self.downsample is None else self.downsample(first)
        out = self.conv2(self.relu(self.bn2(self.conv1(first))))
        if self.bottleneck:
            out = self.conv3(self.relu(self.bn3(out)))
        total: Tensor = out + shortcut
        return total


class PreActResNet(Encoder):
    """Pre-activation residual network without its classifier; keys ``conv1``, ``layer1`` .. ``layer4``, ``bn``.

    Levels: after the first 7x7 convolution (stride 2), then the four stages (4, 8, 16, 32), each normalised and rectified by the
    first norm that follows it: sums themselves have no common scale.
    """

    def __init__(self, name: str, options: PreActResNetOptions | None = None) -> None:
        super().__init__()
        kind, depths = RESNETS[PREACT_RESNETS[name]]
        self.options = o = options or PreActResNetOptions()
        norm = Norm(o.norm_eps, o.norm_momentum)
        bottleneck = kind == "bottleneck"
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        self.level_channels = (64,)
        for number, (units, width, stride) in enumerate(zip(depths, (64, 128, 256, 512), (1, 2, 2, 2), strict=True), start=1):
            stage = nn.Sequential()
            for index in range(units):
                stage.append(PreActUnit(channels, width, bottleneck=bottleneck, stride=1 if index else stride, norm=norm))
                channels = width * 4 if bottleneck else width
            self.add_module(f"layer{number}", stage)
            self.level_channels = (*self.level_channels, channels)
        self.bn = norm.build(channels)
        self.relu = nn.ReLU()

    def set_output_stride(self, output_stride: int) -> None:
        """Remove strides beyond ``output_stride`` and dilate instead."""
        o = self.options
        onset: RateOnset = o.rate_onset or ("whole_stage" if o.multi_grid else "after_first_unit")
        plans = plan_stages((1, 2, 2, 2), entry_stride=4, output_stride=output_stride, onset=onset)
        for number, plan in enumerate(plans, start=1):
            grid = o.multi_grid if number == 4 and o.multi_grid else (1,)
            for index, unit in enumerate(self._stage(number)):
                relative = grid[min(index, len(grid) - 1)]
                rate = plan.rest_rate if index else plan.first_rate
                unit.set_atrous(1 if index else plan.stride, rate * relative, plan.rest_rate * relative)

    def _stage(self, number: int) -> list[PreActUnit]:
        return [unit for unit in self.get_submodule(f"layer{number}").children() if isinstance(unit, PreActUnit)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        out = self.conv1(x)
        levels: list[Tensor] = [self.relu(out)]
        out = self.maxpool(out)
        for number in range(1, 5):
            units = self._stage(number)
            if number > 1:
                levels.append(units[0].activated(out))
            for unit in units:
                out = unit(out)
        levels.append(self.relu(self.bn(out)))
        return tuple(levels)
