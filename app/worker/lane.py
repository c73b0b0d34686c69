"""The queue of the compute process: one request at a time, urgent ones first, Cancel heard at once."""

from __future__ import annotations

import heapq
import threading

from app.worker.messages import Request


class Lane:
    """Waiting requests and the running one. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int, Request]] = []
        self._arrived = 0
        self._running: int | None = None
        self._cancel_running = False
        self._closed = False

    def put(self, request: Request) -> None:
        """Queue a request behind those of equal or smaller ``priority``."""
        with self._changed:
            heapq.heappush(self._waiting, (request.priority, self._arrived, request))
            self._arrived += 1
            self._changed.notify()

    def take(self) -> Request | None:
        """Wait for the next request and make it the running one; None once the lane is closed."""
        with self._changed:
            self._running = None
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            request = heapq.heappop(self._waiting)[2]
            self._running = request.request_id
            self._cancel_running = False
            return request

    def cancel(self, request_id: int) -> tuple[int, ...]:
        """Cancel one request, or all with -1.

        Returns:
            Ids of the requests that were waiting and are dropped; the running one stops by itself and answers later.
        """
        with self._changed:
            everything = request_id == -1
            order = sorted(self._waiting, key=lambda entry: entry[:2])
            dropped = tuple(r.request_id for _, _, r in order if everything or r.request_id == request_id)
            self._waiting = [entry for entry in self._waiting if entry[2].request_id not in dropped]
            heapq.heapify(self._waiting)
            if everything or request_id == self._running:
                self._cancel_running = True
            return dropped

    def running_is_cancelled(self) -> bool:
        """Whether the running request shall stop."""
        return self._cancel_running

    def close(self) -> None:
        """Drop what waits, stop what runs, and let :meth:`take` return None."""
        with self._changed:
            self._waiting.clear()
            self._closed = self._cancel_running = True
            self._changed.notify_all()
