"""A network's dense convolutions in float32 by bf16 tiles (AMX), each number the sum of two; the other layers are torch's.

One core multiplies tiles 16 times as fast as float32. Three products of halves in place of one in float32 are exact to some
2^-17, and still several times as fast (:mod:`deeplab_core.kernels.tiles`).
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.kernels.compiled import multiplies_tiles
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.backbones.resnet import ResidualUnit, ResNet
from deeplab_core.nn.exact import ConvOverUpsampled
from deeplab_core.nn.layers import ConvNormAct, folded, twin
from deeplab_core.nn.models.deeplab import ASPP, Decoder

if TYPE_CHECKING:
    from deeplab_core.kernels.tiles import Floats, Halves

#: Positions of a block: its inputs and its sums stay near the core while all output channels are computed.
_POSITIONS = 512
#: Bytes of inputs that do.
_NEAR = 800_000
#: Fewest positions and channels that are worth it.
_LEAST_POSITIONS, _LEAST_CHANNELS = 64, 16
_NO_LIMITS = (-math.inf, math.inf)


class _Workspace:
    """Memory that convolutions write into again: each thread has its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    def give(self, name: str, count: int, dtype: type[np.generic]) -> NDArray[Any]:
        """At least ``count`` numbers of any value."""
        from deeplab_core.kernels.tiles import aligned

        found: NDArray[Any] | None = getattr(self._own, name, None)
        if found is None or found.size < count:
            found = aligned(count, dtype)
            setattr(self._own, name, found)
        return found

    def clear(self) -> None:
        """Free it."""
        self._own = threading.local()


class _Threads:
    """Runs parts of a layer side by side."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count - 1, thread_name_prefix="tiles") if count > 1 else None

    def run(self, work: Callable[[int, int], None], items: int) -> None:
        """``work(first, last)`` over all of ``items``."""
        parts = min(self.count, items)
        bounds = [items * part // parts for part in range(parts + 1)]
        pool = self._pool
        others = [] if pool is None else [pool.submit(work, a, b) for a, b in pairwise(bounds[1:])]
        try:
            work(bounds[0], bounds[1])
        finally:
            wait(others)
        for other in others:
            other.result()


class TileConv(nn.Module):
    """A convolution, what limits its result, and a shortcut added before.

    Args:
        conv: of the form that :meth:`fits` says.
        workspace, threads: those of the network.
        limits: least and largest result; a rectifier's are 0 and infinity.
        tiles: False computes the same numbers without tiles, slowly.
    """

    def __init__(
        self, conv: nn.Conv2d, workspace: _Workspace, threads: _Threads, limits: tuple[float, float] = _NO_LIMITS, *, tiles: bool
    ) -> None:
        from deeplab_core.kernels.tiles import pack, tile_shapes

        super().__init__()
        self.conv = conv
        self.weight, self.bias = conv.weight, conv.bias  # as a convolution has them
        self.limits = limits
        self._workspace, self._threads, self._tiles = workspace, threads, tiles
        self._weights: Halves = pack(conv.weight.detach().float().contiguous().numpy())
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().float()
        self._bias: Floats = bias.clone().numpy()
        self._shapes = tile_shapes()

    @staticmethod
    def fits(conv: nn.Module) -> bool:
        """Whether a layer is a convolution of the form that this takes, and large enough."""
        if type(conv) is not nn.Conv2d or conv.groups != 1 or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            return False
        rate = conv.dilation[0]
        point = conv.kernel_size == (1, 1) and conv.padding == (0, 0)
        square = (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), (rate, rate), (rate, rate))
        return (point or square) and min(conv.in_channels, conv.out_channels) >= _LEAST_CHANNELS

    def forward(self, x: Tensor, shortcut: Tensor | None = None, into: Tensor | None = None) -> Tensor:
        """``(N, in, h, w)`` float32 to ``(N, out, h', w')``.

        Args:
            shortcut: has the shape of the result.
            into: memory of the result, (N, h', w', out).
        """
        conv = self.conv
        if conv.kernel_size == (1, 1) and conv.stride != (1, 1):
            x = x[..., :: conv.stride[0], :: conv.stride[1]]
        if x.shape[-2] * x.shape[-1] < _LEAST_POSITIONS and into is None:
            out = functional.conv2d(x, conv.weight, conv.bias, 1, conv.padding, conv.dilation)
            return (out if shortcut is None else out + shortcut).clamp_(*self.limits)
        count, _, height, width = x.shape
        source = _flat(x)
        out = torch.empty(count, height, width, conv.out_channels) if into is None else into
        target = out.numpy().reshape(count, -1)
        added = target if shortcut is None else _flat(shortcut)
        compute = self._point if conv.kernel_size == (1, 1) else self._square
        for image in range(count):
            compute(source[image], target[image], added[image], shortcut is not None, height, width)
        return out.permute(0, 3, 1, 2)

    def _point(self, x: Floats, out: Floats, added: Floats, adds: bool, height: int, width: int) -> None:
        from deeplab_core.kernels.tiles import BLOCK, finish, products, split

        conv, limits = self.conv, self.limits
        total = height * width
        blocks, outputs = -(-conv.in_channels // BLOCK), -(-conv.out_channels // BLOCK)
        chunk = max(1, _NEAR // (_POSITIONS * BLOCK * 4))
        zero = np.zeros(1, np.int64)

        def work(first: int, last: int) -> None:
            high = self._workspace.give("high", blocks * _POSITIONS * BLOCK, np.uint16)
            low = self._workspace.give("low", blocks * _POSITIONS * BLOCK, np.uint16)
            sums = self._workspace.give("sums", outputs * _POSITIONS * BLOCK, np.float32)
            for start in range(first * BLOCK, min(total, last * BLOCK), _POSITIONS):
                count = min(_POSITIONS, total - start, last * BLOCK - start)
                many = -(-count // BLOCK)
                split(x, conv.in_channels, start, count, high, low, _POSITIONS, 0)
                products(self._tiles)(
                    high, low, _POSITIONS, blocks, chunk, 0, 0, many, zero, zero, 1, 1, self._weights, outputs, sums, self._shapes
                )
                finish(
                    sums, many, self._bias, added, adds, *limits, out, conv.out_channels, start, start + count, start + count, 1
                )

        self._threads.run(work, -(-total // BLOCK))

    def _square(self, x: Floats, out: Floats, added: Floats, adds: bool, height: int, width: int) -> None:
        from deeplab_core.kernels.tiles import BLOCK, finish, products, split_padded

        conv, limits = self.conv, self.limits
        rate = conv.dilation[0]
        pitch = width + rate
        positions = (height + 2 * rate) * pitch + 2 * rate + 2 * BLOCK  # the last block reads on behind the map
        blocks, outputs = -(-conv.in_channels // BLOCK), -(-conv.out_channels // BLOCK)
        chunk = max(1, _NEAR // ((_POSITIONS + 2 * rate * pitch) * BLOCK * 4))
        high = self._workspace.give("high", blocks * positions * BLOCK, np.uint16)
        low = self._workspace.give("low", blocks * positions * BLOCK, np.uint16)
        shifts = np.array([row * rate * pitch + column * rate for row in range(3) for column in range(3)], np.int64)
        rows = np.array([(row - 1) * rate for row in range(3) for _ in range(3)], np.int64)

        def prepare(first: int, last: int) -> None:
            split_padded(x, conv.in_channels, height, width, rate, high, low, positions, first, last)

        def work(first: int, last: int) -> None:
            sums = self._workspace.give("sums", outputs * _POSITIONS * BLOCK, np.float32)
            for block in range(first, last, _POSITIONS // BLOCK):
                many = min(_POSITIONS // BLOCK, last - block)
                start = block * BLOCK
                products(self._tiles)(
                    high, low, positions, blocks, chunk, start, start, many, shifts, rows, pitch, height, self._weights, outputs,
                    sums, self._shapes,
                )  # fmt: skip
                finish(sums, many, self._bias, added, adds, *limits, out, conv.out_channels, start, width, pitch, height)

        self._threads.run(prepare, blocks)
        self._threads.run(work, -(-height * pitch // BLOCK))


def _flat(x: Tensor) -> Floats:
    """(N, C, h, w) as (N, h * w * C), without a copy where its memory is channels-last."""
    found: Floats = x.permute(0, 2, 3, 1).contiguous().numpy().reshape(x.shape[0], -1)
    return found


def _limits(layer: nn.Module) -> tuple[float, float] | None:
    """What an activation limits its input to; None for one that does more."""
    kinds = {nn.Identity: _NO_LIMITS, nn.ReLU: (0.0, math.inf), nn.ReLU6: (0.0, 6.0)}
    return kinds.get(type(layer))


class _Unit(nn.Module):
    """A residual unit whose rectifiers and sum are part of its convolutions."""

    def __init__(self, unit: ResidualUnit) -> None:
        super().__init__()
        self.unit = unit
        layers = [unit.conv1, unit.conv2, *([unit.conv3] if unit.bottleneck else [])]
        for layer in layers:
            if isinstance(layer, TileConv):
                layer.limits = (0.0, math.inf)
        self.layers = layers

    @staticmethod
    def fits(unit: nn.Module) -> bool:
        """Whether a module is such a unit, without batch norms, with its last convolution by tiles."""
        if type(unit) is not ResidualUnit or not unit.residual:
            return False
        norms = [unit.bn1, unit.bn2, *([unit.bn3] if unit.bottleneck else [])]
        last = unit.conv3 if unit.bottleneck else unit.conv2
        return all(isinstance(norm, nn.Identity) for norm in norms) and isinstance(last, TileConv)

    def forward(self, x: Tensor) -> Tensor:
        """As :meth:`ResidualUnit.forward`."""
        shortcut = x if self.unit.downsample is None else self.unit.downsample(x)
        for layer in self.layers[:-1]:
            x = layer(x) if isinstance(layer, TileConv) else functional.relu_(layer(x))
        found: Tensor = self.layers[-1](x, shortcut)
        return found


class TileGraph:
    """The coarse logits of a network, its dense convolutions by tiles.

    Args:
        model: prepared for inference, on the CPU, at the output stride to compute at.
        threads: that compute side by side.
        tiles: False computes the same numbers without tiles, slowly; None asks the processor.
    """

    def __init__(self, model: SegmentationModel, threads: int, *, tiles: bool | None = None) -> None:
        self._workspace = _Workspace()
        self._threads, self._tiles = _Threads(threads), multiplies_tiles() if tiles is None else tiles
        self._model = twin(model, lambda tensor: tensor)
        self._apart: set[nn.Module] = set()
        self._replace(self._model)

    def run(self, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """See :class:`deeplab_core.backends.compiled.Graph`."""
        x, *pooled = (torch.from_numpy(array) for array in inputs.values())
        with torch.inference_mode():
            logits = self._model.coarse_logits(x.contiguous(memory_format=torch.channels_last), pooled[0] if pooled else None)
        found: NDArray[np.float32] = logits.contiguous().numpy()
        return found

    def give_back_memory(self) -> None:
        """See :class:`deeplab_core.backends.compiled.Graph`."""
        self._workspace.clear()

    def _conv(self, conv: nn.Conv2d, limits: tuple[float, float] = _NO_LIMITS) -> TileConv:
        return TileConv(conv, self._workspace, self._threads, limits, tiles=self._tiles)

    def _replace(self, parent: nn.Module) -> None:
        """Put tiles into a module and those in it, and what follows a convolution into the convolution."""
        # What these compute from the weights of a layer, they compute before its batch norm and activation.
        if isinstance(parent, ASPP) and parent.branch_weight is not None:
            self._apart.add(parent.project)
            parent.joined = self._conv(_convolution(parent.branch_weight, parent.project.conv.bias))
        elif isinstance(parent, Decoder) and parent.first is not None:
            self._apart.add(parent.convs[0])
        elif isinstance(parent, ConvOverUpsampled):
            self._replace_products(parent)
        for convolution, norm in _followed(parent):
            _fold(parent, convolution, norm)
        for name, child in list(parent.named_children()):
            if child in self._apart or isinstance(child, TileConv):
                continue
            self._replace(child)
            if TileConv.fits(child):
                setattr(parent, name, self._conv(cast("nn.Conv2d", child)))
            elif _Unit.fits(child):
                setattr(parent, name, _Unit(cast("ResidualUnit", child)))
        if type(parent) is ConvNormAct and isinstance(parent.conv, TileConv) and isinstance(parent.norm, nn.Identity):
            limits = _limits(parent.act)
            if limits is not None:
                parent.conv.limits, parent.act = limits, nn.Identity()

    def _replace_products(self, layer: ConvOverUpsampled) -> None:
        layer.own = self._conv(_convolution(layer.fine_weight, layer.fine_bias, padding=1))
        rows = [self._conv(_convolution(row.t()[..., None, None], None)) for row in layer.coarse_weight]

        def products(coarse: Tensor) -> Tensor:
            count, _, height, width = coarse.shape
            found = torch.empty(3, count, height, width, rows[0].conv.out_channels)
            for row, into in zip(rows, found, strict=True):
                row(coarse, into=into)
            return found.transpose(0, 1)

        layer.products = products


def _followed(parent: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions in a module that nothing but a batch norm follows, and of these."""
    names: list[tuple[str, str]] = []
    if type(parent) is ConvNormAct and parent.conv.groups == 1:  # the weights of others are used apart
        names = [("conv", "norm")]
    elif type(parent) in (ResidualUnit, ResNet):
        names = [(f"conv{number}", f"bn{number}") for number in (1, 2, 3)]
    elif type(parent) is nn.Sequential:
        names = [(str(number), str(number + 1)) for number in range(len(parent) - 1)]
    found = []
    for convolution, norm in names:
        kinds = type(getattr(parent, convolution, None)), type(getattr(parent, norm, None))
        if kinds == (nn.Conv2d, nn.BatchNorm2d):
            found.append((convolution, norm))
    return found


def _fold(parent: nn.Module, convolution: str, norm: str) -> None:
    layer: nn.Conv2d = getattr(parent, convolution)
    normal: nn.BatchNorm2d = getattr(parent, norm)
    if normal.running_mean is None or normal.running_var is None:
        return
    own = copy.copy(layer)
    own._parameters = dict(layer._parameters)  # the network's own keeps its weights
    own.weight, own.bias = folded(layer, normal)
    setattr(parent, convolution, own)
    setattr(parent, norm, nn.Identity())


def _convolution(weight: Tensor, bias: Tensor | None, padding: int = 0) -> nn.Conv2d:
    made = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=padding, bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight, requires_grad=False)
    made.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    return made
