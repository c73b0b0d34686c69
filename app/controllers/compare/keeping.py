"""Runs that a project keeps: keeping one as a job over the folder, and removing one."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.controllers.compare.requests import RunLabels
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.state.kept_runs import KeptRun, KeptRuns, LostRun, RunRecorder
from app.state.project import Project
from app.state.run_sides import RunSide, settings_text
from app.state.samples import load_sample
from app.text import plural, tr
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap
from deeplab_core.records import PredictOptions


class RunKeeping(QObject):
    """Keeps one run at a time.

    Signals:
        changed(): a run is being kept, or others are kept.
    """

    changed = Signal()

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        labels: RunLabels,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._labels, self._folder_jobs = services.session, models, labels, folder_jobs
        self._settings, self._jobs, self._notifier = services.settings, services.jobs, services.notifier
        self._report = partial(services.notifier.report_or_raise, replace_key="changes")
        self._job: FolderJob[Any] | None = None

    @property
    def running(self) -> bool:
        """Whether a run is being kept."""
        return self._job is not None

    def stop(self) -> None:
        """Stop; what was begun is not kept."""
        if self._job is not None:
            self._job.cancel()

    def forget(self) -> None:
        """Another folder, or other ground truth: stop, and let the next run be kept at once."""
        self.stop()
        self._job = None

    def keep(self, side: RunSide, name: str) -> None:
        """Keep the labels of a run with the project, under a name, with date, settings and figures."""
        project = self._session.project
        if project is None or self._job is not None or side.kept is not None:
            return
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()
        images = [record.id for record in project.images if not record.missing]
        options = self._models.run_settings.options()
        card = None if side.model is None else side.model.card
        settings = "" if side.model is None else settings_text(side.model.options(options))
        title = tr("Masks of the project") if card is None else card.name
        try:
            recorder = KeptRuns(project).begin(
                name, title, model_id="" if card is None else card.id, settings=settings,
                most_bytes=self._settings["work.runs_megabytes"] * 1_000_000,
            )  # fmt: skip
        except AtrousError as error:
            self._report(error)
            return
        self._job = self._folder_jobs.start(
            project, tr("Keeping a run"), images, lambda image: self._record(project, options, side, recorder, image),
            on_end=lambda job: self._end(recorder, job),
        )  # fmt: skip
        self.changed.emit()

    def lost(self) -> list[LostRun]:
        """Runs of the project whose facts are lost."""
        return [] if self._session.project is None else KeptRuns(self._session.project).lost()

    def take_in(self, lost: LostRun, name: str) -> None:
        """Keep a lost run again under a name, with the figures that its labels have now; in the background."""
        project = self._session.project
        if project is None:
            return

        def done(run: KeptRun) -> None:
            said = plural("{n} image in run '{name}'", "{n} images in run '{name}'", run.images, name=run.name)
            self._notifier.info(tr("The run is kept again"), said, replace_key="changes")
            self.changed.emit()

        def scored(image: int) -> LabelMap | None:
            return load_sample(project, image, labels="none").scored

        self._jobs.run(lambda: KeptRuns(project).take_in(lost, name, scored), done, self._report)

    def remove(self, run: KeptRun | LostRun) -> None:
        """Forget a kept run and delete its labels, or delete those of a lost one."""
        project = self._session.project
        if project is None:
            return
        try:
            if isinstance(run, LostRun):
                KeptRuns(project).remove_lost(run)
            else:
                KeptRuns(project).remove(run)
        except AtrousError as error:
            self._report(error)
        self.changed.emit()

    def _record(self, project: Project, options: PredictOptions, side: RunSide, recorder: RunRecorder, image: int) -> Steps[None]:
        labels = yield from self._labels.steps(project, options, image, side)
        if labels is None:
            return

        def keep() -> None:
            recorder.add(image, labels, load_sample(project, image, labels="none").scored)

        yield from background(keep)
        if recorder.outgrown and self._job is not None:
            self._job.cancel()  # what is not predicted yet need not be

    def _end(self, recorder: RunRecorder, job: FolderJob[None]) -> None:
        if self._job is job:  # after forget() another one may be running since
            self._job = None
        try:
            if job.stopped and not recorder.outgrown:
                said = tr("Run '{name}' is not kept", name=recorder.name)
            else:
                run = recorder.finish()
                said = plural("{n} image in run '{name}'", "{n} images in run '{name}'", run.images, name=run.name)
            self._folder_jobs.say(job, tr("Keeping a run"), [said], key="changes")
        except AtrousError as error:
            self._report(error)
        self.changed.emit()
