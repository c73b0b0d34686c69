"""Xception (Chollet 2017, arXiv 1610.02357) and its modified aligned form (DeepLabv3+, arXiv 1802.02611, figure 4).

In the modified aligned networks max pooling gave way to strided separable convolutions, and batch norm stands after each
depthwise convolution too. Every unit rectifies its input (pre-activation), except in the last block; its ReLUs come after
the depthwise and the pointwise convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn.atrous import RateOnset, plan_stages
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import ConvNormAct, Norm, Window, set_atrous


@dataclass(frozen=True, slots=True)
class XceptionLayout:
    """Channels of the units of each block, and strides.

    Attributes:
        entry: blocks of the entry flow: (channels of the units, stride).
        middle: number of 728-channel blocks with identity shortcuts.
        exit: units of the exit flow's first block (stride 2).
        final: units of its second block, which has no shortcut.
        downsample: what strides in a strided block: the last separable convolution, or a max pooling behind it.
    """

    entry: tuple[tuple[tuple[int, ...], int], ...]
    middle: int
    exit: tuple[int, ...]
    final: tuple[int, ...]
    downsample: Literal["separable", "max_pool"] = "separable"


_ENTRY_65 = (((128, 128, 128), 2), ((256, 256, 256), 2), ((728, 728, 728), 2))
_ENTRY_71 = (((128,) * 3, 2), ((256,) * 3, 1), ((256,) * 3, 2), ((728,) * 3, 1), ((728,) * 3, 2))

XCEPTIONS: dict[str, XceptionLayout] = {
    "xception41": XceptionLayout(_ENTRY_65, 8, (728, 1024, 1024), (1536, 1536, 2048)),
    "xception65": XceptionLayout(_ENTRY_65, 16, (728, 1024, 1024), (1536, 1536, 2048)),
    "xception71": XceptionLayout(_ENTRY_71, 16, (728, 1024, 1024), (1536, 1536, 2048)),
    "xception": XceptionLayout(
        (((128, 128), 2), ((256, 256), 2), ((728, 728), 2)), 8, (728, 1024), (1536, 2048), downsample="max_pool"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class XceptionOptions:
    """What differs between the Xceptions of the field. The defaults are TensorFlow's.

    Attributes:
        rate_onset: where a rate sets in (VainF: whole_stage).
        depthwise_norm: batch norm between depthwise and pointwise convolution (VainF's network has none).
        shortcut_input: what a shortcut adds: the block's ``"raw"`` input; the ``"rectified"`` one, because the first ReLU works
            in place before the shortcut reads (jfzhang95); or the rectified one in identity shortcuts only, because
            convolutional shortcuts read earlier (``"identity_rectified"``, bubbliiiing). Published weights need the same.
        low_level: features of stride 4: ``"before_stride"`` is the input of the strided convolution of the block that leaves
            stride 4 (TensorFlow's ``block2/.../separable_conv2_pointwise``), ``"block_output"`` the output of the block that
            reaches it (jfzhang95, VainF).
        low_level_relu: rectify them (timm, jfzhang95).
        final_input_relu: rectify the last block's input (jfzhang95).
        final_depthwise_relu: ReLU between depthwise and pointwise convolution of the last block (TensorFlow).
        final_norm: batch norm and ReLU behind the last unit (VainF's feature getter stops before them).
        final_rate: rate of the last block relative to TensorFlow's: 1, or 0.5 (bubbliiiing).
        final_padding: ``"same"``, or ``"one"`` whatever the rate: the map shrinks (VainF).
        exit_last_unit_dilates: whether the last unit of the exit flow's first block takes the block's rate (not in jfzhang95).
        stem_padding: of the two first 3x3 convolutions (VainF: 0).
        norm_eps, norm_momentum: batch norm; 1e-3 in TensorFlow's trunk.
    """

    rate_onset: RateOnset = "after_first_unit"
    depthwise_norm: bool = True
    shortcut_input: Literal["raw", "rectified", "identity_rectified"] = "raw"
    low_level: Literal["before_stride", "block_output"] = "before_stride"
    low_level_relu: bool = False
    final_input_relu: bool = False
    final_depthwise_relu: bool = True
    final_norm: bool = True
    final_rate: float = 1.0
    final_padding: Literal["same", "one"] = "same"
    exit_last_unit_dilates: bool = True
    stem_padding: int = 1
    norm_eps: float = 1e-3
    norm_momentum: float = 3e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSteps:
    """What a unit does around its two convolutions.

    Attributes:
        pre_relu: rectify the input.
        depthwise_norm: norm between the halves.
        depthwise_relu, post_relu: rectify behind each half.
        pointwise_norm: norm behind the unit.
    """

    pre_relu: bool
    depthwise_norm: bool
    depthwise_relu: bool = False
    post_relu: bool = False
    pointwise_norm: bool = True


class SeparableUnit(nn.Module):
    """Depthwise 3x3 and pointwise 1x1, each with its norm.

    Keys: ``depthwise``, ``depthwise_norm``, ``pointwise``, ``pointwise_norm``.
    """

    def __init__(self, in_channels: int, out_channels: int, steps: UnitSteps, norm: Norm) -> None:
        super().__init__()
        self.steps = steps
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.depthwise_norm: nn.Module = norm.build(in_channels) if steps.depthwise_norm else nn.Identity()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.pointwise_norm: nn.Module = norm.build(out_channels) if steps.pointwise_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H', W')``."""
        if self.steps.pre_relu:
            x = functional.relu(x)
        x = self.depthwise_norm(self.depthwise(x))
        if self.steps.depthwise_relu:
            x = functional.relu(x)
        x = self.pointwise_norm(self.pointwise(x))
        return functional.relu(x) if self.steps.post_relu else x


class XceptionBlock(nn.Module):
    """Separable units beside a shortcut: a 1x1 convolution where shapes change, else the identity.

    Args:
        channels: of the units.
        stride: nominal stride; decides whether the shortcut is a convolution, whatever stride is set later.
    """

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        stride: int,
        *,
        options: XceptionOptions,
        norm: Norm,
        downsample: Literal["separable", "max_pool"],
        last_unit_dilates: bool = True,
    ) -> None:
        super().__init__()
        self.downsample = downsample
        self.last_unit_dilates = last_unit_dilates
        steps = UnitSteps(pre_relu=True, depthwise_norm=options.depthwise_norm)
        self.units = nn.ModuleList(
            SeparableUnit(before, after, steps, norm)
            for before, after in zip((in_channels, *channels[:-1]), channels, strict=True)
        )
        self.shortcut: ConvNormAct | None = None
        if stride != 1 or in_channels != channels[-1]:
            self.shortcut = ConvNormAct(in_channels, channels[-1], 1, norm=norm, act=None)
        self.rectify = options.shortcut_input == "rectified" or (
            options.shortcut_input == "identity_rectified" and self.shortcut is None
        )
        self.stride = stride
        self.set_atrous(stride, 1)

    def set_atrous(self, stride: int, rate: int) -> None:
        """Stride of the block and rate of its depthwise convolutions."""
        self.stride = stride
        last = len(self.units) - 1
        for index, unit in enumerate(self.units):
            assert isinstance(unit, SeparableUnit)
            strides = index == last and self.downsample == "separable"
            dilates = index != last or self.last_unit_dilates
            set_atrous(unit.depthwise, stride=stride if strides else 1, rate=rate if dilates else 1)
        if self.shortcut is not None:
            self.shortcut.set_rate(1, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, in, H, W)`` to the block's output and the (not yet rectified) input of its last unit."""
        shortcut = functional.relu(x) if self.rectify else x
        if self.shortcut is not None:
            shortcut = self.shortcut(shortcut)
        before = x
        for unit in self.units:
            before, x = x, unit(x)
        if self.downsample == "max_pool" and self.stride != 1:
            x = functional.max_pool2d(x, 3, stride=self.stride, padding=1)
        return x + shortcut, before


class Xception(Encoder):
    """Xception without its classifier; ``blocks`` holds entry, middle and exit flow, ``final`` the units without a shortcut.

    Levels: with ``low_level="before_stride"`` the inputs of the four strided convolutions (strides 2, 4, 8, 16) and the end
    (32); with ``"block_output"`` the stem (2), the outputs of the strided blocks (4, 8, 16) and the end.
    """

    def __init__(self, name: str, options: XceptionOptions | None = None) -> None:
        super().__init__()
        layout = XCEPTIONS[name]
        self.options = o = options or XceptionOptions()
        norm = Norm(o.norm_eps, o.norm_momentum)
        self.stem1 = ConvNormAct(3, 32, Window(3, stride=2, padding=o.stem_padding), norm=norm)
        self.stem2 = ConvNormAct(32, 64, Window(3, padding=o.stem_padding), norm=norm)
        plan = (*layout.entry, *(((728, 728, 728), 1) for _ in range(layout.middle)), (layout.exit, 2))
        self.strides = tuple(stride for _, stride in plan)
        blocks: list[nn.Module] = []
        channels = 64
        for index, (widths, stride) in enumerate(plan):
            last = index == len(plan) - 1
            blocks.append(
                XceptionBlock(
                    channels,
                    widths,
                    stride,
                    options=o,
                    norm=norm,
                    downsample=layout.downsample,
                    last_unit_dilates=o.exit_last_unit_dilates or not last,
                )
            )
            channels = widths[-1]
        self.blocks = nn.ModuleList(blocks)
        final: list[nn.Module] = []
        for index, width in enumerate(layout.final):
            ends = index == len(layout.final) - 1 and not o.final_norm
            steps = UnitSteps(
                pre_relu=o.final_input_relu and index == 0,
                depthwise_norm=o.depthwise_norm,
                depthwise_relu=o.final_depthwise_relu,
                post_relu=not ends,
                pointwise_norm=not ends,
            )
            final.append(SeparableUnit(channels, width, steps, norm))
            channels = width
        self.final = nn.ModuleList(final)
        if o.low_level == "before_stride":
            self.level_channels = (*(widths[-2] for widths, stride in plan if stride == 2), channels)
        else:
            self.level_channels = (64, *(widths[-1] for widths, stride in layout.entry if stride == 2), channels)
        if o.stem_padding == 0:
            # Two unpadded 3x3 convolutions need 7 px; where the last block does not pad its rate either, each of its units
            # takes 2 (rate - 1) features: 12 at stride 8 and rate 4, so that 13 features (103 px) must come in.
            self.minimum_side = 7 if o.final_padding == "same" else 103
        if o.final_padding == "one":
            self.output_strides = (8, 16, 32)  # rate 8 of stride 4 would need 119 px

    def set_output_stride(self, output_stride: int) -> None:
        """Remove strides beyond ``output_stride`` and dilate instead."""
        plans = plan_stages((*self.strides, 1), entry_stride=2, output_stride=output_stride, onset=self.options.rate_onset)
        for block, plan in zip(self.blocks, plans[:-1], strict=True):
            assert isinstance(block, XceptionBlock)
            block.set_atrous(plan.stride, plan.first_rate)
        rate = max(1, round(plans[-1].first_rate * self.options.final_rate))
        for unit in self.final:
            assert isinstance(unit, SeparableUnit)
            set_atrous(unit.depthwise, rate=rate)
            if self.options.final_padding == "one":
                unit.depthwise.padding = (1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        x = self.stem2(self.stem1(x))
        tapped = self.options.low_level == "before_stride"
        levels: list[Tensor] = [] if tapped else [x]
        for block, stride in zip(self.blocks, self.strides, strict=True):
            x, before = block(x)
            if stride == 2 and len(levels) < 4:
                level = before if tapped else x
                levels.append(functional.relu(level) if self.options.low_level_relu else level)
        for unit in self.final:
            x = unit(x)
        return (*levels, x)
