"""Batch norms that were folded into their convolutions, made again so that the network gives the same features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from deeplab_core.errors import WeightsError, message
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.layers import ConvNormAct


def can_unfold(layer: nn.Module, folded: nn.Module) -> bool:
    """Whether ``folded`` is ``layer`` with its norm folded into weights and bias of the convolution."""
    return (
        isinstance(layer, ConvNormAct)
        and isinstance(folded, ConvNormAct)
        and isinstance(layer.norm, nn.BatchNorm2d)
        and isinstance(folded.norm, nn.Identity)
        and layer.conv.bias is None
        and folded.conv.bias is not None
        and layer.conv.weight.shape == folded.conv.weight.shape
    )


@dataclass(slots=True)
class _Moments:
    """Mean and sum of squared deviations per channel, in float64 over any number of batches (Chan et al. 1979)."""

    count: int
    mean: Tensor
    squares: Tensor

    def add(self, output: Tensor) -> None:
        """Take in (N, C, H, W)."""
        values = output.detach().double().transpose(0, 1).flatten(1)
        count = values.shape[1]
        mean = values.mean(1)
        squares = (values - mean[:, None]).square().sum(1)
        total = self.count + count
        shift = mean - self.mean
        self.squares += squares + shift.square() * (self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total


@torch.no_grad()
def unfold(
    folded: SegmentationModel, model: SegmentationModel, names: Sequence[str], batches: Iterable[Tensor], path: Path
) -> int:
    """Give layers of ``model`` the weights of folded ones, and norms that undo themselves in eval mode.

    A folded layer computes ``w x + b``. Mean and variance of ``w x`` over the batches become the norm's statistics, its scale
    the standard deviation and its shift ``b`` plus the mean: in eval mode the features are the same, and in training mode nearly
    so, since a batch has nearly these statistics.

    Args:
        folded: the network with folded norms.
        model: the same layers with batch norms.
        names: of the layers, in both.
        batches: (n, 3, h, w) inputs, prepared as the network expects.
        path: of the weights, for errors.

    Returns:
        Number of images that were seen.

    Raises:
        WeightsError: a layer was not reached by the images, or gave values that are not finite.
    """
    moments: dict[str, _Moments] = {}

    def monitor(name: str) -> RemovableHandle:
        def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            zeros = output.new_zeros(output.shape[1], dtype=torch.float64)
            moments.setdefault(name, _Moments(0, zeros, zeros.clone())).add(output)

        layer = folded.get_submodule(name)
        assert isinstance(layer, ConvNormAct)
        return layer.conv.register_forward_hook(note)

    handles = [monitor(name) for name in names]
    images = 0
    try:
        folded.eval()
        for x in batches:
            images += x.shape[0]
            folded.coarse_logits(x)
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        layer, other = model.get_submodule(name), folded.get_submodule(name)
        assert isinstance(layer, ConvNormAct) and isinstance(other, ConvNormAct)  # noqa: PT018  (for the type checker)
        found = moments.get(name)
        if found is None or not bool(torch.isfinite(found.squares).all()):
            raise WeightsError(
                message("the norm of '{name}' cannot be made again from the training images", name=name),
                why=message("no image reached it") if found is None else message("its values are not finite"),
                remedy=message('Set norm = "frozen" to train the weights as they are'),
                path=path,
            )
        norm, bias = layer.norm, other.conv.bias
        assert isinstance(norm, nn.BatchNorm2d) and bias is not None  # noqa: PT018
        assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
        layer.conv.weight.copy_(other.conv.weight)
        norm.running_mean.copy_(found.mean - bias.double())
        norm.running_var.copy_(found.squares / max(1, found.count - 1))
        norm.weight.copy_((norm.running_var.double() + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean.double() + bias.double())
    return images
