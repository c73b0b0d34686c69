"""One prediction of one model at a time: from the disk where it was made before, else from the compute process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject

from app.controllers.predict.models import ModelsController
from app.services.calls import Call, ComputeService
from app.services.folder_job import Steps, answer, background
from app.services.jobs import JobRegistry
from app.state.class_mapping import project_mapping
from app.state.comparison import ComparedModel, ModelPrediction
from app.state.project import Project
from app.state.run_sides import RunSide, side_labels
from app.worker.messages import NORMAL, Compare, Compared
from deeplab_core.errors import AtrousError, Cancelled, join_messages
from deeplab_core.labels import LabelMap, apply_lut
from deeplab_core.records import Prediction, PredictOptions


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What is wanted.

    Attributes:
        image: id in the project.
        model: the model of the prediction; its card is known.
        options: already as far as this model can.
        priority: URGENT for the image in view.
    """

    project: Project
    image: int
    model: ComparedModel
    options: PredictOptions
    priority: int


Taken = Callable[[ModelPrediction], None]
Refused = Callable[[Exception], None]


class ModelRequests(QObject):
    """At most one request is under way. Predictions are kept on disk like all others."""

    def __init__(self, compute: ComputeService, jobs: JobRegistry, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._compute, self._jobs = compute, jobs
        self._number = 0  # of the request under way; what comes for another one is dropped
        self._request: ModelRequest | None = None
        self._call: Call[Compared] | None = None
        self._taken: Taken | None = None
        self._refused: Refused | None = None
        self._moved: Callable[[float], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether the next request can be asked for."""
        return self._request is None

    def ask(self, request: ModelRequest, taken: Taken, refused: Refused, moved: Callable[[float], None] | None = None) -> None:
        """Begin. One of ``taken`` and ``refused`` is called later, unless :meth:`cancel` comes first.

        Args:
            refused: gets an AtrousError; Cancelled if another request cancelled it.
            moved: gets the fraction 0..1 while the model runs.
        """
        self.cancel()
        self._number += 1
        number = self._number
        self._request, self._taken, self._refused, self._moved = request, taken, refused, moved

        def found(result: tuple[str, Prediction | None]) -> None:
            key, kept = result
            if number != self._number:
                return
            if kept is not None:
                self._map(number, request, kept, "")
                return
            self._call = self._compute.submit(_compare_message(request, key)).on(
                done=lambda answer: self._take(number, request, answer),
                failed=lambda error: self._end(number, error),
                cancelled=lambda: self._end(number, Cancelled()),
                progress=lambda fraction, _text: self._move(number, fraction),
            )

        self._jobs.run(lambda: _read_kept(request), found, lambda error: self._end(number, error))

    def cancel(self) -> None:
        """Drop the current request without a signal."""
        call, self._call = self._call, None
        self._number += 1
        self._request = self._taken = self._refused = self._moved = None
        if call is not None:
            call.abandon()

    def _map(self, number: int, request: ModelRequest, prediction: Prediction, note: str, *, keep: bool = False) -> None:
        """Bring labels into the project's ids, and keep the prediction, in the background."""
        self._jobs.run(
            lambda: _in_project_ids(request, prediction, note, keep=keep),
            lambda prediction: self._finish(number, prediction),
            lambda error: self._end(number, error),
        )

    def _finish(self, number: int, prediction: ModelPrediction) -> None:
        if number != self._number or self._taken is None:
            return
        taken = self._taken
        self._request = self._call = self._taken = self._refused = self._moved = None
        taken(prediction)

    def _end(self, number: int, error: Exception) -> None:
        if number != self._number or self._refused is None:
            return
        if not isinstance(error, AtrousError):
            self.cancel()
            raise error
        refused = self._refused
        self._request = self._call = self._taken = self._refused = self._moved = None
        refused(error)

    # -- what the compute process says -----------------------------------------------------------------------------------

    def _take(self, number: int, request: ModelRequest, answer: Compared) -> None:
        self._call = None
        if answer.prediction is not None:
            self._map(number, request, answer.prediction, answer.note, keep=True)

    def _move(self, number: int, fraction: float) -> None:
        if number == self._number and self._moved is not None:
            self._moved(fraction)


def ask_model(compute: ComputeService, request: ModelRequest) -> Steps[ModelPrediction]:
    """What :class:`ModelRequests` does, as steps of a job over the folder."""
    key, prediction = yield from background(lambda: _read_kept(request))
    note, kept = "", prediction is not None
    if prediction is None:
        compared = yield from answer(lambda: compute.submit(_compare_message(request, key)))
        prediction, note = compared.prediction, compared.note
    assert prediction is not None
    found = prediction
    return (yield from background(lambda: _in_project_ids(request, found, note, keep=not kept)))


def _read_kept(request: ModelRequest) -> tuple[str, Prediction | None]:
    """Content key of the image, and the prediction that is kept of it."""
    card = request.model.card
    assert card is not None
    key = request.project.content_key(request.image)
    return key, request.project.predictions.get(key, card.id, request.options.cache_key())


def _compare_message(request: ModelRequest, key: str) -> Compare:
    path = request.project.path_of(request.project.record(request.image))
    return Compare(
        priority=request.priority, model=str(request.model.path), image=str(path), source_key=key, options=request.options
    )


def _in_project_ids(request: ModelRequest, prediction: Prediction, note: str, *, keep: bool) -> ModelPrediction:
    """Bring labels into the project's ids, and keep a new prediction."""
    card = request.model.card
    assert card is not None
    mapping = project_mapping(request.project, card.catalog, card.id)
    if keep:
        request.project.predictions.put(prediction)
    notes = join_messages((note, *prediction.report.notes))
    return ModelPrediction(apply_lut(prediction.labels, mapping.lut), mapping.unmatched, prediction.report.milliseconds, notes)


def kept_labels(request: ModelRequest) -> LabelMap | None:
    """(H, W) labels in the project's ids of a prediction that is kept; None where it is not. Reads the disk: for a thread."""
    _, kept = _read_kept(request)
    return None if kept is None else _in_project_ids(request, kept, "", keep=False).labels


class RunLabels:
    """Finds the labels of an image in a run: of a model, of a kept run, or the masks as they are."""

    def __init__(self, compute: ComputeService, models: ModelsController) -> None:
        self._compute, self._models = compute, models

    def steps(self, project: Project, options: PredictOptions, image: int, side: RunSide) -> Steps[LabelMap | None]:
        """(H, W) labels in the project's ids, as steps of a job; a model predicts what is not kept. None: the run has none.

        Args:
            options: that models run with.
        """
        if side.model is None:
            return (yield from background(self.reader(project, options, image, side)))
        request = ModelRequest(project, image, side.model, side.model.options(options), NORMAL)
        prediction = yield from ask_model(self._compute, request)
        return prediction.labels

    def reader(self, project: Project, options: PredictOptions, image: int, side: RunSide) -> Callable[[], LabelMap | None]:
        """Reads the labels as far as they are kept; for a thread."""
        if side.model is not None:
            request = ModelRequest(project, image, side.model, side.model.options(options), NORMAL)
            return lambda: kept_labels(request)
        return lambda: side_labels(project, image, side, self._models.in_project_ids)
