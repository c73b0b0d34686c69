"""Small layers that all networks share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

M = TypeVar("M", bound=nn.Module)
#: Names of what every module holds.
_OF_MODULES = frozenset(vars(nn.Module()))
Activation = Literal["relu", "relu6", "hardswish"]
#: What stands between the depthwise and the pointwise half of a separable convolution: nothing (segmentation_models.pytorch,
#: VainF), batch norm (jfzhang95), batch norm and ReLU (TensorFlow).
SeparableInner = Literal["none", "norm", "norm_relu"]


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch normalisation. ``momentum`` is torch's (0.0003 is TensorFlow's decay 0.9997).

    ``folded`` builds no norm at all but gives the convolution a bias: the form of deployed weights.
    """

    eps: float = 1e-5
    momentum: float = 0.1
    folded: bool = False

    def build(self, channels: int) -> nn.Module:
        """A layer over ``channels``; identity where folded."""
        return nn.Identity() if self.folded else nn.BatchNorm2d(channels, eps=self.eps, momentum=self.momentum)


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution sees of its input: side of the kernel, stride, atrous rate.

    Attributes:
        padding: on every side; None keeps the size at stride 1.
    """

    kernel: int
    stride: int = 1
    rate: int = 1
    padding: int | None = None


def resize(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Bilinear resampling of ``(N, C, h, w)`` to ``(N, C, *size)``; the tensor itself where the size is already right."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def upsampling_matrix(length: int, target: int, align_corners: bool) -> Tensor:
    """``(target, length)`` float32 weights of :func:`resize` along one axis: ``rows @ x @ columns.t()`` resamples both."""
    identity = torch.eye(length)[None, :, :, None]
    return resize(identity, (target, 1), align_corners)[0, :, :, 0].t() if length != target else torch.eye(length)


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight and bias of a convolution that computes the batch norm behind it, too.

    Computed in float64, so that the only rounding is that of the stored numbers, which have the weight's dtype.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = torch.rsqrt(norm.running_var.double() + norm.eps)
    shift = -norm.running_mean.double() * gain
    if norm.affine:
        gain, shift = gain * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double() * gain
    weight = conv.weight.double() * gain[:, None, None, None]
    dtype = conv.weight.dtype
    return nn.Parameter(weight.to(dtype), requires_grad=False), nn.Parameter(shift.to(dtype), requires_grad=False)


def twin(model: M, tensor: Callable[[Tensor], Tensor]) -> M:
    """A copy of a network with what ``tensor`` gives for each parameter and buffer.

    The network itself is not touched: other threads may be computing with it, and adding hooks to it. What a module holds
    besides and cannot be copied, such as a lock, both share.
    """
    kept: dict[int, Any] = {id(one): tensor(one) for one in (*model.parameters(), *model.buffers())}
    for module in model.modules():
        kept |= {id(hooks): hooks.copy() for hooks in (module._forward_hooks, module._forward_pre_hooks)}
        # Weights that a hook computes from others (weight norm) belong to a graph, which copying refuses.
        kept |= {id(value): value.detach() for value in vars(module).values() if isinstance(value, Tensor)}
    try:
        return copy.deepcopy(model, dict(kept))
    except Exception:  # classes raise what they like when they are copied
        for module in model.modules():
            own = [value for name, value in vars(module).items() if name not in _OF_MODULES]
            kept |= {id(value): value for value in own if not _can_be_copied(value, kept)}
        return copy.deepcopy(model, kept)


def _can_be_copied(value: object, kept: dict[int, Any]) -> bool:
    try:
        copy.deepcopy(value, dict(kept))
    except Exception:  # as above
        return False
    return True


def activation(name: Activation | None) -> nn.Module:
    """The named activation, never in place: a tensor that a shortcut still needs must not change under it."""
    return {"relu": nn.ReLU(), "relu6": nn.ReLU6(), "hardswish": nn.Hardswish(), None: nn.Identity()}[name]


def same_padding(kernel: int, rate: int) -> int:
    """Padding that keeps the size at stride 1; symmetric, as TensorFlow's 'SAME' is for odd sizes."""
    return rate * (kernel - 1) // 2


def set_atrous(conv: nn.Conv2d, *, stride: int = 1, rate: int | tuple[int, int] = 1) -> None:
    """Change stride and rate (of both axes, or one for each) of a convolution on the same weights; padding follows the rate."""
    rates = (rate, rate) if isinstance(rate, int) else rate
    conv.stride = (stride, stride)
    conv.dilation = rates
    conv.padding = tuple(same_padding(k, r) for k, r in zip(conv.kernel_size, rates, strict=True))


class ConvNormAct(nn.Module):
    """Convolution, batch norm, activation; keys ``conv`` and ``norm``.

    Args:
        window: or its kernel alone.
        bias: whether the convolution has a bias although a norm follows (bubbliiiing's heads); a folded norm always has one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | Window,
        *,
        groups: int = 1,
        norm: Norm | None,
        act: Activation | None = "relu",
        bias: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(window, int):
            window = Window(window)
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            window.kernel,
            stride=window.stride,
            padding=same_padding(window.kernel, window.rate) if window.padding is None else window.padding,
            dilation=window.rate,
            groups=groups,
            bias=bias or norm is None or norm.folded,
        )
        self.norm = nn.Identity() if norm is None else norm.build(out_channels)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H', W')``."""
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out

    def set_rate(self, rate: int | tuple[int, int], stride: int = 1) -> None:
        """Change atrous rate and stride."""
        set_atrous(self.conv, stride=stride, rate=rate)


class SeparableConvNormAct(nn.Module):
    """Atrous separable convolution (DeepLabv3+, section 3.1): depthwise 3x3, then pointwise 1x1; keys of the same names."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        rate: int = 1,
        norm: Norm,
        inner: SeparableInner = "norm_relu",
        bias: bool = False,
    ) -> None:
        super().__init__()
        inner_norm = None if inner == "none" else norm
        self.depthwise = ConvNormAct(
            in_channels,
            in_channels,
            Window(kernel, rate=rate),
            groups=in_channels,
            norm=inner_norm,
            act="relu" if inner == "norm_relu" else None,
        )
        if inner == "none" and not norm.folded:
            self.depthwise.conv.bias = None
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, norm=norm, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H, W)``."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out

    def set_rate(self, rate: int | tuple[int, int]) -> None:
        """Change the atrous rate of the depthwise half."""
        self.depthwise.set_rate(rate)


def initialise(module: nn.Module) -> None:
    """He initialisation of convolutions (fan out, ReLU), unit batch norm, zero biases; as torchvision's ResNets."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            if layer.weight.is_meta:  # drawing numbers without memory would import torch's compiler, 1.4 s
                continue
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def bilinear_kernel(side: int) -> Tensor:
    """``(side, side)`` float32 kernel that interpolates linearly between features ``ceil(side / 2)`` pixels apart."""
    half = (side + 1) // 2
    centre = half - 1.0 if side % 2 else half - 0.5
    line = 1.0 - (torch.arange(side, dtype=torch.float32) - centre).abs() / half
    return line[:, None] * line[None, :]


def fill_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Make a transposed convolution upsample every channel by itself; no-op on the meta device."""
    if layer.weight.is_meta:
        return
    with torch.no_grad():
        layer.weight.zero_()
        kernel = bilinear_kernel(layer.weight.shape[-1])
        for channel in range(layer.weight.shape[0]):
            layer.weight[channel, 0 if layer.groups > 1 else channel] = kernel
