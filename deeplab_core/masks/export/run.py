"""Running an export: every file checked before it takes its place, failures collected, nothing overwritten unasked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.errors import (
    AtrousError,
    Cancelled,
    ExportError,
    MessageText,
    ProtectedFile,
    StorageError,
    join_messages,
    message,
    plural_message,
)
from deeplab_core.images.orientation import to_stored
from deeplab_core.images.probe import probe_image
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.masks.export.companions import place_picture, provenance_part, world_file_part
from deeplab_core.masks.export.exporter import (
    CollectionExporter,
    CollectionSession,
    Encoded,
    Exporter,
    ExportItem,
    LayoutExporter,
    LayoutSession,
    Loss,
    Part,
    holds,
)
from deeplab_core.masks.export.marking import Marking
from deeplab_core.masks.export.plan import ExportPlan, check_splits, existing_target, plan_export
from deeplab_core.notes import Note, RunNotes
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import read_bytes

OnExisting = Literal["ask", "error", "replace", "skip"]
ExportFrame = Literal["stored", "oriented"]

#: Lists and tables that all images share, bytes.
_MOST_SHARED = 256 << 20
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
        losses: by item name what the format could not carry, only where that is anything.
    """

    written: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, AtrousError], ...] = ()
    not_reached: int = 0
    nbytes: int = 0
    class_pixels: dict[str, int] = field(default_factory=dict)
    cancelled: bool = False
    notes: RunNotes = field(default_factory=RunNotes)
    losses: dict[str, Loss] = field(default_factory=dict)

    @property
    def loss(self) -> Loss:
        """What the format could not carry, over all images."""
        return sum(self.losses.values(), Loss())

    def text(self) -> MessageText:
        """The summary in one sentence."""
        parts = [message("{number} exported and read back", number=len(self.written))]
        for reason, number in Counter(reason for _, reason in self.skipped).items():
            parts.append(message("{number} skipped ({reason})", number=number, reason=reason))
        if self.failed:
            parts.append(message("{number} failed", number=len(self.failed)))
        if self.not_reached:
            parts.append(message("{number} not tried", number=self.not_reached))
        if self.notes:
            parts.append(self.notes.text())
        if self.losses:
            images = plural_message("{n} image", "{n} images", len(self.losses))
            parts.append(message("not carried by the format, in {images}: {loss}", images=images, loss=self.loss.text()))
        text = join_messages(parts, ", ")
        return message("Cancelled: {text}", text=text) if self.cancelled else text


def export_masks(
    items: Sequence[ExportItem],
    exporter: Exporter,
    target: str | Path,
    *,
    on_existing: OnExisting = "ask",
    frame: ExportFrame = "stored",
    progress: Callable[[int, int], None] | None = None,
    cancel: IsCancelled | None = None,
    provenance: bool = False,
) -> ExportSummary:
    """Write masks to a folder. Each is read back and compared before it takes its place; labels are loaded one at a time.

    The folder gets a marker (:mod:`deeplab_core.masks.output_marker`), so that the masks are never found as ground truth.

    Args:
        items: what to export.
        exporter: how; see :data:`deeplab_core.masks.export.EXPORTERS`.
        target: folder; created if missing, and removed again if nothing is written.
        on_existing: ``"ask"`` and ``"error"`` raise before anything is written if a target file exists (a caller that asks
            shows :func:`plan_export` first); ``"replace"`` and ``"skip"`` are the user's possible answers.
        frame: ``"stored"`` fits the raw pixels of the photograph's file, ``"oriented"`` what a viewer shows.
        progress: called with (done, total) after every item.
        cancel: asked before every item; True ends the run. Files already written stay; a collection is then not written.
        provenance: write a picture of who set its pixels for each item that knows it (:mod:`deeplab_core.masks.confirmed`).

    Raises:
        ExportError: an existing target, or a target that cannot be (see :func:`plan_export`). Items that the plan refuses,
            because two would be one file or a photograph is there, fail alone.
        StorageError: the target folder cannot be created or marked.
    """
    plan = plan_export(items, exporter, target, provenance=provenance)
    check_splits(items, exporter, Path(target), plan)
    if plan.existing and on_existing in ("ask", "error"):
        first = plan.existing[0]
        raise ExportError(
            message(
                "{count:,} of the files are already there, the first is {file}", count=len(plan.existing), file=first.path.name
            ),
            why=message("Nothing was written"),
            remedy=message("Choose to replace or to skip them, or another folder"),
            path=target,
        )
    made = _missing_folders(Path(target))
    make_folder(target)
    replace = on_existing == "replace"
    marked_frame = frame if exporter.follows_frame else "oriented"
    marking = Marking(Path(target), items, plan, exporter, marked_frame, replace=replace)
    run = _Run(items, exporter, Path(target), plan, marking, _Options(frame, replace, provenance))
    run.progress, run.cancel = progress, cancel
    try:
        run.write()
    finally:
        marking.end()
        for folder in made:
            with suppress(OSError):  # something was written into it
                folder.rmdir()
    return run.summary()


def _missing_folders(folder: Path) -> list[Path]:
    """The folder and those above it that do not exist yet, the innermost first."""
    return [place for place in (folder, *folder.absolute().parents) if not os.path.lexists(place)]


def measure_losses(
    items: Sequence[ExportItem],
    exporter: Exporter,
    *,
    frame: ExportFrame = "stored",
    progress: Callable[[int, int], None] | None = None,
    cancel: IsCancelled | None = None,
) -> dict[str, Loss | AtrousError]:
    """What an export would lose, before it writes anything: each mask is encoded, and its shapes are rasterised again.

    Args:
        items, exporter, frame, progress, cancel: as for :func:`export_masks`.

    Returns:
        By item name the loss, also where it is none, or the error that the export would have; images without a mask are left
        out.

    Raises:
        ExportError: the format cannot hold the classes.
    """
    found: dict[str, Loss | AtrousError] = {}
    layouts: LayoutSession | None = None
    files: CollectionSession | None = None
    if items and isinstance(exporter, LayoutExporter):
        layouts = exporter.session(items[0].catalog)
    elif items and isinstance(exporter, CollectionExporter):
        files = exporter.session(items[0].catalog)
        files.begin()  # refuses names of classes that the file cannot hold
    for position, item in enumerate(items):
        if cancel is not None and cancel():
            break
        try:
            labels = _labels_of(item, exporter, frame)
            if labels is not None and layouts is not None:
                found[item.name] = layouts.encode(item, labels).loss + _class_loss(item)
            elif labels is not None and files is not None:
                files.encode(item, labels)
                found[item.name] = files.loss + _class_loss(item)
        except AtrousError as error:
            found[item.name] = error
        if progress is not None:
            progress(position + 1, len(items))
    if files is not None:
        files.close()
    return found


def _labels_of(item: ExportItem, exporter: Exporter, frame: ExportFrame) -> LabelMap | None:
    """The labels in the frame to be written."""
    labels = item.labels()
    if labels is None or item.image_path is None:
        return labels
    info = probe_image(item.image_path)
    if (labels.shape[1], labels.shape[0]) != info.size:
        raise ExportError(
            message(
                "the mask has {mask_width} x {mask_height} px, but the image has {width} x {height}",
                mask_width=labels.shape[1],
                mask_height=labels.shape[0],
                width=info.width,
                height=info.height,
            ),
            remedy=message("The image was changed since it was labelled; open the folder again"),
            path=item.image_path,
        )
    return to_stored(labels, info.orientation) if frame == "stored" and exporter.follows_frame else labels


def _class_loss(item: ExportItem) -> Loss:
    return Loss() if item.loss is None else item.loss()


@dataclass(frozen=True, slots=True)
class _Options:
    """``frame`` and ``provenance`` of :func:`export_masks`; ``replace``: existing files give way."""

    frame: ExportFrame
    replace: bool
    provenance: bool


class _Run:
    progress: Callable[[int, int], None] | None = None
    cancel: IsCancelled | None = None

    def __init__(
        self,
        items: Sequence[ExportItem],
        exporter: Exporter,
        target: Path,
        plan: ExportPlan,
        marking: Marking,
        options: _Options,
    ) -> None:
        self._items, self._exporter, self._target = items, exporter, target
        self._marking, self._plan, self._options = marking, plan, options
        self._written: list[str] = []
        self._skipped: list[tuple[str, str]] = []
        self._failed: list[tuple[str, AtrousError]] = []
        self._pixels: dict[str, dict[str, int]] = {}
        self._losses: dict[str, Loss] = {}
        self._nbytes = 0
        self._tried = 0
        self._notes = RunNotes("image")
        self._cancelled = False

    def write(self) -> None:
        if isinstance(self._exporter, LayoutExporter):
            self._write_layout(self._exporter)
        elif isinstance(self._exporter, CollectionExporter):
            self._write_collections(self._exporter)

    def _write_layout(self, exporter: LayoutExporter) -> None:
        if not self._items:
            return
        session = exporter.session(self._items[0].catalog)
        refusals = 0
        there: list[ExportItem] = []
        for position, (item, paths) in enumerate(zip(self._items, self._plan.files, strict=True)):
            if self.cancel is not None and self.cancel():
                self._cancelled = True
                break
            self._tried += 1
            try:
                if item.name in self._plan.refused:
                    raise self._plan.refused[item.name]
                if self._write_item(session, item, paths):
                    there.append(item)
                refusals = 0
            except AtrousError as error:
                self._failed.append((item.name, error))
                disk = isinstance(error, StorageError) and not isinstance(error, ProtectedFile)
                refusals = refusals + 1 if disk else 0
            if self.progress is not None:
                self.progress(position + 1, len(self._items))
            if refusals == _REFUSALS:
                break
        if there and refusals < _REFUSALS:
            for part in session.finish(there):
                self._write_shared(part)

    def _write_item(self, session: LayoutSession, item: ExportItem, paths: Sequence[Path]) -> bool:
        """Whether the item is in the target now."""
        # Looked at again, because a long run leaves time for someone else to put a file here.
        if not self._options.replace and any(existing_target(path) is not None for path in paths):
            self._skipped.append((item.name, message("already there")))
            return True
        labels = _labels_of(item, self._exporter, self._options.frame)
        if labels is None:
            self._skipped.append((item.name, message("no mask")))
            return False
        encoded = session.encode(item, labels)
        before, notes = self._companions(item, labels, encoded)
        self._marking.begin()
        self._nbytes += place_picture(item, self._exporter, self._target)
        for part in (*before, *encoded.parts):
            self._write_part(part)
        self._count(item, labels, encoded.loss, (*encoded.notes, *notes))
        return True

    def _companions(self, item: ExportItem, labels: LabelMap, encoded: Encoded) -> tuple[list[Part], list[Note]]:
        parts, notes = [], []
        if self._options.provenance:
            parts += provenance_part(item, labels, stored=self._stored)
        world, note = world_file_part(item, encoded.parts[-1].name, stored=self._stored)
        if note is not None:
            notes.append(note)
        if world is not None and (self._options.replace or existing_target(self._target / world.name) is None):
            parts.append(world)
        return parts, notes

    @property
    def _stored(self) -> bool:
        return self._options.frame == "stored" and self._exporter.follows_frame

    def _write_part(self, part: Part) -> None:
        path = self._target / part.name
        make_folder(path.parent)
        self._nbytes += atomic_write(path, part.data, check=part.check)

    def _write_shared(self, part: Part) -> None:
        path = self._target / part.name
        data, check = part.data, part.check
        try:
            if part.merge is not None and not self._options.replace and path.is_file():
                data = part.merge(read_bytes(path, limit=_MOST_SHARED, what="the list of the earlier export"))
                check = holds(data)
            make_folder(path.parent)
            self._nbytes += atomic_write(path, data, check=check)
        except AtrousError as error:
            self._failed.append((part.name, error))

    def _write_collections(self, exporter: CollectionExporter) -> None:
        files: dict[Path, list[ExportItem]] = {}
        for item, path in zip(self._items, self._plan.outputs, strict=True):
            files.setdefault(path, []).append(item)
        for path, items in files.items():
            if self._cancelled:
                return
            self._write_collection(exporter, path, items)

    def _write_collection(self, exporter: CollectionExporter, path: Path, items: Sequence[ExportItem]) -> None:
        refused = [item.name for item in items if item.name in self._plan.refused]
        if len(refused) == len(items):
            self._tried += len(items)
            self._failed += [(name, self._plan.refused[name]) for name in refused]
            return
        if not self._options.replace and existing_target(path) is not None:
            self._tried += len(items)
            self._skipped += [(item.name, message("already there")) for item in items]
            return
        session = exporter.session(items[0].catalog)
        earlier, done = len(self._written), [item.name for item in items]

        def parts() -> Iterator[bytes]:
            yield session.begin()
            for item in items:
                if self.cancel is not None and self.cancel():
                    raise Cancelled
                part = self._collected(session, item)
                if part is not None:
                    yield part
                if self.progress is not None:
                    self.progress(self._tried, len(self._items))
            if len(self._written) == earlier:
                raise _NothingToWrite
            yield session.finish()

        try:
            self._marking.begin()
            make_folder(path.parent)
            self._nbytes += atomic_write(path, parts(), check=session.check)
        except Cancelled:
            self._cancelled = True
            self._tried -= self._forget(items)
        except _NothingToWrite:
            self._forget(items)
        except AtrousError as error:
            told = {name for name, _ in (*self._skipped, *self._failed)}
            self._forget(items)
            self._failed += [(name, error) for name in done if name not in told]
            self._tried = len(self._written) + len(self._skipped) + len(self._failed)
        finally:
            session.close()

    def _collected(self, session: CollectionSession, item: ExportItem) -> bytes | None:
        self._tried += 1
        try:
            if item.name in self._plan.refused:
                raise self._plan.refused[item.name]
            labels = _labels_of(item, self._exporter, self._options.frame)
            if labels is None:
                self._skipped.append((item.name, message("no mask")))
                return None
            part = session.encode(item, labels)
            parts = provenance_part(item, labels, stored=self._stored) if self._options.provenance else []
            for beside in parts:
                self._write_part(beside)
            self._nbytes += place_picture(item, self._exporter, self._target)
            self._count(item, labels, session.loss, ())
        except AtrousError as error:
            self._failed.append((item.name, error))
            return None
        return part

    def summary(self) -> ExportSummary:
        return ExportSummary(
            written=tuple(self._written),
            skipped=tuple(self._skipped),
            failed=tuple(self._failed),
            not_reached=len(self._items) - self._tried,
            nbytes=self._nbytes,
            class_pixels=dict(sum(map(Counter, self._pixels.values()), Counter[str]())),
            cancelled=self._cancelled,
            notes=self._notes,
            losses=self._losses,
        )

    def _count(self, item: ExportItem, labels: LabelMap, loss: Loss, notes: Iterable[Note]) -> None:
        self._written.append(item.name)
        self._marking.note(item, provenance=self._options.provenance and item.provenance is not None)
        counts = class_histogram(labels, item.catalog)
        names = (*item.catalog.names, "void")
        self._pixels[item.name] = {name: int(n) for name, n in zip(names, counts, strict=True) if n}
        loss += _class_loss(item)
        if loss:
            self._losses[item.name] = loss
        self._notes.add(item.name, (*(item.notes() if item.notes is not None else ()), *notes))

    def _forget(self, items: Sequence[ExportItem]) -> int:
        """Nothing of a file of several images was written after all; returns how many of them had been counted."""
        names = {item.name for item in items}
        before = len(self._written)
        self._written = [name for name in self._written if name not in names]
        self._losses = {name: loss for name, loss in self._losses.items() if name not in names}
        self._pixels = {name: pixels for name, pixels in self._pixels.items() if name not in names}
        self._marking.forget(names)
        return before - len(self._written)


class _NothingToWrite(Exception):
    """No image of a collection has a mask."""
