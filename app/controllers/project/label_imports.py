"""Labels of other programs into the open project: looked at, read for a preview, and imported as a job over the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.services.folder_job import FolderJob, Steps, background, pause
from app.services.jobs import AT_ONCE, Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.state.class_choice import known_catalogs
from app.state.class_edits import ClassEdits
from app.state.data_choices import store_frame, stored_frame
from app.state.edits.whole_mask import set_by
from app.state.image_record import ImageStatus
from app.state.label_import import ImportTotals, LabelStep, absent_classes, label_step, map_labels, plan_labels
from app.state.opencv import opencv
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import displayed, plural, spaced, tr
from app.viewmodels.project.label_summary import image_text, summary_of
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MessageText, image_error, message
from deeplab_core.images.decode import read_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing import ImportedImage, ImportItem, ImportPlan
from deeplab_core.metrics.confusion import same_classes

_KEY = "import"
#: Longer side of the picture in dialogs, px.
_PREVIEW_PX = 900
#: Masks that are read to find out which classes occur, and images that are looked at for their frame.
_MOST_SEARCHED, _MOST_PROBED = 300, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """What the user decided about an import.

    Attributes:
        plan: its classes are mapped, and none of them is open.
        rest: class that pixels without a label become, or ``"void"``; None is what the format says.
        frame: frame of the photographs that the labels are in; ``"auto"`` tells by the size.
        overwrite: replace also what the user painted and masks that the user reviewed.
    """

    plan: ImportPlan
    rest: str | None = None
    frame: Frame = "auto"
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLabels:
    """Labels that were looked at.

    Attributes:
        source: file or folder, as the user named it.
        images: how many images the project has.
        catalog, edits: classes of the project, and their edits.
        known: catalogs that plain masks may be made in, the project's first.
        plan: what an import would do, its classes not mapped yet; None if the labels cannot be read.
        reason: what the classes of plain masks rest on, in words.
        error: why the labels cannot be read; None if they can.
        format_key: the format that the user named; None if it was to be recognised.
        absent: classes of masks without a partner in the project and without a pixel.
        frame: the frame of these masks that the user named before; ``"auto"`` without an answer.
        undecided: names of images that fit their labels both as stored and as displayed; of many images some were looked at.
        image: the one image that gets a new mask from the labels; empty for all images.
    """

    source: Path
    images: int
    catalog: ClassCatalog
    edits: ClassEdits
    known: tuple[ClassCatalog, ...] = ()
    plan: ImportPlan | None = None
    reason: str = ""
    error: AtrousError | None = None
    format_key: str | None = None
    absent: frozenset[str] = frozenset()
    frame: Frame = "auto"
    undecided: tuple[str, ...] = ()
    image: str = ""

    @property
    def certain(self) -> LabelRequest | None:
        """The import, if the user has nothing to decide or to check; else None."""
        if self.plan is None or not self.plan.items or self.undecided:
            return None
        declared = self.plan.declared
        own = (self.catalog, self.edits.reading_catalog(self.catalog))
        if self.plan.format.key == "masks" and declared is not None and not any(same_classes(declared, one) for one in own):
            return None
        mapped = map_labels(self.plan, self.catalog, edits=self.edits).without(self.absent)
        if mapped.mapping is None or mapped.mapping.unmapped:
            return None
        return LabelRequest(plan=mapped, frame=self.frame, overwrite=bool(self.image))


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """A picture with labels.

    Attributes:
        name: of the image, below its folder.
        rgb: (h, w, 3) uint8.
        labels: (H, W) ids of ``catalog``, to be sampled to the size of ``rgb``; None shows the picture alone.
        catalog: what the labels are in.
        note: what the picture shows, in words; empty if there is nothing to say.
    """

    name: str
    rgb: NDArray[np.uint8]
    labels: LabelMap | None = None
    catalog: ClassCatalog | None = None
    note: str = ""


@dataclass
class _Run:
    """One import; ``items`` by image."""

    project: Project
    request: LabelRequest
    items: Mapping[int, ImportItem]
    change: FolderChange
    totals: ImportTotals = field(default_factory=ImportTotals)


class LabelImports(QObject):
    """Verbs of importing labels.

    Signals:
        sourceChosen(Path): labels were named by a menu, a drop or a new project; the dialog shows what an import would do.
        planAsked(PlannedLabels): the same for labels that were looked at already.
        finished(ImportSummary): an import is over; the summary lists what was imported and what was not.
        summaryAsked(ImportSummary): the user wants to see the summary.
    """

    sourceChosen = Signal(object)
    planAsked = Signal(object)
    finished = Signal(object)
    summaryAsked = Signal(object)

    def __init__(
        self,
        services: Services,
        edit: EditController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._edit, self._folder_jobs = services.session, edit, folder_jobs
        self._jobs, self._notifier = services.jobs, services.notifier
        self._run: FolderJob[None] | None = None

    @property
    def running(self) -> bool:
        """Whether an import goes on; a second one does not begin."""
        return self._run is not None

    def start(self, request: LabelRequest) -> bool:
        """Import the labels of every image that the plan has; whether it began."""
        project = self._session.project
        if project is None or project.read_only or self._run is not None:
            return False
        plan = request.plan
        self._keep_frame(project, request)
        by_name = {item.name: item for item in plan.items}
        items = {record.id: by_name[record.relative_path] for record in project.images if record.relative_path in by_name}
        change = FolderChange(project, tr("The import of labels"), Provenance.IMPORT, _KEY)
        run = _Run(project, request, items, change)
        self._run = self._folder_jobs.start(
            project, tr("Importing {format}", format=tr(plan.format.title)), items, lambda image: self._import(run, image),
            in_flight=AT_ONCE, writes=True, on_end=lambda job: self._finish(run, job),
        )  # fmt: skip
        return self._run is not None

    def _keep_frame(self, project: Project, request: LabelRequest) -> None:
        folder = _folder_of_frame(request.plan.source, request.plan.format.lossless)
        if folder is None or request.frame == "auto":
            return
        try:
            if stored_frame(project, folder) != request.frame:
                store_frame(project, folder, request.frame)
        except AtrousError as error:
            self._notifier.report(error)

    def replace_mask(self, source: Path) -> None:
        """Replace the mask of the image in view by labels, as one undoable step; asks for what they do not say."""
        project, image = self._session.project, self._session.image
        if project is not None and image is not None:
            self.take(source, project.record(image.id).relative_path)

    def take(self, source: Path, image: str = "") -> None:
        """Import labels, of one image or of all, at once if the user has nothing to decide; else the dialog opens.

        Args:
            image: the one that gets a new mask, whatever its user has painted; empty for all, which keep that.
        """

        def planned(found: PlannedLabels) -> None:
            request = found.certain
            if request is None:
                self.planAsked.emit(found)
            else:
                self.start(request)

        self.plan(source, planned, image=image)

    def plan(
        self,
        source: Path,
        then: Callable[[PlannedLabels], None],
        *,
        format_key: str | None = None,
        mask_classes: ClassCatalog | None = None,
        image: str = "",
    ) -> None:
        """Look at labels in the background; what cannot be read comes with its error. Nothing is stored.

        Args:
            format_key: what they are; None recognises it.
            mask_classes: what plain masks are made in; None recognises it, else takes the project's.
            image: the only image that they are for; empty for all.
        """
        project = self._session.project
        if project is None or project.read_only:
            return
        names = [image] if image else [record.relative_path for record in project.images if not record.missing]
        planned = PlannedLabels(
            source=source, images=len(names), catalog=project.catalog, edits=project.class_edits,
            known=tuple(known_catalogs(project)), format_key=format_key, image=image,
        )  # fmt: skip
        job = self._jobs.add(Job(tr("Reading {name}", name=displayed(source.name))))

        def work() -> PlannedLabels:
            try:
                plan, reason = plan_labels(
                    source, project.folder, names, format_key=format_key, mask_classes=mask_classes,
                    project_classes=project.catalog, edits=project.class_edits,
                )  # fmt: skip
            except AtrousError as error:
                return replace(planned, error=error)
            return _looked_into(project, replace(planned, plan=plan.for_image(image) if image else plan, reason=reason))

        def done(found: PlannedLabels) -> None:
            job.finish()
            if project is self._session.project:
                then(found)

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self._notifier.report_or_raise(error)

        self._jobs.run(work, done, failed)

    def preview(self, request: LabelRequest, item: ImportItem, then: Callable[[Preview | Exception], None]) -> None:
        """Read one image and its labels in the background; nothing is stored."""

        def work() -> Preview:
            found = request.plan.read(item, rest=request.rest, frame=request.frame)
            rgb = scaled(read_image(request.plan.images / item.name).rgb)
            return Preview(item.name, rgb, found.labels, found.catalog, image_text(found))

        self._jobs.run(work, then, then)

    # -- the run ---------------------------------------------------------------------------------------------------------

    def _import(self, run: _Run, image: int) -> Steps[None]:
        """Give one image its labels. Steps are written on the window's thread, those of the image in view to its document."""
        project, request, item = run.project, run.request, run.items[image]
        while request.overwrite or not project.record(image).reviewed:
            if not self._folder_jobs.settled(image):
                yield from pause()
                continue
            view = self._session.image
            if view is not None and view.id == image:
                found = yield from background(lambda: request.plan.read(item, rest=request.rest, frame=request.frame))
                if self._session.image is view:
                    self._into_view(run, image, found)
                    return
                continue
            newest = project.journal.newest(image)
            step, found = yield from background(lambda: _step(project, image, request, item))
            if self._session.is_in_use(image) or project.journal.newest(image) != newest:
                continue  # it has been opened since: decide again
            if not step.patch.empty:
                run.change.before_step(image)
                self._session.write_step(image, _title(request.plan, step.patch), step.patch)
            self._count(run, image, found, step)
            return
        run.totals.reviewed += 1

    def _into_view(self, run: _Run, image: int, found: ImportedImage) -> None:
        view = self._session.image
        assert view is not None
        document, overwrite = view.document, run.request.overwrite
        by = _provenance(found)
        self._edit.commit_stroke()
        step = label_step(document, found.labels, overwrite=overwrite, by=by)
        if not step.patch.empty:
            run.change.before_step(image)
            title = message("Import {format}", format=message(run.request.plan.format.title))
            self._edit.carry_out(
                title, document, lambda: label_step(document, found.labels, overwrite=overwrite, by=by).patch, Provenance.IMPORT
            )
            self._edit.commit_stroke()
        self._count(run, image, found, step)

    def _count(self, run: _Run, image: int, found: ImportedImage, step: LabelStep) -> None:
        project = run.project
        run.totals.add(found, step)
        if found.reviewed and not step.kept and not step.locked and not project.record(image).reviewed:
            project.set_status(image, ImageStatus.REVIEWED)

    def _finish(self, run: _Run, job: FolderJob[None]) -> None:
        self._run = None
        if job.abandoned:
            return
        totals, plan = run.totals, run.request.plan
        totals.failures += [
            (run.items[image].name, image_error(error, run.project.path_of(run.project.record(image))))
            for image, error in job.failures.items()
        ]
        summary = summary_of(plan, totals, plan.rest_name(run.request.rest), left=len(job.left))
        show = Choice(tr("Show summary"), lambda: self.summaryAsked.emit(summary))
        choices = (show, *self._folder_jobs.remember(run.change))
        say = self._notifier.warning if summary.troubled else self._notifier.info
        title = plural("Labels of {n} image imported", "Labels of {n} images imported", totals.images)
        if totals.unchanged and not totals.images:
            title = plural("{n} image had these labels already", "{n} images had these labels already", totals.unchanged)
        say(title, summary.short, replace_key=_KEY, choices=choices)
        self.finished.emit(summary)
        self._session.labelsCame.emit()


def scaled(rgb: NDArray[np.uint8], side: int = _PREVIEW_PX) -> NDArray[np.uint8]:
    """A (H, W, 3) uint8 picture with a longer side of at most ``side`` px."""
    height, width = rgb.shape[:2]
    factor = min(1.0, side / max(height, width))
    if factor == 1.0:
        return rgb
    cv2 = opencv()
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small: NDArray[np.uint8] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return small


def _looked_into(project: Project, planned: PlannedLabels) -> PlannedLabels:
    """Find the classes that occur and the images that need a frame. Meant for another thread."""
    plan = planned.plan
    assert plan is not None
    folder = _folder_of_frame(plan.source, plan.format.lossless)
    frame: Frame = "auto" if folder is None else stored_frame(project, folder)
    few = len(plan.items) <= _MOST_SEARCHED
    absent = absent_classes(plan, planned.catalog, planned.edits) if few else frozenset()
    undecided = tuple(plan.undecided_frames(_MOST_PROBED)) if frame == "auto" else ()
    return replace(planned, absent=absent, frame=frame, undecided=undecided)


def _folder_of_frame(source: Path, masks: bool) -> Path | None:
    """The folder of masks with one frame, which is stored with the project; None for labels that are not masks, or packed."""
    if source.is_dir():
        return source if masks else None
    return source.parent if masks and source.suffix.lower() != ".zip" else None


def _step(project: Project, image: int, request: LabelRequest, item: ImportItem) -> tuple[LabelStep, ImportedImage]:
    """The step of an image that is not open, and what was read."""
    found = request.plan.read(item, rest=request.rest, frame=request.frame)
    document = project.load(image, (found.labels.shape[0], found.labels.shape[1])).document
    return label_step(document, found.labels, overwrite=request.overwrite, by=_provenance(found)), found


def _provenance(found: ImportedImage) -> NDArray[np.uint8]:
    return set_by(found.provenance, found.labels.shape, reviewed=found.reviewed)


def _title(plan: ImportPlan, patch: TilePatch) -> MessageText:
    return message("Import {format}, {pixels} px", format=message(plan.format.title), pixels=spaced(patch.changed_pixels))
