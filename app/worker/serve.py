"""The request loop of the compute process. Imported inside that process only."""

from __future__ import annotations

import logging
import os
import threading
import time
from multiprocessing.connection import Connection

from app.worker.messages import Answer, Cancel, Hello, Learn, Progress, Request, Shutdown, WasCancelled
from app.worker.request_queue import RequestQueue
from app.worker.session import ComputeSession, hello
from deeplab_core.inference import warm_up
from deeplab_core.printable import log_to_stderr

#: Shortest time between two Progress messages of one request, in seconds.
PROGRESS_INTERVAL = 0.1
#: How long a closed pipe waits for the running layer before the process leaves anyway, in seconds.
_LEAVE_AFTER = 2.0

_log = logging.getLogger(__name__)


class _Sender:
    """Sends messages from two threads without mixing them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, message: Hello | Answer) -> None:
        """Send; a window that is gone is noticed by the listener."""
        with self._lock:
            try:
                self._connection.send(message)
            except (BrokenPipeError, ConnectionError, OSError):
                _log.info("%s has no receiver any more", type(message).__name__)


def _listen(connection: Connection, queue: RequestQueue, sender: _Sender) -> None:
    """Receive until the pipe closes; it closes when the window's process ends, however it ends."""
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Request):
                queue.put(message)
            elif isinstance(message, Cancel):
                for request_id in queue.cancel(message.request_id):
                    sender.say(WasCancelled(request_id=request_id))
            elif isinstance(message, Shutdown):
                break
    except (EOFError, OSError):
        pass
    queue.close()
    # The main thread leaves between two layers; one that hangs in native code must not outlive the window.
    threading.Timer(_LEAVE_AFTER, os._exit, (0,)).start()


class _ProgressReporter:
    """Passes progress of one request on, at most every :data:`PROGRESS_INTERVAL` seconds; first and last always."""

    def __init__(self, request_id: int, sender: _Sender) -> None:
        self._request_id = request_id
        self._sender = sender
        self._last = float("-inf")

    def __call__(self, fraction: float, text: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_INTERVAL:
            self._last = now
            self._sender.say(Progress(request_id=self._request_id, fraction=fraction, text=text))


class _Server:
    """Answers requests one at a time; while a model learns, urgent ones are let through between two of its steps."""

    def __init__(self, queue: RequestQueue, sender: _Sender) -> None:
        self._queue, self._sender = queue, sender
        self._session = ComputeSession()

    def answer(self, request: Request[Answer]) -> None:
        """Serve a request and say what came of it."""
        report = _ProgressReporter(request.request_id, self._sender)
        # The first word about a request tells the client which one is running, should the process die of it.
        report(0.0, "")
        cancelled = self._attentive if isinstance(request, Learn) else self._queue.running_is_cancelled
        self._sender.say(self._session.answer(request, cancelled, report))

    def _attentive(self) -> bool:
        while (urgent := self._queue.take_urgent()) is not None:
            self.answer(urgent)
            self._queue.finish_urgent()
        return self._queue.running_is_cancelled()


def _warm_up() -> None:
    try:
        warm_up()
    except Exception as error:  # the first request that needs the kernels reports it to the user
        _log.warning("the compiled kernels cannot be used: %s", error)


def serve(connection: Connection) -> int:
    """Say Hello, then answer requests until Shutdown or the end of the pipe. Returns the exit status."""
    log_to_stderr("compute: %(levelname)s %(name)s: %(message)s")
    sender = _Sender(connection)
    queue = RequestQueue()
    server = _Server(queue, sender)
    threading.Thread(target=_listen, args=(connection, queue, sender), name="listener", daemon=True).start()
    sender.say(hello())
    # The compiled kernels take a second to import; the first model is read at the same time.
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    while (request := queue.take()) is not None:
        server.answer(request)
    return 0
