"""Receptive fields: theoretical by layer arithmetic, effective by gradient (Luo et al. 2016, arXiv 1701.04128)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

T = TypeVar("T")
#: Arguments of an operation by name.
Arguments = Mapping[str, Any]


class _FieldTracer(TorchFunctionMode):
    """Carries (jump, radius) beside every tensor while a network runs on the meta device.

    Jump is the distance in input pixels between neighbouring features; radius is how far a feature looks from its centre. A
    sum or a concatenation takes the larger of its inputs. Pooling over the whole image does not count: its vector is shared.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[Tensor, float, float]] = {}

    def mark(self, x: Tensor, jump: float, radius: float) -> None:
        # The tensor is kept with its entry, so that its id cannot be given to another tensor while the mode is active.
        self._known[id(x)] = (x, jump, radius)

    def of(self, x: Tensor) -> tuple[float, float]:
        _, jump, radius = self._known.get(id(x), (x, 0.0, 0.0))
        return jump, radius

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: Arguments | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        inputs = [self.of(x) for x in _tensors((args, kwargs)) if id(x) in self._known]
        if not inputs:
            return out
        jump = max(j for j, _ in inputs)
        radius = max(r for _, r in inputs)
        jump, radius = _step(func, args, kwargs, out, jump, radius)
        for result in _tensors(out):
            self.mark(result, jump, radius)
        return out


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)


_CONVOLUTIONS = {torch.conv2d}
_TRANSPOSED = {torch.conv_transpose2d}
_POOLS = {functional.max_pool2d, functional.max_pool2d_with_indices, functional.avg_pool2d}
_UNPOOLS = {functional.max_unpool2d}


def _step(func: object, args: tuple[Any, ...], kwargs: Arguments, out: Any, jump: float, radius: float) -> tuple[float, float]:
    """Jump and radius behind one operation."""
    if func in _CONVOLUTIONS:
        stride, rate = _argument(args, kwargs, 3, "stride", 1), _argument(args, kwargs, 5, "dilation", 1)
        kernel = args[1].shape[-1]
        return jump * stride, radius + jump * rate * (kernel - 1) / 2
    if func in _TRANSPOSED:
        stride = _argument(args, kwargs, 3, "stride", 1)
        kernel = args[1].shape[-1]
        return jump / stride, radius + jump / stride * (kernel - 1) / 2
    if func in _POOLS:
        kernel = _argument(args, kwargs, 1, "kernel_size", 1)
        stride = _argument(args, kwargs, 2, "stride", kernel)
        return jump * stride, radius + jump * (kernel - 1) / 2
    if func in _UNPOOLS:
        stride = _argument(args, kwargs, 3, "stride", _argument(args, kwargs, 2, "kernel_size", 2))
        return jump / stride, radius
    if func is functional.interpolate:
        source, target = args[0].shape[-1], out.shape[-1]
        if source == 1:
            return jump, radius
        return jump * source / target, radius + (jump if target != source else 0.0)
    if func in (functional.adaptive_avg_pool2d, torch.mean, Tensor.mean):
        return 0.0, 0.0
    return jump, radius


def _argument(args: tuple[Any, ...], kwargs: Arguments, position: int, name: str, default: int) -> int:
    value = kwargs.get(name, args[position] if len(args) > position else default)
    if value is None or (isinstance(value, (tuple, list)) and not value):
        return default
    # Axes may differ (dense prediction cells): the radius is that of the axis that reaches further.
    return int(max(value)) if isinstance(value, (tuple, list)) else int(value)


def on_meta(model: nn.Module, call: Callable[[], T]) -> T:
    """Run ``call`` with the model's tensors replaced by shapes on the meta device: no memory, no arithmetic."""
    state = {key: value.to("meta") for key, value in (*model.named_parameters(), *model.named_buffers())}
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.nn.utils.stateless._reparametrize_module(model, state):
            return call()
    finally:
        model.train(training)


def receptive_radius(model: nn.Module, side: int = 513) -> int:
    """Theoretical receptive radius in input pixels of a network's coarse logits, image-level pooling left out.

    Args:
        model: has ``coarse_logits``.
        side: size of the imagined input; only resizing between feature maps depends on it, slightly.
    """

    def call() -> float:
        x = torch.empty(1, getattr(model, "in_channels", 3), side, side, device="meta")
        tracer = _FieldTracer()
        tracer.mark(x, 1.0, 0.0)
        with tracer:
            out: Tensor = model.coarse_logits(x)  # type: ignore[operator]
        return tracer.of(out)[1]

    return math.ceil(float(on_meta(model, call)))


def effective_radius(model: nn.Module, *, side: int = 257, mass: float = 0.95, seed: int = 0) -> int:
    """Radius in input pixels of the square around the centre that holds ``mass`` of the gradient of the central coarse score.

    The input is standard normal noise (the statistics of a normalised image), the score the sum over classes; one backward
    pass on the model's device. Smaller than the theoretical radius by far (Luo et al. 2016).

    Args:
        side: input size; the answer cannot exceed half of it.
        mass: share of the absolute gradient, 0..1.
    """
    device = next(model.parameters()).device
    x = (
        torch.randn(1, getattr(model, "in_channels", 3), side, side, generator=torch.Generator().manual_seed(seed))
        .to(device)
        .requires_grad_(True)
    )
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            scores: Tensor = model.coarse_logits(x)  # type: ignore[operator]
            height, width = scores.shape[-2:]
            (gradient,) = torch.autograd.grad(scores[..., height // 2, width // 2].sum(), x)
    finally:
        model.train(training)
    weight = gradient.abs().sum((0, 1)).double()
    total = float(weight.sum())
    middle = side // 2
    for radius in range(middle + 1):
        low, high = middle - radius, middle + radius + 1
        if float(weight[low:high, low:high].sum()) >= mass * total:
            return radius
    return middle
