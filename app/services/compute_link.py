"""One compute process and the pipe to it. Threads, no Qt."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from app.worker.heartbeat import Vitals, ending, read_vitals, run_alive
from app.worker.pipe import receive, send
from deeplab_core.errors import message

_log = logging.getLogger(__name__)

#: How long Shutdown may take before the process is killed, in seconds.
STOP_PATIENCE = 3.0


class WorkerLink:
    """Starts a process, carries messages both ways, and says when and why it ended.

    Starting takes some 10 ms and sending may block on a busy process, so both happen on threads of the link; every
    method here returns at once, except :meth:`join`.

    Args:
        on_message: called with each message of the process, on the link's thread.
        on_end: called once, on the link's thread, with the reason for the user, when the process is gone or never came.
        target: what the process runs; gets its end of the pipe.
    """

    def __init__(
        self,
        on_message: Callable[[object], None],
        on_end: Callable[[str], None],
        target: Callable[[Connection], None],
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._target = target
        self._outbox: queue.SimpleQueue[object | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._process: Any = None
        self._unwanted = False
        # Daemons: the interpreter must not wait for a process that hangs. The process itself is one too: it ends with this one.
        self._reader = threading.Thread(target=self._run, name="compute-reader", daemon=True)
        self._writer = threading.Thread(target=self._write, name="compute-writer", daemon=True)
        self._connection: Connection | None = None
        self._pulse: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Process id, once there is one."""
        process = self._process
        return None if process is None else process.pid

    @property
    def running(self) -> bool:
        """Whether the link's thread still waits for the process."""
        return self._reader.is_alive()

    def start(self) -> None:
        """Start the process on the link's thread."""
        self._reader.start()

    def send(self, message: object) -> None:
        """Queue a message; messages to a process that is gone vanish."""
        self._outbox.put(message)

    def beats(self) -> int:
        """Heartbeats that arrived since this was asked last."""
        count = 0
        with self._lock, contextlib.suppress(EOFError, OSError):
            while self._pulse is not None and self._pulse.poll():
                self._pulse.recv_bytes()
                count += 1
        return count

    def vitals(self) -> Vitals | None:
        """What the system says about the process; None where it says nothing."""
        return read_vitals(self.pid)

    def kill(self) -> None:
        """End the process now, even one that is stopped."""
        with self._lock:
            self._unwanted = True
            process = self._process
        if process is not None:
            process.kill()

    def join(self, timeout: float = STOP_PATIENCE) -> None:
        """Wait until the process is gone; kill it after ``timeout`` seconds."""
        if not self._reader.ident:
            return
        self._reader.join(timeout)
        if self._reader.is_alive():
            self.kill()
            self._reader.join(timeout)

    def _run(self) -> None:
        context = multiprocessing.get_context("spawn")
        try:
            ours, theirs = context.Pipe(duplex=True)
            pulse, beating = context.Pipe(duplex=False)
            # On Linux the process ends with the thread that starts it (heartbeat.end_with_parent): this one, which outlives it.
            process = context.Process(target=run_alive, args=(self._target, theirs, beating), name="atrous-compute", daemon=True)
            process.start()
        except (OSError, ValueError, RuntimeError) as error:
            _log.exception("the compute process could not be started")
            self._on_end(message("it could not be started ({error})", error=error))
            return
        theirs.close()
        beating.close()
        with self._lock:
            self._process, self._pulse = process, pulse
            unwanted = self._unwanted
        if unwanted:
            process.kill()
        self._connection = ours
        self._writer.start()
        try:
            while True:
                self._on_message(receive(ours))
        except (EOFError, OSError):
            pass
        except Exception as error:  # a message that cannot be unpickled: nothing after it can be trusted
            _log.exception("unreadable message from the compute process")
            process.kill()
            process.join()
            self._close(ours)
            self._on_end(message("it sent something unreadable ({name}: {error})", name=type(error).__name__, error=error))
            return
        process.join(STOP_PATIENCE)
        if process.is_alive():  # the pipe is closed, so it cannot be reached any more
            process.kill()
            process.join()
        self._close(ours)
        self._on_end(ending(process.exitcode))

    def _close(self, connection: Connection) -> None:
        self._outbox.put(None)
        self._writer.join(STOP_PATIENCE)
        connection.close()
        with self._lock:
            if self._pulse is not None:
                self._pulse.close()
            self._pulse = None

    def _write(self) -> None:
        connection = self._connection
        assert connection is not None
        while (message := self._outbox.get()) is not None:
            try:
                send(connection, message)
            except (OSError, ValueError):  # the reader notices the end and says why
                return
