"""One request to the compute process and its one answer; of several requests only the newest counts. No torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, Generic, TypeVar, cast

from PySide6.QtCore import QObject, Signal

from app.worker.messages import Answer, Failed, Progress, Request, WasCancelled
from deeplab_core.errors import AtrousError
from deeplab_core.records import ModelCard

A = TypeVar("A", bound=Answer)
A_co = TypeVar("A_co", bound=Answer, covariant=True)


class Call(Generic[A_co]):
    """A request that was submitted, until its answer.

    Exactly one of ``done``, ``failed`` and ``cancelled`` is called, then ``finished``, on the thread of the service and never
    before :meth:`ComputeService.submit` has returned; also if the compute process dies in between.
    """

    def __init__(self, request: Request[A_co], cancel: Callable[[int], None]) -> None:
        self.request = request
        self._cancel = cancel
        self._running = True
        self._done: list[Callable[[A_co], object]] = []
        self._failed: list[Callable[[AtrousError], object]] = []
        self._cancelled: list[Callable[[], object]] = []
        self._progress: list[Callable[[float, str], object]] = []
        self._finished: list[Callable[[], object]] = []

    @property
    def running(self) -> bool:
        """Whether the answer is still to come."""
        return self._running

    def on(
        self,
        *,
        done: Callable[[A_co], object] | None = None,
        failed: Callable[[AtrousError], object] | None = None,
        cancelled: Callable[[], object] | None = None,
        progress: Callable[[float, str], object] | None = None,
        finished: Callable[[], object] | None = None,
    ) -> Call[A_co]:
        """Add handlers; returns the call itself.

        Args:
            done: gets the answer.
            failed: gets the error; it names a remedy.
            cancelled: nothing remains of the request.
            progress: gets a fraction 0..1 and a text, at most ten times a second.
            finished: is called after any of the first three, also after :meth:`abandon`.
        """
        for handlers, handler in (
            (self._done, done),
            (self._failed, failed),
            (self._cancelled, cancelled),
            (self._progress, progress),
            (self._finished, finished),
        ):
            if handler is not None:
                cast("list[Any]", handlers).append(handler)
        return self

    def cancel(self) -> None:
        """Stop the work. If the answer came first it is delivered, otherwise ``cancelled`` follows."""
        if self._running:
            self._cancel(self.request.request_id)

    def abandon(self) -> None:
        """Stop the work and hear no more of it; only ``finished`` is still called."""
        for handlers in (self._done, self._failed, self._cancelled, self._progress):
            cast("list[Any]", handlers).clear()
        self.cancel()

    # -- for the service -------------------------------------------------------------------------------------------------

    def report(self, progress: Progress) -> None:
        """Pass progress on."""
        for handler in tuple(self._progress):
            handler(progress.fraction, progress.text)

    def resolve(self, answer: Answer) -> None:
        """Pass the answer on and end the call."""
        if not self._running:
            return
        self._running = False
        try:
            if isinstance(answer, Failed):
                error = AtrousError.from_dict(answer.error)
                for failed in tuple(self._failed):
                    failed(error)
            elif isinstance(answer, WasCancelled):
                for cancelled in tuple(self._cancelled):
                    cancelled()
            else:
                for done in tuple(self._done):
                    done(cast("A_co", answer))
        finally:
            for finished in tuple(self._finished):
                finished()


class LatestCall:
    """At most one call under way; of later requests, only the newest is submitted, once the call has ended."""

    def __init__(self) -> None:
        self._call: Call[Answer] | None = None
        self._interruptible = True
        self._next: tuple[Callable[[], Call[Answer] | None], bool] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return not self._busy and self._next is None

    @property
    def _busy(self) -> bool:
        return self._call is not None and self._call.running

    def ask(self, submit: Callable[[], Call[Answer] | None], *, interruptible: bool = True) -> None:
        """Ask for a call in place of whatever waits.

        Args:
            submit: submits the request with its handlers, with everything as it is then, or returns None if there is nothing to
                ask any more. It runs now if no call is under way, otherwise after the running one.
            interruptible: a newer request abandons this call; otherwise its answer is delivered first.
        """
        self._next = (submit, interruptible)
        if not self._busy:
            self._submit()
        elif self._interruptible and self._call is not None:
            self._call.abandon()

    def drop_waiting(self) -> None:
        """Forget what waits; the call under way goes on."""
        self._next = None

    def stop(self) -> None:
        """Ask for nothing, and abandon the call under way."""
        self._next = None
        if self._call is not None:
            self._call.abandon()

    def _submit(self) -> None:
        if self._next is None:
            return
        submit, self._interruptible = self._next
        self._next = None
        self._call = submit()
        if self._call is not None:
            self._call.on(finished=self._go_on)

    def _go_on(self) -> None:
        if not self._busy:  # a handler of the answer may have asked for the next call already
            self._submit()


class ComputeService(QObject):
    """Takes requests on and answers them later, on the thread that it lives in. Nothing here blocks.

    Signals:
        hello(Hello): the process is there: versions and devices.
        crashed(str): the process ended unasked; the reason, for the user. One of the next two follows.
        restarted(): it is back, with the model loaded, and goes on with what was waiting.
        model_lost(AtrousError): it is back, but the model that was in use can no longer be loaded.
        unresponsive(str): it does not answer, not even a sign of life; what is known of it, for the user. Said again once
            a minute. Nothing is ended by that: :meth:`restart` does it, and every request still gets its one answer.
        responsive(): it is heard again after :attr:`unresponsive`, or was ended.
        gave_up(str): it died too often, or is unusable, and stays down until :meth:`start` is called again.
    """

    hello = Signal(object)
    crashed = Signal(object)
    restarted = Signal()
    model_lost = Signal(object)
    unresponsive = Signal(object)
    responsive = Signal()
    gave_up = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = count(1)
        self._calls: dict[int, Call[Answer]] = {}

    @property
    @abstractmethod
    def card(self) -> ModelCard | None:
        """Card of the model in use; None before the first is loaded."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Requests that are not answered yet."""

    @abstractmethod
    def start(self) -> None:
        """Start the process, or start it again after :attr:`gave_up`."""

    @abstractmethod
    def restart(self) -> None:
        """End a process that does not answer and start another, which goes on with what waits; nothing if there is none."""

    @abstractmethod
    def stop(self) -> None:
        """End the process; requests that wait are forgotten without an answer."""

    def submit(self, request: Request[A]) -> Call[A]:
        """Take a request on; its ``request_id`` is given here.

        Requests of one priority are served in order, :data:`~app.worker.messages.URGENT` ones before all others.
        :class:`~app.worker.messages.LoadModel` changes the model for every prediction that still waits; if loading fails, the
        model before stays in use.
        """
        numbered = replace(request, request_id=next(self._numbers))
        call = Call(numbered, self.cancel)
        self._calls[numbered.request_id] = call
        self._send(numbered)
        return call

    @abstractmethod
    def _send(self, request: Request[Answer]) -> None:
        """Have a numbered request served."""

    @abstractmethod
    def cancel(self, request_id: int) -> None:
        """Cancel a request; one that is answered already is left alone."""

    @abstractmethod
    def cancel_all(self) -> None:
        """Cancel every request that is not answered yet."""

    def _answer(self, answer: Answer) -> None:
        """Bring an answer to its call."""
        call = self._calls.pop(answer.request_id, None)
        if call is not None:
            call.resolve(answer)

    def _report(self, progress: Progress) -> None:
        """Bring progress to its call."""
        call = self._calls.get(progress.request_id)
        if call is not None:
            call.report(progress)
