"""Making a network fast without changing what it says."""

from __future__ import annotations

import copy
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.exact import save_arithmetic

M = TypeVar("M", bound=SegmentationModel)

#: Largest change of a logit, relative to the range of the logits, that folding may cause.
FOLDING_TOLERANCE = 1e-4
#: The same for savings of arithmetic.
SAVING_TOLERANCE = 1e-5
_PROBE_SIDE = 97


class _Pair(NamedTuple):
    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    norm_parent: nn.Module
    norm_name: str


def prepare_for_inference(model: M, device: torch.device | str = "cpu", *, fold: bool = True) -> M:
    """A copy of a network for inference: eval mode, no gradients, batch norms folded, channels-last weights.

    Folding writes ``conv.weight * gamma / sqrt(var + eps)`` and the matching bias into the convolution in front of a batch norm
    and drops the norm; with NHWC memory this runs 1.2 to 1.6 times faster on CPUs than the network as built. The copy is folded
    only if its logits on a probe input differ by at most :data:`FOLDING_TOLERANCE` of their range from the original's;
    else the copy keeps its norms (a network with batch norms that amplify rounding, or that is wired so that folding is wrong).

    Args:
        model: left as it is.
        device: where the copy goes.
        fold: False keeps the batch norms.
    """
    plain = copy.deepcopy(model).eval().requires_grad_(False)
    prepared = _saving(_folded(plain) if fold else plain)
    return prepared.to(device).to(memory_format=torch.channels_last)


def _saving(model: M) -> M:
    """The network, or a copy that takes its cheaper ways where that changes its logits on a probe by rounding only."""
    cheaper = copy.deepcopy(model)
    if not save_arithmetic(cheaper):
        return model
    probe = _probe(model)
    with torch.inference_mode():
        expected, got = model.coarse_logits(probe), cheaper.coarse_logits(probe)
    span = expected.max() - expected.min()
    return cheaper if bool((got - expected).abs().max() <= SAVING_TOLERANCE * span) else model


def _probe(model: SegmentationModel) -> Tensor:
    side = max(_PROBE_SIDE, model.minimum_side)
    return torch.randn(1, model.in_channels, side, side, generator=torch.Generator().manual_seed(0))


def _folded(model: M) -> M:
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return model  # the probe would be wasted, and a graph of one fixed size refuses it
    probe = _probe(model)
    with torch.inference_mode():
        pairs, expected = _observe(model, probe)
    if not pairs:
        return model
    folded = copy.deepcopy(model)
    # The copy has the same modules in the same order, so pairs are found again by position.
    order = {id(module): position for position, module in enumerate(model.modules())}
    twins = list(folded.modules())
    for pair in pairs:
        _fold(
            _Pair(
                twins[order[id(pair.conv)]],  # type: ignore[arg-type]
                twins[order[id(pair.norm)]],  # type: ignore[arg-type]
                twins[order[id(pair.norm_parent)]],
                pair.norm_name,
            )
        )
    with torch.inference_mode():
        error = (folded.coarse_logits(probe) - expected).abs().max()
    span = expected.max() - expected.min()
    return folded if bool(error <= FOLDING_TOLERANCE * span) else model


def _observe(model: SegmentationModel, probe: Tensor) -> tuple[list[_Pair], Tensor]:
    """Batch norms with the very tensor as input that a convolution returned, and the logits of the probe."""
    made_by: dict[int, nn.Conv2d] = {}
    alive: list[Tensor] = []  # keeps ids unique while the probe runs
    calls: dict[int, int] = {}
    found: dict[int, nn.Conv2d] = {}

    def after_conv(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[id(module)] = calls.get(id(module), 0) + 1
        alive.append(output)
        if isinstance(module, nn.Conv2d):
            made_by[id(output)] = module

    def before_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[id(module)] = calls.get(id(module), 0) + 1
        maker = made_by.get(id(inputs[0]))
        if maker is not None:
            found[id(module)] = maker

    handles = []
    norms: list[tuple[nn.BatchNorm2d, nn.Module, str]] = []
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d:
                handles.append(child.register_forward_hook(after_conv))
            elif type(child) is nn.BatchNorm2d and child.track_running_stats:
                norms.append((child, parent, name))
                handles.append(child.register_forward_pre_hook(before_norm))
    try:
        logits = model.coarse_logits(probe)
    finally:
        for handle in handles:
            handle.remove()
    once = [
        _Pair(found[id(norm)], norm, parent, name)
        for norm, parent, name in norms
        if id(norm) in found and calls[id(norm)] == 1 and calls[id(found[id(norm)])] == 1
    ]
    return once, logits


def _fold(pair: _Pair) -> None:
    """Fold in float64, so that the only rounding is that of the stored float32 weight."""
    conv, norm = pair.conv, pair.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = torch.rsqrt(norm.running_var.double() + norm.eps)
    shift = -norm.running_mean.double() * gain
    if norm.affine:
        gain, shift = gain * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double() * gain
    weight = conv.weight.double() * gain[:, None, None, None]
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
    setattr(pair.norm_parent, pair.norm_name, nn.Identity())
