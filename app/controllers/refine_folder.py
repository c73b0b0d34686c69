"""The CRF over a whole folder as one job: a step for every mask that nobody has touched, a suggestion for the others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from PySide6.QtCore import QObject, QTimer

from app.actions.facts import Facts
from app.controllers.crf_settings import CRFSettings
from app.controllers.edit import EditController
from app.controllers.folder_jobs import FolderChange, FolderJobs
from app.controllers.models import ModelsController
from app.controllers.open_image import unset
from app.controllers.predict import PredictController
from app.controllers.project import ProjectController
from app.services.calls import Call, ComputeService
from app.services.jobs import Job, JobRegistry, JobState
from app.services.notifications import Choice, Notifier
from app.state.class_mapping import in_project_ids
from app.state.document import Document
from app.state.folder_plan import plan_crf
from app.state.patch import Labels, Rect, TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, merge_labels
from app.state.refinement import taking_patch, would_take
from app.state.wording import counted, spaced, waiting_text
from app.worker.messages import Predict, Predicted
from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, CatalogError, image_error
from deeplab_core.records import ModelCard, Prediction, PredictOptions

#: How long an image that is being opened or saved is left alone, in milliseconds.
_RETRY_MS = 100


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    project: Project
    card: ModelCard
    options: PredictOptions
    title: str
    waiting: deque[int]
    total: int
    job: Job
    change: FolderChange
    done: int = 0
    changed: int = 0
    suggested: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    call: Call[Predicted] | None = None
    broken: bool = False


class RefineFolder(QObject):
    """At most one run at a time, one image after the other; whatever fails is noted, and the run goes on."""

    def __init__(
        self,
        projects: ProjectController,
        models: ModelsController,
        predict: PredictController,
        edit: EditController,
        crf: CRFSettings,
        compute: ComputeService,
        jobs: JobRegistry,
        notifier: Notifier,
        facts: Facts,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._models, self._predict, self._edit, self._crf = projects, models, predict, edit, crf
        self._compute, self._jobs, self._notifier, self._facts = compute, jobs, notifier, facts
        self._folder_jobs = folder_jobs
        self._run: _Run | None = None

    def start(self) -> None:
        """Say what that will change, then refine every image of the folder with the current parameters."""
        project, card = self._projects.project, self._models.card
        if self._run is not None or project is None or card is None or project.read_only:
            return
        if self._models.ask_unless_agreed():
            title = self._crf.title()
            named = f"the CRF, {title}" if title else "the CRF"
            self._folder_jobs.ask(plan_crf(project, named), lambda: self._begin(project, card))

    def _begin(self, project: Project, card: ModelCard) -> None:
        if self._run is not None or project is not self._projects.project or card is not self._models.card:
            return  # the question was answered late
        self._edit.commit_stroke()
        self._models.remember_card()
        options = replace(self._models.run_settings.options(), crf=self._crf.params, crf_engine=self._crf.engine)
        images = [record.id for record in project.images if not record.missing]
        job = self._jobs.add(Job("CRF on the folder", self._stop, guards_close=True))
        title = f"CRF, {self._crf.title()}".rstrip(", ")
        change = FolderChange(project, "CRF on the folder", Provenance.CRF, "crf-folder")
        self._run = _Run(project, card, options, title, deque(images), len(images), job, change)
        self._facts.update(crf_running=True)
        self._next()

    def _stop(self) -> None:
        run = self._run
        if run is not None:
            run.waiting.clear()
            if run.call is not None:
                run.call.cancel()

    def _later(self, milliseconds: int = 0) -> None:
        """Go on from the event loop, so that a long run neither blocks the window nor grows the stack."""
        QTimer.singleShot(milliseconds, self, self._next)

    def _next(self) -> None:
        run = self._run
        if run is None:
            return
        run.job.progress(run.done, run.total)
        if run.broken or run.project is not self._projects.project or not run.waiting:
            self._finish(run)
            return
        image, card = run.waiting.popleft(), self._models.card
        project = run.project

        def look() -> tuple[str, Prediction | None]:
            key = project.content_key(image)
            return key, None if card is None else project.predictions.get(key, card.id, run.options.cache_key())

        def found(result: tuple[str, Prediction | None]) -> None:
            key, kept = result
            if run.job.cancel_asked:
                self._next()
            elif kept is not None:
                self._keep(run, image, kept)
            else:
                path = str(project.path_of(project.record(image)))
                self._run_model(run, image, Predict(image=path, source_key=key, options=run.options))

        self._jobs.run(look, found, lambda error: self._note(run, image, error))

    def _run_model(self, run: _Run, image: int, request: Predict) -> None:
        def end() -> None:
            run.call = None

        def cancelled() -> None:
            run.waiting.clear()
            self._next()

        run.call = self._compute.submit(request).on(
            done=lambda answer: self._keep(run, image, answer.prediction),
            failed=lambda error: self._note(run, image, error),
            cancelled=cancelled,
            progress=lambda fraction, _text: run.job.progress(run.done, run.total, "", fraction),
            finished=end,
        )

    # -- taking a result -------------------------------------------------------------------------------------------------

    def _keep(self, run: _Run, image: int, prediction: Prediction) -> None:
        """Keep a result: as a suggestion where a person has worked, else as a step of the mask."""
        project = run.project
        if project is not self._projects.project:
            self._next()
            return
        if project.record(image).touched:
            self._suggest(run, image, prediction)
            return
        if self._projects.in_hand(image):
            self._take_in_view(run, image, prediction)
            return

        def work() -> tuple[tuple[str, TilePatch] | None, TilePatch, bool]:
            labels = _project_labels(project, prediction, run.card.catalog)
            earlier = None
            if project.record(image).prediction:
                project.predictions.put(prediction)
                earlier = project.prediction_of(image)
            else:
                project.keep_prediction(image, prediction)
            document = project.load(image, (labels.shape[0], labels.shape[1])).document
            first = _first_prediction(run, document, earlier)
            if first is not None:
                document.apply(first[1])
            return first, taking_patch(document, Rect.whole(labels.shape), labels), unset(document)

        def write(found: tuple[tuple[str, TilePatch] | None, TilePatch, bool]) -> None:
            first, patch, fresh = found
            if project is not self._projects.project or self._projects.in_hand(image) or project.record(image).touched:
                self._keep(run, image, prediction)  # somebody opened it meanwhile: decide again
                return
            try:
                if first is not None:
                    self._projects.write_step(image, *first, Provenance.MODEL)
                if not (patch.empty or fresh):
                    run.change.before_step(image)
                self._projects.write_step(image, f"{run.title}, {spaced(patch.changed_pixels)} px", patch, Provenance.CRF)
            except AtrousError as error:
                self._note(run, image, error)
                return
            self._step(run, changed=not patch.empty)

        self._jobs.run(work, write, lambda error: self._note(run, image, error))

    def _suggest(self, run: _Run, image: int, prediction: Prediction) -> None:
        run.change.before_suggestion(image)

        def kept(_record: object) -> None:
            run.suggested += 1
            view = self._projects.image
            if view is not None and view.id == image:
                self._predict.offer(view, prediction)
            self._step(run, changed=False)

        self._jobs.run(
            lambda: run.project.keep_prediction(image, prediction, suggestion=True), kept,
            lambda error: self._note(run, image, error),
        )  # fmt: skip

    def _take_in_view(self, run: _Run, image: int, prediction: Prediction) -> None:
        view = self._projects.image
        if view is None or view.id != image or self._edit.busy:
            QTimer.singleShot(_RETRY_MS, self, lambda: self._keep(run, image, prediction))
            return
        document = view.document
        try:
            labels = _project_labels(run.project, prediction, run.card.catalog)
        except AtrousError as error:
            self._note(run, image, error)
            return
        before = document.revision
        if not unset(document) and would_take(document, Rect.whole(labels.shape), labels):
            run.change.before_step(image)
        self._edit.carry_out(
            run.title, document, lambda: taking_patch(document, Rect.whole(labels.shape), labels), Provenance.CRF
        )
        self._step(run, changed=document.revision != before)

    def _step(self, run: _Run, *, changed: bool) -> None:
        run.done += 1
        run.changed += changed
        self._later()

    def _note(self, run: _Run, image: int, error: Exception) -> None:
        run.failures.append((image, str(image_error(error, run.project.path_of(run.project.record(image))))))
        self._step(run, changed=False)

    def _finish(self, run: _Run) -> None:
        self._run = None
        self._facts.update(crf_running=False)
        stopped = run.job.cancel_asked
        run.job.finish(JobState.FAILED if run.broken else JobState.CANCELLED if stopped else JobState.DONE)
        parts = [f"{counted(run.changed, 'mask')} changed"]
        if run.suggested:
            parts.append(waiting_text(run.suggested))
        if run.failures:
            parts.append(f"{spaced(len(run.failures))} failed")
        failures = run.failures
        show = Choice("Show what failed", lambda: self._predict.failuresFound.emit(failures))
        choices = (*((show,) if failures else ()), *self._folder_jobs.remember(run.change))
        say = self._notifier.warning if failures else self._notifier.info
        title = "CRF on the folder stopped" if stopped else "CRF on the folder finished"
        say(title, "; ".join(parts) + ".", replace_key="crf-folder", choices=choices)


def _first_prediction(run: _Run, document: Document, earlier: Prediction | None) -> tuple[str, TilePatch] | None:
    """(title, patch) of the step that an image without labels takes before the CRF's, so that undo ends at its prediction."""
    if earlier is None or not unset(document):
        return None
    labels = in_project_ids(run.project, earlier, run.card.catalog) if earlier.card_id == run.card.id else None
    if labels is None:
        labels = in_project_ids(run.project, earlier)
    if labels is None or labels.shape != document.shape:
        return None
    patch = merge_labels(document.labels, document.provenance, labels, Provenance.MODEL).patch
    name = run.card.name if earlier.card_id == run.card.id else "Prediction"
    return f"{name}, {spaced(patch.changed_pixels)} px", patch


def _project_labels(project: Project, prediction: Prediction, catalog: ClassCatalog) -> Labels:
    labels = in_project_ids(project, prediction, catalog)
    if labels is None:
        raise CatalogError(
            "the model's classes are not matched to the project's", remedy="Choose 'Classes of the model…' in the menu Model"
        )
    return np.ascontiguousarray(labels)
