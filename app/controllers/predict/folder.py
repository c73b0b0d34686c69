"""The model over a whole folder as one job: per-image failures are collected, it can be cancelled and resumed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.services.folder_job import FolderJob, Steps, answer, background
from app.services.services import Services
from app.state.class_mapping import in_project_ids
from app.state.document import Document
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, merge_patch, would_change
from app.state.runs import ItemState, Run
from app.text import spaced, tr, waiting_text
from app.viewmodels.project.folder_plan import plan_run
from app.worker.messages import Predict
from deeplab_core.errors import AtrousError, error_text, message
from deeplab_core.notes import RunNotes
from deeplab_core.records import ModelCard, Prediction, PredictOptions

#: Requests that wait in the compute process: one runs, the next is ready, and a cancel drops little.
_IN_FLIGHT = 3


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    project: Project
    number: int
    card: ModelCard
    options: PredictOptions
    plain: str
    change: FolderChange
    reused: int = 0
    suggested: int = 0
    notes: RunNotes = field(default_factory=RunNotes)


class FolderRun(QObject):
    """Runs the model over the folder, at most one run at a time.

    Signals:
        predicted(image id, Prediction): one image is done and kept.
    """

    predicted = Signal(int, object)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._compute, self._notifier = services.session, models, services.compute, services.notifier
        self._folder_jobs = folder_jobs
        self._run: _Run | None = None
        self._job: FolderJob[Prediction] | None = None
        #: What follows the run that is being stopped, and whether the user had stopped that already.
        self._next: tuple[Project, PredictOptions, bool] | None = None
        self._replacing = ""
        services.session.projectChanged.connect(lambda _project: self.replace_labels(""))

    def run(self) -> None:
        """Say what a run over the folder does, then run the model on every image as one job; an interrupted run goes on."""
        project, card = self._session.project, self._models.card
        if project is None or card is None or project.read_only or not self._models.ask_unless_agreed():
            return
        waiting, goes_on = self._waiting(self._models.run_settings.options())
        if waiting:
            self._folder_jobs.ask(plan_run(project, card.name, waiting, goes_on=goes_on), self.start_agreed)

    def start_agreed(self) -> None:
        """Run the model on every image of the folder; the user has agreed."""
        if self._models.ask_unless_agreed():
            self.start(self._models.run_settings.options())

    @property
    def running(self) -> bool:
        return self._run is not None

    def replace_labels(self, card_id: str) -> None:
        """Let predictions of this model replace labels that only a model has set, until another project is open.

        Images that the user has worked on keep their masks, and the prediction waits beside them as in every run. An image
        without labels takes the newest prediction when it is opened.

        Args:
            card_id: of a model that has learned; empty for none, as in a plain run.
        """
        self._replacing = card_id

    def start(self, options: PredictOptions, *, change: FolderChange | None = None) -> None:
        """Run over the folder, or go on with the run that was interrupted with the same model and options.

        A run of another model or with other options is stopped first: it would leave a part of the folder as the other one
        saw it.

        Args:
            options: of the predictions.
            change: of the run that was stopped for this one; both are undone as one.
        """
        project, card = self._session.project, self._models.card
        if project is None or card is None or project.read_only:
            return
        plain = _plain(options)
        if self._run is not None:
            if (self._run.project, self._run.card.id, self._run.plain) != (project, card.id, plain):
                assert self._job is not None
                self._next = project, options, self._job.job.cancel_asked
                self._job.cancel()
            return
        unfinished = _unfinished(project, card.id, plain)
        if unfinished is not None:
            number = unfinished.id
            waiting = project.runs.waiting(number)
            total = sum(unfinished.counts.values())
        else:
            waiting = [record.id for record in project.images if not record.missing]
            total = len(waiting)
            number = project.runs.start(
                tr("{model} on {folder}", model=card.name, folder=project.folder.name), card.id, plain, waiting
            )
        if not waiting:
            project.runs.close(number)
            return
        self._models.remember_card()
        change = change or FolderChange(project, tr("The folder run"), Provenance.MODEL, "run")
        run = _Run(project, number, card, options, plain, change)
        self._run = run
        self._job = self._folder_jobs.start(
            project, tr("Folder run"), waiting, lambda image: self._predict(run, image), self.predicted.emit,
            in_flight=_IN_FLIGHT,
            resume=total - len(waiting), writes=True, on_failure=lambda image, error: _note_failure(run, image, error),
            on_end=lambda job: self._finish(run, job),
        )  # fmt: skip

    def _waiting(self, options: PredictOptions) -> tuple[list[int], bool]:
        """(images that :meth:`start` would predict, whether they are the rest of an interrupted run); none while it runs."""
        project, card, plain = self._session.project, self._models.card, _plain(options)
        if project is None or card is None:
            return [], False
        if self._run is not None and (self._run.project, self._run.card.id, self._run.plain) == (project, card.id, plain):
            return [], False
        unfinished = None if self._run is not None else _unfinished(project, card.id, plain)
        if unfinished is not None:
            return list(project.runs.waiting(unfinished.id)), True
        return [record.id for record in project.images if not record.missing], False

    def _predict(self, run: _Run, image: int) -> Steps[Prediction]:
        """Predict one image, unless the prediction was kept from an earlier run; write it, and cross the image off."""
        project = run.project

        def read_kept() -> tuple[str, Prediction | None]:
            key = project.content_key(image)
            return key, project.predictions.get(key, run.card.id, run.options.cache_key())

        key, kept = yield from background(read_kept)
        if kept is None:
            request = Predict(image=str(project.path_of(project.record(image))), source_key=key, options=run.options)
            predicted = yield from answer(lambda: self._compute.submit(request))
            self._models.report_run(predicted.prediction.report)
            run.notes.add(project.record(image).name, predicted.image_notes)
        prediction = kept if kept is not None else predicted.prediction
        suggestion = project.record(image).touched
        if suggestion:
            shown = self._session.image
            document = shown.document if shown is not None and shown.id == image else None
            suggestion = yield from background(lambda: _offers_something(run, image, prediction, document))
        if suggestion:
            run.change.before_suggestion(image)

        def write() -> None:
            project.keep_prediction(image, prediction, suggestion=suggestion)
            project.runs.finish_item(run.number, image, ItemState.SUGGESTED if suggestion else ItemState.DONE)

        yield from background(write)
        run.reused += kept is not None
        run.suggested += suggestion
        if run.card.id == self._replacing:
            yield from self._replace(run, image, prediction)
        return prediction

    def _replace(self, run: _Run, image: int, prediction: Prediction) -> Steps[None]:
        project = run.project

        def free() -> bool:
            return not self._session.is_in_use(image) and not project.record(image).touched

        def make() -> TilePatch | None:
            labels = in_project_ids(project, prediction, run.card.catalog)
            if labels is None:
                return None
            document = project.load(image, (labels.shape[0], labels.shape[1])).document
            if not document.provenance.any():
                return None  # never opened: it takes the newest prediction when it is
            return merge_patch(document.labels, document.provenance, labels, Provenance.MODEL, locked=document.locked)

        if free():
            patch = yield from background(make)
            # If it has been opened since, the prediction is kept and can be applied there.
            if patch is not None and not patch.empty and free():
                run.change.before_step(image)
                title = message("{name}, {pixels} px", name=run.card.name, pixels=spaced(patch.changed_pixels))
                self._session.write_step(image, title, patch, Provenance.MODEL)

    def _finish(self, run: _Run, job: FolderJob[Prediction]) -> None:
        self._run = self._job = None
        following, self._next = self._next, None
        # Who stops a run that is being stopped wants none to follow either.
        if following is not None and following[0] is self._session.project and following[2] == job.job.cancel_asked:
            card = self._models.card
            self._notifier.info(
                tr("Restarting the folder run"),
                tr("Every image is predicted; your own pixels are kept.")
                if card is None
                else tr("Every image is predicted with {name}; your own pixels are kept.", name=card.name),
                replace_key="run",
            )
            self.start(following[1], change=run.change)
            return
        done = spaced(job.done - len(job.failures))
        summary = [
            tr("{done} predicted ({reused} reused)", done=done, reused=spaced(run.reused))
            if run.reused
            else tr("{done} predicted", done=done)
        ]
        if run.suggested:
            summary.append(waiting_text(run.suggested))
        if job.stopped:
            summary.append(tr("{left} left; 'Run folder' continues there", left=spaced(len(job.left))))
        if run.notes:
            summary.append(tr(run.notes.text()))
        change = run.change if run.change.steps or run.change.suggested else None
        self._folder_jobs.say(job, tr("Folder run"), summary, key="run", change=change)


def _note_failure(run: _Run, image: int, error: AtrousError) -> None:
    run.project.set_failed(image, error_text(error))
    run.project.runs.finish_item(run.number, image, ItemState.FAILED, error_text(error))


def _plain(options: PredictOptions) -> str:
    """Options as the log of runs keeps them."""
    return json.dumps(asdict(options), sort_keys=True)


def _unfinished(project: Project, card_id: str, plain: str) -> Run | None:
    """The interrupted run with this model and these options."""
    found = project.runs.unfinished()
    return found if found is not None and (found.card_id, found.options) == (card_id, plain) else None


def _offers_something(run: _Run, image: int, prediction: Prediction, document: Document | None) -> bool:
    """Whether a prediction would change an image that the user has worked on; True where its classes are not agreed on yet.

    Args:
        document: of the image in view; None reads the image's own.
    """
    labels = in_project_ids(run.project, prediction, run.card.catalog)
    if labels is None:
        return True
    if document is None:
        document = run.project.load(image, (labels.shape[0], labels.shape[1])).document
    return document.shape != labels.shape or would_change(document.labels, document.provenance, labels)
