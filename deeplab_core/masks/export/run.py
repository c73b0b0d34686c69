"""Running an export: every file checked before it takes its place, failures collected, nothing overwritten unasked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.errors import AtrousError, Cancelled, ExportError, ProtectedFile, StorageError
from deeplab_core.images.orientation import to_stored
from deeplab_core.images.probe import probe_image
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.masks.export.exporter import CollectionExporter, Exporter, ExportItem, FileExporter
from deeplab_core.masks.export.plan import ExportPlan, existing_target, plan_export
from deeplab_core.masks.output_marker import OutputMarker, Untouched, mark_output, read_marker, unmark_output
from deeplab_core.notes import Note, RunNotes

OnExisting = Literal["ask", "error", "replace", "skip"]
Frame = Literal["stored", "oriented"]

#: A disk that refuses this many files in a row will refuse the rest.
_REFUSALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What an export did.

    Attributes:
        written: names of the items that are now in the target, read back and equal.
        skipped: name and reason of items that were left out (no mask, file already there).
        failed: name and error of items that could not be exported.
        not_reached: how many items were not tried, after a cancel or when the disk refused to go on.
        nbytes: bytes written.
        class_pixels: pixels per class name over all written masks, ``"void"`` included; classes that do not occur are left out.
        cancelled: whether the run was cancelled.
        notes: masks that were repaired, and photographs under overlay pictures that were scaled or cut, counted.
    """

    written: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, AtrousError], ...] = ()
    not_reached: int = 0
    nbytes: int = 0
    class_pixels: dict[str, int] = field(default_factory=dict)
    cancelled: bool = False
    notes: RunNotes = field(default_factory=RunNotes)

    def text(self) -> str:
        """The summary in one sentence."""
        parts = [f"{len(self.written)} exported and read back"]
        parts += [f"{count} skipped ({reason})" for reason, count in Counter(reason for _, reason in self.skipped).items()]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        if self.not_reached:
            parts.append(f"{self.not_reached} not tried")
        if self.notes:
            parts.append(self.notes.text())
        return ("Cancelled: " if self.cancelled else "") + ", ".join(parts)


def export_masks(
    items: Sequence[ExportItem],
    exporter: Exporter,
    target: str | Path,
    *,
    on_existing: OnExisting = "ask",
    frame: Frame = "stored",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> ExportSummary:
    """Write masks to a folder. Each is read back and compared before it takes its place; labels are loaded one at a time.

    The folder gets a marker (:mod:`deeplab_core.masks.output_marker`), so that the masks are never found as ground truth.

    Args:
        items: what to export.
        exporter: how; see :data:`deeplab_core.masks.export.EXPORTERS`.
        target: folder; created if missing.
        on_existing: ``"ask"`` and ``"error"`` raise before anything is written if a target file exists (a caller that asks
            shows :func:`plan_export` first); ``"replace"`` and ``"skip"`` are what a person may have answered.
        frame: ``"stored"`` fits the raw pixels of the photograph's file, ``"oriented"`` what a viewer shows.
        progress: called with (done, total) after every item.
        cancel: asked before every item; True ends the run. Files already written stay; a collection is then not written.

    Raises:
        ExportError: an existing target, or a target that cannot be (see :func:`plan_export`). Items that the plan refuses,
            because two would be one file or a photograph stands there, fail alone.
        StorageError: the target folder cannot be created or marked.
    """
    plan = plan_export(items, exporter, target)
    if plan.existing and on_existing in ("ask", "error"):
        first = plan.existing[0]
        raise ExportError(
            f"{len(plan.existing):,} of the files are already there, the first is {first.path.name}",
            why="Nothing was written", remedy="Choose to replace or to skip them, or another folder", path=target,
        )  # fmt: skip
    make_folder(target)
    marking = _Marking(Path(target), items, plan, exporter, frame, replace=on_existing == "replace")
    run = _Run(items, plan, on_existing, frame, progress, cancel, marking)
    try:
        if isinstance(exporter, CollectionExporter):
            run.write_collection(exporter)
        elif isinstance(exporter, FileExporter):
            run.write_files(exporter)
    finally:
        marking.end()
    return run.summary()


class _Marking:
    """The marker of the target folder: written before the first mask, and again with what was written in the end."""

    def __init__(
        self, target: Path, items: Sequence[ExportItem], plan: ExportPlan, exporter: Exporter, frame: Frame, *, replace: bool
    ) -> None:
        self._target = target
        self._catalog = items[0].catalog if items else None
        self._frame: Frame = frame if exporter.follows_frame else "oriented"
        self._earlier: OutputMarker | None = read_marker(target)
        self._begun = False
        one_file = isinstance(exporter, CollectionExporter)
        pairs = list(zip(items, plan.outputs, strict=True))
        self._names = {item.name: item.name if one_file else path.relative_to(target).as_posix() for item, path in pairs}
        # Files that will be skipped are not ours.
        taken = set() if replace else {existing.path for existing in plan.existing}
        self._planned = [self._names[item.name] for item, path in pairs if path not in taken and item.name not in plan.refused]
        self.written: dict[str, Untouched | None] = {}

    def note(self, item: ExportItem) -> None:
        """An item was written."""
        self.written[self._names[item.name]] = None if item.untouched is None else item.untouched()

    def begin(self) -> None:
        """Call before every mask. Raises StorageError: the folder cannot be marked, so no mask may be written."""
        if not self._begun:
            self._write(dict.fromkeys(self._planned))
            self._begun = True

    def end(self) -> None:
        earlier, written = self._earlier, self.written
        if not self._begun:
            return
        with suppress(StorageError):  # what was planned is marked, which is the safe side
            if written:
                self._write(written)
            elif earlier is None:
                unmark_output(self._target)
            else:
                mark_output(
                    self._target, earlier.kind, {}, catalog=earlier.catalog, model=earlier.model, frame=earlier.frame,
                    earlier=earlier,
                )  # fmt: skip

    def _write(self, outputs: dict[str, Untouched | None]) -> None:
        mark_output(self._target, "export", outputs, catalog=self._catalog, frame=self._frame, earlier=self._earlier)


class _Run:
    def __init__(
        self,
        items: Sequence[ExportItem],
        plan: ExportPlan,
        on_existing: OnExisting,
        frame: Frame,
        progress: Callable[[int, int], None] | None,
        cancel: Callable[[], bool] | None,
        marking: _Marking,
    ) -> None:
        self._items = items
        self._marking = marking
        self._plan = plan
        self._replace = on_existing == "replace"
        self._frame = frame
        self._progress = progress
        self._cancel = cancel
        self._written: list[str] = []
        self._skipped: list[tuple[str, str]] = []
        self._failed: list[tuple[str, AtrousError]] = []
        self._pixels: Counter[str] = Counter()
        self._nbytes = 0
        self._notes = RunNotes("image")
        self._cancelled = False

    def write_files(self, exporter: FileExporter) -> None:
        refusals = 0
        for position, (item, path) in enumerate(zip(self._items, self._plan.outputs, strict=True)):
            if self._cancel is not None and self._cancel():
                self._cancelled = True
                return
            try:
                if item.name in self._plan.refused:
                    raise self._plan.refused[item.name]
                self._write_file(exporter, item, path)
                refusals = 0
            except AtrousError as error:
                self._failed.append((item.name, error))
                disk = isinstance(error, StorageError) and not isinstance(error, ProtectedFile)
                refusals = refusals + 1 if disk else 0
            if self._progress is not None:
                self._progress(position + 1, len(self._items))
            if refusals == _REFUSALS:
                return

    def _write_file(self, exporter: FileExporter, item: ExportItem, path: Path) -> None:
        # Looked at again, because a long run leaves time for someone else to put a file here.
        if not self._replace and existing_target(path) is not None:
            self._skipped.append((item.name, "already there"))
            return
        labels = self._load(item, exporter)
        if labels is None:
            self._skipped.append((item.name, "no mask"))
            return
        parts = exporter.encode(item, labels)
        make_folder(path.parent)
        self._marking.begin()
        self._nbytes += atomic_write(path, parts, check=lambda written: exporter.check(item, labels, written))
        self._count(item, labels)
        self._note(item, exporter.notes(item))

    def _note(self, item: ExportItem, notes: Iterable[Note] = ()) -> None:
        self._notes.add(item.name, (*(() if item.notes is None else item.notes()), *notes))

    def write_collection(self, exporter: CollectionExporter) -> None:
        if not self._items:
            return
        path = self._plan.outputs[0]
        if all(item.name in self._plan.refused for item in self._items):
            self._failed += [(item.name, self._plan.refused[item.name]) for item in self._items]
            return
        if not self._replace and existing_target(path) is not None:
            self._skipped += [(item.name, "already there") for item in self._items]
            return
        session = exporter.session(self._items[0].catalog)

        def parts() -> Iterator[bytes]:
            yield session.begin()
            for position, item in enumerate(self._items):
                if self._cancel is not None and self._cancel():
                    raise Cancelled
                try:
                    if item.name in self._plan.refused:
                        raise self._plan.refused[item.name]
                    labels = self._load(item, exporter)
                    if labels is None:
                        self._skipped.append((item.name, "no mask"))
                    else:
                        part = session.encode(item, labels)
                        self._count(item, labels)
                        self._note(item)
                        yield part
                except AtrousError as error:
                    self._failed.append((item.name, error))
                if self._progress is not None:
                    self._progress(position + 1, len(self._items))
            if not self._written:
                raise _NothingToWrite
            yield session.finish()

        try:
            self._marking.begin()
            self._nbytes = atomic_write(path, parts(), check=session.check)
        except Cancelled:
            self._cancelled = True
            self._forget()
        except _NothingToWrite:
            self._forget()
        except AtrousError as error:
            told = {name for name, _ in (*self._skipped, *self._failed)}
            lost = self._written or [item.name for item in self._items if item.name not in told]
            self._forget()
            self._failed += [(name, error) for name in lost]

    def summary(self) -> ExportSummary:
        tried = len(self._written) + len(self._skipped) + len(self._failed)
        return ExportSummary(
            written=tuple(self._written),
            skipped=tuple(self._skipped),
            failed=tuple(self._failed),
            not_reached=len(self._items) - tried,
            nbytes=self._nbytes,
            class_pixels=dict(self._pixels),
            cancelled=self._cancelled,
            notes=self._notes,
        )

    def _load(self, item: ExportItem, exporter: Exporter) -> LabelMap | None:
        """The labels in the frame to be written."""
        labels = item.labels()
        if labels is None or item.image_path is None:
            return labels
        info = probe_image(item.image_path)
        if (labels.shape[1], labels.shape[0]) != info.size:
            raise ExportError(
                f"the mask has {labels.shape[1]} x {labels.shape[0]} px, but the image has {info.width} x {info.height}",
                remedy="The image was changed since it was labelled; open the folder again", path=item.image_path,
            )  # fmt: skip
        return to_stored(labels, info.orientation) if self._frame == "stored" and exporter.follows_frame else labels

    def _count(self, item: ExportItem, labels: LabelMap) -> None:
        self._written.append(item.name)
        self._marking.note(item)
        counts = class_histogram(labels, item.catalog)
        self._pixels.update({name: int(n) for name, n in zip((*item.catalog.names, "void"), counts, strict=True) if n})

    def _forget(self) -> None:
        self._written = []
        self._marking.written.clear()
        self._pixels.clear()


class _NothingToWrite(Exception):
    """No image of a collection has a mask."""
