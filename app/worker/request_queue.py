"""The queue of the compute process: one request at a time, urgent ones first, Cancel heard at once."""

from __future__ import annotations

import heapq
import threading

from app.worker.messages import URGENT, Answer, Request


class RequestQueue:
    """Waiting requests and the running ones. Every method may be called from any thread.

    One request runs at a time; a long one may let urgent ones through (:meth:`take_urgent`), and then pauses.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._order: list[tuple[int, int, Request[Answer]]] = []
        self._waiting: dict[int, Request[Answer]] = {}  # a dropped request stays in the heap until its turn, but not here
        self._arrived = 0
        self._running: list[int] = []  # the last one computes, those before it rest
        self._cancelled: set[int] = set()
        self._closed = False

    def put(self, request: Request[Answer]) -> None:
        """Queue a request behind those of equal or smaller ``priority``."""
        with self._changed:
            heapq.heappush(self._order, (request.priority, self._arrived, request))
            self._waiting[request.request_id] = request
            self._arrived += 1
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Wait for at most so many seconds until something can be taken, or the queue is closed; whether that came."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or bool(self._waiting), seconds)

    def take(self) -> Request[Answer] | None:
        """Wait for the next request and make it the running one; None once the queue is closed."""
        with self._changed:
            self._running.clear()
            self._cancelled.clear()
            while not self._closed:
                request = self._next()
                if request is not None:
                    return request
                self._changed.wait()
            return None

    def take_urgent(self) -> Request[Answer] | None:
        """The next request if it is an urgent one, without waiting; the running one rests until :meth:`finish_urgent`."""
        with self._changed:
            if self._closed or (self._running and self._running[-1] in self._cancelled):
                return None
            while self._order and self._order[0][2].request_id not in self._waiting:
                heapq.heappop(self._order)
            return self._next() if self._order and self._order[0][0] <= URGENT else None

    def finish_urgent(self) -> None:
        """The urgent request is answered; the one that rested goes on."""
        with self._changed:
            self._cancelled.discard(self._running.pop())

    def _next(self) -> Request[Answer] | None:
        while self._order:
            request = heapq.heappop(self._order)[2]
            if self._waiting.pop(request.request_id, None) is not None:
                self._running.append(request.request_id)
                return request
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
            self._cancelled.update(self._running if everything else (number for number in self._running if number == request_id))
            return dropped

    def resting(self, request_id: int) -> bool:
        """Whether this request runs, whatever waits behind it, or nothing runs and nothing waits."""
        with self._changed:
            return self._running[-1] == request_id if self._running else not self._waiting

    def running_is_cancelled(self) -> bool:
        """Whether the running request shall stop."""
        running = self._running
        return self._closed or bool(running and running[-1] in self._cancelled)

    def close(self) -> None:
        """Drop what waits, stop what runs, and let :meth:`take` return None."""
        with self._changed:
            self._waiting.clear()
            self._order.clear()
            self._closed = True
            self._changed.notify_all()
