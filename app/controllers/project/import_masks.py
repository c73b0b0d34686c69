"""Masks from elsewhere: one file for the image in view, a folder for the whole project, or those that a new project finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.paths import is_sample_project
from app.services.folder_job import FolderJob, Steps, background, pause
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.state.image_record import ImageStatus
from app.state.import_plan import (
    ImportCounts,
    ImportedMask,
    ImportPlan,
    classes_of,
    import_patch,
    plan_import,
    read_import,
)
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import plural, spaced, tr
from app.viewmodels.project.folder_plan import plan_of_import
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, message
from deeplab_core.masks.frames import Frame

#: What the user decides about masks in other classes: True matches them by name, False reads them in the project's.
Decided = Callable[[bool], None]


@dataclass
class _Import:
    """One run over a folder of masks; ``files`` by image."""

    project: Project
    plan: ImportPlan
    files: dict[int, Path]
    frame: Frame
    source: ClassCatalog | None
    change: FolderChange
    counts: ImportCounts = field(default_factory=ImportCounts)


class ImportController(QObject):
    """Verbs of importing.

    Files are read in the background, but steps are written on the window's thread, and the image in view takes its mask through
    its open document: so the user may go through the folder during it, and no document is ever older than its journal.

    Signals:
        classesAsked(ImportPlan, Decided): the masks are made in other classes than the project has.
        reported(list of (file, why)): the user wants to see what was not taken as it is.
    """

    classesAsked = Signal(object, object)
    reported = Signal(object)

    def __init__(
        self,
        services: Services,
        truth: GroundTruthController,
        edit: EditController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._truth, self._edit = services.session, truth, edit
        self._jobs, self._notifier = services.jobs, services.notifier
        self._folder_jobs = folder_jobs
        self._run: FolderJob[None] | None = None

    def start_from_file(self, path: Path, frame: Frame = "auto") -> None:
        """Replace the mask in view by a mask file, as one undoable step; asks for what the file does not say.

        Args:
            path: the mask.
            frame: frame of the photograph that it is stored in.
        """
        project, image = self._session.project, self._session.image
        if project is None or image is None or project.read_only:
            return
        files = {project.record(image.id).relative_path: path}

        def planned(found: tuple[ClassCatalog | None, str]) -> None:
            plan = ImportPlan(path.parent, files, classes=found[0], reason=found[1])
            self._settle(project, plan, frame, begin)

        def begin(frame: Frame, source: ClassCatalog | None) -> None:
            if self._session.image is not image:
                return
            try:
                found = self._into_view(path, frame, source)
            except AtrousError as error:
                self._notifier.report(error)
                return
            if found is not None and found.notes:
                text = "; ".join(note.text for note in found.notes)
                self._notifier.warning(tr("{name} was imported", name=path.name), f"{text}.", replace_key="import")

        self._jobs.run(lambda: classes_of(project, files), planned, self._notifier.report_or_raise)

    def import_masks(self, folder: Path, frame: Frame = "auto", *, agreed: bool = False) -> None:
        """Take mask files from a folder for every image that the user has not worked on; the others keep their masks.

        Asks first where the masks are made in other classes, or fit their images both ways.

        Args:
            folder: searched recursively.
            frame: frame of the photographs that its masks are stored in.
            agreed: the project has no work in it yet, or the user was asked already.
        """
        project = self._session.project
        if project is None or project.read_only or self._run is not None:
            return
        job = self._jobs.add(Job(tr("Reading the masks")))

        def planned(plan: ImportPlan) -> None:
            job.finish()
            if project is not self._session.project:
                return
            if not plan.files:
                self._notifier.warning(
                    tr("No mask in {name} matches an image by name", name=folder.name),
                    tr("Nothing was changed."),
                    replace_key="import",
                    choices=self._details(ImportCounts().rows(plan)),
                )
                return

            def agree(frame: Frame, source: ClassCatalog | None) -> None:
                if agreed:
                    self._begin(project, plan, frame, source)
                elif project is self._session.project:
                    self._folder_jobs.ask(plan_of_import(project, plan), lambda: self._begin(project, plan, frame, source))

            self._settle(project, plan, frame, agree)

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self._notifier.report_or_raise(error)

        self._jobs.run(lambda: plan_import(project, folder), planned, failed)

    # -- questions -------------------------------------------------------------------------------------------------------

    def _settle(
        self, project: Project, plan: ImportPlan, frame: Frame, then: Callable[[Frame, ClassCatalog | None], None]
    ) -> None:
        """Ask what only the user knows, then go on."""

        def with_classes(matched: bool) -> None:
            source = plan.classes if matched else None
            if project is not self._session.project:
                return
            if frame == "auto":
                self._truth.with_frame(plan.folder, plan.files, lambda frame: then(frame, source))
            else:
                then(frame, source)

        if plan.classes is None or not self._truth.asks or is_sample_project(project.folder):
            with_classes(False)
        else:
            self.classesAsked.emit(plan, with_classes)

    def _details(self, rows: list[tuple[str, str]]) -> tuple[Choice, ...]:
        return (Choice(tr("Show skipped files"), lambda: self.reported.emit(rows)),) if rows else ()

    # -- the run ---------------------------------------------------------------------------------------------------------

    def _begin(self, project: Project, plan: ImportPlan, frame: Frame, source: ClassCatalog | None) -> None:
        if self._run is not None:
            return
        files = {record.id: plan.files[record.relative_path] for record in project.images if record.relative_path in plan.files}
        change = FolderChange(project, tr("The import of masks"), Provenance.IMPORT, "import")
        run = _Import(project, plan, files, frame, source, change)
        self._run = self._folder_jobs.start(
            project, tr("Importing masks"), files, lambda image: self._import(run, image), writes=True,
            on_end=lambda job: self._finish(run, job),
        )  # fmt: skip

    def _import(self, run: _Import, image: int) -> Steps[None]:
        """Give one image its mask, unless the user has worked on it by then."""
        project, path = run.project, run.files[image]
        while not project.record(image).touched:
            view = self._session.image
            if not self._folder_jobs.settled(image):
                yield from pause()
            elif view is not None and view.id == image:
                run.change.before_step(image)
                found = self._into_view(path, run.frame, run.source)
                if found is not None:
                    run.counts.add(project.record(image).relative_path, found)
                return
            else:
                patch, found = yield from background(lambda: import_patch(project, image, path, run.frame, run.source))
                if self._session.is_in_use(image) or project.record(image).touched:
                    continue  # it has been opened: decide again
                run.change.before_step(image)
                self._session.write_step(
                    image,
                    message("Import {file}, {pixels} px", file=path.name, pixels=spaced(patch.changed_pixels)),
                    patch,
                )
                run.counts.add(project.record(image).relative_path, found)
                return
        run.counts.kept += 1

    def _finish(self, run: _Import, job: FolderJob[None]) -> None:
        self._run = None
        if job.abandoned:
            return
        counts = run.counts
        counts.failures += [(run.project.record(image).relative_path, str(error)) for image, error in job.failures.items()]
        choices = (*self._details(counts.rows(run.plan)), *self._folder_jobs.remember(run.change))
        say = self._notifier.warning if counts.failures or counts.warning else self._notifier.info
        say(
            tr("{done} imported", done=plural("{n} mask", "{n} masks", counts.done)),
            counts.text(run.plan),
            replace_key="import",
            choices=choices,
        )

    def _into_view(self, path: Path, frame: Frame, source: ClassCatalog | None) -> ImportedMask | None:
        project, image = self._session.project, self._session.image
        if project is None or image is None:
            return None
        found = read_import(project, image.id, path, frame, source, image.info)
        self._edit.replace_all(found.labels, Provenance.IMPORT, message("Import {file}", file=path.name), found.by)
        return found


#: Name of a folder of masks to correct, as the sample project has one. Ground truth has other names.
MASKS = "masks"


class WelcomeController(QObject):
    """Offers masks when a project without any work in it opens and no model is there to predict one."""

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        imports: ImportController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._models, self._imports, self._notifier = models, imports, services.notifier
        services.session.projectChanged.connect(self._offer_masks)

    def _offer_masks(self, project: Project | None) -> None:
        self._notifier.withdraw("welcome")
        if project is None or project.read_only or self._models.choices():
            return
        folder = project.folder / MASKS
        if not folder.is_dir() or any(record.status is not ImageStatus.NEW for record in project.images):
            return
        if is_sample_project(project.folder):
            self._imports.import_masks(folder, agreed=True)
            return
        self._notifier.info(
            tr("No model yet, but masks were found"),
            tr("Start from the masks in {short}? They are not changed.", short=_short(folder)),
            replace_key="welcome",
            choices=(Choice(tr("Use these masks"), lambda: self._imports.import_masks(folder, agreed=True)),),
        )


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
