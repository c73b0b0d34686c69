"""Operations on components: shown while their numbers change, done in one image as a step, or over a list as one job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.component_counts import ComponentCounts
from app.controllers.annotate.corrections import CorrectionsController, Target
from app.controllers.annotate.edit import OutlineUse
from app.controllers.evaluate.live import EvaluationController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.controllers.project.navigation import ProjectController
from app.services.folder_job import FolderJob, Steps, background, pause
from app.services.jobs import LatestWork
from app.services.services import Services
from app.services.session import OpenImage
from app.state.edits.limits import EditLimits
from app.state.edits.proposal import job_patch, job_proposal
from app.state.opencv import opencv
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.tools import BandMode, Tool
from app.text import plural, spaced, tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.annotate.component_jobs import OPERATIONS, JobChoice, JobScope, Where, effect_text, list_text
from app.viewmodels.project.folder_plan import plan_component_job
from deeplab_core.correction.jobs import ComponentJob
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import MessageText, message
from deeplab_core.geometry import polygon_mask

Point = tuple[float, float]

#: Tools that draw outlines.
_OUTLINES = (Tool.LASSO, Tool.POLYGON)


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
        self._counts = ComponentCounts(services, folder_jobs, self)
        self._counts.changed.connect(self.changed)
        self._outline: tuple[Point, ...] = ()
        self._use_before: OutlineUse | None = None
        self._tool_before: Tool | None = None
        self._effect = ""
        self.target: Target | None = None
        corrections.changed.connect(self._preview)
        corrections.edit.outlineDrawn.connect(self._take_outline)
        corrections.edit.documentChanged.connect(lambda _document: self._drop_outline())

    @property
    def outline(self) -> tuple[Point, ...]:
        """What was drawn to limit the operation, px of the image; empty if it is not limited to an outline."""
        choice = self._choice
        return self._outline if choice is not None and choice.where is Where.OUTLINE else ()

    @property
    def text(self) -> str:
        """What would change, for the user."""
        choice = self._choice
        if choice is None or choice.scope is JobScope.IMAGE:
            drawing = choice is not None and choice.where is Where.OUTLINE and not self._outline
            return tr("Draw around the part with the lasso or the polygon.") if drawing else self._effect
        count = self._counts.result()
        return self._images_text() if count is None else list_text(choice.job.operation, count)

    # -- the preview -------------------------------------------------------------------------------------------------------

    def show(self, choice: JobChoice, at: Point | None) -> None:
        """Show what an operation would change; ``at`` is a point of the component that it is limited to."""
        self._choice, self._at = choice, at
        project = self._session.project
        if choice.scope is not JobScope.IMAGE and project is not None:
            over = EditLimits(self._corrections.edit.tools.over or None)
            self._counts.ask(project, choice.job, self._ids(project, choice.scope), over)
        self._ask_outline(choice.where is Where.OUTLINE)
        self._preview()

    def end(self) -> None:
        """The dialog is closed."""
        self._choice = None
        self._work.stop()
        self._counts.end()
        self._ask_outline(False)
        self._outline = ()
        self._show(None)

    def _ask_outline(self, on: bool) -> None:
        """Let the next outlines limit the operation; what they were for before comes back afterwards, and so does the tool."""
        edit = self._corrections.edit
        if on and self._use_before is None:
            self._use_before = edit.outline_use
            edit.set_outline_use(OutlineUse.LIMIT)
            if edit.tools.tool not in _OUTLINES:
                self._tool_before = edit.tools.tool
                edit.choose_tool(Tool.LASSO)
        elif not on and self._use_before is not None:
            if edit.outline_use is OutlineUse.LIMIT:
                edit.set_outline_use(self._use_before)
            if self._tool_before is not None and edit.tools.tool in _OUTLINES:
                edit.choose_tool(self._tool_before)
            self._use_before = self._tool_before = None

    def _take_outline(self, use: OutlineUse, points: Sequence[Point]) -> None:
        if use is OutlineUse.LIMIT and self._choice is not None:
            self._outline = tuple(points)
            self._preview()

    def _drop_outline(self) -> None:
        """It belongs to the image on which it was drawn."""
        if self._outline:
            self._outline = ()
            self._preview()

    def _preview(self) -> None:
        choice = self._choice
        if choice is None:
            return  # with every dab of a brush: nothing is painted again
        corrector = self._corrections.corrector
        if corrector is None or (choice.where is Where.OUTLINE and not self._outline):
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
        document = self._corrections.edit.document
        within = self._band() if choice.where is Where.BAND else None
        outline = self._outline if choice.where is Where.OUTLINE else None

        def ask() -> Proposal | None:
            if corrector is None or document is None or outline == ():
                return None
            inside = within if outline is None else whole_mask(outline, document.shape)
            found = job_proposal(corrector, choice.job, component, inside)
            return None if found is None else found.only(self._corrections.free(found))

        return ask

    def _show(self, effect: _Effect | None) -> None:
        self.target = None if effect is None else effect.target
        pieces, pixels = (0, 0) if effect is None else (effect.pieces, effect.target.pixels)
        self._effect = "" if self._choice is None else effect_text(self._choice.job.operation, pieces, pixels)
        document, edit = self._corrections.edit.document, self._corrections.edit
        if effect is None and document is not None and self._choice is not None:
            cls, why = self._choice.job.cls, edit.limits(document).reason
            if cls is not None and cls in document.locked:
                self._effect = tr("{name} is locked", name=class_name(document.catalog, cls))
            elif why is not None:
                self._effect = tr(why)
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
            if self._corrections.edit.tools.band is not BandMode.OFF:
                why = message("Several images cannot be limited to one side of the trimap band: turn that mode off first")
                self._corrections.edit.stops(EditLimits(reason=why))
                return
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
        limits = EditLimits(self._corrections.edit.tools.over or None)
        self._folder_jobs.start(
            project, tr(name), ids, lambda image: self._visit(project, job, name, image, change, limits),
            lambda _image, result: done.append(result), writes=True,
            on_end=lambda ended: self._finish(ended, name, change, done),
        )  # fmt: skip

    def _visit(
        self, project: Project, job: ComponentJob, name: MessageText, image: int, change: FolderChange, limits: EditLimits
    ) -> Steps[tuple[int, int]]:
        """Change one image; pixels changed, and pixels that stay because the user painted them."""
        while True:
            view = self._session.image
            if not self._folder_jobs.settled(image) or (view is not None and view.id == image and self._corrections.edit.busy):
                yield from pause()
            elif view is not None and view.id == image:
                return self._change_in_view(view, job, name, change, limits)
            else:
                patch, kept = yield from background(lambda: job_patch(project.load(image).document, job, limits))
                if self._session.is_in_use(image):
                    continue
                if not patch.empty:
                    change.before_step(image)
                title = message("{name}, {pixels} px", name=name, pixels=spaced(patch.changed_pixels))
                self._session.write_step(image, title, patch, Provenance.USER)
                return patch.changed_pixels, kept

    def _change_in_view(
        self, view: OpenImage, job: ComponentJob, name: MessageText, change: FolderChange, limits: EditLimits
    ) -> tuple[int, int]:
        self._corrections.edit.commit_stroke()
        patch, kept = job_patch(view.document, job, limits)
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

    def _images_text(self) -> str:
        project, choice = self._session.project, self._choice
        number = 0 if project is None or choice is None else len(self._ids(project, choice.scope))
        return plural("{n} image with labels", "{n} images with labels", number)


def whole_mask(outline: Sequence[Point], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: what is inside a closed outline."""
    box, inside = polygon_mask(outline, shape)
    mask = np.zeros(shape, np.bool_)
    mask[box.slices] = inside
    return mask
