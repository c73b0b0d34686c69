"""The model over a whole folder as one job: per-image failures are collected, it can be cancelled and resumed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from PySide6.QtCore import QObject, Signal

from app.controllers.folder_jobs import FolderJobs
from app.controllers.models import ModelsController
from app.controllers.project import ProjectController
from app.services.calls import ComputeService
from app.services.folder_job import FolderJob, Steps, answer, background
from app.services.notifications import Notifier
from app.state.project import Project
from app.state.runs import ItemState, Run
from app.state.wording import spaced, waiting_text
from app.worker.messages import Predict
from deeplab_core.errors import AtrousError
from deeplab_core.notes import RunNotes
from deeplab_core.records import Prediction, PredictOptions

#: Requests that wait in the compute process: one runs, the next is at hand, and a cancel drops little.
_IN_FLIGHT = 3


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    project: Project
    number: int
    card_id: str
    options: PredictOptions
    plain: str
    reused: int = 0
    suggested: int = 0
    notes: RunNotes = field(default_factory=RunNotes)


class FolderRun(QObject):
    """At most one run at a time.

    Signals:
        predicted(image id, Prediction): one image is done and kept.
    """

    predicted = Signal(int, object)

    def __init__(
        self,
        projects: ProjectController,
        models: ModelsController,
        compute: ComputeService,
        notifier: Notifier,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._models, self._compute, self._notifier = projects, models, compute, notifier
        self._folder_jobs = folder_jobs
        self._run: _Run | None = None
        self._job: FolderJob[Prediction] | None = None
        #: What follows the run that is being stopped, and whether the user had stopped that already.
        self._next: tuple[Project, PredictOptions, bool] | None = None

    @property
    def running(self) -> bool:
        return self._run is not None

    def start(self, options: PredictOptions) -> None:
        """Run over the folder, or go on with the run that was interrupted with the same model and options.

        A run of another model or with other options is stopped first: it would leave a part of the folder as the other one
        saw it.
        """
        project, card = self._projects.project, self._models.card
        if project is None or card is None or project.read_only:
            return
        plain = _plain(options)
        if self._run is not None:
            if (self._run.project, self._run.card_id, self._run.plain) != (project, card.id, plain):
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
            number = project.runs.start(f"{card.name} on {project.folder.name}", card.id, plain, waiting)
        if not waiting:
            project.runs.close(number)
            return
        self._models.remember_card()
        run = _Run(project, number, card.id, options, plain)
        self._run = run
        self._job = self._folder_jobs.start(
            project, "Folder run", waiting, lambda image: self._predict(run, image), self.predicted.emit, in_flight=_IN_FLIGHT,
            resume=total - len(waiting), writes=True, on_failure=lambda image, error: _note_failure(run, image, error),
            on_end=lambda job: self._finish(run, job),
        )  # fmt: skip

    def outlook(self, options: PredictOptions) -> tuple[list[int], bool]:
        """(images that :meth:`start` would predict, whether they are the rest of an interrupted run); none while it runs."""
        project, card, plain = self._projects.project, self._models.card, _plain(options)
        if project is None or card is None:
            return [], False
        if self._run is not None and (self._run.project, self._run.card_id, self._run.plain) == (project, card.id, plain):
            return [], False
        unfinished = None if self._run is not None else _unfinished(project, card.id, plain)
        if unfinished is not None:
            return list(project.runs.waiting(unfinished.id)), True
        return [record.id for record in project.images if not record.missing], False

    def _predict(self, run: _Run, image: int) -> Steps[Prediction]:
        """Predict one image, unless the prediction was kept from an earlier run; write it, and cross the image off."""
        project = run.project

        def look() -> tuple[str, Prediction | None]:
            key = project.content_key(image)
            return key, project.predictions.get(key, run.card_id, run.options.cache_key())

        key, kept = yield from background(look)
        if kept is None:
            request = Predict(image=str(project.path_of(project.record(image))), source_key=key, options=run.options)
            predicted = yield from answer(lambda: self._compute.submit(request))
            self._models.report_run(predicted.prediction.report)
            run.notes.add(project.record(image).name, predicted.image_notes)
        prediction = kept if kept is not None else predicted.prediction
        suggestion = project.record(image).touched

        def write() -> None:
            project.keep_prediction(image, prediction, suggestion=suggestion)
            project.runs.finish_item(run.number, image, ItemState.SUGGESTED if suggestion else ItemState.DONE)

        yield from background(write)
        run.reused += kept is not None
        run.suggested += suggestion
        return prediction

    def _finish(self, run: _Run, job: FolderJob[Prediction]) -> None:
        self._run = self._job = None
        following, self._next = self._next, None
        # Who stops a run that is being stopped wants none to follow either.
        if following is not None and following[0] is self._projects.project and following[2] == job.job.cancel_asked:
            name = "" if self._models.card is None else f" with {self._models.card.name}"
            self._notifier.info(
                "Folder run begins again", f"Every image is predicted{name}; your own pixels stay.", replace_key="run"
            )
            self.start(following[1])
            return
        facts = [f"{spaced(job.done - len(job.failures))} predicted"]
        if run.reused:
            facts[0] += f" ({spaced(run.reused)} kept from before)"
        if run.suggested:
            facts.append(waiting_text(run.suggested))
        if job.stopped:
            facts.append(f"{spaced(len(job.left))} left; 'Run folder' goes on there")
        if run.notes:
            facts.append(run.notes.text())
        self._folder_jobs.say(job, "Folder run", facts, key="run")


def _note_failure(run: _Run, image: int, error: AtrousError) -> None:
    run.project.set_failed(image, str(error))
    run.project.runs.finish_item(run.number, image, ItemState.FAILED, str(error))


def _plain(options: PredictOptions) -> str:
    """Options as the log of runs keeps them."""
    return json.dumps(asdict(options), sort_keys=True)


def _unfinished(project: Project, card_id: str, plain: str) -> Run | None:
    """The interrupted run with this model and these options."""
    found = project.runs.unfinished()
    return found if found is not None and (found.card_id, found.options) == (card_id, plain) else None
