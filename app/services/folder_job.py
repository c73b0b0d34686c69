"""One loop over images of a folder: every job that visits them one after the other runs on it, under the same rules.

The work of an image is a generator of steps (:data:`Steps`). A step is a function for the pool of threads (:func:`background`), a
request to the compute process (:func:`answer`), or a pause while the image is being opened or saved (:func:`pause`)::

    def work(image: int) -> Steps[Prediction]:
        key = yield from background(lambda: project.content_key(image))
        predicted = yield from answer(lambda: compute.submit(Predict(image=path, source_key=key)))
        return predicted.prediction

Everything between two steps runs on the thread of the job.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject

from app.services.calls import Call
from app.services.jobs import Job, JobRegistry, JobState
from app.services.timers import single_shot
from app.state.project import Project
from app.worker.messages import Answer
from deeplab_core.errors import AtrousError, Cancelled, image_error

#: An image that is being opened or saved is looked at again after this time.
RETRY_MS = 30

T = TypeVar("T")
A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True, eq=False)
class _Background:
    work: Callable[[], Any]
    stop: Callable[[], None] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    submit: Callable[[], Call[Answer]]


class _Pause:
    """Other images come first."""


Step = _Background | _Ask | _Pause
#: Steps of one image; the generator returns its result.
Steps = Generator[Step, Any, T]


def background(work: Callable[[], T], stop: Callable[[], None] | None = None) -> Steps[T]:
    """Run ``work`` on the pool; its result. Raises what it raises.

    ``stop`` is called on the thread of the job if that is to end meanwhile; the work may then raise Cancelled.
    """
    result: T = yield _Background(work, stop)
    return result


def answer(submit: Callable[[], Call[A]]) -> Steps[A]:
    """Submit a request to the compute process; its answer.

    Raises:
        AtrousError: the compute process answers with it.
    """
    result: A = yield _Ask(submit)
    return result


def pause() -> Steps[None]:
    """Let other images go first, and go on after :data:`RETRY_MS`."""
    yield _Pause()


@dataclass(slots=True, eq=False)
class _Item:
    """A visit under way.

    Attributes:
        place: in the ids.
        call: while the compute process works on it; ``fraction`` (0..1) of that.
        stop: while the pool works on it, where that can be stopped.
    """

    place: int
    image: int
    steps: Generator[Step, Any, Any]
    call: Call[Answer] | None = None
    fraction: float = 0.0
    stop: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job over a folder goes on, and how it is shown.

    Attributes:
        title: what the user reads in the status bar.
        in_flight: how many images are under way at a time.
        resume: how many images of the same job were done before it was interrupted; they count in the progress.
        guards_close: whether closing the window asks first.
        shown: whether the status bar shows it; see :meth:`FolderJob.show`.
    """

    title: str
    in_flight: int = 1
    resume: int = 0
    guards_close: bool = False
    shown: bool = True


class FolderJob(QObject, Generic[T]):
    """The rules of every loop over a folder.

    - Images begin in the order of ``ids``, at most ``in_flight`` at a time, and at most as many in one turn of the event loop, so
      that a long job neither blocks the window nor grows the stack.
    - An error is a failure of its image only, is kept in :attr:`failures`, and the job goes on; unless a handler of failures
      (:meth:`on`) raises, which means that nothing can be written any more: then the job ends as failed, with :attr:`trouble`. An
      exception that is neither an AtrousError nor raised by a step is a bug: its image counts as failed and the exception is
      raised.
    - After :meth:`cancel` no image begins and calls are cancelled, and so is what runs on the pool if it can be. Else it comes to
      its end and is taken; an image that needs another call or a pause after it is left. What was cancelled elsewhere cancels the
      job.
    - After :meth:`abandon` (another project is open) nothing is taken any more.
    - Progress is reported ten times a second at most (:class:`Job`).

    Args:
        ids: images to visit; one that comes several times is visited as often.
        work: begins the steps of an image.
        on_result: gets an image and its result.
        project: names the images and their files.
        jobs: runs background steps; it shows the job while it lasts.

    Attributes:
        job: as the status bar shows it; its state tells how the job ended.
        done: visits that ended, well or not, with the ``resume`` ones.
        failures: image -> error, which names the image's file.
        trouble: why the job could not go on; None unless it failed.
        abandoned: whether it was left for another project.
    """

    def __init__(
        self,
        ids: Iterable[int],
        work: Callable[[int], Steps[T]],
        on_result: Callable[[int, T], object] = lambda _image, _result: None,
        *,
        project: Project,
        jobs: JobRegistry,
        options: JobOptions,
    ) -> None:
        super().__init__(jobs)
        self._order = list(ids)
        self._waiting = deque(range(len(self._order)))
        self._work, self._on_result, self._jobs = work, on_result, jobs
        self.project = project
        self._in_flight = options.in_flight
        self._on_failure: list[Callable[[int, AtrousError], object]] = []
        self._on_end: list[Callable[[FolderJob[T]], object]] = []
        self._active: list[_Item] = []
        self._paused: list[_Item] = []
        self._ended: set[int] = set()
        self._stopping = False
        self.done = options.resume
        self.total = options.resume + len(self._order)
        self.failures: dict[int, AtrousError] = {}
        self.trouble: AtrousError | None = None
        self.abandoned = False
        self.job = Job(options.title, self._stop, guards_close=options.guards_close)
        self._turn = single_shot(self, 0, self._feed)
        self._retry = single_shot(self, RETRY_MS, self._resume_paused)
        self._shown = False
        self.job.progress(self.done, self.total)
        if options.shown:
            self.show()
        self._turn.start()

    def on(
        self,
        *,
        failure: Callable[[int, AtrousError], object] | None = None,
        end: Callable[[FolderJob[T]], object] | None = None,
    ) -> FolderJob[T]:
        """Add handlers before the first image begins; returns the job itself.

        Args:
            failure: gets an image and its error, before it counts in :attr:`failures`.
            end: called once, with the job, after its last image.
        """
        if failure is not None:
            self._on_failure.append(failure)
        if end is not None:
            self._on_end.append(end)
        return self

    @property
    def running(self) -> bool:
        """Whether it still goes on."""
        return self.job.running

    @property
    def stopped(self) -> bool:
        """Whether it ended, or is about to end, before its last image."""
        return self._stopping

    @property
    def left(self) -> tuple[int, ...]:
        """Images that have not ended, in order; those that are under way are among them."""
        return tuple(image for place, image in enumerate(self._order) if place not in self._ended)

    def show(self, title: str = "") -> None:
        """Let the status bar show it from now on, e.g. because it has grown; under another title if one is given."""
        self.job.title = title or self.job.title
        if not self._shown:
            self._shown = True
            self._jobs.add(self.job)

    def extend(self, ids: Iterable[int], *, first: bool = False) -> None:
        """Visit further images after the others, or before them. Raises RuntimeError if the job ends or has ended."""
        if self._stopping or not self.running:
            raise RuntimeError("a job that ends visits no further images")
        added = list(ids)
        places = range(len(self._order), len(self._order) + len(added))
        if first:
            self._waiting.extendleft(reversed(places))
        else:
            self._waiting.extend(places)
        self._order += added
        self.total += len(added)
        self._turn.start()

    def cancel(self) -> None:
        """Stop for a reason other than the user's (``job.cancel`` is theirs); the end follows once nothing is under way."""
        if self.running:
            self._stop()

    def abandon(self) -> None:
        """Stop at once, because another project is open: no result is taken any more. The end is announced before it returns."""
        if self.running:
            self.abandoned = self._stopping = True
            self._waiting.clear()
            for item in (*self._active, *self._paused):
                self._drop(item)
            self._end()

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._stopping = True
        self._waiting.clear()
        for item in tuple(self._paused):
            self._drop(item)
        for item in tuple(self._active):
            if item.call is not None:
                item.call.cancel()
            if item.stop is not None:
                item.stop()
        self._turn.start()

    def _feed(self) -> None:
        """Begin images while there are places; end the job after the last one."""
        if not self.running:
            return
        for _ in range(min(self._in_flight - len(self._active), len(self._waiting))):
            if not self._waiting:
                break  # what the image before came to has stopped the job
            place = self._waiting.popleft()
            item = _Item(place, self._order[place], self._work(self._order[place]))
            self._active.append(item)
            self._report()
            self._advance(item, None)
        if not (self._active or self._paused or self._waiting):
            self._end()

    def _advance(self, item: _Item, value: object, error: Exception | None = None) -> None:
        """Carry an image on to its next step."""
        try:
            step = item.steps.send(value) if error is None else item.steps.throw(error)
        except StopIteration as end:
            self._finish(item)
            self._on_result(item.image, end.value)
        except Exception as caught:
            self._fail(item, caught)
            if caught is not error and not isinstance(caught, AtrousError):
                raise
        else:
            self._take(item, step)

    def _take(self, item: _Item, step: Step) -> None:
        if isinstance(step, _Background):
            item.stop = step.stop
            if self._stopping and step.stop is not None:
                step.stop()
            self._jobs.run(
                step.work, lambda result: self._come_back(item, result), lambda error: self._come_back(item, None, error)
            )
        elif self._stopping:
            self._drop(item)
        elif isinstance(step, _Pause):
            self._active.remove(item)
            self._paused.append(item)
            if not self._retry.isActive():
                self._retry.start()
            self._turn.start()
        else:
            self._ask(item, step)

    def _ask(self, item: _Item, step: _Ask) -> None:
        def finished() -> None:
            item.call, item.fraction = None, 0.0

        def progress(fraction: float, _text: str) -> None:
            item.fraction = fraction
            self._report()

        try:
            item.call = step.submit()
        except Exception as error:
            self._advance(item, None, error)
            return
        item.call.on(
            done=lambda result: self._come_back(item, result),
            failed=lambda error: self._come_back(item, None, error),
            cancelled=lambda: self._leave(item),
            progress=progress,
            finished=finished,
        )

    def _come_back(self, item: _Item, value: object, error: Exception | None = None) -> None:
        """A step is over."""
        item.call, item.fraction, item.stop = None, 0.0, None
        if item not in self._active:
            return  # it has been left
        if isinstance(error, Cancelled):
            self._leave(item)
        else:
            self._advance(item, value, error)

    def _leave(self, item: _Item) -> None:
        """A step was cancelled: that ends the job."""
        self._drop(item)
        if self.running and not self._stopping:
            self._stop()

    def _resume_paused(self) -> None:
        paused, self._paused = self._paused, []
        self._active += paused
        for item in paused:
            if item in self._active:  # the image before may have ended the job
                self._advance(item, None)

    def _finish(self, item: _Item) -> None:
        """An image has ended, well or not."""
        self._active.remove(item)
        self._ended.add(item.place)
        self.done += 1
        self._report()
        self._turn.start()

    def _fail(self, item: _Item, error: Exception) -> None:
        failure = image_error(error, self.project.path_of(self.project.record(item.image)))
        try:
            for handler in self._on_failure:
                handler(item.image, failure)
        except AtrousError as trouble:
            self.trouble = trouble
        self.failures[item.image] = failure
        self._finish(item)
        if self.trouble is not None and not self._stopping:
            self._stop()

    def _drop(self, item: _Item) -> None:
        """Leave an image as it is; it is not done."""
        for items in (self._active, self._paused):
            if item in items:
                items.remove(item)
        call, stop = item.call, item.stop
        item.call = item.stop = None
        if call is not None:
            call.abandon()
        if stop is not None:
            stop()
        item.steps.close()
        self._turn.start()

    def _report(self) -> None:
        if self.abandoned:
            return
        name = self.project.record(self._active[-1].image).name if self._active else ""
        self.job.progress(self.done, self.total, name, sum(item.fraction for item in self._active))

    def _end(self) -> None:
        if not self.running:
            return
        self._turn.stop()
        self._retry.stop()
        if self.trouble is not None:
            self.job.finish(JobState.FAILED)
        else:
            self.job.finish(JobState.CANCELLED if self._stopping else JobState.DONE)
        for handler in self._on_end:
            handler(self)
        self.deleteLater()
