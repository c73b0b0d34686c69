"""The request loop of the compute process. Imported inside that process only."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from app.worker.correction_messages import AskScribble, PrepareRegions
from app.worker.messages import Answer, Cancel, Hello, Learn, Progress, Request, Shutdown, WasCancelled
from app.worker.pipe import receive, send
from app.worker.request_queue import RequestQueue
from app.worker.session import ComputeSession, hello
from deeplab_core.correction.warm_up import warm_up as warm_up_corrections
from deeplab_core.inference import warm_up
from deeplab_core.parallel import IsCancelled
from deeplab_core.printable import log_to_stderr

#: Shortest time between two Progress messages of one request, in seconds.
PROGRESS_INTERVAL = 0.1
#: How long a closed pipe waits for the running layer before the process leaves anyway, in seconds.
_LEAVE_AFTER = 2.0
#: After so long without a request, in seconds, memory that nothing needs is given back.
_REST = 1.0
#: How often a warm-up looks whether something is asked, and a request whether the warm-up is done, in seconds.
_POLL = 0.02

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
                send(self._connection, message)
            except (BrokenPipeError, ConnectionError, OSError):
                _log.info("%s has no receiver any more", type(message).__name__)


def _listen(connection: Connection, queue: RequestQueue, sender: _Sender) -> None:
    """Receive until the pipe closes; it closes when the window's process ends, however it ends."""
    try:
        while True:
            message = receive(connection)
            if isinstance(message, Request):
                queue.put(message)
            elif isinstance(message, Cancel):
                for request_id in queue.cancel(message.request_id):
                    sender.say(WasCancelled(request_id=request_id))
            elif isinstance(message, Shutdown):
                break
            del message  # it holds what an image has of pixels; the next one may come in an hour
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


class WarmUp:
    """Compiles loops ahead of their first use: those of predictions at once, others while nothing is asked.

    Args:
        queue: what is asked.
        first, later: what compiles; ``later`` gets a function to call between two loops, which waits while a request is answered.
    """

    def __init__(
        self,
        queue: RequestQueue,
        first: Callable[[], None] = warm_up,
        later: Callable[[IsCancelled], None] = warm_up_corrections,
    ) -> None:
        self._queue, self._first, self._later = queue, first, later
        self._answered, self.ready = threading.Event(), threading.Event()
        self._wanted: int | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    def answered(self) -> None:
        """A request has been answered: from now on there is time."""
        self._answered.set()

    def wait(self, request_id: int, cancelled: IsCancelled) -> None:
        """Wait until the correction tools are ready for a request, or until it is cancelled.

        Loops are compiled while it waits, and rest while ``cancelled`` answers another request, which may wait here, too.
        """
        before, self._wanted = self._wanted, request_id
        try:
            while not self.ready.wait(_POLL) and not cancelled():
                pass
        finally:
            self._wanted = before

    def _run(self) -> None:
        try:
            self._first()
            self._later(self._rest)
        except Exception as error:  # the first request that needs the loops reports it to the user
            _log.warning("the compiled kernels cannot be used: %s", error)
        finally:
            self.ready.set()

    def _rest(self) -> bool:
        """Wait until nothing is asked, or only what waits for this; never cancels."""
        while True:
            wanted = self._wanted
            if (wanted is not None or self._answered.is_set()) and self._queue.resting(-1 if wanted is None else wanted):
                return False
            time.sleep(_POLL)


class _Server:
    """Answers requests one at a time; while a model learns, or regions are computed, urgent ones are let through in between."""

    def __init__(self, queue: RequestQueue, sender: _Sender, warm: WarmUp) -> None:
        self._queue, self._sender, self._warm = queue, sender, warm
        self._session = ComputeSession()

    def answer(self, request: Request[Answer]) -> None:
        """Serve a request and say what came of it."""
        report = _ProgressReporter(request.request_id, self._sender)
        # The first word about a request tells the client which one is running, should the process die of it.
        report(0.0, "")
        corrects = isinstance(request, PrepareRegions | AskScribble)
        cancelled = self._attentive if corrects or isinstance(request, Learn) else self._queue.running_is_cancelled
        if corrects:
            self._warm.wait(request.request_id, cancelled)
        self._sender.say(self._session.answer(request, cancelled, report))
        self._warm.answered()

    def serve(self, rest: float = _REST) -> None:
        """Answer what is asked until the queue is closed; give memory back whenever nothing is asked for ``rest`` seconds."""
        while True:
            if not self._queue.wait(rest):
                self._session.rest()
            request = self._queue.take()
            if request is None:
                return
            self.answer(request)
            del request  # as the listener's

    def _attentive(self) -> bool:
        while (urgent := self._queue.take_urgent()) is not None:
            self.answer(urgent)
            self._queue.finish_urgent()
        return self._queue.running_is_cancelled()


def serve(connection: Connection) -> int:
    """Say Hello, then answer requests until Shutdown or the end of the pipe. Returns the exit status."""
    log_to_stderr("compute: %(levelname)s %(name)s: %(message)s")
    sender = _Sender(connection)
    queue = RequestQueue()
    warm = WarmUp(queue)
    server = _Server(queue, sender, warm)
    threading.Thread(target=_listen, args=(connection, queue, sender), name="listener", daemon=True).start()
    sender.say(hello())
    warm.start()  # the compiled kernels take a second to import; the first model is read at the same time
    server.serve()
    return 0
