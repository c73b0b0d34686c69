"""Labels of other programs into a project: what is stored of each image, and what came in over all of them. No Qt, no torch."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.state.class_edits import ClassEdits
from app.state.document import Document
from app.state.edits.whole_mask import set_by, whole_patch
from app.state.image_record import ImageStatus
from app.state.locks import held
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, users_own
from app.text import sentence
from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, Cancelled, LabelSourceError, MessageText, alike, image_error, message
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing import ImportedImage, ImportItem, ImportPlan, open_source, recognise, scan
from deeplab_core.masks.importing.records import Unread
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.notes import RunNotes
from deeplab_core.parallel import available_cores, futures_in_order


@dataclass(slots=True)
class ImportTotals:
    """What came in over a run.

    Attributes:
        images: that took labels.
        unchanged: images that have these labels already.
        held: images that took nothing, because all that is new to them is kept (``kept_pixels``, ``locked_pixels``).
        reviewed: images that kept their mask, because the user declared it good.
        kept_pixels: px of the user that were kept.
        locked_pixels: px that kept a locked class, or were to get one.
        regions, labelled, unlabelled, overlaps, instances: of the source, as in :class:`ImportedImage`, added up.
        filled: px without a label in the source that became the class of such pixels, in the images that took labels.
        classes: px that came in by name of the class, void last.
        skipped: parts of images that were not read, counted by what they are, why, and whether they are damaged.
        first_skipped: the first image with such a part.
        failures: (image, error).
        notes: what was read in an unusual way.
        masks: pixels by class of what was read from masks, by which they are found to be implausible; None before the first.
    """

    images: int = 0
    unchanged: int = 0
    held: int = 0
    reviewed: int = 0
    kept_pixels: int = 0
    locked_pixels: int = 0
    regions: int = 0
    labelled: int = 0
    unlabelled: int = 0
    filled: int = 0
    overlaps: int = 0
    instances: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    first_skipped: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    failures: list[tuple[str, AtrousError]] = field(default_factory=list)
    notes: RunNotes = field(default_factory=lambda: RunNotes("mask"))
    masks: MaskStatistics | None = None

    def add(self, found: ImportedImage, step: LabelStep | None = None) -> None:
        """Count what was read for one image.

        Args:
            step: what that changes of it; None for an image without labels of its own.
        """
        kept, locked = (0, 0) if step is None else (step.kept, step.locked)
        self.kept_pixels += kept
        self.locked_pixels += locked
        if step is None or not step.patch.empty:
            self.images += 1
            came, silent = None if step is None else step.came, found.silent
            self.filled += found.unlabelled if came is None or silent is None else int(np.count_nonzero(silent & came))
        elif kept or locked:
            self.held += 1
        else:
            self.unchanged += 1
        self.regions += found.regions
        self.labelled += found.labelled
        self.unlabelled += found.unlabelled
        self.overlaps += found.overlaps
        self.instances += found.instances
        px = found.px if step is None else step.px
        for name, count in zip((*found.catalog.names, "void"), px.tolist(), strict=True):
            if count:
                self.classes[name] += count
        for part in found.skipped:
            kind = (part.name, part.why, part.damaged)
            self.skipped[kind] += part.count
            self.first_skipped.setdefault(kind, found.name)
        self.notes.add(found.name, found.notes)
        if not found.regions and not found.unlabelled:
            if self.masks is None:
                self.masks = MaskStatistics(found.catalog)
            self.masks.add(found.name, found.px)

    @property
    def warnings(self) -> list[str]:
        """Why the masks may not be what they are taken for, one sentence each."""
        findings = () if self.masks is None else self.masks.findings()
        return [sentence(note.text) for note in findings if note.warning]

    def not_read(self) -> list[Unread]:
        """Parts of images that were not read."""
        return [
            Unread(name, why, count, self.first_skipped[name, why, damaged], damaged)
            for (name, why, damaged), count in self.skipped.items()
        ]

    @property
    def incomplete(self) -> bool:
        """Whether something that should have come in did not: an image failed, or a region is damaged."""
        return bool(self.failures) or any(damaged for _, _, damaged in self.skipped)

    def failed_alike(self) -> list[tuple[AtrousError, tuple[str, ...]]]:
        """The failures with the images of each kind: their errors say the same of other files. The first error speaks for all."""
        return alike(self.failures)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "images": self.images, "unchanged": self.unchanged, "held": self.held, "reviewed": self.reviewed,
            "failed": len(self.failures),
            "regions": self.regions, "labelled_px": self.labelled, "unlabelled_px": self.unlabelled,
            "filled_px": self.filled,
            "overlap_px": self.overlaps, "instances": self.instances, "kept_px": self.kept_pixels,
            "locked_px": self.locked_pixels,
            "pixels": dict(self.classes), "not_read": [part.to_dict() for part in self.not_read()],
            "notes": self.notes.to_list(), "warnings": self.warnings,
        }  # fmt: skip


def plan_labels(
    source: Path,
    images: Path,
    names: list[str],
    *,
    format_key: str | None = None,
    mask_classes: ClassCatalog | None = None,
    project_classes: ClassCatalog | None = None,
    edits: ClassEdits | None = None,
) -> tuple[ImportPlan, str]:
    """Look at labels; the classes of plain masks are those that the user names, else recognised, else the project's.

    Args:
        names: paths of the images below their folder, with ``/``.
        mask_classes: the classes of plain masks that the user named.
        project_classes: of the project, None for a new one.
        edits: of the project's classes: plain masks may hold the ids of classes that are gone.

    Returns:
        The plan, and what the classes of plain masks rest on, in words; empty for formats that name their classes.

    Raises:
        LabelSourceError: see :func:`deeplab_core.masks.importing.scan`.
    """
    key, reason = format_key or recognise(open_source(source)).key, ""
    if key == "masks" and mask_classes is None:
        mask_classes, reason = _recognised(source, project_classes)
        if edits is not None and mask_classes is not None and mask_classes == project_classes:
            mask_classes = edits.reading_catalog(mask_classes)
    return scan(source, images, names, format=key, mask_classes=mask_classes), reason


def _recognised(source: Path, project_classes: ClassCatalog | None) -> tuple[ClassCatalog | None, str]:
    from deeplab_core.datasets import guess_catalog

    opened = open_source(source)
    files = [opened.local(name) for name in opened.with_ending(".png", ".tif", ".tiff", ".bmp", ".pgm")]
    known = list(builtin_catalogs().values())
    guess = guess_catalog(files, known if project_classes is None else [*known, project_classes])
    if guess.certain and guess.catalog is not None:
        return guess.catalog, guess.reason
    if project_classes is None:
        return None, ""
    return project_classes, message("Their values are taken for ids of the project's classes")


def map_labels(
    plan: ImportPlan, catalog: ClassCatalog, choices: Mapping[str, str] | None = None, edits: ClassEdits | None = None
) -> ImportPlan:
    """The plan with the project's classes; ids of classes that an edit took away become what the edit made of them.

    That holds for plain numbers, and for classes that the source declares with the id and the name that they had in the project.

    Args:
        catalog: of the project.
        choices: see :meth:`ImportPlan.mapped`.
        edits: of the project's classes, None for a new one.
    """
    if edits is None:
        return plan.mapped(catalog, choices)
    moves, gone = edits.moves, edits.retired(catalog)
    once = {info.id: info.name for info in edits.reading_catalog(catalog).classes if info.id in gone}
    declared = {info.id: info.name for info in plan.declared.classes} if plan.declared is not None else {}
    numbers = {str(one.id) for one in plan.classes if one.id is not None}
    decided: dict[str, int | None] = {}
    for number, info in gone.items():
        if declared.get(number) in (info.name, once[number]):
            decided[declared[number]] = moves.get(number)
        if str(number) in numbers:
            decided[str(number)] = moves.get(number)
    return plan.mapped(catalog, choices, decided)


def absent_classes(plan: ImportPlan, catalog: ClassCatalog, edits: ClassEdits | None) -> frozenset[str]:
    """Classes of masks that have no partner in ``catalog`` and no pixel; reads masks until every other open class was found."""
    mapping = map_labels(plan, catalog, edits=edits).settled().mapping
    pairs = () if mapping is None else mapping.pairs
    return frozenset(pair.source.name for pair in pairs if pair.how == "absent")


def classes_without_pixels(plan: ImportPlan, totals: ImportTotals) -> list[str]:
    """Classes of which the source names regions, and no pixel came in: all are damaged, hidden, kept out or of missing images."""
    if plan.mapping is None:
        return []
    catalog = plan.mapping.catalog
    targets = {
        pair.target for pair in plan.mapping.pairs if pair.source.regions and pair.target not in (None, catalog.background)
    }
    return [info.name for info in catalog.classes if info.id in targets and not totals.classes[info.name]]


def new_classes(plan: ImportPlan) -> ClassCatalog:
    """Classes of a new project: those of the source; a built-in catalog where it has the same names in the same order.

    Raises:
        LabelSourceError: the source has numbers and no names.
    """
    if plan.classes and all(one.id is not None for one in plan.classes) and plan.recorded is None:
        raise LabelSourceError(
            message("the source has numbers and no names of classes"),
            why=message("{format}: {count} values occur", format=plan.format.title, count=len(plan.classes)),
            remedy=message("Choose the classes of the new project"),
            option="--catalog",
            path=plan.source,
        )
    own = plan.own_catalog()
    if plan.recorded is not None:
        return own  # with the colours and keys that the user gave to the classes
    return next((catalog for catalog in builtin_catalogs().values() if catalog.names == own.names), own)


#: Most images that an import works on at a time: each takes some twenty bytes a pixel.
_MOST_THREADS = 4


@dataclass(slots=True, eq=False)
class _Import:
    """The import of one image on its way: read, compared with what the image has, recorded, written."""

    item: ImportItem
    image: int | None
    found: ImportedImage | None = None
    document: Document | None = None
    step: LabelStep | None = None
    saved: Future[str] | None = None
    problem: Exception | None = None


def import_items(
    project: Project | None,
    ids: Mapping[str, int],
    plan: ImportPlan,
    totals: ImportTotals,
    *,
    rest: str | None = None,
    frame: Frame = "auto",
    overwrite: bool = False,
    threads: int | None = None,
) -> Iterator[tuple[ImportItem, ImportedImage | None]]:
    """Store the labels of all images of a plan, each as one undoable step and a mask file; counts go to ``totals``.

    Pixels that the user set stay as they are, and so does the whole mask of an image that the user declared good. Labels are read
    ahead, compared and packed on all cores. Steps are recorded in order, and mask files are written by several threads: the
    journal is flushed once for all steps that wait for it, always before the mask files that contain them.

    Args:
        project: None, or a project that is open for reading only, stores nothing and counts what would be stored.
        ids: of the images in the project, by path; an image that is missing is none of the project yet.
        rest, frame: see :meth:`ImportPlan.read`.
        overwrite: replace these, too; the step can be undone.
        threads: None takes one for each core, at most four.

    Yields:
        Each item with what was read; None where the image kept its mask, or failed.
    """
    threads = min(available_cores(), _MOST_THREADS) if threads is None else threads
    title = message("Import {format}", format=plan.format.title)

    def wanted(item: ImportItem) -> bool:
        image = ids.get(item.name)
        return project is None or image is None or overwrite or not project.record(image).reviewed

    def read(item: ImportItem) -> _Import:
        job = _Import(item, ids.get(item.name))
        if wanted(item):
            try:
                job.found = plan.read(item, rest=rest, frame=frame)
            except Cancelled:
                raise
            except Exception as problem:
                job.problem = problem
        return job

    def compare(reading: Future[_Import]) -> _Import:
        job = reading.result()
        if project is not None and job.image is not None and job.found is not None:
            try:
                job.document, job.step = _compared(project, job.image, job.found, overwrite)
            except Exception as problem:
                job.problem = problem
        return job

    under_way: deque[_Import] = deque()
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="mask-files") as writers,
        closing(futures_in_order(read, plan.items, 1, depth=threads + 1)) as reading,
        closing(futures_in_order(compare, reading, threads, depth=threads + 1)) as compared,
    ):
        for future in compared:
            job = future.result()
            if job.step is not None and job.problem is None:
                _record(project, job, title, writers)
            under_way.append(job)
            if len(under_way) > threads:
                first = under_way.popleft()
                yield first.item, _finished_import(project, plan, first, totals)
        while under_way:
            first = under_way.popleft()
            yield first.item, _finished_import(project, plan, first, totals)


def _compared(project: Project, image: int, found: ImportedImage, overwrite: bool) -> tuple[Document, LabelStep]:
    """The labels of an image that is not open, and the step that gives it what was read."""
    height, width = found.labels.shape
    document = project.load(image, (height, width)).document
    by = set_by(found.provenance, found.labels.shape, reviewed=found.reviewed)
    return document, label_step(document, found.labels, overwrite=overwrite, by=by)


def _record(project: Project | None, job: _Import, title: MessageText, writers: ThreadPoolExecutor) -> None:
    """Journal first; the mask file follows in another thread."""
    if project is None or project.read_only or job.step is None or job.document is None or job.image is None:
        return
    if job.step.patch.empty:
        return
    try:
        project.append_step(job.image, title, Provenance.IMPORT, job.step.patch)
    except Exception as problem:
        job.problem = problem
        return
    job.saved = writers.submit(_save, project, job.image, job.document, job.step.patch, project.journal.head(job.image))


def _save(project: Project, image: int, document: Document, patch: TilePatch, move: int) -> str:
    document.apply(patch)
    return project.save_mask(image, document.labels, document.provenance, move)


def _finished_import(project: Project | None, plan: ImportPlan, job: _Import, totals: ImportTotals) -> ImportedImage | None:
    """Count an image once its mask file is written."""
    found, step = job.found, job.step
    try:
        if job.problem is not None:
            raise job.problem
        if job.saved is not None:
            job.saved.result()
        if found is None:
            totals.reviewed += 1
            return None
        whole = step is not None and found.reviewed and not step.kept and not step.locked
        writable = None if project is None or project.read_only else project
        if whole and writable is not None and job.image is not None and not writable.record(job.image).reviewed:
            writable.set_status(job.image, ImageStatus.REVIEWED)
    except Exception as problem:
        totals.failures.append((job.item.name, image_error(problem, plan.images / job.item.name)))
        return None
    totals.add(found, step)
    return found


def store_labels(
    project: Project, image: int, labels: LabelMap, title: MessageText, *, overwrite: bool, by: NDArray[np.uint8] | None = None
) -> LabelStep:
    """Write labels into an image that is not open: journal first, then the mask file.

    Args:
        labels: (H, W) in the project's ids and the oriented frame.
        title: of the step.
        overwrite: whether pixels that the user set are replaced.
        by: (H, W) uint8 provenance that the source has; None makes every pixel one of an import.

    Returns:
        The step; nothing was written if it changes nothing or the project is read-only.

    Raises:
        StorageError, ProjectError: it cannot be recorded; nothing was changed.
    """
    document = project.load(image, (labels.shape[0], labels.shape[1])).document
    step = label_step(document, labels, overwrite=overwrite, by=by)
    if not step.patch.empty and not project.read_only:
        project.append_step(image, title, Provenance.IMPORT, step.patch)
        _save(project, image, document, step.patch, project.journal.head(image))
    return step


class LabelStep(NamedTuple):
    """The step that gives a document imported labels.

    Attributes:
        patch: what it changes.
        kept: px that it leaves because the user set them.
        locked: px that it leaves because of a locked class.
        px: (C + 1,) int64 px of the imported labels that the image has afterwards, by class, void last.
        came: (H, W) bool where the image has the imported labels afterwards; None is everywhere.
    """

    patch: TilePatch
    kept: int
    locked: int
    px: NDArray[np.int64]
    came: NDArray[np.bool_] | None


def label_step(document: Document, labels: LabelMap, *, overwrite: bool, by: NDArray[np.uint8] | None = None) -> LabelStep:
    """See :class:`LabelStep`; arguments as of :func:`store_labels`."""
    source = np.full_like(document.provenance, Provenance.IMPORT) if by is None else by
    own: NDArray[np.bool_] = users_own(document.provenance)
    kept = locked = 0
    wanted = after = labels
    if not overwrite and own.any():
        kept = int(np.count_nonzero(own & (document.labels != labels)))
        labels = after = np.where(own, document.labels, labels)
        source = np.where(own, document.provenance, source)
    if document.locked:
        stays = held(document.labels, labels, document.locked)
        locked = int(np.count_nonzero(stays & (document.labels != labels)))
        after = np.where(stays, document.labels, labels)
    came: NDArray[np.bool_] | None = None if after is wanted else after == wanted
    px = class_histogram(wanted if came is None else wanted[came], document.catalog)
    return LabelStep(whole_patch(document, labels, source), kept, locked, px, came)
