"""The labels of another user for the same images: how far both agree, and merging theirs into the open project."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.controllers.project.label_imports import scaled
from app.services.folder_job import FolderJob, Steps, background, pause
from app.services.jobs import Job, JobState
from app.services.services import Services
from app.state.document import Document
from app.state.edits.whole_mask import whole_patch
from app.state.image_record import ImageStatus
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.two_projects import ImageMerge, Pair, SidesTaken, TwoProjects, project_at
from app.text import displayed, plural, tr
from deeplab_core.analysis.agreement import Agreement
from deeplab_core.atomic import atomic_write
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.editing import CatalogEdit, add_class, joined
from deeplab_core.errors import AtrousError, ProjectError, message
from deeplab_core.images.decode import read_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.importing.mapping import VOID_NAME
from deeplab_core.regions import Regions

_KEY = "merge"
#: Longer side of the pictures of a conflict, px.
_PREVIEW_PX = 700


@dataclass(frozen=True, slots=True)
class MergeRow:
    """What merging would do to one image.

    Attributes:
        image: id in the open project.
        name: path of the image.
        changed: px that get another label, apart from conflicts.
        confirmed: px that keep their label and that the other user confirms.
        conflicts: (your class, their class) -> px that both users set differently.
        places: number of their connected parts.
    """

    image: int
    name: str
    changed: int
    confirmed: int
    conflicts: Mapping[tuple[str, str], int]
    places: int


@dataclass(slots=True, eq=False)
class ComparedProjects:
    """Two projects that were compared; :meth:`close` it.

    Attributes:
        two: the projects; the first one is open in the window.
        rows: every image that could be compared, in the order of the open project.
        agreement: of the images that both users worked on.
        failures: (image, error).
        choices: class of the other project -> class of the open one, or void, as the user said.
        added: the classes that the open project gets before it is merged; None without one.
    """

    two: TwoProjects
    agreement: Agreement
    rows: list[MergeRow] = field(default_factory=list)
    failures: list[tuple[str, AtrousError]] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    added: CatalogEdit | None = None
    _closed: bool = False

    @property
    def name(self) -> str:
        """The other project's folder, short: many folders of images are called alike."""
        folder = self.two.other.folder
        return displayed(f"{folder.parent.name}/{folder.name}")

    def close(self) -> None:
        """Close the other project; nothing happens the second time."""
        if not self._closed:
            self._closed = True
            self.two.other.close()


@dataclass(frozen=True, slots=True, eq=False)
class ConflictPicture:
    """An image with both users' labels where they contradict each other.

    Attributes:
        rgb: (h, w, 3) uint8.
        yours, theirs: (H, W) ids of ``catalog``, void outside the conflict.
        places: connected pixels with the same two classes.
    """

    rgb: NDArray[np.uint8]
    yours: LabelMap
    theirs: LabelMap
    places: Regions
    catalog: ClassCatalog


@dataclass
class _Run:
    """One merge; ``pairs`` and ``taken`` by image."""

    compared: ComparedProjects
    pairs: Mapping[int, Pair]
    taken: Mapping[int, SidesTaken]
    change: FolderChange
    merged: int = 0
    pixels: int = 0
    open: int = 0


class MergeController(QObject):
    """Verbs of two users' labels.

    Signals:
        compared(ComparedProjects): the dialog shows how far both agree, and what merging would do.
    """

    compared = Signal(object)

    def __init__(self, services: Services, edit: EditController, folder_jobs: FolderJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._notifier = services.session, services.jobs, services.notifier
        self._edit, self._folder_jobs = edit, folder_jobs
        self._run: FolderJob[None] | None = None

    def compare(self, path: Path) -> None:
        """Open the project of a folder for reading and compare it with the open one.

        Args:
            path: a folder with a project, or the directory of a project.
        """
        project = self._session.project
        if project is None or self._run is not None:
            return
        job = self._jobs.add(Job(tr("Opening {name}", name=displayed(path.name))))

        def work() -> TwoProjects:
            folder, directory = project_at(path)
            other = Project.open(folder, directory, read_only=True)
            try:
                if other.directory.samefile(project.directory):
                    what = message("this is the project that is open")
                    raise ProjectError(what, remedy=message("Choose the folder of the other user"), path=path)
                return TwoProjects(project, other)
            except BaseException:
                other.close()
                raise

        def done(two: TwoProjects) -> None:
            job.finish()
            self.look(ComparedProjects(two, Agreement(two.catalog)), lambda found: self.compared.emit(found) if found else None)

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self._notifier.report_or_raise(error, replace_key=_KEY)

        self._jobs.run(work, done, failed)

    def look(self, compared: ComparedProjects, then: Callable[[ComparedProjects | None], object]) -> None:
        """Compare image by image; ``then`` gets the result, or None if it was stopped, and the other project is closed."""
        two = compared.two
        pairs = {pair.one.id: pair for pair in two.pairs}
        self._session.end_stroke()

        def work(image: int) -> Steps[ImageMerge]:
            mine = self._copy(image)
            found = yield from background(partial(two.look, pairs[image], mine=mine, agreement=compared.agreement))
            return found

        def result(image: int, found: ImageMerge) -> None:
            compared.rows.append(MergeRow(image, found.name, found.changed, found.confirmed, found.conflicts, len(found.places)))

        def ended(job: FolderJob[ImageMerge]) -> None:
            if job.abandoned or job.stopped:
                compared.close()
                then(None)
                return
            compared.failures += [(two.one.record(image).relative_path, error) for image, error in job.failures.items()]
            then(compared)

        title = tr("Comparing with {name}", name=compared.name)
        if self._folder_jobs.start(two.one, title, pairs, work, result, on_end=ended) is None:
            compared.close()
            then(None)

    def choose_classes(
        self, compared: ComparedProjects, choices: Mapping[str, str], then: Callable[[ComparedProjects | None], object]
    ) -> None:
        """Compare again after the user said what classes of the other project are.

        A choice that is no class of the open project is one that it is to get; the project itself does not change.
        """
        one, other = compared.two.one, compared.two.other
        try:
            added = _added_classes(one, other.catalog, choices)
            two = TwoProjects(one, other, choices, None if added is None else added.catalog)
        except AtrousError as error:
            self._notifier.report(error, replace_key=_KEY)
            then(compared)
            return
        self.look(ComparedProjects(two, Agreement(two.catalog), choices=dict(choices), added=added), then)

    def picture(self, compared: ComparedProjects, image: int, then: Callable[[ConflictPicture | Exception], None]) -> None:
        """Read an image and what both users set differently in it, in the background."""
        two = compared.two
        pair = next(pair for pair in two.pairs if pair.one.id == image)
        mine = self._copy(image)

        def work() -> ConflictPicture:
            rgb = scaled(read_image(two.one.path_of(pair.one)).rgb, _PREVIEW_PX)
            return ConflictPicture(rgb, *two.conflict(pair, mine), two.catalog)

        self._jobs.run(work, then, then)

    def save_report(self, compared: ComparedProjects, path: Path, then: Callable[[AtrousError | None], None]) -> None:
        """Write the agreement as ``atrous project agreement --json`` does, in the background."""
        two = compared.two
        failed = [{"image": name, "error": error.to_dict()} for name, error in compared.failures]
        sides = {"a": str(two.one.folder), "b": str(two.other.folder), "scope": "touched", "failed": failed}
        data = {**compared.agreement.to_dict(), **sides}
        text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"

        def work() -> None:
            atomic_write(path, text.encode("utf-8", "surrogateescape"))

        def refused(error: Exception) -> None:
            if isinstance(error, AtrousError):
                then(error)
            else:
                self._notifier.report_or_raise(error)

        self._jobs.run(work, lambda _none: then(None), refused)

    # -- merging ---------------------------------------------------------------------------------------------------------

    def merge(self, compared: ComparedProjects, taken: Mapping[int, SidesTaken]) -> bool:
        """Merge the other user's labels into the open project, as one step an image; whether it began.

        The project has the classes of ``compared.added`` by then.

        Args:
            taken: image -> the user who wins its conflicts, or each place of them; images with conflicts that are not decided
                stay as they are.
        """
        two = compared.two
        pairs = {pair.one.id: pair for pair in two.pairs}
        wanted = [row.image for row in compared.rows if row.changed or row.confirmed or row.conflicts]
        change = FolderChange(two.one, tr("The merge"), Provenance.IMPORT, _KEY)
        run = _Run(compared, pairs, taken, change)
        self._run = self._folder_jobs.start(
            two.one, tr("Merging with {name}", name=compared.name), wanted, lambda image: self._merge(run, image), writes=True,
            on_end=lambda job: self._finish(run, job),
        )  # fmt: skip
        if self._run is None:
            compared.close()
        return self._run is not None

    def _merge(self, run: _Run, image: int) -> Steps[None]:
        """Merge one image. Steps are written on the window's thread, those of the image in view to its document."""
        two, pair, take = run.compared.two, run.pairs[image], run.taken.get(image)
        project = two.one
        while True:
            if not self._folder_jobs.settled(image):
                yield from pause()
                continue
            view = self._session.image
            newest = project.journal.newest(image)
            if view is not None and view.id == image:
                self._edit.commit_stroke()
                document, revision = view.document, view.document.revision
                mine = _copied(document)
                found = yield from background(partial(two.look, pair, take, mine=mine))
                if self._session.image is not view or document.revision != revision:
                    continue
                if not found.open:
                    self._into_view(run, image, document, found)
            else:
                document = (yield from background(lambda: project.load(image))).document
                found = yield from background(partial(two.look, pair, take, mine=document))
                if self._session.is_in_use(image) or project.journal.newest(image) != newest:
                    continue  # it has been opened since: decide again
                patch = whole_patch(document, found.labels, found.provenance)
                if not found.open and not patch.empty:
                    run.change.before_step(image)
                    self._session.write_step(image, two.title, patch)
            self._count(run, image, found)
            return

    def _into_view(self, run: _Run, image: int, document: Document, found: ImageMerge) -> None:
        def make() -> TilePatch:
            return whole_patch(document, found.labels, found.provenance)

        if not make().empty:
            run.change.before_step(image)
            self._edit.carry_out(run.compared.two.title, document, make, Provenance.IMPORT)
            self._edit.commit_stroke()

    def _count(self, run: _Run, image: int, found: ImageMerge) -> None:
        if found.open:
            run.open += 1
            return
        run.merged += 1
        run.pixels += found.changed
        project = run.compared.two.one
        if found.reviewed != project.record(image).reviewed:
            project.set_status(image, ImageStatus.REVIEWED if found.reviewed else ImageStatus.TOUCHED)

    def _finish(self, run: _Run, job: FolderJob[None]) -> None:
        self._run = None
        name = run.compared.name
        run.compared.close()
        if job.abandoned:
            return
        summary = [
            tr(
                "{images} took labels of the other user: {pixels}",
                images=plural("{n} image", "{n} images", run.merged),
                pixels=plural("{n} px", "{n} px", run.pixels),
            )
        ]
        if run.open:
            summary.append(
                plural(
                    "{n} image with conflicts stays as it is until you decide",
                    "{n} images with conflicts stay as they are until you decide",
                    run.open,
                )
            )
        title = tr("Merge with {name}", name=name)
        self._folder_jobs.say(job, title, summary, key=_KEY, change=run.change)
        self._session.labelsCame.emit()

    def _copy(self, image: int) -> Document | None:
        """A copy of a document that the window holds; None if the project's files are up to date."""
        view, autosaver = self._session.image, self._session.autosaver
        if view is not None and view.id == image:
            return _copied(view.document)
        held = None if autosaver is None else autosaver.held(image)
        return None if held is None else _copied(held)


def _added_classes(project: Project, theirs: ClassCatalog, choices: Mapping[str, str]) -> CatalogEdit | None:
    """What gives a project the classes that are chosen and that it lacks, in the other user's colours where they are free.

    Raises:
        CatalogError: a name cannot be used, or no id is free.
    """
    before, edits = project.catalog, list[CatalogEdit]()
    for name in dict.fromkeys(choices.values()):
        if name == VOID_NAME or name in before.names:
            continue
        catalog, known = edits[-1].catalog if edits else before, theirs.by_name(name)
        color = None if known is None or known.color in {info.color for info in catalog.classes} else known.color
        edits.append(add_class(catalog, name, color=color, reserved=project.class_edits.retired(before)))
    return joined(before, edits) if edits else None


def _copied(document: Document) -> Document:
    return Document(document.labels.copy(), document.catalog, document.provenance.copy())
