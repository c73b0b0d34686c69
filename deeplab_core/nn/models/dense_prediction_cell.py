"""Dense prediction cells (Chen et al. 2018, "Searching for Efficient Multi-Scale Architectures", arXiv 1809.04184).

A searched cell takes the place of atrous spatial pyramid pooling: five atrous separable convolutions, each over the encoder's
features or over an earlier branch, with rates of their own along each axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deeplab_core.nn.layers import ConvNormAct, Norm, SeparableConvNormAct


@dataclass(frozen=True, slots=True)
class CellBranch:
    """One branch: what it reads (-1 for the encoder's features, else an earlier branch) and its (vertical, horizontal) rate at
    output stride 16.
    """

    source: int
    rate: tuple[int, int]


#: Cells by name. ``cityscapes_top1`` is figure 5 of the paper, the cell of TensorFlow's Xception-71 releases.
CELLS: dict[str, tuple[CellBranch, ...]] = {
    "cityscapes_top1": (
        CellBranch(-1, (1, 6)),
        CellBranch(0, (18, 15)),
        CellBranch(1, (6, 3)),
        CellBranch(0, (1, 1)),
        CellBranch(0, (6, 21)),
    ),
}


class DensePredictionCell(nn.Module):
    """Branches, their concatenation in order, and a 1x1 projection; keys ``branches.N`` and ``project``, as the pyramid's.

    Args:
        cell: name in :data:`CELLS`.
        channels: of every branch and of the output; 256 in the paper.
        dropout: probability of dropping concatenated features, in training only.
        norm: batch norm of the layers.
    """

    def __init__(self, in_channels: int, cell: str, *, channels: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.plan = CELLS[cell]
        self.pooling = None
        self.branches = nn.ModuleList(
            SeparableConvNormAct(in_channels if branch.source < 0 else channels, channels, norm=norm) for branch in self.plan
        )
        self.project = ConvNormAct(channels * len(self.plan), channels, 1, norm=norm)
        self.dropout = nn.Dropout(dropout)

    def set_output_stride(self, output_stride: int) -> None:
        """Scale the rates to the output stride."""
        for layer, branch in zip(self.branches, self.plan, strict=True):
            assert isinstance(layer, SeparableConvNormAct)
            vertical, horizontal = (max(1, rate * 16 // output_stride) for rate in branch.rate)
            layer.set_rate((vertical, horizontal))

    def forward(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:  # noqa: ARG002  (no branch sees the whole image)
        """``(N, C, h, w)`` to ``(N, channels, h, w)``."""
        parts: list[Tensor] = []
        for layer, branch in zip(self.branches, self.plan, strict=True):
            parts.append(layer(x if branch.source < 0 else parts[branch.source]))
        out: Tensor = self.project(self.dropout(torch.cat(parts, dim=1)))
        return out
