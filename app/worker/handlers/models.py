"""Loading a model, and trying one without using it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.worker.messages import Inspected, InspectModel, Loaded, LoadModel
from app.worker.state import WorkerState
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import write_card_file
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.records import ModelCard
from deeplab_core.weights import load_model
from deeplab_core.weights.files import weights_file


class Handler:
    """Answers LoadModel and InspectModel."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def answer(
        self, request: LoadModel | InspectModel, _cancel: IsCancelled | None, _progress: ProgressCallback | None
    ) -> Loaded | Inspected:
        if isinstance(request, LoadModel):
            return self._load(request)
        _, card = load_model(request.path)
        return Inspected(request_id=request.request_id, card=_plain(card))

    def _load(self, request: LoadModel) -> Loaded:
        """Load a checkpoint, at the wanted output stride if it has that. If it fails, the model before stays in use."""
        model, card = load_model(request.path, options=request.options)
        if request.options:
            write_card_file(weights_file(Path(request.path)), card)
            model, card = load_model(request.path)  # as every later request sees it
        if request.output_stride in model.output_strides:  # the card records the default of predictions
            model.output_stride = request.output_stride
            card = replace(card, output_stride=request.output_stride)
        trials = Path(request.trials) if request.trials else None
        predictor = Predictor(model, card, device=request.device, trials=trials)
        self._state.take(predictor, request.path, request.device)
        return Loaded(request_id=request.request_id, card=_plain(card), device=str(predictor.device), note=predictor.device_note)


def _plain(card: ModelCard) -> ModelCard:
    """The card with plain values only: nothing of torch may reach the window's process."""
    return ModelCard.from_dict(card.to_dict())
