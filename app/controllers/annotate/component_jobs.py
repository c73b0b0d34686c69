"""Operations on components: shown while their numbers change, done in one image as a step, or over a list as one job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.corrections import CorrectionsController, Target
from app.controllers.evaluate.live import EvaluationController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.controllers.project.navigation import ProjectController
from app.services.folder_job import FolderJob, Steps, background, pause
from app.services.jobs import LatestWork
from app.services.services import Services
from app.services.session import OpenImage
from app.state.edits.proposal import job_patch, job_proposal
from app.state.opencv import opencv
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import plural, spaced, tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.annotate.component_jobs import OPERATIONS, JobChoice, JobScope, Where, effect_text, folder_text
from app.viewmodels.project.folder_plan import plan_component_job
from deeplab_core.correction.jobs import ComponentJob
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import MessageText, message

Point = tuple[float, float]


@dataclass(slots=True)
class _Count:
    """Sizes of the islands of a list of images, for one class."""

    cls: int | None
    ids: tuple[int, ...]
    sizes: list[NDArray[np.int64]] = field(default_factory=list)
    job: FolderJob[NDArray[np.int64]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Effect:
    """What an operation would change: where, and in how many pieces."""

    target: Target
    pieces: int


class ComponentJobs(QObject):
    """What the dialog of component operations shows and starts.

    Attributes:
        target: what the operation that is being chosen would change in the image in view; None if nothing.
        text: the same in words.

    Signals:
        changed(): target and text.
    """

    changed = Signal()

    def __init__(
        self,
        services: Services,
        corrections: CorrectionsController,
        evaluation: EvaluationController,
        folder_jobs: FolderJobs,
        projects: ProjectController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._notifier = services.session, services.notifier
        self._corrections, self._evaluation, self._folder_jobs = corrections, evaluation, folder_jobs
        self._projects = projects
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self._choice: JobChoice | None = None
        self._at: Point | None = None
        self._count: _Count | None = None
        self._effect = ""
        self.target: Target | None = None
        corrections.changed.connect(self._preview)

    @property
    def text(self) -> str:
        """What would change, for the user."""
        choice = self._choice
        if choice is None or choice.scope is JobScope.IMAGE:
            return self._effect
        count = self._count
        if choice.job.operation != "drop islands" or count is None:
            return tr("{images}. {effect}", images=self._images_text(), effect=self._effect)
        below = [int(np.searchsorted(sizes, choice.job.px)) for sizes in count.sizes]
        return folder_text(sum(below), sum(number > 0 for number in below), len(count.sizes), len(count.ids))

    # -- the preview -------------------------------------------------------------------------------------------------------

    def show(self, choice: JobChoice, at: Point | None) -> None:
        """Show what an operation would change; ``at`` is a point of the component that it is limited to."""
        self._choice, self._at = choice, at
        if choice.scope is not JobScope.IMAGE and choice.job.operation == "drop islands":
            self._begin_count(choice)
        self._preview()

    def end(self) -> None:
        """The dialog is closed."""
        self._choice = None
        self._work.stop()
        self._stop_count()
        self._show(None)

    def _preview(self) -> None:
        choice = self._choice
        if choice is None:
            return  # with every dab of a brush: nothing is painted again
        corrector = self._corrections.corrector
        if corrector is None:
            self._work.stop()
            self._show(None)
            return
        question = self._question(choice)

        def work() -> _Effect | None:
            proposal = question()
            if proposal is None:
                return None
            box = proposal.bounds
            mask = proposal.mask[box.slices]
            pieces = opencv().connectedComponents(mask.view(np.uint8), connectivity=8)[0] - 1
            return _Effect(Target(box, mask, int(np.count_nonzero(mask))), pieces)

        self._work.ask(work, self._show)

    def _question(self, choice: JobChoice) -> Callable[[], Proposal | None]:
        corrector = self._corrections.corrector
        component = self._at if choice.where is Where.COMPONENT else None
        within = self._band() if choice.where is Where.BAND else None

        def ask() -> Proposal | None:
            return None if corrector is None else job_proposal(corrector, choice.job, component, within)

        return ask

    def _show(self, effect: _Effect | None) -> None:
        self.target = None if effect is None else effect.target
        pieces, pixels = (0, 0) if effect is None else (effect.pieces, effect.target.pixels)
        self._effect = "" if self._choice is None else effect_text(self._choice.job.operation, pieces, pixels)
        self.changed.emit()

    def _band(self) -> NDArray[np.bool_] | None:
        band, width = self._evaluation.band_map(), self._evaluation.band.width_px
        if band is None:
            image = self._session.image
            return None if image is None else np.zeros(image.document.shape, np.bool_)
        return np.asarray((band >= 1) & (band <= width))

    # -- doing it ----------------------------------------------------------------------------------------------------------

    def apply(self, choice: JobChoice, at: Point | None) -> None:
        """Do an operation; over a list of images after a question."""
        self._choice, self._at = choice, at
        document, project = self._corrections.edit.ready(), self._session.project
        if document is None or project is None:
            return
        text = OPERATIONS[choice.job.operation]
        name = message(text.title)
        if choice.job.cls is not None:
            name = message("{operation}: {name}", operation=name, name=class_name(document.catalog, choice.job.cls))
        if choice.scope is not JobScope.IMAGE:
            ids = self._ids(project, choice.scope)
            plan = plan_component_job(project, tr(text.title), ids)
            self._folder_jobs.ask(plan, lambda: self._begin(project, choice.job, name, ids))
            return
        self._corrections.edit.commit_stroke()
        if choice.job.cls is not None and self._corrections.edit.refuses(document, choice.job.cls):
            return
        if not self._corrections.apply(name, self._question(choice)()):
            self._notifier.info(tr("{operation}: nothing changed", operation=tr(text.title)), "", replace_key="correction")

    def _ids(self, project: Project, scope: JobScope) -> tuple[int, ...]:
        labelled = project.labelled()
        wanted = self._projects.order if scope is JobScope.LIST else (record.id for record in project.images)
        return tuple(
            image for image in wanted
            if image in labelled and not project.record(image).missing and not project.record(image).reviewed
        )  # fmt: skip

    def _begin(self, project: Project, job: ComponentJob, name: MessageText, ids: tuple[int, ...]) -> None:
        self._corrections.edit.commit_stroke()
        change = FolderChange(project, tr(name), Provenance.USER, "components-folder")
        done: list[tuple[int, int]] = []
        self._folder_jobs.start(
            project, tr(name), ids, lambda image: self._visit(project, job, name, image, change),
            lambda _image, result: done.append(result), writes=True,
            on_end=lambda ended: self._finish(ended, name, change, done),
        )  # fmt: skip

    def _visit(
        self, project: Project, job: ComponentJob, name: MessageText, image: int, change: FolderChange
    ) -> Steps[tuple[int, int]]:
        """Change one image; pixels changed, and pixels that stay because the user painted them."""
        while True:
            view = self._session.image
            if not self._folder_jobs.settled(image) or (view is not None and view.id == image and self._corrections.edit.busy):
                yield from pause()
            elif view is not None and view.id == image:
                return self._change_in_view(view, job, name, change)
            else:
                patch, kept = yield from background(lambda: job_patch(project.load(image).document, job))
                if self._session.is_in_use(image):
                    continue
                if not patch.empty:
                    change.before_step(image)
                title = message("{name}, {pixels} px", name=name, pixels=spaced(patch.changed_pixels))
                self._session.write_step(image, title, patch, Provenance.USER)
                return patch.changed_pixels, kept

    def _change_in_view(self, view: OpenImage, job: ComponentJob, name: MessageText, change: FolderChange) -> tuple[int, int]:
        self._corrections.edit.commit_stroke()
        patch, kept = job_patch(view.document, job)
        if not patch.empty:
            change.before_step(view.id)
            self._corrections.edit.carry_out(name, view.document, lambda: patch)
        return patch.changed_pixels, kept

    def _finish(
        self, job: FolderJob[tuple[int, int]], name: MessageText, change: FolderChange, done: list[tuple[int, int]]
    ) -> None:
        changed, kept = sum(pixels > 0 for pixels, _ in done), sum(stays for _, stays in done)
        summary = [tr("{changed} changed", changed=plural("{n} mask", "{n} masks", changed))]
        if kept:
            summary.append(plural("{n} px that you painted stays", "{n} px that you painted stay", kept))
        self._folder_jobs.say(job, tr(name), summary, key="components-folder", change=change)

    # -- counting over a list ----------------------------------------------------------------------------------------------

    def _begin_count(self, choice: JobChoice) -> None:
        project = self._session.project
        if project is None:
            return
        ids, cls = self._ids(project, choice.scope), choice.job.cls
        if self._count is not None and (self._count.cls, self._count.ids) == (cls, ids):
            return
        self._stop_count()
        count = self._count = _Count(cls, ids)

        def sizes(image: int) -> NDArray[np.int64]:
            from deeplab_core.correction.components import component_sizes

            view = self._session.image
            document = view.document if view is not None and view.id == image else project.load(image).document
            return component_sizes(document.labels, cls, document.catalog.ignore)

        def take(_image: int, found: NDArray[np.int64]) -> None:
            count.sizes.append(found)
            self.changed.emit()

        count.job = self._folder_jobs.start(
            project, tr("Counting islands"), ids, lambda image: background(lambda: sizes(image)), take
        )

    def _stop_count(self) -> None:
        if self._count is not None and self._count.job is not None:
            self._count.job.cancel()
        self._count = None

    def _images_text(self) -> str:
        project, choice = self._session.project, self._choice
        number = 0 if project is None or choice is None else len(self._ids(project, choice.scope))
        return plural("{n} image with labels", "{n} images with labels", number)
