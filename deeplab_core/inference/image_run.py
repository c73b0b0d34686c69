"""One image on its way through a network: every scale, tiles that fit into memory, float32 where half precision overflows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from deeplab_core.errors import ComputeError, DeviceOutOfMemory, message
from deeplab_core.inference.device import describe_device
from deeplab_core.inference.geometry import NetworkFrame, frame_for, shortened
from deeplab_core.inference.memory import TILE_FLOOR, is_out_of_memory, pass_bytes, release
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.network import ChosenEngine, CoarseGrid, NotFiniteError, Pass, TiledNetwork, canvas_for
from deeplab_core.inference.pixels import RGB, PixelCanvas, resize_rgb
from deeplab_core.inference.scores import ScoreGrid
from deeplab_core.records import PredictOptions

if TYPE_CHECKING:
    from deeplab_core.inference.predictor import Predictor
    from deeplab_core.inference.torch_network import Canvas


class ImageRun:
    """One image on its way through all scales."""

    def __init__(
        self, predictor: Predictor, options: PredictOptions, network: TiledNetwork, monitor: ProgressMonitor, notes: list[str]
    ) -> None:
        self.predictor, self.options, self.network, self.monitor, self.notes = predictor, options, network, monitor, notes
        self.tiles = 0

    def grids(self, rgb: RGB) -> tuple[ScoreGrid, ...]:
        card, model = self.predictor.card, self.network.model
        size = (rgb.shape[0], rgb.shape[1])
        sides = (False, True) if self.options.flip else (False,)
        passes = [(scale, mirrored) for scale in self.options.scales for mirrored in sides]
        frames = [self.frame(size, scale) for scale, _ in passes]
        rule = self.options.resize or card.preprocessing.resize
        if shortened(size, rule):
            self.notes.append(
                message("The image is so narrow that {rule} would enlarge it without bound; it is enlarged less.", rule=rule)
            )
        if self.options.engine != "torch":
            choice = self.choose_engine(rgb)
            self.network.compiled = choice.network
            self.notes += [choice.note] if choice.note else []
        areas = np.array([frame.canvas[0] * frame.canvas[1] for frame in frames], dtype=np.float64)
        shares = areas / areas.sum()
        begins = np.cumsum(shares) - shares
        found = []
        for (scale, mirrored), frame, begin, share in zip(passes, frames, begins, shares, strict=True):
            scaled = resize_rgb(rgb, frame.scaled)
            if mirrored:
                scaled = scaled[:, ::-1]
            canvas = canvas_for(model, scaled, card.preprocessing, self.predictor.device, frame)
            name = "" if len(passes) == 1 else f"scale {scale:g}{', mirrored' if mirrored else ''}"
            grid = self._finite(canvas, frame, Pass(float(begin), float(share), name))
            self.tiles += grid.tiles
            found.append(ScoreGrid(grid.values, frame, model.align_corners, mirrored))
        return tuple(found)

    def frame(self, size: tuple[int, int], scale: float) -> NetworkFrame:
        model = self.network.model
        return frame_for(
            size, self.predictor.card.preprocessing, resize=self.options.resize, scale=scale,
            align_corners=model.align_corners, minimum_side=model.minimum_side,
        )  # fmt: skip

    def choose_engine(self, rgb: RGB) -> ChosenEngine:
        """What computes this image: one engine for all its scales, tried on the largest."""
        predictor = self.predictor
        frame = self.frame((rgb.shape[0], rgb.shape[1]), max(self.options.scales))

        def canvas() -> Canvas | PixelCanvas:
            scaled = resize_rgb(rgb, frame.scaled)
            return canvas_for(self.network.model, scaled, predictor.card.preprocessing, predictor.device, frame)

        return predictor._engine_for(self.options, frame, canvas)

    def _finite(self, canvas: Canvas | PixelCanvas, frame: NetworkFrame, part: Pass) -> CoarseGrid:
        """The grid of a canvas; numbers that overflow float16 are computed again in float32."""
        try:
            return self._within_memory(canvas, frame, part)
        except NotFiniteError:
            if self.network.precision == "fp32":
                raise ComputeError(
                    message("the network gave numbers that are not finite"),
                    why=message("the weights are damaged, or they expect another input scale"),
                    remedy=message("Load another checkpoint, or check mean and standard deviation on its model card"),
                ) from None
        self.notes.append(message("{precision} overflowed; computed in fp32.", precision=self.network.precision))
        self.network.compiled = None
        self.network.use("fp32")
        return self._within_memory(canvas, frame, part)

    def _within_memory(self, canvas: Canvas | PixelCanvas, frame: NetworkFrame, part: Pass) -> CoarseGrid:
        """The grid of a canvas, in tiles that are halved until they fit into memory."""
        tile = self.predictor._first_tile(frame, self.options)
        if tile is not None and self.predictor._short_of_memory(frame, self.options):
            note = message(
                "Little memory is free: computed in tiles of {tile} pixels. Labels may differ by a few pixels from those of "
                "the whole image.",
                tile=tile,
            )
            self.notes += [note] if note not in self.notes else []
        while True:
            room = self.predictor.room
            with nullcontext() if room is None else room.take(pass_bytes(frame.canvas, tile), self.monitor.check):
                attempt = self._attempt(canvas, frame, tile, part)
            if isinstance(attempt, CoarseGrid):
                return attempt
            release(self.predictor.device)
            failed = tile or max(frame.canvas)
            if failed <= TILE_FLOOR:
                raise DeviceOutOfMemory(
                    message(
                        "{device} has too little free memory for this network", device=describe_device(self.predictor.device)
                    ),
                    why=message("not even {side} x {side} pixels at a time fit", side=failed),
                    remedy=message(
                        "Close other programs that use it, choose the CPU or a smaller network, or use output stride 16"
                    ),
                )
            tile = max(TILE_FLOOR, failed // 2)
            self.predictor._tile_limit = tile
            self.notes.append(message("Memory ran out; computed in tiles of {tile} pixels.", tile=tile))

    def _attempt(self, canvas: Canvas | PixelCanvas, frame: NetworkFrame, tile: int | None, part: Pass) -> CoarseGrid | None:
        """One try; None where memory ran out. A function of its own, so that the failed tensors are gone when it returns."""
        try:
            if tile is None:
                return self.network.whole(canvas, frame.canvas, self.monitor, part)
            margin = self.predictor._margin(tile, self.options)
            return self.network.tiled(canvas, frame.canvas, tile, margin, self.monitor, part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None
