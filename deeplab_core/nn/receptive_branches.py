"""Theoretical receptive radius of each branch of an atrous pyramid."""

from __future__ import annotations

from torch import nn

from deeplab_core.nn.layers import ConvNormAct, SeparableConvNormAct
from deeplab_core.nn.models.deeplab import ASPP, DeepLab
from deeplab_core.nn.models.pyramid_sum import PyramidSum


def branch_radii(model: nn.Module, whole: int | None = None) -> tuple[tuple[str, int], ...]:
    """Names and radii in input pixels of the branches of a network's atrous pyramid at its current stride, narrow to wide.

    Every branch reads the same features and ends in the same layers, so two branches differ by their rates alone: a 3x3
    convolution of rate r on features s pixels apart looks r s pixels further than a 1x1 one. The widest branch has the radius of
    the whole network.

    Args:
        whole: the network's own radius where it is known already.

    Returns:
        ``(("1x1", ...), ("rate 6", ...), ...)``; empty for networks without such a pyramid.
    """
    rates = _rates(model)
    if not rates or not isinstance(model, (DeepLab, PyramidSum)):
        return ()
    radius = model.receptive_radius() if whole is None else whole
    stride, widest = model.output_stride, max(rates)
    return tuple(
        (f"rate {rate}" if rate else "1×1", radius - stride * (widest - rate)) for rate in sorted(set(rates))
    )  # fmt: skip


def _rates(model: nn.Module) -> list[int]:
    """Atrous rates of the branches as they are now; 0 for a 1x1 convolution."""
    if isinstance(model, DeepLab) and isinstance(model.aspp, ASPP):
        branches = list(model.aspp.branches)
        return [0, *(_rate(branch) for branch in branches[1:])]
    if isinstance(model, PyramidSum):
        return [_rate(branch) for branch in model.classifiers]
    return []


def _rate(branch: nn.Module) -> int:
    """Dilation of the branch's spatial convolution."""
    assert isinstance(branch, (ConvNormAct, SeparableConvNormAct, nn.Conv2d))
    spatial = [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1]
    return int(spatial[0].dilation[0]) if spatial else 0
