"""Signs of life of the compute process: it beats, the window's process watches. No Qt, no torch.

The beats have a pipe of their own, so that a large answer on its way holds none of them up. The watch counts silence by its own
ticks: a computer that slept, or a window that was stopped itself, has not listened and must not complain (ADR 0079).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from deeplab_core.errors import message

_log = logging.getLogger(__name__)

#: Time between two beats, in seconds.
BEAT = 1.0
#: A process that computes nothing and is not heard for this long is reported, in seconds: within 10 s of its last beat.
SILENCE = 9.0
#: The same for a process that evidently works: a long call into a library can keep the thread that beats from running.
LONG_CALL = 60.0
#: One tick of the watch counts for at most this long, in seconds; the rest was sleep, or a window that did not run itself.
_LONGEST_TICK = 2.0
#: A process works if it used this share of a core over this time, in seconds. Threads that only wait for each other use less.
_WORKING, _OVER = 0.01, 4.0
_PR_SET_PDEATHSIG = 1


# -- in the compute process ----------------------------------------------------------------------------------------------


def run_alive(target: Callable[[Connection], None], connection: Connection, pulse: Connection) -> None:
    """Entry point of the process: tie its life to that of the window, begin to beat, run ``target``.

    Args:
        target: gets ``connection``, its end of the pipe for messages.
        pulse: written to every :data:`BEAT` seconds, from before anything slow is imported.
    """
    end_with_parent()
    threading.Thread(target=_beat, args=(pulse,), name="heartbeat", daemon=True).start()
    target(connection)


def end_with_parent() -> None:
    """On Linux, have the kernel end this process together with the thread that started it, even while it is stopped.

    Everywhere, and before this call, a running process notices by the closed pipe that its window is gone.
    """
    if sys.platform != "linux":
        return
    try:
        failed = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError) as error:
        _log.warning("this process cannot be tied to its window: %s", error)
        return
    if failed:
        _log.warning("this process cannot be tied to its window: %s", os.strerror(ctypes.get_errno()))


def _beat(pulse: Connection) -> None:
    with contextlib.suppress(OSError):  # the window is gone: the reader of the messages ends the process
        while True:
            pulse.send_bytes(b".")
            time.sleep(BEAT)


# -- in the window's process ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the system knows of a process.

    Attributes:
        stopped: by a signal, or by a debugger.
        waits_for_disk: in a system call that cannot be interrupted.
        seconds: processor time used so far by all of its threads.
    """

    stopped: bool
    waits_for_disk: bool
    seconds: float


def read_vitals(pid: int | None) -> Vitals | None:
    """Look at a process; None where the system does not say (only Linux does), or there is none."""
    if sys.platform != "linux" or pid is None:
        return None
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = line.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
        state, ticks = fields[0], int(fields[11]) + int(fields[12])
    except (OSError, IndexError, ValueError):
        return None
    return Vitals(state in ("T", "t"), state == "D", ticks / os.sysconf("SC_CLK_TCK"))


def ending(exit_code: int | None) -> str:
    """Why a process ended, as a clause for the user."""
    if exit_code is None:
        return message("it stopped responding")
    if exit_code >= 0:
        return message("it ended with status {exit_code}", exit_code=exit_code)
    try:
        name: str = signal.Signals(-exit_code).name
    except ValueError:
        name = message("signal {exit_code}", exit_code=-exit_code)
    hints = {"SIGKILL": message("often the system was short of memory"), "SIGSEGV": message("an error in a native library")}
    hint = hints.get(name)
    ended = message("it was ended by {name}", name=name)
    return message("{ended}; {hint}", ended=ended, hint=hint) if hint else ended


class HeartbeatMonitor:
    """Decides from beats, ticks and :class:`Vitals` whether a process has stopped answering.

    Call :meth:`tick` regularly, every half second or so.

    Attributes:
        silent: whether it was found not to answer, and has not been heard since.
        silence: how long it has not been heard, in seconds of listening.
    """

    def __init__(self, now: float) -> None:
        self.silent = False
        self.silence = 0.0
        self._last = now
        self._known = False
        self._spent: deque[tuple[float, float]] = deque()

    def tick(self, now: float, beats: int, look: Callable[[], Vitals | None]) -> bool:
        """Take note of a moment; returns whether it is now silent.

        Args:
            now: of a monotonic clock, in seconds.
            beats: that arrived since the last tick.
            look: asks the system about the process; called during silence only.
        """
        passed, self._last = min(max(now - self._last, 0.0), _LONGEST_TICK), now
        if beats:
            self.silence, self.silent, self._known = 0.0, False, True
            self._spent.clear()
            return False
        self.silence += passed
        if self.silent or self.silence < 2 * BEAT:  # only a beat ends it; or nothing unusual yet
            return self.silent
        vitals = look()
        self.silent = self.silence >= self._patience(vitals)
        return self.silent

    def _patience(self, vitals: Vitals | None) -> float:
        if vitals is None:
            # Importing torch from a cold disk is one long call; without the system's word it looks like a hang.
            return SILENCE if self._known else LONG_CALL
        if vitals.stopped:
            return SILENCE
        self._spent.append((self.silence, vitals.seconds))
        while len(self._spent) > 1 and self._spent[1][0] <= self.silence - _OVER:
            self._spent.popleft()
        since, spent = self._spent[0]
        working = vitals.waits_for_disk or vitals.seconds - spent >= _WORKING * max(self.silence - since, _OVER)
        return LONG_CALL if working else SILENCE


class CancelWait:
    """How long a process has had to stop a cancelled request: time in which it could work, not time on the clock.

    On a busy machine a process gets a part of a core only, and needs longer by the clock for the same few steps. Where it works,
    the processor time that it got counts; where it rests, or the system says nothing, the clock does. Waiting for the disk does
    not count. After :data:`LONG_CALL` by the clock it has had its time either way.

    Attributes:
        since: moment of the cancellation, of a monotonic clock, in seconds.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self._last, self._had = since, 0.0
        self._spent: float | None = None

    def tick(self, now: float, vitals: Vitals | None) -> float:
        """Take note of a moment; returns the seconds that the process has had.

        Args:
            now: of the clock of ``since``.
            vitals: of the process; None where the system does not say.
        """
        passed, self._last = min(max(now - self._last, 0.0), _LONGEST_TICK), now
        before, self._spent = self._spent, None if vitals is None else vitals.seconds
        if vitals is None or before is None or vitals.stopped:
            self._had += passed
        elif not vitals.waits_for_disk:
            spent = vitals.seconds - before
            self._had += min(spent, passed) if spent >= _WORKING * passed else passed
        return max(self._had, now - self.since) if now - self.since >= LONG_CALL else self._had
