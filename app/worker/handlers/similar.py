"""What the model in use sees in an image, pooled to a few vectors."""

from __future__ import annotations

from app.worker.similar_messages import Embed, Embedded
from app.worker.state import WorkerState
from deeplab_core.inference.embedding import embed
from deeplab_core.parallel import IsCancelled, ProgressCallback


class Handler:
    """Answers Embed."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def answer(self, request: Embed, cancel: IsCancelled | None, _progress: ProgressCallback | None) -> Embedded:
        predictor = self._state.loaded(request.device)
        pixels = self._state.read(request.image, request.source_key, predictor.model.in_channels)
        vectors = embed(predictor, pixels, region=request.region, cancel=cancel)
        return Embedded(request_id=request.request_id, card_id=predictor.card.id, vectors=vectors)
