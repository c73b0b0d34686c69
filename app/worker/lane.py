"""The queue of the compute process: one request at a time, urgent ones first, Cancel heard at once."""

from __future__ import annotations

import heapq
import threading

from app.worker.messages import Request


class Lane:
    """Waiting requests and the running one. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._order: list[tuple[int, int, Request]] = []
        self._waiting: dict[int, Request] = {}  # a dropped request stays in the heap until its turn, but not here
        self._arrived = 0
        self._running: int | None = None
        self._cancel_running = False
        self._closed = False

    def put(self, request: Request) -> None:
        """Queue a request behind those of equal or smaller ``priority``."""
        with self._changed:
            heapq.heappush(self._order, (request.priority, self._arrived, request))
            self._waiting[request.request_id] = request
            self._arrived += 1
            self._changed.notify()

    def take(self) -> Request | None:
        """Wait for the next request and make it the running one; None once the lane is closed."""
        with self._changed:
            self._running = None
            while not self._closed:
                while self._order:
                    request = heapq.heappop(self._order)[2]
                    if self._waiting.pop(request.request_id, None) is not None:
                        self._running, self._cancel_running = request.request_id, False
                        return request
                self._changed.wait()
            return None

    def cancel(self, request_id: int) -> tuple[int, ...]:
        """Cancel one request, or all with -1.

        Returns:
            Ids of the requests that were waiting and are dropped; the running one stops by itself and answers later.
        """
        with self._changed:
            everything = request_id == -1
            asked = tuple(self._waiting) if everything else (request_id,)
            dropped = tuple(number for number in asked if self._waiting.pop(number, None) is not None)
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
            self._order.clear()
            self._closed = self._cancel_running = True
            self._changed.notify_all()
