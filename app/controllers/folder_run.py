"""The model over a whole folder as one job: per-image failures are collected, it can be cancelled and resumed."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass, field

from PySide6.QtCore import QObject, Signal

from app.controllers.models import ModelsController
from app.controllers.project import ProjectController
from app.services.calls import Call, ComputeService
from app.services.jobs import Job, JobRegistry, JobState
from app.services.notifications import Choice, Notifier
from app.state.project import Project
from app.state.runs import ItemState, Run
from app.state.wording import spaced, waiting_text
from app.worker.messages import Predict, Predicted
from deeplab_core.errors import AtrousError, image_error
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
    waiting: deque[int]
    job: Job
    total: int
    done: int = 0
    reused: int = 0
    suggested: int = 0
    preparing: int = 0
    cancelled: bool = False
    notes: RunNotes = field(default_factory=RunNotes)


class FolderRun(QObject):
    """At most one run at a time.

    Signals:
        predicted(image id, Prediction): one image is done and kept.
        failuresFound(list of (image id, why)).
    """

    predicted = Signal(int, object)
    failuresFound = Signal(object)

    def __init__(
        self,
        projects: ProjectController,
        models: ModelsController,
        compute: ComputeService,
        jobs: JobRegistry,
        notifier: Notifier,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._models, self._compute, self._jobs, self._notifier = projects, models, compute, jobs, notifier
        self._run: _Run | None = None
        self._next: tuple[Project, PredictOptions] | None = None
        self._calls: dict[int, Call[Predicted]] = {}  # by image
        self._failures: list[tuple[int, str]] = []

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
                self._next = project, options
                self._stop(self._run)
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
        job = Job("Folder run", self._cancel, guards_close=True)
        self._failures = []
        self._run = _Run(project, number, card.id, options, plain, deque(waiting), job, total, done=total - len(waiting))
        job.progress(self._run.done, total)
        self._jobs.add(job)
        self._feed()

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

    def _feed(self) -> None:
        run = self._run
        if run is None:
            return
        while run.waiting and not run.cancelled and len(self._calls) + run.preparing < _IN_FLIGHT:
            self._prepare(run, run.waiting.popleft())
        if not self._calls and not run.preparing and (run.cancelled or not run.waiting):
            self._finish(run)

    def _prepare(self, run: _Run, image: int) -> None:
        """Find the image's content key in the background, and with it a prediction that was kept from an earlier run."""
        run.preparing += 1
        project = run.project

        def look() -> tuple[str, Prediction | None]:
            key = project.content_key(image)
            return key, project.predictions.get(key, run.card_id, run.options.cache_key())

        def done(found: tuple[str, Prediction | None]) -> None:
            run.preparing -= 1
            key, kept = found
            if run.cancelled or self._run is not run:
                self._feed()
            elif kept is not None:
                run.reused += 1
                self._keep(run, image, kept)
            else:
                path = str(project.path_of(project.record(image)))
                self._predict(run, image, Predict(image=path, source_key=key, options=run.options))
                self._feed()

        def failed(error: Exception) -> None:
            run.preparing -= 1
            self._note_failure(run, image, error)

        self._jobs.run(look, done, failed)

    def _predict(self, run: _Run, image: int, request: Predict) -> None:
        call = self._compute.submit(request)
        self._calls[image] = call
        call.on(
            done=lambda answer: self._take(run, image, answer),
            failed=lambda error: self._fail(run, image, error),
            cancelled=lambda: self._drop(run, image),
            progress=lambda fraction, _text: run.job.progress(run.done, run.total, "", fraction),
        )

    def _keep(self, run: _Run, image: int, prediction: Prediction) -> None:
        """Write a prediction and cross the image off, in the background."""
        run.preparing += 1
        project = run.project
        suggestion = project.record(image).touched

        def write() -> None:
            project.keep_prediction(image, prediction, suggestion=suggestion)
            project.runs.finish_item(run.number, image, ItemState.SUGGESTED if suggestion else ItemState.DONE)

        def done(_nothing: None) -> None:
            run.preparing -= 1
            run.suggested += suggestion
            self._step(run, image)
            self.predicted.emit(image, prediction)
            self._feed()

        def failed(error: Exception) -> None:
            run.preparing -= 1
            self._note_failure(run, image, error)

        self._jobs.run(write, done, failed)

    def _note_failure(self, run: _Run, image: int, error: Exception) -> None:
        text = str(image_error(error, run.project.path_of(run.project.record(image))))
        self._failures.append((image, text))
        try:
            run.project.set_failed(image, text)
            run.project.runs.finish_item(run.number, image, ItemState.FAILED, text)
        except AtrousError as trouble:
            # A project that cannot be written ends the run: every further image would fail the same way.
            self._notifier.report(trouble, replace_key="save")
            run.cancelled = True
        self._step(run, image)
        self._feed()

    def _step(self, run: _Run, image: int) -> None:
        run.done += 1
        run.job.progress(run.done, run.total, run.project.record(image).name)

    def _cancel(self) -> None:
        """The person wants no run: neither this one nor one that waits for its end."""
        self._next = None
        if self._run is not None:
            self._stop(self._run)

    def _stop(self, run: _Run) -> None:
        run.cancelled = True
        for call in list(self._calls.values()):
            call.cancel()
        self._feed()

    def _finish(self, run: _Run) -> None:
        self._run = None
        left = len(run.waiting)
        run.job.finish(JobState.CANCELLED if run.cancelled else JobState.DONE)
        following, self._next = self._next, None
        if following is not None and following[0] is self._projects.project:
            name = "" if self._models.card is None else f" with {self._models.card.name}"
            self._notifier.info(
                "Folder run begins again", f"Every image is predicted{name}; your own pixels stay.", replace_key="run"
            )
            self.start(following[1])
            return
        failed = len(self._failures)
        facts = [f"{spaced(run.done - failed)} predicted" + (f" ({spaced(run.reused)} kept from before)" if run.reused else "")]
        if run.suggested:
            facts.append(waiting_text(run.suggested))
        if failed:
            named = [run.project.record(image).shown for image, _ in self._failures[:3]]
            facts.append(f"{spaced(failed)} failed: {', '.join(named)}" + (", ..." if failed > len(named) else ""))
        if run.cancelled:
            facts.append(f"{spaced(left)} left; 'Run folder' goes on there")
        if run.notes:
            facts.append(run.notes.text())
        title = "Folder run stopped" if run.cancelled else "Folder run finished"
        failures = list(self._failures)
        choices = (Choice("Show what failed", lambda: self.failuresFound.emit(failures)),) if failures else ()
        say = self._notifier.warning if failures else self._notifier.info
        say(title, "; ".join(facts) + ".", replace_key="run", choices=choices)

    # -- what the compute process says -----------------------------------------------------------------------------------

    def _take(self, run: _Run, image: int, answer: Predicted) -> None:
        del self._calls[image]
        self._models.report_run(answer.prediction.report)
        run.notes.add(run.project.record(image).name, answer.image_notes)
        self._keep(run, image, answer.prediction)
        self._feed()

    def _fail(self, run: _Run, image: int, error: AtrousError) -> None:
        del self._calls[image]
        self._note_failure(run, image, error)

    def _drop(self, run: _Run, image: int) -> None:
        del self._calls[image]
        run.waiting.appendleft(image)
        run.cancelled = True
        self._feed()


def _plain(options: PredictOptions) -> str:
    """Options as the log of runs keeps them."""
    return json.dumps(asdict(options), sort_keys=True)


def _unfinished(project: Project, card_id: str, plain: str) -> Run | None:
    """The interrupted run with this model and these options."""
    found = project.runs.unfinished()
    return found if found is not None and (found.card_id, found.options) == (card_id, plain) else None
