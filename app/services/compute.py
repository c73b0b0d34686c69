"""The window's end of the compute process: asks, listens, and starts it again when it dies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal, SignalInstance

from app.services.calls import ComputeService
from app.services.compute_link import STOP_PATIENCE, WorkerLink
from app.text import mark
from app.worker import bootstrap
from app.worker.bootstrap import CannotStart
from app.worker.heartbeat import CancelWait, HeartbeatMonitor
from app.worker.messages import (
    PROTOCOL,
    URGENT,
    Answer,
    Cancel,
    Compare,
    Failed,
    Hello,
    Loaded,
    LoadModel,
    Predict,
    Progress,
    Request,
    Shutdown,
    WasCancelled,
)
from deeplab_core.errors import AtrousError, ComputeError, join_messages, message, plural_message
from deeplab_core.records import ModelCard

_log = logging.getLogger(__name__)

#: A cancelled request that is not answered after this is ended together with its process, in seconds in which it could work.
CANCEL_PATIENCE = 3.0
#: A process that has not said Hello after this is taken for dead, in seconds. Importing torch from a cold disk takes long.
HELLO_PATIENCE = 180.0
#: Waiting time before the first, second and third restart within a minute, in seconds.
BACK_OFF = (0.0, 0.5, 2.0)
_MINUTE = 60.0
#: Time between two looks for a heartbeat, in milliseconds.
LOOK_MS = 500
#: A process that still does not answer is reported again after this, in seconds.
SAY_AGAIN = 60.0
#: A request during which the process died this often is given up.
_MOST_CRASHES = 2
_TOO_LARGE = mark("it may be too large for the memory of this device")


@dataclass(slots=True)
class _Entry:
    """A request without an answer."""

    request: Request[Answer]
    crashes: int = 0
    cancelled_at: float | None = None


@dataclass(slots=True)
class _Generation:
    """One life of the process."""

    number: int
    link: WorkerLink
    ready: bool = False
    running: int | None = None
    reload_id: int | None = None
    ended_by_us: str = ""
    born: float = field(default_factory=time.monotonic)
    heart: HeartbeatMonitor = field(default_factory=lambda: HeartbeatMonitor(time.monotonic()))
    reported: float | None = None  # silence at which it was reported last, in seconds
    stopping: CancelWait | None = None  # of the oldest cancelled request without an answer


class ComputeClient(ComputeService):
    """Runs the compute process and keeps every promise of :class:`ComputeService` across its deaths.

    A process that dies is started again, at most three times a minute. The model is loaded again and every request without an
    answer is sent again; the one that was running gets one more try and then fails, named, so that one image that crashes it
    cannot hold up a folder. A process that is alive and does not answer is reported (:attr:`unresponsive`); :meth:`restart` ends
    it.

    Args:
        parent: Qt parent.
        target: what the process runs; gets its end of the pipe.
    """

    _arrived = Signal(int, object)
    _ended = Signal(int, object)

    def __init__(self, parent: QObject | None = None, *, target: Callable[[Connection], None] = bootstrap.run) -> None:
        super().__init__(parent)
        self._target = target
        self._entries: dict[int, _Entry] = {}
        self._life: _Generation | None = None
        self._links: list[WorkerLink] = []  # whose threads may be running
        self._lives = 0
        self._deaths: list[float] = []
        self._model: LoadModel | None = None
        self._model_crashes = 0
        self._card: ModelCard | None = None
        self._returning = False
        self._down = True
        self._hopeless = ""
        self._arrived.connect(self._on_message, Qt.ConnectionType.QueuedConnection)
        self._ended.connect(self._on_process_exit, Qt.ConnectionType.QueuedConnection)
        self._rebirth = QTimer(self, singleShot=True)
        self._rebirth.timeout.connect(self._spawn)
        self._patience = QTimer(self, interval=250)
        self._patience.timeout.connect(self._end_overdue)
        self._pulse = QTimer(self, interval=LOOK_MS)
        self._pulse.timeout.connect(self._feel_pulse)

    # -- verbs -----------------------------------------------------------------------------------------------------------

    @property
    def card(self) -> ModelCard | None:
        return self._card

    @property
    def waiting(self) -> int:
        return len(self._entries)

    @property
    def pid(self) -> int | None:
        """Id of the process, once it runs."""
        return None if self._life is None else self._life.link.pid

    def start(self) -> None:
        if self._life is not None or self._rebirth.isActive():
            return
        self._down, self._hopeless = False, ""
        self._deaths.clear()
        self._spawn()

    def restart(self) -> None:
        life = self._life
        if life is None or life.ended_by_us:
            return
        life.ended_by_us = message("it did not answer and was ended at your request")
        self._count_crash(life)
        life.link.kill()

    def stop(self) -> None:
        self._down = True
        self._rebirth.stop()
        self._patience.stop()
        self._pulse.stop()
        self._entries.clear()
        self._calls.clear()
        life, self._life = self._life, None
        if life is not None and life.ready and not life.heart.silent:
            life.link.send(Shutdown())
        elif life is not None:  # busy importing, or hung; it would read Shutdown much later
            life.link.kill()
        for link in self._links:  # also of what was given up: its thread must not be the last that knows this object
            link.join(STOP_PATIENCE)

    def cancel(self, request_id: int) -> None:
        if request_id in self._entries:
            self._cancel([request_id])

    def cancel_all(self) -> None:
        self._cancel(list(self._entries))

    def _cancel(self, request_ids: list[int]) -> None:
        now = time.monotonic()
        fresh = [n for n in request_ids if self._entries[n].cancelled_at is None]
        for request_id in fresh:
            self._entries[request_id].cancelled_at = now
        if self._life is None or not self._life.ready:
            QTimer.singleShot(0, self, lambda: self._drop_cancelled(fresh))
            return
        if len(fresh) == len(self._entries) and self._life.reload_id is None:
            self._life.link.send(Cancel(-1))  # at once: nothing of the rest begins while the first is being cancelled
        else:
            for request_id in fresh:
                self._life.link.send(Cancel(request_id))
        if not self._patience.isActive():
            self._patience.start()

    # -- sending ---------------------------------------------------------------------------------------------------------

    def _send(self, request: Request[Answer]) -> None:
        self._entries[request.request_id] = _Entry(request)
        if self._life is not None and self._life.ready:
            self._life.link.send(request)
        elif self._hopeless:
            QTimer.singleShot(0, self, lambda: self._fail(request.request_id, _dead_for_good(self._hopeless)))

    def _spawn(self) -> None:
        self._lives += 1
        number = self._lives
        link = WorkerLink(
            on_message=lambda answer: self._relay(self._arrived, number, answer),
            on_end=lambda reason: self._relay(self._ended, number, reason),
            target=self._target,
        )
        self._links = [*(known for known in self._links if known.running), link]
        self._life = _Generation(number, link)
        self._patience.start()
        self._pulse.start()
        link.start()

    def _relay(self, signal: SignalInstance, number: int, what: object) -> None:
        """From the link's thread to ours; a window that is being torn down hears nothing more."""
        try:
            signal.emit(number, what)
        except RuntimeError:
            _log.debug("the compute process has no listener any more")

    # -- hearing ---------------------------------------------------------------------------------------------------------

    def _on_message(self, number: int, answer: object) -> None:
        life = self._life
        if life is None or life.number != number:
            return
        if isinstance(answer, Hello):
            self._on_hello(life, answer)
        elif isinstance(answer, CannotStart):  # the next try would end in the same way
            life.ended_by_us = answer.reason
            life.link.kill()
            self._life = None
            _log.error("the compute process cannot start: %s", answer.details)
            self._give_up(message("{reason}. {remedy}", reason=answer.reason, remedy=answer.remedy))
        elif isinstance(answer, Progress):
            life.running = answer.request_id
            self._report(answer)
        elif isinstance(answer, Answer):
            if life.running == answer.request_id:
                life.running = None
            if answer.request_id == life.reload_id:
                self._finish_reload(life, answer)
            else:
                self._close(answer)

    def _on_hello(self, life: _Generation, hello: Hello) -> None:
        refusal = ""
        if hello.protocol != PROTOCOL:
            refusal = message(
                "it uses protocol version {protocol}, this window version {own}; reinstall Atrous",
                protocol=hello.protocol,
                own=PROTOCOL,
            )
        elif hello.qt_modules:
            refusal = message(
                "it has loaded {qt_modules}, which must stay in the window's process", qt_modules=", ".join(hello.qt_modules[:3])
            )
        if refusal:
            life.ended_by_us = refusal
            life.link.kill()
            self._life = None
            self._give_up(message("The compute process was refused: {refusal}.", refusal=refusal))
            return
        life.ready = True
        self.hello.emit(hello)
        if self._model is not None:
            # Before everything else that waits: it needs the model.
            reload = replace(self._model, request_id=next(self._numbers), priority=URGENT - 1)
            life.reload_id = reload.request_id
            life.link.send(reload)
        for entry in self._entries.values():
            if entry.cancelled_at is None:
                life.link.send(entry.request)
        if self._returning and self._model is None:
            self._returning = False
            self.restarted.emit()

    def _finish_reload(self, life: _Generation, answer: Answer) -> None:
        life.reload_id = None
        self._model_crashes = 0
        self._returning = False
        if isinstance(answer, Failed):
            self._lose_model(AtrousError.from_dict(answer.error))
        self.restarted.emit()

    def _lose_model(self, error: AtrousError) -> None:
        self._model = self._card = None
        self.model_lost.emit(error)

    def _close(self, answer: Answer) -> None:
        entry = self._entries.pop(answer.request_id, None)
        if entry is None:
            return
        if isinstance(answer, Loaded):
            assert isinstance(entry.request, LoadModel)
            self._model, self._card, self._model_crashes = entry.request, answer.card, 0
        self._answer(answer)

    # -- dying -----------------------------------------------------------------------------------------------------------

    def _on_process_exit(self, number: int, reason: str) -> None:
        life = self._life
        if life is None or life.number != number or self._down:
            return
        self._life = None
        self._pulse.stop()
        if life.heart.silent:
            self.responsive.emit()
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < _MINUTE]
        if not life.ended_by_us:
            self._deaths.append(now)
            self._count_crash(life)
        self._drop_cancelled([n for n, entry in self._entries.items() if entry.cancelled_at is not None])
        reason = life.ended_by_us or reason
        _log.warning("compute process %s: %s", life.link.pid, reason)
        if len(self._deaths) > len(BACK_OFF):
            self._give_up(
                plural_message(
                    "The compute process died {n} time within a minute: {reason}.",
                    "The compute process died {n} times within a minute: {reason}.",
                    len(self._deaths),
                    reason=reason,
                )
            )
            return
        self._returning = True
        self.crashed.emit(reason)
        if not self._down:  # a listener may have called stop()
            delay = BACK_OFF[len(self._deaths) - 1] if self._deaths else 0.0
            self._rebirth.start(round(delay * 1000))

    def _count_crash(self, life: _Generation) -> None:
        """Count a death against the request that was running, and fail it the second time."""
        if life.running is None:
            return
        if life.running == life.reload_id:
            self._model_crashes += 1
            if self._model_crashes >= _MOST_CRASHES and self._model is not None:
                error = ComputeError(
                    message("loading this model ended the compute process twice"),
                    why=life.ended_by_us or message(_TOO_LARGE),
                    remedy=message("Choose another model, or the CPU as device"),
                    path=self._model.path,
                )
                self._lose_model(error)
            return
        entry = self._entries.get(life.running)
        if entry is None or entry.cancelled_at is not None:
            return
        entry.crashes += 1
        if entry.crashes >= _MOST_CRASHES:
            self._fail(life.running, _crashed_twice(entry.request, life.ended_by_us))

    def _give_up(self, reason: str) -> None:
        self._down, self._hopeless = True, reason
        self._pulse.stop()
        self._returning = False
        self.crashed.emit(reason)
        for request_id in list(self._entries):
            self._fail(request_id, _dead_for_good(reason))
        self.gave_up.emit(reason)

    def _fail(self, request_id: int, error: AtrousError) -> None:
        self._close(Failed(request_id=request_id, error=error.to_dict()))

    def _drop_cancelled(self, request_ids: list[int]) -> None:
        for request_id in request_ids:
            self._close(WasCancelled(request_id=request_id))

    def _feel_pulse(self) -> None:
        """Notice a process that does not answer, and one that is heard again."""
        life = self._life
        if life is None or life.ended_by_us:
            return
        was, heart = life.heart.silent, life.heart
        if heart.tick(time.monotonic(), life.link.beats(), life.link.vitals):
            if life.reported is None or heart.silence >= life.reported + SAY_AGAIN:
                life.reported = heart.silence
                self.unresponsive.emit(_silent(life, self._entries.get(life.running or 0)))
        elif was:
            life.reported = None
            self.responsive.emit()

    def _end_overdue(self) -> None:
        """End a process that does not stop a cancelled request, or never says Hello."""
        now = time.monotonic()
        life = self._life
        flagged = [entry.cancelled_at for entry in self._entries.values() if entry.cancelled_at is not None]
        if life is None or life.ended_by_us:
            return
        if not life.ready:
            if now - life.born > HELLO_PATIENCE:
                life.ended_by_us = message("it did not start within {seconds:.0f} seconds and was ended", seconds=HELLO_PATIENCE)
                life.link.kill()
            return
        if not flagged:
            self._patience.stop()
            return
        if life.stopping is None or life.stopping.since != min(flagged):
            life.stopping = CancelWait(min(flagged))
        if life.stopping.tick(now, life.link.vitals()) > CANCEL_PATIENCE:
            life.ended_by_us = message(
                "it did not stop a cancelled request within {seconds:.0f} seconds and was ended",
                seconds=CANCEL_PATIENCE,
            )
            life.link.kill()


def _silent(life: _Generation, entry: _Entry | None) -> str:
    """What is known about a process that does not answer, as a sentence."""
    vitals = life.link.vitals()
    if not life.ready:
        doing = message("while it was starting")
    elif life.running is not None and life.running == life.reload_id:
        doing = message("while it was loading the model")
    elif entry is None:
        doing = message("while it had nothing to do")
    else:
        path = getattr(entry.request, "image", None) or getattr(entry.request, "path", None)
        doing = message("at {name}", name=Path(path).name) if path else message("at work")
    silent = message("No response for {silence:.0f} seconds, {doing}.", silence=life.heart.silence, doing=doing)
    stopped = vitals is not None and vitals.stopped
    return join_messages((silent, message("The system has suspended it.") if stopped else ""))


def _crashed_twice(request: Request[Answer], ending: str) -> ComputeError:
    if isinstance(request, Predict):
        return ComputeError(
            message("predicting this image ended the compute process twice"),
            why=ending or message(_TOO_LARGE),
            remedy=message("Choose one scale, a larger output stride or the CPU in the Model panel, then predict it again"),
            path=request.image,
        )
    path = request.model if isinstance(request, Compare) else getattr(request, "path", None)
    return ComputeError(
        message("loading this model ended the compute process twice")
        if path
        else message("this request ended the compute process twice"),
        why=ending or message(_TOO_LARGE),
        remedy=message("Choose another model, or the CPU as device"),
        path=path,
    )


def _dead_for_good(reason: str) -> ComputeError:
    return ComputeError(
        message("the compute process is not running"),
        why=reason,
        remedy=message("Choose 'Restart the model process' in the command palette; labelling and saving go on without it"),
    )
