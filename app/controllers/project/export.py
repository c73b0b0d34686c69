"""Taking masks out of a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal, Slot

from app.controllers.predict.models import ModelsController
from app.services.jobs import Job, JobState
from app.services.services import Services
from app.state.image_record import ImageRecord, ImageStatus
from app.state.samples import ExportSource, LabelSource
from app.text import mark, plural, spaced, tr
from app.viewmodels.project.folder_plan import ScopeCount
from deeplab_core.errors import AtrousError
from deeplab_core.masks.export import (
    ExportItem,
    ExportPlan,
    ExportSetup,
    ExportSummary,
    Loss,
    export_masks,
    map_items,
    measure_losses,
    plan_export,
)


class Scope(StrEnum):
    """Which images are exported."""

    REVIEWED = "reviewed"
    TOUCHED = "touched"
    ALL = "all"


SCOPE_TITLES = {
    Scope.REVIEWED: mark("Reviewed images"),
    Scope.TOUCHED: mark("Corrected and reviewed images"),
    Scope.ALL: mark("All images"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The user's choices in the dialog."""

    format: str
    scope: Scope
    frame: Literal["stored", "oriented"]
    target: Path
    with_predictions: bool = True
    keep_suffix: bool = False
    setup: ExportSetup | None = None
    provenance: bool = False

    @property
    def how(self) -> ExportSetup:
        """The format and its options."""
        return self.setup or ExportSetup(format=self.format)


class ExportController(QObject):
    """Verbs of exporting.

    Signals:
        finished(ExportSummary, ExportRequest): an export is over.
        measured(str, bool): what a format would lose, in words, and whether that is anything.
    """

    finished = Signal(object, object)
    measured = Signal(str, bool)
    _noted = Signal(int, int)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._jobs, self._notifier = services.session, models, services.jobs, services.notifier
        self._job: Job | None = None
        self._noted.connect(self._show_progress, Qt.ConnectionType.QueuedConnection)
        self._stop = False

    # -- export ----------------------------------------------------------------------------------------------------------

    def records(self, scope: Scope) -> list[ImageRecord]:
        """Images of a scope."""
        project = self._session.project
        if project is None:
            return []
        least = {Scope.REVIEWED: ImageStatus.REVIEWED, Scope.TOUCHED: ImageStatus.TOUCHED, Scope.ALL: ImageStatus.NEW}[scope]
        return [record for record in project.images if record.status >= least and not record.missing]

    def count(self, scope: Scope) -> ScopeCount:
        """How many images a scope has, and what there is to export of them."""
        records = self.records(scope)
        uncorrected = [record for record in records if not record.touched]
        return ScopeCount(len(records), len(uncorrected), sum(bool(record.prediction) for record in uncorrected))

    def plan(self, request: ExportRequest) -> ExportPlan:
        """Target files and what is there already. Raises ExportError if the export is impossible."""
        how = request.how
        items, exporter = self._items(request), how.exporter()
        items = map_items(items, how.class_map, how.catalog, unmatched_to_void=how.unmatched_to_void)
        plan = plan_export(items, exporter, request.target, provenance=request.provenance)
        # Which image goes to which split is known when the masks were read: a file in any of them is asked about.
        for split in how.shares:
            parts = [replace(item, split=split) for item in items]
            other = plan_export(parts, exporter, request.target, provenance=request.provenance)
            known = {found.path for found in plan.existing}
            more = tuple(found for found in other.existing if found.path not in known)
            plan = replace(plan, existing=(*plan.existing, *more))
        return plan

    def measure(self, request: ExportRequest) -> bool:
        """Count in the background what the format would lose; ends with :attr:`measured`. False while another job runs."""
        if self._session.project is None or self._job is not None:
            return False
        how = request.how
        items = map_items(self._items(request), how.class_map, how.catalog, unmatched_to_void=how.unmatched_to_void)
        self._stop = False
        self._job = self._jobs.add(Job(tr("Counting what is lost"), self._ask_stop))

        def work() -> str:
            found = measure_losses(items, how.exporter(), frame=request.frame, progress=self._note, cancel=lambda: self._stop)
            return _lost_text(found)

        self._jobs.run(work, self._end_measure, self._fail)
        return True

    def _end_measure(self, text: str) -> None:
        if self._job is not None:
            self._job.finish(JobState.CANCELLED if self._stop else JobState.DONE)
            self._job = None
        self.measured.emit(text or tr("Every pixel comes back."), bool(text))

    def start(self, request: ExportRequest, on_existing: Literal["replace", "skip", "error"]) -> None:
        """Export in the background. What is on the canvas is saved first."""
        project = self._session.project
        if project is None or self._job is not None:
            return
        if self._session.autosaver is not None and not project.read_only:
            try:
                self._session.autosaver.flush()
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
                return
        items = self._items(request)
        self._stop = False
        self._job = self._jobs.add(Job(tr("Exporting"), self._ask_stop, guards_close=True))
        self._job.progress(0, len(items))

        def work() -> ExportSummary:
            prepared, _ = request.how.prepare(items)
            return export_masks(
                prepared,
                request.how.exporter(),
                request.target,
                on_existing=on_existing,
                frame=request.frame,
                progress=self._note,
                cancel=lambda: self._stop,
                provenance=request.provenance,
            )

        self._jobs.run(work, lambda summary: self._end(summary, request), self._fail)

    def _items(self, request: ExportRequest) -> list[ExportItem]:
        """Per image its mask, else its prediction; read on a thread of the pool."""
        project = self._session.project
        assert project is not None
        source: LabelSource = "effective" if request.with_predictions else "mask"
        to_project = self._models.in_project_ids
        return [
            ExportSource(project, record.id, source, to_project, keep_suffix=request.keep_suffix).item()
            for record in self.records(request.scope)
        ]

    def _note(self, done: int, total: int) -> None:
        self._noted.emit(done, total)  # from a thread of the pool

    @Slot(int, int)
    def _show_progress(self, done: int, total: int) -> None:
        if self._job is not None:
            self._job.progress(done, total)

    def _ask_stop(self) -> None:
        self._stop = True

    def _end(self, summary: ExportSummary, request: ExportRequest) -> None:
        if self._job is not None:
            self._job.finish(JobState.CANCELLED if summary.cancelled else JobState.DONE)
            self._job = None
        self.finished.emit(summary, request)

    def _fail(self, error: Exception) -> None:
        if self._job is not None:
            self._job.finish(JobState.FAILED)
            self._job = None
        self._notifier.report_or_raise(error, replace_key="export")


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
    return " ".join(parts)


def summary_lines(summary: ExportSummary) -> Sequence[str]:
    """The export's outcome, one fact a line."""
    lines = [summary.text() + "."]
    if summary.class_pixels:
        total = sum(summary.class_pixels.values())
        shares = sorted(summary.class_pixels.items(), key=lambda pair: -pair[1])
        lines += [
            tr("{name}: {count} px ({count2:.1%})", name=name, count=spaced(count), count2=count / total).replace("%", " %")
            for name, count in shares
        ]
    return lines
