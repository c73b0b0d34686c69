"""Autosave: every step into the journal at once, mask files in idle time, and patience with a disk that refuses.

A step is journaled in the window's thread before the next event is handled (under a millisecond; see benchmarks/edits.py).
Whatever waits for the disk - flushing, encoding mask files, bounding the journal - happens in one writer thread. Where the disk
refuses, documents and steps stay in memory in order, the failure is reported once, and writing is tried again with growing
pauses.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject, Signal, Slot

from app.services.timers import single_shot
from app.services.undo import Step
from app.state.document import Document
from app.state.journal import JOURNAL_BYTES
from app.state.project import Project
from app.state.snapshot import Snapshot
from deeplab_core.errors import AtrousError, ProjectError, message

_LOG = logging.getLogger(__name__)

#: Delay of the mask file after the last step.
IDLE_MS = 3000

#: The journal is flushed to the disk after this delay, for the sake of power cuts.
SYNC_MS = 500

_FIRST_RETRY_MS, _LAST_RETRY_MS = 1000, 30_000

# What can fail, each told and cleared by itself: the journal, one image's mask file (_mask), the flush to the disk.
_JOURNAL, _DISK = "journal", "disk"


class SaveState(StrEnum):
    """What the status bar says.

    Attributes:
        SAVED: every mask file is up to date.
        DIRTY: every step is safe in the journal; a mask file waits for idle time.
        SAVING: a mask file is being written.
        FAILED: something is in memory only, because the disk refuses.
    """

    SAVED = "saved"
    DIRTY = "dirty"
    SAVING = "saving"
    FAILED = "failed"


@dataclass(slots=True)
class _WatchedDocument:
    """A document that is looked after.

    Attributes:
        steps: how many steps, undos and redos were recorded since the document is looked after. Pixels of a stroke that is
            still being painted do not count: they are not a step yet, and no mask file holds them.
        saved: how many of ``steps`` its mask file holds; None if no file holds the document.
        writing: how many of ``steps`` the file that is being written will hold; None while none is.
    """

    image: int
    document: Document
    saved: int | None
    steps: int = 0
    writing: int | None = None

    @property
    def dirty(self) -> bool:
        return self.saved != self.steps


@dataclass(frozen=True, slots=True)
class _Entry:
    """One thing the journal has yet to take: a new step (direction 0), or an undo (-1) or redo (1) of one."""

    step: Step
    direction: int


class Autosaver(QObject):
    """Keeps a project's labels on disk.

    Signals:
        stateChanged: (SaveState).
        failed: (AtrousError) something could not be written and will be tried again; told once per failure.
        recovered: () everything that had failed is on disk now.
        saved: (image id) a mask file is up to date.
        noticed: (image id, MessageText) what was found when a mask file was written, in words.
    """

    stateChanged = Signal(object)
    failed = Signal(object)
    recovered = Signal()
    saved = Signal(int)
    noticed = Signal(int, object)

    _written = Signal(int, int, object)  # image, steps, AtrousError or None
    _flushed = Signal(object)  # AtrousError or None

    def __init__(
        self,
        project: Project,
        parent: QObject | None = None,
        *,
        idle_ms: int = IDLE_MS,
        sync_ms: int = SYNC_MS,
        journal_bytes: int = JOURNAL_BYTES,
    ) -> None:
        super().__init__(parent)
        self._project = project
        self._journal_bytes = journal_bytes
        self._entries: deque[_Entry] = deque()
        self._documents: dict[int, _WatchedDocument] = {}
        self._current: int | None = None
        self._failures: dict[str, AtrousError] = {}
        self._state = SaveState.SAVED
        self._retry_ms = _FIRST_RETRY_MS
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="autosave")
        self._idle = single_shot(self, idle_ms, self._save_idle)
        self._sync = single_shot(self, sync_ms, self._start_sync)
        self._retry = single_shot(self, _FIRST_RETRY_MS, self.retry)
        self._written.connect(self._finish_write)
        self._flushed.connect(self._finish_sync)

    @property
    def state(self) -> SaveState:
        return self._state

    @property
    def error(self) -> AtrousError | None:
        """Why something is in memory only; None if nothing is."""
        return next(iter(self._failures.values()), None)

    def held(self, image: int) -> Document | None:
        """The document of an image without an up-to-date mask file. Use it instead of loading the image again."""
        watched = self._documents.get(image)
        return None if watched is None else watched.document

    @property
    def images(self) -> frozenset[int]:
        """Ids of the images whose documents are in memory: the one in view, and those without an up-to-date mask file."""
        return frozenset(self._documents)

    def watch(self, image: int, document: Document, *, saved: bool) -> None:
        """Look after the document of the image that comes into view; the one before it is saved at once.

        Args:
            saved: whether the mask file holds what the document holds now (``LoadedImage.saved``), or nothing needs to be
                saved because the user has not edited it.
        """
        self.leave()
        self._current = image
        watched = self._documents.get(image)
        if watched is None or watched.document is not document:
            saved = saved or self._project.read_only  # what another window has not saved yet is not ours to save
            self._documents[image] = _WatchedDocument(image, document, 0 if saved else None)
        if self._documents[image].dirty:
            self._idle.start()
        self._emit_state()

    def leave(self) -> None:
        """No image is in view any more; what it has unsaved is saved at once."""
        before, self._current = self._current, None
        if before is not None:
            self.save_now()
            self._release(before)

    def forget(self, image: int) -> None:
        """Let go of an image that starts over; whatever it had unsaved is dropped on purpose."""
        self._entries = deque(entry for entry in self._entries if entry.step.image != image)
        self._documents.pop(image, None)
        self._succeed(_mask(image))
        if self._current == image:
            self._current = None
        self._writer.submit(_nothing).result()
        self._emit_state()

    @Slot(int, object)
    def record_step(self, _image: int, step: Step) -> None:
        """Journal a new step now. Connect to ``UndoHistory.stepPushed``."""
        self._record(_Entry(step, 0))

    @Slot(int, object, int)
    def record_move(self, _image: int, step: Step, direction: int) -> None:
        """Journal an undo or redo now. Connect to ``UndoHistory.stepMoved``."""
        self._record(_Entry(step, direction))

    @Slot()
    def save_now(self) -> None:
        """Write the mask files that are behind, in the writer thread (Ctrl+S, idle time, leaving an image)."""
        self._idle.stop()
        if not self._drain():
            return
        for watched in list(self._documents.values()):
            if watched.dirty and watched.writing != watched.steps:
                self._start_write(watched)
        self._emit_state()

    def _save_idle(self) -> None:
        """Write what is behind, unless a large step is still being painted: that is not idle time."""
        if all(watched.document.settled for watched in self._documents.values()):
            self.save_now()
        else:
            self._idle.start()

    @Slot()
    def retry(self) -> None:
        """Try again what has failed, now. Happens by itself with growing pauses."""
        self._retry.stop()
        if self._drain():
            self.save_now()
            self._start_sync()

    def in_memory(self) -> tuple[int, ...]:
        """Ids of the images with documents in memory and hold work."""
        return tuple(watched.image for watched in self._documents.values() if watched.document.provenance.any())

    def save_again(self, images: Collection[int]) -> None:
        """Write documents of :meth:`in_memory` again because their files are gone."""
        for watched in self._documents.values():
            if watched.image in images:
                watched.saved = None
        self.retry()

    def flush(self) -> None:
        """Bring everything onto the disk before returning: closing the window, handing masks to an export.

        Raises:
            AtrousError: something could not be written; it stays in memory and is tried again.
        """
        self._writer.submit(_nothing).result()
        if not self._drain():
            raise self._failures[_JOURNAL]
        for watched in list(self._documents.values()):
            if watched.dirty:
                self._write(watched.image, watched.document.snapshot(), self._project.journal.head(watched.image))
                watched.saved = watched.steps
                watched.writing = None
                self._succeed(_mask(watched.image))
                self.saved.emit(watched.image)
                self._release(watched.image)
        self._project.sync()
        self._succeed(_DISK)
        for timer in (self._idle, self._sync):
            timer.stop()
        self._emit_state()

    def stop(self) -> None:
        """End the writer thread after its current work. Flush first; what is unsaved then stays in the journal."""
        for timer in (self._idle, self._sync, self._retry):
            timer.stop()
        self._writer.shutdown(wait=True)

    # -- the journal -----------------------------------------------------------------------------------------------------

    def _record(self, entry: _Entry) -> None:
        self._entries.append(entry)
        watched = self._documents.get(entry.step.image)
        if watched is not None:
            watched.steps += 1
        # While the disk refuses, only the retry timer asks it again: a stroke must not wait for a dead disk every time.
        if _JOURNAL not in self._failures:
            self._drain()
        if not self._sync.isActive():
            self._sync.start()
        self._idle.start()
        self._emit_state()

    def _drain(self) -> bool:
        """Hand the journal what it has yet to take, in order; False where the disk refuses."""
        while self._entries:
            entry = self._entries[0]
            try:
                self._journal_entry(entry)
            except AtrousError as error:
                self._fail(_JOURNAL, error)
                return False
            self._entries.popleft()
        self._succeed(_JOURNAL)
        return True

    def _journal_entry(self, entry: _Entry) -> None:
        step = entry.step
        if entry.direction == 0 or step.seq is None:
            step.seq = self._project.append_step(step.image, step.title, step.source, step.patch).seq
            return
        move = self._project.journal.redo if entry.direction > 0 else self._project.journal.undo
        try:
            move(step.image, step.seq)
        except ProjectError:
            # The journal's bound dropped the step while the stack in memory still has it: what happened is a step of its own.
            patch = step.patch if entry.direction > 0 else step.patch.inverted()
            title = step.title if entry.direction > 0 else message("Undo {step}", step=step.title)
            step.seq = self._project.append_step(step.image, title, step.source, patch).seq

    # -- mask files ------------------------------------------------------------------------------------------------------

    def _write(self, image: int, snapshot: Snapshot, move: int) -> None:
        try:
            labels, provenance = snapshot.take()
        finally:
            snapshot.drop()
        notice = self._project.save_mask(image, labels, provenance, move)
        if notice:
            self.noticed.emit(image, notice)

    def _start_write(self, watched: _WatchedDocument) -> None:
        # Every entry is in the journal now, so the last step boundary of the document is the journal's head. The copy is taken
        # in the writer thread: at 100 megapixels it takes longer than a hand that paints may wait.
        image, steps, snapshot = watched.image, watched.steps, watched.document.snapshot()
        move = self._project.journal.head(image)
        watched.writing = steps

        def work() -> None:
            self._write(image, snapshot, move)
            self._project.tidy(self._journal_bytes)

        self._submit(work, lambda error: self._written.emit(image, steps, error))

    @Slot(int, int, object)
    def _finish_write(self, image: int, steps: int, error: AtrousError | None) -> None:
        watched = self._documents.get(image)
        if watched is None or watched.writing != steps:
            return  # A flush or a newer writing has overtaken this one.
        watched.writing = None
        if error is not None:
            self._fail(_mask(image), error)
            return
        watched.saved = steps
        self._succeed(_mask(image))
        if not watched.dirty:
            self.saved.emit(image)
            self._release(image)
        self._emit_state()

    def _release(self, image: int) -> None:
        """Let go of a document that is neither in view nor behind its file."""
        watched = self._documents.get(image)
        waiting = any(entry.step.image == image for entry in self._entries)
        if watched is not None and image != self._current and not watched.dirty and watched.writing is None and not waiting:
            del self._documents[image]

    # -- the disk --------------------------------------------------------------------------------------------------------

    @Slot()
    def _start_sync(self) -> None:
        self._submit(self._project.sync, self._flushed.emit)

    @Slot(object)
    def _finish_sync(self, error: AtrousError | None) -> None:
        if error is not None:
            self._fail(_DISK, error)
        else:
            self._succeed(_DISK)

    def _submit(self, work: Callable[[], None], done: Callable[[AtrousError | None], None]) -> None:
        def report(future: Future[None]) -> None:
            error = future.exception()
            if error is None or isinstance(error, AtrousError):
                done(error)
            else:
                _LOG.error("autosave failed", exc_info=error)
                done(
                    AtrousError(
                        message("the mask could not be saved"),
                        why=message("{kind}: {error}", kind=type(error).__name__, error=error),
                    )
                )

        self._writer.submit(work).add_done_callback(report)

    def _fail(self, what: str, error: AtrousError) -> None:
        known = self._failures.get(what)
        self._failures[what] = error
        self._retry.start(self._retry_ms)
        self._retry_ms = min(self._retry_ms * 2, _LAST_RETRY_MS)
        self._emit_state()
        if known is None or str(known) != str(error):
            self.failed.emit(error)

    def _succeed(self, what: str) -> None:
        if self._failures.pop(what, None) is not None and not self._failures:
            self._retry.stop()
            self._retry_ms = _FIRST_RETRY_MS
            self._emit_state()
            self.recovered.emit()

    def _emit_state(self) -> None:
        state = SaveState.SAVED
        if self._failures:
            state = SaveState.FAILED
        elif any(watched.writing is not None for watched in self._documents.values()):
            state = SaveState.SAVING
        elif self._entries or any(watched.dirty for watched in self._documents.values()):
            state = SaveState.DIRTY
        if state != self._state:
            self._state = state
            self.stateChanged.emit(state)


def _mask(image: int) -> str:
    return f"mask {image}"


def _nothing() -> None:
    """Work that is done as soon as everything before it is."""
