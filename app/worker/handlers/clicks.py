"""Click networks: one is loaded at a time; it keeps the features of the images seen last."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from app.worker.messages import AskClicks, Clicked, EndClicks, PrepareClicks
from app.worker.state import WorkerState
from deeplab_core.backends import load_click_model
from deeplab_core.correction.clicks import ClickEngine
from deeplab_core.errors import ComputeError, DeviceOutOfMemory, message
from deeplab_core.learning import PackedLabels
from deeplab_core.parallel import IsCancelled, ProgressCallback

#: What tells whether a file is the one that was loaded: path, size and time of its last change.
_Stamp = tuple[tuple[str, int, int], ...]


class Handler:
    """Answers PrepareClicks, AskClicks and EndClicks."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._engine: ClickEngine | None = None
        self._loaded: tuple[_Stamp, str] | None = None

    @property
    def loaded(self) -> bool:
        """Whether a click network is in memory."""
        return self._engine is not None

    def answer(
        self, request: PrepareClicks | EndClicks, cancel: IsCancelled | None, progress: ProgressCallback | None
    ) -> Clicked:
        if isinstance(request, EndClicks):
            self._free()
            return Clicked(request_id=request.request_id)
        try:
            return self._answer(request, cancel, progress)
        except MemoryError as error:
            self._free()  # with its features
            raise DeviceOutOfMemory(
                message("the click network does not fit into memory"),
                why=str(error),
                remedy=message("Choose a smaller click network, or the CPU as device"),
                path=request.model[0],
            ) from error

    def _answer(self, request: PrepareClicks, cancel: IsCancelled | None, progress: ProgressCallback | None) -> Clicked:
        engine = self._network(request, progress)
        rgb = self._state.read(request.image, request.source_key, 3)
        began = time.perf_counter()
        if progress is not None:
            progress(0.1, message("encoding the image"))
        engine.prepare(rgb, cancel)
        masks: tuple[PackedLabels, ...] = ()
        if isinstance(request, AskClicks):
            previous = request.previous.unpacked().astype(np.bool_)
            if previous.shape != rgb.shape[:2]:
                raise ComputeError(
                    message("the image has another size than its mask"),
                    remedy=message("Open the image again"),
                    path=request.image,
                )
            points = np.array(request.points, np.float64).reshape(-1, 2)
            found = engine.masks(rgb, points, np.array(request.positive, np.bool_), request.box, previous, cancel)
            masks = tuple(PackedLabels.of(mask.view(np.uint8)) for mask in found)
        return Clicked(
            request_id=request.request_id,
            masks=masks,
            title=engine.title,
            notes=engine.notes,
            milliseconds=1e3 * (time.perf_counter() - began),
        )

    def _network(self, request: PrepareClicks, progress: ProgressCallback | None) -> ClickEngine:
        """The network of a request; loaded again if its files have changed.

        Raises:
            WeightsError, UnsafeCheckpoint: as ``load_click_model``.
        """
        device = request.device
        if device == "auto":
            predictor = self._state.predictor
            device = "cpu" if predictor is None else predictor.device.type
        wanted = _stamp(request.model), device
        if self._engine is None or self._loaded != wanted:
            self._free()  # before the next one takes memory
            if progress is not None:
                progress(0.0, message("reading the click network"))
            self._engine = load_click_model([Path(path) for path in request.model], device)
            self._loaded = wanted
        return self._engine

    def _free(self) -> None:
        self._engine = self._loaded = None


def _stamp(files: tuple[str, ...]) -> _Stamp:
    found = []
    for path in files:
        try:
            state = Path(path).stat()
            found.append((path, state.st_size, state.st_mtime_ns))
        except OSError:  # loading it names the reason
            found.append((path, -1, -1))
    return tuple(found)
