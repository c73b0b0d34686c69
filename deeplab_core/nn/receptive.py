"""Receptive fields of any ``nn.Module`` that reads images: theoretical by layer arithmetic, effective by gradient.

A network of this package is asked for its coarse logits, any other module for its output: the tensor itself, the entry ``"out"``
of a dictionary (torchvision), or the first tensor. Effective fields: Luo et al. 2016, arXiv 1701.04128.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from deeplab_core.errors import AtrousError, ComputeError, MessageText, message
from deeplab_core.networks import GraphNetwork
from deeplab_core.nn.layers import M, twin

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
        shape = _shape(func, args, kwargs)
        if shape is None:
            out = func(*args, **kwargs)
        elif _is_in_place(func, args, kwargs):  # code may go on with the input, whatever becomes of the output
            out = args[0]
        else:
            out = torch.empty(shape, device="meta", dtype=next(_tensors(args)).dtype)
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
#: Operations that read positions which layer arithmetic cannot name: attention, resampling at computed places.
_MIXING = {
    torch.matmul, torch.bmm, torch.baddbmm, torch.einsum, Tensor.matmul, Tensor.bmm, Tensor.__matmul__, torch.cumsum,
    torch.conv1d, torch.conv3d, functional.scaled_dot_product_attention, functional.grid_sample, functional.unfold,
    functional.fold,
}  # fmt: skip
_RESHAPING = {torch.flatten, Tensor.flatten, Tensor.reshape, torch.reshape, Tensor.view}
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
    if func in _MIXING or (func in _RESHAPING and _joins_positions(args, out)):
        raise AtrousError(
            message("this network has no receptive field by layer arithmetic"),
            why=message("'{operation}' joins distant positions", operation=getattr(func, "__name__", str(func))),
            remedy=message("Choose a network of convolutions; in Python, effective_radius measures the field of any"),
        )
    if func in (functional.pixel_shuffle, functional.pixel_unshuffle):
        factor = _argument(args, kwargs, 1, "upscale_factor" if func is functional.pixel_shuffle else "downscale_factor", 1)
        return (jump / factor, radius) if func is functional.pixel_shuffle else (jump * factor, radius + jump * (factor - 1) / 2)
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


#: Operations whose output has the shape of their first input.
_SAME = {
    functional.batch_norm, functional.dropout, functional.dropout2d, functional.relu, functional.relu6, functional.hardtanh,
    functional.leaky_relu, functional.elu, functional.gelu, functional.silu, functional.hardswish, functional.hardsigmoid,
    functional.group_norm, torch.relu, torch.sigmoid, Tensor.relu, Tensor.sigmoid,
}  # fmt: skip
_SUMS = {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__, torch.mul, Tensor.mul, Tensor.__mul__}


def _is_in_place(func: object, args: tuple[Any, ...], kwargs: Arguments) -> bool:
    """Whether one of the operations of :func:`_shape` may change its first input; of those that keep the field, too many may."""
    return func in (Tensor.add_, Tensor.__iadd__) or (func in _SAME and any(value is True for value in (*args, *kwargs.values())))


def _shape(func: object, args: tuple[Any, ...], kwargs: Arguments) -> tuple[int, ...] | None:
    """Shape of what an operation of the usual networks gives on the meta device; None: PyTorch is asked.

    PyTorch's own answer for a convolution or an activation imports its compiler and sympy first: 800 modules, 1.6 s.
    """
    x = next(iter(args), None)
    if isinstance(x, (list, tuple)) and func in (torch.cat, torch.stack):
        return _joined_shape(func, x, args, kwargs)
    if not isinstance(x, Tensor) or x.device.type != "meta":
        return None
    if func in _SAME:
        return tuple(x.shape)
    if func in _SUMS:
        other = args[1] if len(args) > 1 else None
        return tuple(x.shape) if isinstance(other, Tensor) and other.shape == x.shape else None
    if func in (torch.sum, Tensor.sum) and args[1:] == (0,) and not kwargs:
        return tuple(x.shape[1:])
    if x.ndim != 4:
        return None
    if func is functional.max_pool2d:
        return _pooled_shape(x, args, kwargs)
    if func in _CONVOLUTIONS:
        return _convolved_shape(x, args, kwargs)
    if func in (torch.mean, Tensor.mean):
        axes = kwargs.get("dim", args[1] if len(args) > 1 else None)
        kept = kwargs.get("keepdim", args[2] if len(args) > 2 else False)
        return (*x.shape[:2], 1, 1) if kept and axes in ((2, 3), [2, 3], (-2, -1), [-2, -1]) else None
    if func is functional.adaptive_avg_pool2d:
        size = kwargs.get("output_size", args[1] if len(args) > 1 else None)
        return (*x.shape[:2], size, size) if isinstance(size, int) else None
    if func is functional.interpolate:
        size = kwargs.get("size", args[1] if len(args) > 1 else None)
        whole = isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(side, int) for side in size)
        return (*x.shape[:2], *size) if whole else None
    return None


def _joined_shape(func: object, parts: Any, args: tuple[Any, ...], kwargs: Arguments) -> tuple[int, ...] | None:
    """Shape of maps behind one another along the channels, or stacked in front; None for anything else."""
    axis = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    if any(not isinstance(part, Tensor) or part.ndim != 4 or part.device.type != "meta" for part in parts):
        return None
    if func is torch.stack:
        return (len(parts), *parts[0].shape) if axis == 0 and len({part.shape for part in parts}) == 1 else None
    if axis != 1 or len({(part.shape[0], *part.shape[2:]) for part in parts}) != 1:
        return None
    return (parts[0].shape[0], sum(part.shape[1] for part in parts), *parts[0].shape[2:])


def _convolved_shape(x: Tensor, args: tuple[Any, ...], kwargs: Arguments) -> tuple[int, ...] | None:
    """Shape behind a convolution; None where its arguments are not plain, or do not fit."""
    names = ("stride", "padding", "dilation", "groups")
    given = dict(zip(names, args[3:], strict=False)) | {name: kwargs[name] for name in names if name in kwargs}
    if len(args) < 2 or isinstance(given.get("padding"), str):
        return None
    out, reads, *kernel = args[1].shape
    sides = _slid(x, kernel, given.get("stride", 1), given.get("padding", 0), given.get("dilation", 1))
    return None if sides is None or reads * given.get("groups", 1) != x.shape[1] else (x.shape[0], out, *sides)


def _pooled_shape(x: Tensor, args: tuple[Any, ...], kwargs: Arguments) -> tuple[int, ...] | None:
    """Shape behind a pooling that rounds down; None for others."""
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = dict(zip(names, args[1:], strict=False)) | dict(kwargs)
    if given.get("ceil_mode") or given.get("return_indices"):
        return None
    kernel = given["kernel_size"]
    sides = _slid(x, kernel, given.get("stride") or kernel, given.get("padding", 0), given.get("dilation", 1))
    return None if sides is None else (*x.shape[:2], *sides)


def _slid(x: Tensor, kernel: Any, stride: Any, padding: Any, rate: Any) -> list[int] | None:
    """Height and width of what a kernel gives that slides over a map; each value is for both axes, or one for each."""
    steps = ([_of_axis(value, axis) for value in (kernel, stride, padding, rate)] for axis in (0, 1))
    values = zip(x.shape[2:], steps, strict=True)
    sides = [(side + 2 * pad - wide * (width - 1) - 1) // step + 1 for side, (width, step, pad, wide) in values]
    return sides if min(sides) > 0 else None


def _of_axis(value: int | tuple[int, ...] | list[int], axis: int) -> int:
    return value if isinstance(value, int) else value[min(axis, len(value) - 1)]


def _joins_positions(args: tuple[Any, ...], out: Any) -> bool:
    """Whether a reshape made one row of features and positions, as in front of a linear classifier."""
    before = args[0]
    return before.ndim == 4 and isinstance(out, Tensor) and out.ndim == 2 and before.shape[-1] * before.shape[-2] > 1


def _argument(args: tuple[Any, ...], kwargs: Arguments, position: int, name: str, default: int) -> int:
    value = kwargs.get(name, args[position] if len(args) > position else default)
    if value is None or (isinstance(value, (tuple, list)) and not value):
        return default
    # Axes may differ (dense prediction cells): the radius is that of the axis that reaches further.
    return int(max(value)) if isinstance(value, (tuple, list)) else int(value)


def demand_layers(model: nn.Module | GraphNetwork, lacks: MessageText) -> None:
    """Refuse a graph, and a module with parts that TorchScript has compiled: their layers cannot be read.

    Args:
        lacks: what it has not, a clause.

    Raises:
        ComputeError: it is a graph, or a part of it is compiled.
    """
    if isinstance(model, GraphNetwork):
        raise ComputeError(
            lacks,
            why=message(
                "{engine} runs it as a finished graph, without layers to count and without gradients", engine=model.engine.name
            ),
            remedy=message("Choose a model of safetensors or PyTorch weights"),
        )
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        raise ComputeError(
            lacks,
            why=message("TorchScript has compiled it, so that its layers cannot be read"),
            remedy=message("Use the module as it was before torch.jit.script or torch.jit.trace"),
        )


def on_meta(model: M) -> M:
    """A copy of a network for inference whose tensors are shapes on the meta device: it takes no memory and no arithmetic."""

    def shape(tensor: Tensor) -> Tensor:
        found = tensor.detach().to("meta")
        return nn.Parameter(found, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else found

    return twin(model, shape).eval()


@dataclass(frozen=True, slots=True)
class LayerField:
    """What one layer looks at.

    Attributes:
        name: of the module, as in ``named_modules``.
        kind: its class, e.g. ``"Conv2d"``.
        jump: input pixels between neighbouring features behind the layer.
        radius: input pixels that a feature looks from its centre.
    """

    name: str
    kind: str
    jump: float
    radius: float

    @property
    def span(self) -> int:
        """Side of the square that a feature looks at, in input pixels: 2 radius + 1."""
        return math.ceil(2 * self.radius) + 1


def _input(model: nn.Module, side: int, device: torch.device | str) -> Tensor:
    """An image of the number of channels that the network reads: its ``in_channels``, else its first convolution's, else 3."""
    channels = getattr(model, "in_channels", None)
    if not isinstance(channels, int):
        first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
        channels = first.in_channels if first is not None else 3
    return torch.empty(1, channels, side, side, device=device)


def feature_map(model: nn.Module, x: Tensor) -> Tensor:
    """Features that are asked for, ``(N, C, h, w)``: see the module's description.

    Raises:
        AtrousError: the module gives none.
    """
    call = getattr(model, "coarse_logits", model)
    out = call(x)
    if isinstance(out, Mapping) and "out" in out:
        out = out["out"]
    found = next(iter(_tensors(out)), None)
    if found is None or found.ndim != 4:
        raise AtrousError(
            message("this network gives no map of features"),
            why=message("a receptive field belongs to an output of the form (N, C, h, w)"),
            remedy=message("Give the part of it that does"),
        )
    return found


def receptive_radius(model: nn.Module, side: int = 513) -> int:
    """Theoretical receptive radius in input pixels, image-level pooling left out.

    Args:
        model: any module that reads ``(N, C, H, W)``; see the module's description for the output that is taken.
        side: size of the imagined input; only resizing between feature maps depends on it, slightly.

    Raises:
        AtrousError: the network joins distant positions (attention), is compiled by TorchScript, or gives no map of features.
    """
    return math.ceil(receptive_layers(model, side)[-1].radius)


def receptive_layers(model: nn.Module, side: int = 513) -> list[LayerField]:
    """Receptive field behind every layer in the order in which they run, and last that of the output (name ``""``).

    Args:
        model, side: see :func:`receptive_radius`.

    Raises:
        AtrousError: see :func:`receptive_radius`.
    """
    demand_layers(model, message("this model has no receptive field to show"))
    shapes = on_meta(model)
    names = {id(module): name for name, module in shapes.named_modules()}
    found: list[LayerField] = []
    tracer = _FieldTracer()

    def note(module: nn.Module, _: object, out: object) -> None:
        for result in _tensors(out):
            jump, radius = tracer.of(result)
            if jump:
                found.append(LayerField(names[id(module)], type(module).__name__, jump, radius))
            break

    for module in shapes.modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(note)
    x = _input(shapes, side, "meta")
    tracer.mark(x, 1.0, 0.0)
    with torch.no_grad(), tracer:
        out = feature_map(shapes, x)
    found.append(LayerField("", type(model).__name__, *tracer.of(out)))
    return found


def effective_radius(model: nn.Module, *, side: int = 257, mass: float = 0.95, seed: int = 0) -> int:
    """Radius in input pixels of the square around the centre that holds ``mass`` of the gradient of the central score.

    The input is standard normal noise (the statistics of a normalised image), the score the sum over classes; one backward
    pass on the model's device. Smaller than the theoretical radius by far (Luo et al. 2016).

    Args:
        side: input size; the answer cannot exceed half of it.
        mass: share of the absolute gradient, 0..1.
    """
    first = next(model.parameters(), None)
    x = _input(model, side, "cpu").normal_(generator=torch.Generator().manual_seed(seed))
    x = x.to(x.device if first is None else first.device).requires_grad_(True)
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            scores = feature_map(model, x)
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
