"""What the model in use looks at when it labels a pixel."""

from __future__ import annotations

from app.worker.messages import AskReceptive, Receptive
from app.worker.state import WorkerState
from deeplab_core.inference.receptive_field import receptive_field
from deeplab_core.parallel import IsCancelled, ProgressCallback


class Handler:
    """Answers AskReceptive."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def answer(self, request: AskReceptive, cancel: IsCancelled | None, _progress: ProgressCallback | None) -> Receptive:
        predictor = self._state.loaded(request.options.device)
        pixels = self._state.read(request.image, request.source_key, predictor.model.in_channels)
        found = receptive_field(predictor, pixels, request.x, request.y, options=request.options, cancel=cancel)
        return Receptive(request_id=request.request_id, found=found)
