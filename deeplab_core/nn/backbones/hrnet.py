"""HRNetV2 (Wang et al. 2019, arXiv 1908.07919): four resolutions side by side, joined at stride 4."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.errors import AtrousError, message
from deeplab_core.nn.backbones.resnet import ResidualUnit, UnitForm
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.layers import ConvNormAct, Norm, Window, resize

#: Channels of the finest branch.
HRNETS = {"hrnetv2_32": 32, "hrnetv2_48": 48}

#: Modules of stages 2, 3 and 4.
_MODULES = (1, 4, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class HRNetOptions:
    """What differs between HRNets.

    Attributes:
        first_stem_relu: ReLU between the two strided convolutions (absent in VainF's feature getter).
        norm_eps, norm_momentum: batch norm.
    """

    first_stem_relu: bool = True
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1


class FusionModule(nn.Module):
    """Four residual units per branch, then every branch receives all others; keys ``branches`` and ``fuse``."""

    def __init__(self, branches: int, width: int, norm: Norm) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(branches)]
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualUnit(w, w, UnitForm(False, norm), stride=1, project=False) for _ in range(4))) for w in widths
        )
        self.fuse = nn.ModuleList()
        for target in range(branches):
            row = nn.ModuleList()
            for source in range(branches):
                steps = nn.Sequential()
                if source > target:
                    steps.append(ConvNormAct(widths[source], widths[target], 1, norm=norm, act=None))
                for index in range(target - source):
                    last = index == target - source - 1
                    out = widths[target] if last else widths[source]
                    steps.append(ConvNormAct(widths[source], out, Window(3, stride=2), norm=norm, act=None if last else "relu"))
                row.append(steps)
            self.fuse.append(row)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        """One tensor per branch, fine to coarse, to the same."""
        features = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        out: list[Tensor] = []
        for row, like in zip(self.fuse, features, strict=True):
            assert isinstance(row, nn.ModuleList)
            total: Tensor | None = None
            for steps, x in zip(row, features, strict=True):
                part: Tensor = steps(x)
                if part.shape[-2:] != like.shape[-2:]:
                    part = functional.interpolate(part, size=(like.shape[-2], like.shape[-1]), mode="nearest")
                total = part if total is None else total + part
            assert total is not None
            out.append(functional.relu(total))
        return out


class HRNet(Encoder):
    """HRNetV2 without its classifier; keys ``stem1``, ``stem2``, ``layer1``, ``transitions``, ``stages``.

    Levels: stem (stride 2), layer 1 (4, the low-level features), and three times the joined branches (4): nothing is coarser.
    """

    output_strides = (4,)

    def __init__(self, name: str, options: HRNetOptions | None = None) -> None:
        super().__init__()
        o = options or HRNetOptions()
        norm = Norm(o.norm_eps, o.norm_momentum)
        width = HRNETS[name]
        self.stem1 = ConvNormAct(3, 64, Window(3, stride=2), norm=norm, act="relu" if o.first_stem_relu else None)
        self.stem2 = ConvNormAct(64, 64, Window(3, stride=2), norm=norm)
        self.layer1 = nn.Sequential(
            *(ResidualUnit(64 if i == 0 else 256, 64, UnitForm(True, norm), stride=1, project=i == 0) for i in range(4))
        )
        self.transitions = nn.ModuleList(
            [ConvNormAct(256, width, 3, norm=norm), ConvNormAct(256, 2 * width, Window(3, stride=2), norm=norm)]
        )
        for step in (2, 3):
            self.transitions.append(ConvNormAct(width * 2 ** (step - 1), width * 2**step, Window(3, stride=2), norm=norm))
        self.stages = nn.ModuleList(
            nn.ModuleList(FusionModule(number, width, norm) for _ in range(count))
            for number, count in enumerate(_MODULES, start=2)
        )
        joined = 15 * width
        self.level_channels = (64, 256, joined, joined, joined)

    def set_output_stride(self, output_stride: int) -> None:
        """Only 4 is possible."""
        if output_stride != 4:
            raise AtrousError(
                message("HRNetV2 has output stride 4, not {output_stride}", output_stride=output_stride),
                remedy=message("Choose 4"),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(N, 3, H, W)`` to the five levels."""
        fine = self.stem1(x)
        low = self.layer1(self.stem2(fine))
        branches = [self.transitions[0](low), self.transitions[1](low)]
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            if number:
                branches.append(self.transitions[number + 1](branches[-1]))
            for module in stage:
                branches = module(branches)
        size = (branches[0].shape[-2], branches[0].shape[-1])
        joined = torch.cat([resize(branch, size, False) for branch in branches], dim=1)
        return fine, low, joined, joined, joined
