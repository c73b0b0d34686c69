"""A prepared network over a canvas of any size: whole, or tile by tile with one shared image-level context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ComputeError, message
from deeplab_core.inference.device import PrecisionName
from deeplab_core.inference.geometry import NetworkFrame, Size
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.pixels import RGB, PixelCanvas
from deeplab_core.inference.scores import store_scores
from deeplab_core.networks import ComputeDevice, GraphNetwork
from deeplab_core.records import Preprocessing

if TYPE_CHECKING:
    from deeplab_core.backends.compiled import CompiledNetwork
    from deeplab_core.backends.cuda_graph import CudaGraphNetwork
    from deeplab_core.inference.batches import WindowBatches
    from deeplab_core.inference.torch_network import Canvas
    from deeplab_core.nn import SegmentationModel


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in canvas pixels.

    It sees ``start <= i < stop`` and answers for ``core_start <= i < core_stop``.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int

    @property
    def length(self) -> int:
        """Pixels that the tile sees."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its rows and columns."""

    rows: Span
    columns: Span


def plan_axis(length: int, tile: int, margin: int, quantum: int, rest: int, least: int = 1) -> list[Span]:
    """Spans that cover ``0..length``: overlapping tiles with coarse scores that fit together without a seam.

    Every tile starts on a multiple of the quantum (the output stride), so that its coarse grid is a part of the whole canvas's.
    A tile answers for its *core* only; the margin around it is context. At the border of the canvas there is no margin, so zero
    padding happens where the untiled network has it and nowhere else.

    Inner tiles are ``k * quantum`` long for networks that upsample by the half-pixel rule, ``k * quantum + 1`` for those that
    align corners: then encoder features fit the decoder's finer grid exactly. A whole canvas of that form gives the same scores
    in tiles. On one of another length, a network with a decoder stretches its features by up to half a feature over the whole
    canvas; in tiles it does so in the last tile only.

    Args:
        length: of the canvas.
        tile: wanted length of a tile; rounded down to the quantum, but at least three margins, so that no tile is mostly margin.
        margin: context on every inner side; rounded up to the quantum.
        quantum, rest: lengths of tiles, the last one apart, leave ``rest`` when divided by ``quantum``.
        least: smallest length that the network takes; ``length`` is no smaller. A last tile that would be begins earlier, with
            more context.
    """
    margin = -(-margin // quantum) * quantum
    step = max(tile // quantum * quantum, 2 * margin + max(margin, quantum), -(-least // quantum) * quantum)
    spans = []
    core = 0
    while True:
        start = max(0, core - margin)
        stop = start + step + rest
        if stop >= length:
            start = min(start, max(0, (length - least) // quantum * quantum))
            spans.append(Span(start, length, core, length))
            return spans
        spans.append(Span(start, stop, core, start + step - margin))
        core = spans[-1].core_stop


def plan_tiles(canvas: Size, tile: int, margin: int, quantum: int, rest: int, least: int = 1) -> list[Tile]:
    """All tiles of a canvas, row by row; see :func:`plan_axis`."""
    rows = plan_axis(canvas[0], tile, margin, quantum, rest, least)
    columns = plan_axis(canvas[1], tile, margin, quantum, rest, least)
    return [Tile(r, c) for r in rows for c in columns]


class NotFiniteError(ArithmeticError):
    """The network answered NaN or infinity."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Part of the progress that one canvas covers, and its name."""

    start: float = 0.0
    length: float = 1.0
    name: str = ""


@dataclass(frozen=True, eq=False)
class CoarseGrid:
    """Scores of a canvas.

    Attributes:
        values: (gh, gw, C) float16 as :func:`store_scores` makes them.
        tiles: number of tiles.
    """

    values: NDArray[np.float16]
    tiles: int


def prepared(model: SegmentationModel | GraphNetwork, device: ComputeDevice) -> SegmentationModel | GraphNetwork:
    """A copy of a network on a device, as fast as it can be made without other numbers."""
    if isinstance(model, GraphNetwork):
        copied = model.copy()
        copied.move(device)
        return copied
    from deeplab_core.inference.prepare import prepare_for_inference

    return prepare_for_inference(model, device)


def canvas_for(
    model: SegmentationModel | GraphNetwork, scaled: RGB, preprocessing: Preprocessing, device: ComputeDevice, frame: NetworkFrame
) -> Canvas | PixelCanvas:
    """A scaled image as a network reads it."""
    if isinstance(model, GraphNetwork):
        return PixelCanvas(scaled, preprocessing, frame.content)
    from deeplab_core.inference.torch_network import Canvas

    return Canvas(scaled, preprocessing, device, frame.content)


class ForwardPasses(Protocol):
    """Forward passes over windows of a canvas."""

    def scores(
        self, x: Any, pooled: NDArray[np.float32] | None, compiled: CompiledNetwork | CudaGraphNetwork | None
    ) -> NDArray[np.float16]:
        """Scores of every class, (h, w, C) float16 as :func:`store_scores` makes them, of one window.

        Raises:
            NotFiniteError: a logit is NaN or infinite.
        """

    def context(self, x: Any, core: tuple[int, int, int, int]) -> NDArray[np.float64] | None:
        """Mean features (1, C, 1, 1) of a part of a window; None if the network pools nothing."""


class _GraphPasses:
    """Those of a graph; one channel becomes two classes, see :func:`deeplab_core.nn.class_logits`."""

    def __init__(self, model: GraphNetwork) -> None:
        self._model = model

    def scores(
        self,
        x: NDArray[np.float32],
        pooled: NDArray[np.float32] | None,
        _compiled: CompiledNetwork | CudaGraphNetwork | None,
    ) -> NDArray[np.float16]:
        logits: NDArray[np.float32] = self._model.coarse_logits(x, pooled)[0]
        if len(logits) == 1:
            logits = np.concatenate((np.zeros_like(logits), logits))
        with np.errstate(over="ignore", invalid="ignore"):  # the sum may overflow only for logits that are useless anyway
            if not np.isfinite(logits.sum()):
                raise NotFiniteError
        return store_scores(np.ascontiguousarray(logits.transpose(1, 2, 0)))

    def context(self, x: NDArray[np.float32], core: tuple[int, int, int, int]) -> NDArray[np.float64] | None:
        mean = self._model.pooled_context(x, core)
        return None if mean is None else np.asarray(mean, np.float64)


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """What computes.

    Attributes:
        network: another engine's network; None is torch.
        note: why it is not the engine asked for, or how far its precision agrees; empty without a note.
    """

    network: CompiledNetwork | CudaGraphNetwork | None
    note: str = ""

    @property
    def name(self) -> Literal["torch", "onnx", "openvino", "amx", "cuda-graph"]:
        """The engine."""
        return "torch" if self.network is None else self.network.engine


class TiledNetwork:
    """Runs a network in one precision on one device.

    Args:
        model: prepared; its output stride may change between calls.
        precision: of torch's arithmetic; a graph has its own.
        batches: joins the windows of several threads; None computes each by itself.

    Attributes:
        compiled: another engine that gives the coarse logits; None is torch, or the graph itself.
    """

    def __init__(
        self,
        model: SegmentationModel | GraphNetwork,
        device: ComputeDevice,
        precision: PrecisionName,
        batches: WindowBatches | None = None,
    ) -> None:
        self._batches = batches
        self.compiled: CompiledNetwork | CudaGraphNetwork | None = None
        self.model = model
        self.device = device
        self._passes: ForwardPasses
        self.use(precision)

    def use(self, precision: PrecisionName) -> None:
        """Compute in a precision from now on."""
        self.precision = precision
        if isinstance(self.model, GraphNetwork):
            self._passes = _GraphPasses(self.model)
            return
        from deeplab_core.inference.torch_network import TorchPasses

        self._passes = TorchPasses(self.model, self.device, precision, self._batches)

    def whole(self, canvas: Canvas | PixelCanvas, size: Size, monitor: ProgressMonitor, part: Pass) -> CoarseGrid:
        """Scores of a canvas in one forward pass."""
        monitor.step(part.start, part.length, part.name)
        return CoarseGrid(self._scores(canvas.window(0, 0, *size), None), 1)

    def tiled(
        self, canvas: Canvas | PixelCanvas, size: Size, tile: int, margin: int, monitor: ProgressMonitor, part: Pass
    ) -> CoarseGrid:
        """Scores of a canvas in overlapping tiles.

        A network with image-level pooling runs its encoder over all tiles once before: the area-weighted mean over the tiles'
        cores is the whole image's pooling vector, up to what lies further away than the margin.
        """
        quantum = self.model.output_stride
        tiles = plan_tiles(size, tile, margin, quantum, int(self.model.align_corners), self.model.minimum_side)
        pooled = self._context(canvas, tiles, monitor, part)
        begun, length = (part.start + part.length * 0.45, part.length * 0.55) if pooled is not None else (part.start, part.length)
        values: NDArray[np.float16] | None = None
        step = 0
        for number, place in enumerate(tiles):
            monitor.step(begun + length * number / len(tiles), length / len(tiles), _name(part, number, len(tiles)))
            scores = self._scores(_window(canvas, place), pooled)
            if values is None:
                step = _grid_step(place, scores.shape, quantum)
                values = np.empty((_points(size[0], step), _points(size[1], step), scores.shape[2]), np.float16)
            _place(values, scores, place, step, size)
        assert values is not None
        return CoarseGrid(values, len(tiles))

    def _context(
        self, canvas: Canvas | PixelCanvas, tiles: list[Tile], monitor: ProgressMonitor, part: Pass
    ) -> NDArray[np.float32] | None:
        total: NDArray[np.float64] | None = None
        cells = 0
        share = part.length * 0.45 / len(tiles)
        for number, place in enumerate(tiles):
            core = (
                place.rows.core_start - place.rows.start, place.columns.core_start - place.columns.start,
                place.rows.core_stop - place.rows.start, place.columns.core_stop - place.columns.start,
            )  # fmt: skip
            monitor.step(part.start + share * number, share, _name(part, number, len(tiles), "context of "))
            mean = self._passes.context(_window(canvas, place), core)
            if mean is None:
                return None
            top, left, bottom, right = (-(-edge // self.model.output_stride) for edge in core)
            area = (bottom - top) * (right - left)
            total = mean * area if total is None else total + mean * area
            cells += area
        assert total is not None
        return (total / cells).astype(np.float32)

    def _scores(self, x: Any, pooled: NDArray[np.float32] | None) -> NDArray[np.float16]:
        return self._passes.scores(x, pooled, self.compiled)


def _window(canvas: Canvas | PixelCanvas, place: Tile) -> Any:
    return canvas.window(place.rows.start, place.columns.start, place.rows.stop, place.columns.stop)


def _name(part: Pass, number: int, count: int, prefix: str = "") -> str:
    return f"{part.name}, {prefix}tile {number + 1} of {count}".removeprefix(", ")


def _points(length: int, step: int) -> int:
    """Grid points along ``length`` pixels: every convolution of stride 2 keeps the pixels 0, 2, 4, ..."""
    return (length - 1) // step + 1


def _grid_step(place: Tile, shape: tuple[int, ...], quantum: int) -> int:
    """Canvas pixels per grid point.

    Raises:
        ComputeError: the network's grid does not fit its output stride (unpadded convolutions), so tiles cannot be joined.
    """
    height, width = place.rows.length, place.columns.length
    for step in range(quantum, 0, -1):
        if quantum % step == 0 and (_points(height, step), _points(width, step)) == shape[:2]:
            return step
    raise ComputeError(
        message("this network cannot be run in tiles"),
        why=message(
            "it answers {height} x {width} pixels with {rows} x {columns} scores, which do not line up from tile to tile",
            height=height,
            width=width,
            rows=shape[0],
            columns=shape[1],
        ),
        remedy=message("Choose a smaller input size (resize: long_side) so that the image is computed whole"),
    )


def _place(values: NDArray[np.float16], scores: NDArray[np.float16], place: Tile, step: int, canvas: Size) -> None:
    """Copy the core of a tile to where it belongs."""

    def bounds(span: Span, side: int, points: int) -> slice:
        return slice(span.core_start // step, points if span.core_stop == side else span.core_stop // step)

    rows, columns = bounds(place.rows, canvas[0], values.shape[0]), bounds(place.columns, canvas[1], values.shape[1])
    top, left = place.rows.start // step, place.columns.start // step
    values[rows, columns] = scores[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
