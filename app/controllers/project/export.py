"""Taking masks out of a project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal, Slot

from app.controllers.predict.models import ModelsController
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.state.class_choice import known_catalogs
from app.state.class_keys import exported_catalog
from app.state.image_record import ImageRecord, ImageStatus
from app.state.reviews import to_export
from app.state.samples import ExportSource, LabelSource, report_items
from app.text import error_detail, error_title, joined, mark, plural, sentence, spaced, tr
from app.viewmodels.project.folder_plan import ScopeCount
from deeplab_core.atomic import atomic_write, refuse_picture
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.report import DataSetReport, report_data_set, report_page
from deeplab_core.errors import AtrousError
from deeplab_core.masks.export import (
    ExportItem,
    ExportSetup,
    ExportSummary,
    Loss,
    export_masks,
    map_items,
    measure_losses,
    plan_export,
)
from deeplab_core.masks.export.plan import ExistingTarget
from deeplab_core.masks.export.splits import SplitPlan, group_of, read_splits


class ExportScope(StrEnum):
    """Which images are exported."""

    REVIEWED = "reviewed"
    TOUCHED = "touched"
    ALL = "all"


SCOPE_TITLES = {
    ExportScope.REVIEWED: mark("Reviewed images"),
    ExportScope.TOUCHED: mark("Corrected and reviewed images"),
    ExportScope.ALL: mark("All images"),
}
#: Classes that the message at the end of an export names.
_CLASSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The user's choices in the dialog."""

    format: str
    scope: ExportScope
    frame: Literal["stored", "oriented"]
    target: Path
    with_predictions: bool = True
    with_rejected: bool = False
    keep_suffix: bool = False
    setup: ExportSetup | None = None
    provenance: bool = False

    @property
    def how(self) -> ExportSetup:
        """The format and its options."""
        return self.setup or ExportSetup(format=self.format)


@dataclass(frozen=True, slots=True)
class PlannedExport:
    """What an export would do.

    Attributes:
        existing, refused: see :class:`deeplab_core.masks.export.ExportPlan`; where images are shared out, files of every split.
        groups: number of groups that stay together in a split; 0 for none.
        left_out: number of images that no list of a split names.
    """

    existing: tuple[ExistingTarget, ...]
    refused: Mapping[str, AtrousError]
    groups: int = 0
    left_out: int = 0


class _StoppedError(Exception):
    """The user stopped the export while the images were shared out."""


class ExportController(QObject):
    """Verbs of exporting.

    Attributes:
        splits: how the last export shared its images out, in words; empty without splits.

    Signals:
        finished(ExportSummary, ExportRequest): an export is over.
        askedAgain(ExportRequest): an export wrote nothing, and the user wants to change what was asked for.
        reportAsked(): the user wants the report of the data set, and is asked where.
        reported(DataSetReport, Path): it is written.
        measured(str, str): what a format would lose, in words, and their tone; empty where counting was stopped.
        counted(int, int): images that were counted, and all of them.
    """

    finished = Signal(object, object)
    askedAgain = Signal(object)
    reportAsked = Signal()
    reported = Signal(object, object)
    measured = Signal(str, str)
    counted = Signal(int, int)
    _noted = Signal(object, int, int)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._jobs, self._notifier = services.session, models, services.jobs, services.notifier
        self._job: Job | None = None
        self._counting: Job | None = None
        self._reporting: Job | None = None
        self.splits = ""
        self._noted.connect(self._show_progress, Qt.ConnectionType.QueuedConnection)
        self._stop = False

    # -- export ----------------------------------------------------------------------------------------------------------

    def records(self, scope: ExportScope, *, with_rejected: bool = False) -> list[ImageRecord]:
        """Images of a scope."""
        return self._in_scope(scope, with_rejected=with_rejected)[0]

    def count(self, scope: ExportScope, *, with_rejected: bool = False) -> ScopeCount:
        """How many images a scope has, and what there is to export of them."""
        records, left_out = self._in_scope(scope, with_rejected=with_rejected)
        uncorrected = [record for record in records if not record.touched]
        return ScopeCount(
            len(records),
            len(uncorrected),
            sum(bool(record.prediction) for record in uncorrected),
            rejected=left_out + sum(record.rejected for record in records),
            left_out=left_out,
        )

    def _in_scope(self, scope: ExportScope, *, with_rejected: bool) -> tuple[list[ImageRecord], int]:
        """Images of a scope, and how many rejected ones are left out of it."""
        project = self._session.project
        least = {
            ExportScope.REVIEWED: ImageStatus.REVIEWED,
            ExportScope.TOUCHED: ImageStatus.TOUCHED,
            ExportScope.ALL: ImageStatus.NEW,
        }[scope]
        return ([], 0) if project is None else to_export(project, least, rejected=with_rejected)

    @property
    def catalogs(self) -> list[ClassCatalog]:
        """The project's classes, then others that files may have; empty without a project."""
        project = self._session.project
        return [] if project is None else known_catalogs(project)

    def plan(self, request: ExportRequest) -> PlannedExport:
        """Target files and what is there already. Raises ExportError or DataFileError if the export is impossible."""
        how = request.how
        items, exporter = self._items(request), how.exporter()
        items = map_items(items, how.class_map, how.catalog, unmatched_to_void=how.unmatched_to_void)
        group = group_of(how.group)
        groups = 0 if group is None else len({group(item.name) for item in items})
        left_out = 0
        if how.lists:
            parts = read_splits([item.name for item in items], how.lists).parts
            left_out = len(items) - len(parts)
            items = [replace(item, split=parts[item.name]) for item in items if item.name in parts]
        plan = plan_export(items, exporter, request.target, provenance=request.provenance)
        # Which image goes to which share is known when the masks were read: a file in any of them is asked about.
        for split in how.shares:
            dealt = [replace(item, split=split) for item in items]
            other = plan_export(dealt, exporter, request.target, provenance=request.provenance)
            known = {found.path for found in plan.existing}
            more = tuple(found for found in other.existing if found.path not in known)
            plan = replace(plan, existing=(*plan.existing, *more))
        return PlannedExport(plan.existing, plan.refused, groups, left_out)

    def measure(self, request: ExportRequest) -> bool:
        """Count in the background what the format would lose; ends with :attr:`measured`. False while it is counting."""
        if self._session.project is None or self._counting is not None or not self._saved():
            return False
        items = self._items(request)
        how = replace(request.how, shares={})  # shares lose nothing; dealing them out reads every mask once more
        stop = Event()
        self._counting = job = self._jobs.add(Job(tr("Counting what is lost"), stop.set))

        def work() -> str:
            prepared, _ = how.prepare(items)
            found = measure_losses(
                prepared,
                how.exporter(),
                frame=request.frame,
                progress=lambda done, total: self._noted.emit(job, done, total),
                cancel=stop.is_set,
            )
            return _lost_text(found)

        def end(text: str) -> None:
            stopped = stop.is_set()
            job.finish(JobState.CANCELLED if stopped else JobState.DONE)
            self._counting = None
            if not stopped:
                self.measured.emit(text or tr("Every pixel comes back."), "warn" if text else "good")
            else:
                self.measured.emit("", "muted")

        def fail(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self._counting = None
            self.measured.emit(f"{error_title(error)}. {error_detail(error)}" if isinstance(error, AtrousError) else "", "bad")
            if not isinstance(error, AtrousError):
                self._notifier.report_or_raise(error, replace_key="export")

        self._jobs.run(work, end, fail)
        return True

    def stop_measuring(self) -> None:
        """Stop counting; :attr:`measured` follows, without a text."""
        if self._counting is not None:
            self._counting.cancel()

    def _saved(self) -> bool:
        """Save what is on the canvas; False, and reported, if that fails."""
        project = self._session.project
        if self._session.autosaver is not None and project is not None and not project.read_only:
            try:
                self._session.autosaver.flush()
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
                return False
        return True

    def start(self, request: ExportRequest, on_existing: Literal["replace", "skip", "error"]) -> None:
        """Export in the background. What is on the canvas is saved first."""
        project = self._session.project
        if project is None or self._job is not None or not self._saved():
            return
        items = self._items(request)
        self._stop = False
        self._job = self._jobs.add(Job(tr("Exporting"), self._ask_stop, guards_close=True))
        self._job.progress(0, len(items))

        def look(_name: str) -> None:
            if self._stop:
                raise _StoppedError

        def work() -> tuple[ExportSummary, str]:
            try:
                prepared, splits = request.how.prepare(items, look)
            except _StoppedError:
                return ExportSummary(not_reached=len(items), cancelled=True), ""
            summary = export_masks(
                prepared,
                request.how.exporter(),
                request.target,
                on_existing=on_existing,
                frame=request.frame,
                progress=self._note,
                cancel=lambda: self._stop,
                provenance=request.provenance,
            )
            return summary, _split_text(splits)

        self._jobs.run(work, lambda found: self._end(found[0], found[1], request), partial(self._fail, request))

    # -- report ----------------------------------------------------------------------------------------------------------

    def ask_report(self) -> None:
        """Ask where the report of the data set is to be written."""
        self.reportAsked.emit()

    def write_report(self, path: Path) -> None:
        """Read every mask of the project in the background and write the page; ends with :attr:`reported`. What is on the canvas
        is saved first.
        """
        project = self._session.project
        if project is None or self._reporting is not None or not self._saved():
            return
        items, catalog, title = report_items(project), project.catalog, str(project.folder)
        stop = Event()
        self._reporting = job = self._jobs.add(Job(tr("Report of the data set"), stop.set))
        job.progress(0, len(items))

        def work() -> DataSetReport:
            done = count(1)
            found = report_data_set(
                items, catalog, title=title, progress=lambda _: self._noted.emit(job, next(done), len(items)), cancel=stop.is_set
            )
            if not found.cancelled:
                refuse_picture(path)
                atomic_write(path, report_page(found).encode("utf-8", "replace"))
            return found

        def end(found: DataSetReport) -> None:
            self._reporting = None
            job.finish(JobState.CANCELLED if found.cancelled else JobState.DONE)
            if not found.cancelled:
                self.reported.emit(found, path)

        def fail(error: Exception) -> None:
            self._reporting = None
            job.finish(JobState.FAILED)
            self._notifier.report_or_raise(error, replace_key="data report")

        self._jobs.run(work, end, fail)

    def _items(self, request: ExportRequest) -> list[ExportItem]:
        """Per image its mask, else its prediction; read on a thread of the pool."""
        project = self._session.project
        assert project is not None
        source: LabelSource = "effective" if request.with_predictions else "mask"
        to_project, catalog = self._models.in_project_ids, exported_catalog(project)
        return [
            ExportSource(project, record.id, source, to_project, keep_suffix=request.keep_suffix, catalog=catalog).item()
            for record in self.records(request.scope, with_rejected=request.with_rejected)
        ]

    def _note(self, done: int, total: int) -> None:
        self._noted.emit(self._job, done, total)  # from a thread of the pool

    @Slot(object, int, int)
    def _show_progress(self, job: Job, done: int, total: int) -> None:
        if job is self._counting:
            self.counted.emit(done, total)
        if job is not None and job.running:
            job.progress(done, total)

    def _ask_stop(self) -> None:
        self._stop = True

    def _end(self, summary: ExportSummary, splits: str, request: ExportRequest) -> None:
        self.splits = splits
        if self._job is not None:
            self._job.finish(JobState.CANCELLED if summary.cancelled else JobState.DONE)
            self._job = None
        self.finished.emit(summary, request)

    def _fail(self, request: ExportRequest, error: Exception) -> None:
        if self._job is not None:
            self._job.finish(JobState.FAILED)
            self._job = None
        again = Choice(tr("Export again…"), lambda: self.askedAgain.emit(request))
        self._notifier.report_or_raise(error, replace_key="export", choices=(again,))


def _lost_text(found: Mapping[str, Loss | AtrousError]) -> str:
    """What a format would lose, in words; empty for nothing."""
    losses = [loss for loss in found.values() if isinstance(loss, Loss) and loss]
    refused = [error for error in found.values() if not isinstance(error, Loss)]
    parts = []
    if losses:
        images = plural("{n} image", "{n} images", len(losses))
        parts.append(tr("In {images}: {what}.", images=images, what=sum(losses, Loss()).text()))
    if refused:
        parts.append(plural("{n} image cannot be exported.", "{n} images cannot be exported.", len(refused)))
        parts.append(refused[0].what)
    return joined(" ", parts)


def _split_text(plan: SplitPlan | None) -> str:
    """How images were shared out, in words; empty without splits."""
    if plan is None:
        return ""
    numbers = ", ".join(f"{name} {spaced(number)}" for name, number in Counter(plan.parts.values()).items())
    parts = [tr("Splits: {numbers}.", numbers=numbers)]
    if plan.duplicates:
        parts.append(
            plural("{n} set of equal images kept together.", "{n} sets of equal images kept together.", len(plan.duplicates))
        )
    if plan.left_out:
        parts.append(plural("{n} image is in no list.", "{n} images are in no list.", len(plan.left_out)))
    if plan.missing:
        more = plural("{n} line of the lists names", "{n} lines of the lists name", len(plan.missing))
        parts.append(tr("{lines} no exported image.", lines=more))
    return joined(" ", parts)


def summary_lines(summary: ExportSummary) -> Sequence[str]:
    """The export's outcome: what was written, then the classes with most pixels, and how many there are besides."""
    lines = [sentence(summary.text())]
    if summary.class_pixels:
        total = sum(summary.class_pixels.values())
        shares = sorted(summary.class_pixels.items(), key=lambda pair: -pair[1])
        lines += [
            tr("{name}: {pixels} px ({share:.1%})", name=name, pixels=spaced(count), share=count / total).replace("%", "\u00a0%")
            for name, count in shares[:_CLASSES]
        ]
        more = len(shares) - _CLASSES
        lines += [plural("and {n} more", "and {n} more", more)] if more > 0 else []
    return lines
