"""Dilated residual networks C and D (Yu, Koltun, Funkhouser 2017, arXiv 1705.09914): stride 8, dilation 2 and 4, degridding.

Type A, a ResNet with dilated last stages, is :class:`deeplab_core.nn.backbones.resnet.ResNet` with the rates of DRN-A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from deeplab_core.errors import AtrousError, message
from deeplab_core.nn.backbones.resnet import ResidualUnit, UnitForm
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import ConvNormAct, Norm, Window


@dataclass(frozen=True, slots=True)
class DRNLayout:
    """Type, block kind of layers 3 to 6, and units per layer 1 to 8."""

    kind: Literal["C", "D"]
    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]


DRNS: dict[str, DRNLayout] = {
    "drn_c_26": DRNLayout("C", "basic", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_c_42": DRNLayout("C", "basic", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_c_58": DRNLayout("C", "bottleneck", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_22": DRNLayout("D", "basic", (1, 1, 2, 2, 2, 2, 1, 1)),
    "drn_d_24": DRNLayout("D", "basic", (1, 1, 2, 2, 2, 2, 2, 2)),
    "drn_d_38": DRNLayout("D", "basic", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_40": DRNLayout("D", "basic", (1, 1, 3, 4, 6, 3, 2, 2)),
    "drn_d_54": DRNLayout("D", "bottleneck", (1, 1, 3, 4, 6, 3, 1, 1)),
    "drn_d_56": DRNLayout("D", "bottleneck", (1, 1, 3, 4, 6, 3, 2, 2)),
    "drn_d_105": DRNLayout("D", "bottleneck", (1, 1, 3, 4, 23, 3, 1, 1)),
    "drn_d_107": DRNLayout("D", "bottleneck", (1, 1, 3, 4, 23, 3, 2, 2)),
}

#: Channels before expansion, stride and rate of layers 1 to 8 (figure 5 of the paper).
_WIDTHS = (16, 32, 64, 128, 256, 512, 512, 512)
_STRIDES = (1, 2, 2, 2, 1, 1, 1, 1)
_RATES = (1, 1, 1, 1, 2, 4, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DRNOptions:
    """Batch norm of every layer."""

    norm_eps: float = 1e-5
    norm_momentum: float = 0.1


class DRN(Encoder):
    """DRN-C and DRN-D without the classifier; keys ``stem``, ``layer1`` .. ``layer8``.

    Layers 7 and 8 smooth the gridding of layers 5 and 6: residual units without their shortcut (C) or plain convolutions (D),
    and so do layers 1 and 2, with shortcuts in type C. Levels: layer 2 (stride 2), 3 (4), 4 (8), 6 (8) and 8 (8).
    """

    output_strides = (8,)

    def __init__(self, name: str, options: DRNOptions | None = None) -> None:
        super().__init__()
        layout = DRNS[name]
        o = options or DRNOptions()
        norm = Norm(o.norm_eps, o.norm_momentum)
        self.stem = ConvNormAct(3, 16, 7, norm=norm)
        channels = 16
        out_channels: list[int] = []
        rows = zip(layout.depths, _WIDTHS, _STRIDES, _RATES, strict=True)
        for number, (depth, width, stride, rate) in enumerate(rows, start=1):
            plain = layout.kind == "D" and number in (1, 2, 7, 8)
            bottleneck = layout.block == "bottleneck" and 3 <= number <= 6
            form = UnitForm(bottleneck, norm, residual=number < 7)
            units: list[nn.Module] = []
            for index in range(depth):
                step = stride if index == 0 else 1
                if plain:
                    units.append(ConvNormAct(channels, width, Window(3, stride=step, rate=rate), norm=norm))
                    channels = width
                    continue
                out = width * 4 if bottleneck else width
                unit = ResidualUnit(
                    channels,
                    width,
                    form,
                    stride=step,
                    project=index == 0 and (step != 1 or channels != out),
                )
                unit.set_atrous(step, rate)
                units.append(unit)
                channels = out
            self.add_module(f"layer{number}", nn.Sequential(*units))
            out_channels.append(channels)
        self.level_channels = (out_channels[1], out_channels[2], out_channels[3], out_channels[5], out_channels[7])

    def set_output_stride(self, output_stride: int) -> None:
        """Only 8 is possible: the rates belong to the network."""
        if output_stride != 8:
            raise AtrousError(
                message("a DRN has output stride 8, not {output_stride}", output_stride=output_stride), remedy=message("Choose 8")
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        x = self.stem(x)
        levels: list[Tensor] = []
        for number in range(1, 9):
            x = self.get_submodule(f"layer{number}")(x)
            if number in (2, 3, 4, 6, 8):
                levels.append(x)
        return tuple(levels)
