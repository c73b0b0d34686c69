"""What a pixel's label depends on: theoretical by layer arithmetic, effective by gradient (Luo et al. 2016, arXiv 1701.04128)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deeplab_core.errors import ComputeError, DeviceOutOfMemory, message
from deeplab_core.geometry import Extent
from deeplab_core.inference.device import describe_device
from deeplab_core.inference.geometry import AxisTaps, NetworkFrame, axis_taps, frame_for
from deeplab_core.inference.memory import is_out_of_memory, release
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.pixels import RGB, check_rgb, resize_rgb
from deeplab_core.inference.predictor import Predictor
from deeplab_core.inference.torch_network import Canvas
from deeplab_core.networks import GraphNetwork
from deeplab_core.nn import SegmentationModel, class_logits
from deeplab_core.nn.layers import ConvNormAct, SeparableConvNormAct
from deeplab_core.nn.models.deeplab import ASPP, DeepLab
from deeplab_core.nn.models.deeplab_v2 import PyramidSum
from deeplab_core.nn.receptive import demand_layers
from deeplab_core.parallel import IsCancelled
from deeplab_core.receptive import SHARES, ReceptiveField, TheoreticalField, centred_radius
from deeplab_core.records import PredictOptions

#: Largest side of the window of the computed gradient, in network pixels: a backward pass keeps every activation, some 3 KB per
#: pixel in a ResNet-101, and takes twice the time of the forward pass.
LARGEST_WINDOW = 513
_SMALLEST_WINDOW = 161


@dataclass(frozen=True, slots=True)
class _Span:
    """Canvas pixels ``start <= i < stop`` along one axis, and the one that is asked about, counted from ``start``."""

    start: int
    stop: int
    place: int

    @property
    def length(self) -> int:
        return self.stop - self.start


def receptive_field(
    predictor: Predictor,
    rgb: RGB,
    x: int,
    y: int,
    *,
    options: PredictOptions | None = None,
    largest: int = LARGEST_WINDOW,
    cancel: IsCancelled | None = None,
) -> ReceptiveField:
    """What the score of the most probable class at one pixel depends on, at the network's own scale without scales and mirror.

    The effective field is ``|d score / d input|`` of that class's upsampled logit, in fp32, summed over the channels; where the
    network averages its features over the whole image, that path is part of it.

    Args:
        rgb: (H, W, 3) uint8, oriented.
        x, y: pixel of the image.
        options: output stride and resize are looked at; None takes the predictor's own.
        largest: side of the window around the pixel that is computed where the image is larger.
        cancel: asked before every layer of both passes.

    Raises:
        ComputeError: the network runs in another engine, which has no gradients; TorchScript has compiled it; or the pixel lies
            outside.
        AtrousError: it joins distant positions (attention).
        DeviceOutOfMemory: not even a small window fits.
        Cancelled: ``cancel`` returned True.
    """
    check_rgb(rgb)
    height, width = rgb.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        raise ComputeError(
            message("pixel ({x}, {y}) lies outside the image of {width} x {height}", x=x, y=y, width=width, height=height)
        )
    model = predictor.model
    demand_layers(model, message("this model has no receptive field to show"))
    assert not isinstance(model, GraphNetwork)
    began = time.perf_counter()
    options = options or predictor.options
    stride = options.output_stride or predictor.card.output_stride
    if model.output_stride != stride:
        model.output_stride = stride
    frame = frame_for(
        (height, width), predictor.card.preprocessing, resize=options.resize, align_corners=model.align_corners,
        minimum_side=model.minimum_side,
    )  # fmt: skip
    canvas = Canvas(resize_rgb(rgb, frame.scaled), predictor.card.preprocessing, predictor.device, frame.content)
    radius = model.receptive_radius()
    monitor = ProgressMonitor(cancel, None)
    side = max(largest, model.minimum_side)
    while True:
        spans = tuple(
            _window(at, image, scaled, total, radius, side, model)
            for at, image, scaled, total in zip((y, x), frame.image, frame.scaled, frame.canvas, strict=True)
        )
        found = _attempt(predictor, canvas, spans, monitor)
        if found is not None:
            break
        release(predictor.device)
        if side <= max(_SMALLEST_WINDOW, model.minimum_side):
            raise DeviceOutOfMemory(
                message("{device} has too little free memory for the receptive field", device=describe_device(predictor.device)),
                why=message("a backward pass keeps the features of every layer"),
                remedy=message("Close other programs that use it, or choose a smaller network"),
            )
        side = max(_SMALLEST_WINDOW, side // 2)
    gradient, best, taps, grid = found
    gradient, padded = _on_picture(gradient, spans, frame)
    extent = _extent(spans[0].start, spans[1].start, gradient.shape[0], gradient.shape[1], frame)
    place = (min(spans[0].place, gradient.shape[0] - 1), min(spans[1].place, gradient.shape[1] - 1))
    return ReceptiveField(
        x=x,
        y=y,
        class_id=int(predictor.card.catalog.ids[best]),
        theoretical=_theoretical_fields(model, radius, spans, taps, grid, frame),
        gradient=gradient,
        extent=extent,
        radii=tuple((share, centred_radius(gradient, *place, share)) for share in SHARES),
        milliseconds=1e3 * (time.perf_counter() - began),
        note=_note(model, spans, frame, padded),
    )


def _window(at: int, image: int, scaled: int, total: int, radius: int, side: int, model: SegmentationModel) -> _Span:
    """The window of one axis: the whole canvas where that is small enough, else the reach of the pixel, as far as it goes."""
    place = min(max(round((at + 0.5) * scaled / image - 0.5), 0), scaled - 1)
    if total <= side:
        return _Span(0, total, place)
    stride, extra = model.output_stride, int(model.align_corners)
    half = min(radius + stride, side // 2)
    start = max(0, (place - half) // stride * stride)
    length = -(-max(2 * half, model.minimum_side) // stride) * stride + extra
    stop = min(total, start + length)
    start = min(start, max(0, (stop - model.minimum_side) // stride * stride))
    return _Span(start, stop, place - start)


Found = tuple[NDArray[np.float32], int, tuple[AxisTaps, AxisTaps], tuple[int, int]]


def _attempt(predictor: Predictor, canvas: Canvas, spans: tuple[_Span, ...], monitor: ProgressMonitor) -> Found | None:
    """Gradient, class, taps and grid; None where memory ran out."""
    try:
        return _differentiate(predictor, canvas, spans, monitor)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def _differentiate(predictor: Predictor, canvas: Canvas, spans: tuple[_Span, ...], monitor: ProgressMonitor) -> Found:
    rows, columns = spans
    model = predictor.model
    assert not isinstance(model, GraphNetwork)  # refused before
    monitor.check()
    with torch.enable_grad(), monitor.over(model), _monitored_backward(model, monitor):
        x = canvas.window(rows.start, columns.start, rows.stop, columns.stop).requires_grad_(True)
        scores: Tensor = model.coarse_logits(x)[0]
        grid = (int(scores.shape[-2]), int(scores.shape[-1]))
        taps = tuple(
            axis_taps(
                image=span.length, scaled=span.length, canvas=span.length, grid=count, align_corners=model.align_corners
            ).part(span.place, span.place + 1)
            for span, count in zip(spans, grid, strict=True)
        )
        upsampled = _read(scores, taps[0], taps[1])
        # One channel is the object's logit; its gradient is that of either class, but for the sign.
        best = int(class_logits(upsampled[None])[0].argmax())
        (gradient,) = torch.autograd.grad(upsampled[best % model.num_classes], x)
    found = gradient[0].abs().sum(0).float().cpu().numpy()
    return np.ascontiguousarray(found), best, (taps[0], taps[1]), grid


def _read(scores: Tensor, rows: AxisTaps, columns: AxisTaps) -> Tensor:
    """(C,) logits at one pixel, bilinear between four points of the grid."""
    top, bottom, down = int(rows.lower[0]), int(rows.upper[0]), float(rows.weight[0])
    left, right, across = int(columns.lower[0]), int(columns.upper[0]), float(columns.weight[0])
    above = scores[:, top, left] * (1 - across) + scores[:, top, right] * across
    below = scores[:, bottom, left] * (1 - across) + scores[:, bottom, right] * across
    return above * (1 - down) + below * down


@contextmanager
def _monitored_backward(model: nn.Module, monitor: ProgressMonitor) -> Iterator[None]:
    """Let Cancel be heard between the layers of the backward pass too."""

    def after(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda _gradient: monitor.check())  # type: ignore[no-untyped-call]

    handles = [layer.register_forward_hook(after) for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_picture(
    gradient: NDArray[np.float32], spans: tuple[_Span, ...], frame: NetworkFrame
) -> tuple[NDArray[np.float32], float]:
    """The part on the photograph, summing to 1, and the share that fell on the padding beside it."""
    rows, columns = spans
    inside = gradient[: frame.scaled[0] - rows.start, : frame.scaled[1] - columns.start]
    whole, kept = float(gradient.sum(dtype=np.float64)), float(inside.sum(dtype=np.float64))
    if kept <= 0:
        return np.zeros_like(inside), 0.0
    return (inside / np.float32(kept)).astype(np.float32), 1 - kept / whole


def _extent(top: float, left: float, height: float, width: float, frame: NetworkFrame) -> Extent:
    """Image pixels of a rectangle of the scaled image."""
    down, across = frame.image[0] / frame.scaled[0], frame.image[1] / frame.scaled[1]
    return Extent(left * across, top * down, (left + width) * across, (top + height) * down)


def _theoretical_fields(
    model: SegmentationModel, radius: int, spans: tuple[_Span, ...], taps: tuple[AxisTaps, AxisTaps], grid: tuple[int, int],
    frame: NetworkFrame,
) -> tuple[TheoreticalField, ...]:  # fmt: skip
    """Boxes around the coarse scores that the pixel is interpolated from: score i is centred at pixel i * step."""
    edges = []
    for span, tap, count in zip(spans, taps, grid, strict=True):
        step = (span.length - 1) / (count - 1) if count > 1 and (span.length - 1) % (count - 1) == 0 else span.length / count
        step = float(round(step)) if abs(step - round(step)) < 0.5 and count > 1 else step
        edges.append((span.start + int(tap.lower[0]) * step, span.start + int(tap.upper[0]) * step))
    (top, bottom), (left, right) = edges

    def box(reach: int) -> Extent:
        return _extent(top - reach, left - reach, bottom - top + 2 * reach + 1, right - left + 2 * reach + 1, frame)

    named = [("network", radius), *(pair for pair in branch_radii(model, radius) if pair[1] < radius)]
    return tuple(TheoreticalField(name, box(reach), reach) for name, reach in named)


def _note(model: SegmentationModel, spans: tuple[_Span, ...], frame: NetworkFrame, padded: float) -> str:
    parts = []
    if any(span.length < total for span, total in zip(spans, frame.canvas, strict=True)):
        text = f"Computed in a window of {spans[1].length} × {spans[0].length} px around the pixel"
        pooled = getattr(getattr(model, "aspp", None), "pooling", None) is not None
        parts.append(f"{text}; the mean over the image is that of the window." if pooled else f"{text}.")
    if padded >= 0.01:
        parts.append(f"{padded:.0%} of the gradient fell on the padding beside the image.".replace("%", " %"))
    return " ".join(parts)


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
