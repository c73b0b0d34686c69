"""What the compute process does, without pipe or process: one model, the scores of the last images, one request at a time."""

from __future__ import annotations

import logging
import os
import platform
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from app.import_trouble import explain, is_import_trouble
from app.worker.messages import (
    PROTOCOL,
    Answer,
    AskReceptive,
    AskScores,
    Compare,
    EndCompare,
    Failed,
    Hello,
    Inspected,
    InspectModel,
    Learn,
    Loaded,
    LoadModel,
    Predict,
    Predicted,
    PrepareRefine,
    Refine,
    RefineBox,
    Refined,
    Request,
    ScoresAt,
    WasCancelled,
)
from deeplab_core.errors import AtrousError, Cancelled, ComputeError, ImageReadError
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor, Scores, ScoreStore, cap_threads, list_devices
from deeplab_core.notes import Note
from deeplab_core.records import ModelCard, PredictOptions
from deeplab_core.weights import load_model, write_card_file
from deeplab_core.weights.reading import weights_file

if TYPE_CHECKING:
    from app.worker.compare_session import CompareSession
    from app.worker.refine_session import RefineSession

Cancel = Callable[[], bool]
ReportProgress = Callable[[float, str], None]

_log = logging.getLogger(__name__)

_QT_PACKAGES = ("PySide6", "PySide2", "PyQt6", "PyQt5", "shiboken6", "qtpy", "pyqtgraph")


def hello() -> Hello:
    """What this process is: versions, devices, and whether it holds Qt by mistake."""
    devices, notes = list_devices()
    return Hello(
        protocol=PROTOCOL,
        pid=os.getpid(),
        qt_modules=tuple(sorted(name for name in sys.modules if name.partition(".")[0] in _QT_PACKAGES)),
        versions={
            "python": platform.python_version(),
            # str(): torch's version is a class of torch's own, and unpickling it would import torch into the window's process
            "torch": str(torch.__version__),
            "numpy": str(np.__version__),
            "cuda": str(torch.version.cuda or ""),
        },
        devices=devices,
        notes=notes,
    )


class ComputeSession:
    """One model and what it said last.

    Args:
        score_bytes: bound of the kept class scores.
    """

    def __init__(self, score_bytes: int = 256 << 20) -> None:
        cap_threads()
        self._predictor: Predictor | None = None
        self._scores = ScoreStore(score_bytes)
        self._made_with: dict[str, tuple[tuple[str, str], tuple[Note, ...]]] = {}
        self._home = self._device = "auto"
        self._path = ""
        self._refining: RefineSession | None = None
        self._comparing: CompareSession | None = None

    def answer(self, request: Request[Any], cancel: Cancel | None = None, progress: ReportProgress | None = None) -> Answer:
        """Serve one request. Never raises: errors become Failed, with a traceback where they are bugs."""
        try:
            return self._serve(request, cancel, progress)
        except Cancelled:
            return WasCancelled(request_id=request.request_id)
        except AtrousError as error:
            if error.path is None and isinstance(request, (Predict, Compare, AskReceptive)):
                error.path = Path(request.image)  # whatever fails here fails this image alone, and says which
            return Failed(request_id=request.request_id, error=error.to_dict())
        except Exception as error:
            _log.exception("request %s failed", request)
            if is_import_trouble(error):
                reason, remedy = explain(error)
                return Failed(request_id=request.request_id, error=ComputeError(reason, remedy=remedy).to_dict())
            bug = ComputeError(
                "the compute process met an error in Atrous itself",
                why=f"{type(error).__name__}: {error}",
                remedy="Copy the report from the log and send it to the developers; other images are not affected",
                path=request.image if isinstance(request, (Predict, Compare, AskReceptive)) else None,
            )
            return Failed(request_id=request.request_id, error=bug.to_dict(), traceback=traceback.format_exc())

    def _serve(self, request: Request[Any], cancel: Cancel | None, progress: ReportProgress | None) -> Answer:
        match request:
            case LoadModel():
                return self.load(request)
            case InspectModel():
                return self.inspect(request)
            case Predict():
                return self.predict(request, cancel, progress)
            case AskScores():
                return self.scores_at(request)
            case Refine() | RefineBox() | PrepareRefine():
                return self.refine(request, cancel)
            case Learn():
                from app.worker.learn_session import learn  # training is imported where it is wanted

                return learn(request, cancel, progress)
            case Compare() | EndCompare() | AskReceptive():
                return self.compare(request, cancel, progress)
        raise TypeError(f"no answer to {type(request).__name__}")

    def load(self, request: LoadModel) -> Loaded:
        """Load a checkpoint, at the wished output stride where it has that. Where it fails, the model before stays in use."""
        model, card = load_model(request.path, options=request.options)
        if request.options:
            write_card_file(weights_file(Path(request.path)), card)
            model, card = load_model(request.path)  # as every later request sees it
        if request.output_stride in model.output_strides:  # the card says what predictions use that do not ask for another
            model.output_stride = request.output_stride
            card = replace(card, output_stride=request.output_stride)
        self._predictor = Predictor(model, card, device=request.device)
        self._path = request.path
        self._home = self._device = request.device
        self._scores.clear()
        self._made_with.clear()
        return Loaded(
            request_id=request.request_id,
            card=ModelCard.from_dict(card.to_dict()),  # plain values only, see hello()
            device=str(self._predictor.device),
            note=self._predictor.device_note,
        )

    def inspect(self, request: InspectModel) -> Inspected:
        """Try a checkpoint without using it."""
        _, card = load_model(request.path)
        return Inspected(request_id=request.request_id, card=ModelCard.from_dict(card.to_dict()))

    def predict(self, request: Predict, cancel: Cancel | None = None, progress: ReportProgress | None = None) -> Predicted:
        """Read an image and predict it; its scores are kept for :meth:`scores_at`."""
        predictor = self._loaded()
        kept = self._kept(request)
        if kept is not None and request.options.crf is None:
            scores, notes = kept
            prediction = predictor.decide(scores, request.source_key, request.options, cancel=cancel)
            return Predicted(request_id=request.request_id, prediction=prediction, image_notes=notes)
        if progress is not None:
            progress(0.0, "reading")
        try:
            data = read_image(request.image, fourth=predictor.model.in_channels == 4)
            pixels = data.pixels(predictor.model.in_channels)
        except MemoryError as error:
            raise ImageReadError("the image does not fit into memory", path=request.image) from error
        self._use_device(predictor, request.options.device)
        if kept is not None:
            scores = kept[0]
        else:
            scores = predictor.scores(pixels, options=request.options, cancel=cancel, progress=progress)
            self._scores.keep(request.source_key, scores)
            self._made_with[request.source_key] = _forward_key(request.options), data.notes
        prediction = predictor.decide(scores, request.source_key, request.options, rgb=data.rgb, cancel=cancel)
        return Predicted(request_id=request.request_id, prediction=prediction, image_notes=data.notes)

    def _kept(self, request: Predict) -> tuple[Scores, tuple[Note, ...]] | None:
        """Kept scores and notes of the image where only the threshold has changed since: no forward pass is needed then."""
        made_with, notes = self._made_with.get(request.source_key, (("", ""), ()))
        scores = self._scores.find(request.source_key)
        same = request.options.threshold is not None and made_with == _forward_key(request.options)
        return (scores, notes) if scores is not None and same else None

    def scores_at(self, request: AskScores) -> ScoresAt:
        """The most probable classes of a pixel; empty where the scores are not kept or the pixel lies outside."""
        scores = self._scores.find(request.source_key)
        if scores is None or not (0 <= request.x < scores.size[1] and 0 <= request.y < scores.size[0]):
            return ScoresAt(request_id=request.request_id, class_ids=(), probabilities=())
        ids, probabilities = scores.top_classes_at(request.x, request.y, request.top)
        return ScoresAt(request_id=request.request_id, class_ids=ids, probabilities=probabilities)

    def refine(self, request: Refine | RefineBox | PrepareRefine, cancel: Cancel | None = None) -> Refined:
        """Refine an image or a box of it; lattices are kept for the next slider or stroke."""
        if self._refining is None:
            from app.worker.refine_session import RefineSession  # its compiled loops take a second to import

            self._refining = RefineSession(self._scores)
        self._refining.device = self._predictor.device.type if self._predictor is not None else "cpu"
        return self._refining.answer(request, cancel)

    def compare(
        self, request: Compare | EndCompare | AskReceptive, cancel: Cancel | None = None, progress: ReportProgress | None = None
    ) -> Answer:
        """Predict with another model, forget the others, or see what the one in use looks at."""
        if self._comparing is None:
            from app.worker.compare_session import CompareSession

            self._comparing = CompareSession()
        if isinstance(request, AskReceptive):
            predictor = self._loaded()
            self._use_device(predictor, request.options.device)
            return self._comparing.receptive(request, predictor, cancel)
        if isinstance(request, Compare):
            in_use = self._predictor if request.model == self._path else None
            if in_use is not None:
                self._use_device(in_use, request.options.device)
            return self._comparing.predict(request, in_use, cancel, progress)
        return self._comparing.end(request)

    def _use_device(self, predictor: Predictor, asked: str) -> None:
        """Move to the device that a request names; ``auto`` is the one that the model was loaded for."""
        wanted = self._home if asked == "auto" else asked
        if wanted != self._device:
            predictor.move(wanted)
            self._device = wanted

    def _loaded(self) -> Predictor:
        if self._predictor is None:
            raise ComputeError("no model is loaded", remedy="Choose a model in the model dock, then predict again")
        return self._predictor


def _forward_key(options: PredictOptions) -> tuple[str, str]:
    """What of the options the scores depend on."""
    return replace(options, threshold=None, crf=None).cache_key(), options.device
