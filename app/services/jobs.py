"""Work that takes longer than a blink: one record per job, one registry that the status bar and the closing window ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any

from PySide6.QtCore import QObject, Qt, QThreadPool, Signal, Slot
from shiboken6 import isValid

from app.services.allocator import give_back_memory
from app.services.timers import single_shot
from deeplab_core.parallel import available_cores

_numbers = count(1)
#: Progress is passed on at most this often.
_PROGRESS_HZ = 10


class JobState(StrEnum):
    """Where a job stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(QObject):
    """One piece of work with a title, progress and a way to stop it.

    Args:
        title: as shown in the status bar.
        stop: called once when the user cancels; None if it cannot be stopped.
        guards_close: whether closing the window should ask first.

    Signals:
        changed(): progress, text or state.
        finished(): it left the running state; once.
    """

    changed = Signal()
    finished = Signal()

    def __init__(self, title: str, stop: Callable[[], None] | None = None, *, guards_close: bool = False) -> None:
        super().__init__()
        self.number = next(_numbers)
        self.title = title
        self.state = JobState.RUNNING
        self.done_steps = 0
        self.steps = 0
        self.fraction = 0.0
        self.text = ""
        self.guards_close = guards_close
        self.cancel_asked = False
        self._stop = stop
        self._started = time.monotonic()
        self._told = 0.0

    @property
    def running(self) -> bool:
        return self.state is JobState.RUNNING

    @property
    def can_cancel(self) -> bool:
        return self.running and self._stop is not None and not self.cancel_asked

    def cancel(self) -> None:
        """Ask it to stop; it ends as cancelled when it has."""
        if self.can_cancel and self._stop is not None:
            self.cancel_asked = True
            self._stop()
            self.changed.emit()

    def progress(self, done_steps: int, steps: int, text: str = "", part: float = 0.0) -> None:
        """Say how far it is: ``done_steps`` of ``steps``, and ``part`` (0..1) of the current step."""
        self.done_steps, self.steps, self.text = done_steps, steps, text
        self.fraction = min((done_steps + part) / steps, 1.0) if steps else 0.0
        now = time.monotonic()
        if now - self._told >= 1 / _PROGRESS_HZ or done_steps == steps:
            self._told = now
            self.changed.emit()

    def seconds_left(self) -> float | None:
        """Estimate from the average pace so far; None before there is enough to go by."""
        elapsed = time.monotonic() - self._started
        if self.fraction < 0.02 or elapsed < 1.0:
            return None
        return elapsed * (1 - self.fraction) / self.fraction

    def finish(self, state: JobState = JobState.DONE) -> None:
        """Leave the running state; a second call changes nothing."""
        if self.running:
            self.state = state
            self.changed.emit()
            self.finished.emit()
            self._stop = None  # it knows what was worked on, and whoever keeps the job would keep that, too


#: How many images a job over the folder works on at a time in this process, if it needs nothing but cores.
AT_ONCE = max(2, min(available_cores(), 8))


#: How long nothing has ended before free memory is given back, in ms.
_SPARE_MS = 1500


class JobRegistry(QObject):
    """All jobs that run now.

    Signals:
        changed(): a job began, moved on or ended.
    """

    changed = Signal()
    _over = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: list[Job] = []
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(AT_ONCE + 1)  # one is left for what the user waits for
        # Work of minutes that waits for others (downloads) must not delay work of seconds.
        self._long_pool = QThreadPool(self)
        self._long_pool.setMaxThreadCount(1)
        self._over.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._spare = single_shot(self, _SPARE_MS, lambda: self._pool.start(give_back_memory))

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs that run now, oldest first."""
        return tuple(self._jobs)

    def add(self, job: Job) -> Job:
        """Take a job on; it leaves by itself when it is finished."""
        self._jobs.append(job)
        job.changed.connect(self.changed)
        job.finished.connect(self._remove_ended)  # a function that knows the job would keep it for ever
        self.changed.emit()
        return job

    def cancel_all(self) -> None:
        """Ask every job to stop."""
        for job in self.running:
            job.cancel()

    def guards_close(self) -> tuple[Job, ...]:
        """Jobs that the user would not want to lose by closing the window."""
        return tuple(job for job in self._jobs if job.guards_close)

    def run(
        self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None], *, long: bool = False
    ) -> None:
        """Run ``work`` on the pool and call ``done(result)`` or ``failed(error)`` back on this registry's thread.

        ``long`` work runs one at a time, beside the rest.
        """
        outcome = _Outcome(done, failed)

        def task() -> None:
            try:
                outcome.result = work()
            except Exception as error:  # the receiver tells a handled error from a bug
                outcome.error = error
            try:
                self._over.emit(outcome)
            except RuntimeError:
                if isValid(self):  # else the program has ended meanwhile: its result is not needed
                    raise

        (self._long_pool if long else self._pool).start(task)

    def wait(self, milliseconds: int = 3000) -> bool:
        """Wait for the background at the end of the program; whether it got empty in time."""
        return self._pool.waitForDone(milliseconds) and self._long_pool.waitForDone(milliseconds)

    @Slot(object)
    def _deliver(self, outcome: _Outcome) -> None:
        self._spare.start()
        if outcome.error is not None:
            outcome.failed(outcome.error)
        else:
            outcome.done(outcome.result)

    @Slot()
    def _remove_ended(self) -> None:
        self._jobs = [job for job in self._jobs if job.running]
        self.changed.emit()


class LatestWork:
    """At most one background function under way; of later ones only the newest is begun, once it has ended."""

    def __init__(self, jobs: JobRegistry, failed: Callable[[Exception], None]) -> None:
        self._jobs, self._failed = jobs, failed
        self._busy = False
        self._waiting: tuple[Callable[[], Any], Callable[[Any], None]] | None = None
        self._wanted: Callable[[Any], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return not self._busy and self._waiting is None

    def ask(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``work`` on the pool, then ``done(result)``; the result of what is under way is dropped."""
        self._wanted = None
        if self._busy:
            self._waiting = work, done
            return
        self._waiting, self._busy, self._wanted = None, True, done
        self._jobs.run(work, lambda result: self._finish(done, result), self._fail)

    def stop(self) -> None:
        """Begin nothing more, and drop the result of what is under way."""
        self._waiting = self._wanted = None

    def _finish(self, done: Callable[[Any], None], result: object) -> None:
        self._busy = False
        if self._wanted is done:
            done(result)
        self._go_on()

    def _fail(self, error: Exception) -> None:
        self._busy = False
        self._go_on()
        self._failed(error)

    def _go_on(self) -> None:
        if self._waiting is not None and not self._busy:
            self.ask(*self._waiting)


@dataclass(slots=True)
class _Outcome:
    """What a background function came to, and who wants to know."""

    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    result: Any = None
    error: Exception | None = None
