"""Predicting an image, and the most probable classes of one of its pixels."""

from __future__ import annotations

from dataclasses import replace

from app.worker.messages import AskScores, Predict, Predicted, ScoresAt
from app.worker.state import WorkerState, read_for
from deeplab_core.errors import message
from deeplab_core.inference import Scores
from deeplab_core.notes import Note
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.records import PredictOptions


class Handler:
    """Answers Predict and AskScores."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def answer(
        self, request: Predict | AskScores, cancel: IsCancelled | None, progress: ProgressCallback | None
    ) -> Predicted | ScoresAt:
        return self._scores_at(request) if isinstance(request, AskScores) else self._predict(request, cancel, progress)

    def _predict(self, request: Predict, cancel: IsCancelled | None, progress: ProgressCallback | None) -> Predicted:
        """Read an image and predict it; its scores are kept for AskScores and the CRF."""
        state = self._state
        predictor = state.loaded()
        kept = self._kept(request)
        if kept is not None and request.options.crf is None:
            scores, notes = kept
            prediction = predictor.decide(scores, request.source_key, request.options, cancel=cancel)
            return Predicted(request_id=request.request_id, prediction=prediction, image_notes=notes)
        if progress is not None:
            progress(0.0, message("reading"))
        data, pixels = read_for(request.image, predictor.model.in_channels)
        predictor = state.loaded(request.options.device)
        if kept is not None:
            scores = kept[0]
        else:
            scores = predictor.scores(pixels, options=request.options, cancel=cancel, progress=progress)
            state.keep(request.source_key, scores, _forward_key(request.options), data.notes)
        prediction = predictor.decide(scores, request.source_key, request.options, rgb=data.rgb, cancel=cancel)
        return Predicted(request_id=request.request_id, prediction=prediction, image_notes=data.notes)

    def _kept(self, request: Predict) -> tuple[Scores, tuple[Note, ...]] | None:
        """Kept scores and notes of the image if only the threshold has changed since: no forward pass is needed then."""
        made_with, notes = self._state.made_with.get(request.source_key, (("", ""), ()))
        scores = self._state.scores.find(request.source_key)
        same = request.options.threshold is not None and made_with == _forward_key(request.options)
        return (scores, notes) if scores is not None and same else None

    def _scores_at(self, request: AskScores) -> ScoresAt:
        """The most probable classes of a pixel; empty if the scores are not kept or the pixel is outside."""
        scores = self._state.scores.find(request.source_key)
        if scores is None or not (0 <= request.x < scores.size[1] and 0 <= request.y < scores.size[0]):
            return ScoresAt(request_id=request.request_id, class_ids=(), probabilities=())
        ids, probabilities = scores.top_classes_at(request.x, request.y, request.top)
        return ScoresAt(request_id=request.request_id, class_ids=ids, probabilities=probabilities)


def _forward_key(options: PredictOptions) -> tuple[str, str]:
    """What of the options the scores depend on."""
    return replace(options, threshold=None, crf=None).cache_key(), options.device
