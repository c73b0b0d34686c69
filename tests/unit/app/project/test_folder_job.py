"""Every rule of a loop over a folder, with steps that end when the test ends them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication

from app.services.calls import Call
from app.services.folder_job import FolderJob, JobOptions, Steps, answer, background, pause
from app.services.jobs import JobRegistry, JobState
from app.worker.messages import Answer, Failed, InspectModel, Progress, WasCancelled
from deeplab_core.errors import AtrousError, Cancelled, ImageFailed, ProjectError, StorageError

BROKEN = ImageFailed("this image failed")


class Folder:
    """What a job asks a project."""

    def record(self, image: int) -> SimpleNamespace:
        return SimpleNamespace(id=image, name=f"{image}.jpg", shown=f"{image}.jpg")

    def path_of(self, record: SimpleNamespace) -> Path:
        return Path("/photos") / record.name


class Desk(JobRegistry):
    """Background functions and calls wait until the test ends them; everything that happens is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[tuple[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]]] = []
        self.calls: list[Call[Answer]] = []
        self.begun: list[int] = []
        self.results: list[tuple[int, Any]] = []
        self.failed: list[int] = []
        self.ends: list[JobState] = []
        self.busy: set[int] = set()

    def run(self, work, done, failed, *, long=False):
        self.pending.append((work, done, failed))

    def end_step(self, place: int = 0) -> None:
        """Run a background function now."""
        work, done, failed = self.pending.pop(place)
        try:
            result = work()
        except Exception as error:
            failed(error)
        else:
            done(result)

    def submit(self) -> Call[Answer]:
        call: Call[Answer] = Call(InspectModel(path="net.pth"), lambda _number: None)
        self.calls.append(call)
        return call

    def start(self, ids, work, **more: Any) -> FolderJob[Any]:
        def begin(image: int):
            self.begun.append(image)
            return work(image)

        failure = more.pop("on_failure", lambda image, _error: self.failed.append(image))
        job: FolderJob[Any] = FolderJob(
            ids, begin, lambda image, result: self.results.append((image, result)), project=Folder(), jobs=self,
            options=JobOptions("Looking", **more),
        )  # fmt: skip
        return job.on(failure=failure, end=lambda job: self.ends.append(job.job.state))

    def finish(self, job: FolderJob[Any]) -> None:
        """Let everything come to its end."""
        wait(lambda: bool(self.pending) or not job.running)
        while job.running:
            self.end_step()
            wait(lambda: bool(self.pending) or not job.running)


def turn() -> None:
    QCoreApplication.processEvents()


def wait(condition: Callable[[], bool]) -> None:
    while not condition():
        turn()


@pytest.fixture
def desk(qapp) -> Desk:
    return Desk()


def square(image: int) -> Steps[int]:
    return background(lambda: image * image)


# -- order, progress, results -------------------------------------------------------------------------------------------------


def test_images_are_visited_in_order_and_their_results_taken(desk):
    job = desk.start([3, 1, 2], square)
    assert desk.begun == [], "nothing begins before the caller knows the job"
    desk.finish(job)
    assert desk.begun == [3, 1, 2]
    assert desk.results == [(3, 9), (1, 1), (2, 4)]
    assert desk.ends == [JobState.DONE]
    assert desk.running == ()
    assert (job.done, job.total, job.left) == (3, 3, ())


def test_an_empty_folder_ends_too(desk):
    desk.finish(desk.start([], square))
    assert desk.ends == [JobState.DONE]


@pytest.mark.parametrize("places", [1, 3])
def test_no_more_images_are_under_way_than_allowed(desk, places):
    desk.start(range(8), square, in_flight=places)
    for _ in range(3):
        turn()
    assert desk.begun == list(range(places))
    desk.end_step(places - 1)
    wait(lambda: len(desk.begun) == places + 1)
    assert len(desk.pending) == places


def test_progress_names_the_image_and_counts_what_was_done_before(desk):
    job = desk.start([7, 8], square, resume=6)
    assert (job.job.done_steps, job.job.steps) == (6, 8)
    wait(lambda: bool(desk.pending))
    assert job.job.text == "7.jpg"
    desk.end_step()
    assert job.job.fraction == pytest.approx(7 / 8)
    desk.finish(job)
    assert job.job.fraction == 1.0


def test_a_call_moves_the_progress_on(desk):
    job = desk.start([1, 2], lambda _image: answer(desk.submit))
    wait(lambda: bool(desk.calls))
    desk.calls[0].report(Progress(request_id=0, fraction=0.5, text=""))
    assert job.job.fraction == pytest.approx(0.25)
    desk.calls[0].resolve(SimpleNamespace(request_id=0))
    assert job.job.fraction == pytest.approx(0.5)


def test_progress_is_emitted_ten_times_a_second_at_most(desk, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("app.services.jobs.time.monotonic", lambda: clock[0])
    job = desk.start(range(100), square)
    told = []
    job.job.changed.connect(lambda: told.append(job.job.done_steps))
    while len(desk.results) < 50:
        wait(lambda: bool(desk.pending))
        clock[0] += 0.01
        desk.end_step()
    assert 3 <= len(told) <= 6


def test_an_image_that_needs_no_step_neither_blocks_nor_grows_the_stack(desk):
    def nothing(_image: int) -> Steps[None]:
        return
        yield

    job = desk.start(range(3000), nothing)
    turn()
    assert len(desk.begun) < 3000
    desk.finish(job)
    assert len(desk.results) == 3000


def test_an_image_that_comes_twice_is_visited_twice(desk):
    job = desk.start([1, 2, 1], square)
    desk.finish(job)
    assert [image for image, _ in desk.results] == [1, 2, 1]
    assert job.left == ()


def test_a_job_that_grows_visits_the_further_images_last(desk):
    job = desk.start([1, 2], square, shown=False)
    assert desk.running == ()
    wait(lambda: bool(desk.pending))
    job.extend([3, 1])
    job.show()
    job.show()
    assert desk.running == (job.job,)
    desk.finish(job)
    assert desk.begun == [1, 2, 3, 1]
    assert (job.done, job.total) == (4, 4)
    with pytest.raises(RuntimeError):
        job.extend([5])


def test_further_images_can_come_before_those_that_wait(desk):
    job = desk.start([1, 2, 3], square)
    wait(lambda: bool(desk.pending))
    job.extend([7, 8], first=True)
    job.show("Evaluating")
    desk.finish(job)
    assert desk.begun == [1, 7, 8, 2, 3]
    assert (job.done, job.total, job.job.title) == (5, 5, "Evaluating")


# -- failures -------------------------------------------------------------------------------------------------------------------


def raising(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize("error", [BROKEN, MemoryError(), KeyError("x"), OSError(5, "gone")])
def test_an_image_that_fails_fails_alone(desk, error):
    job = desk.start([1, 2, 3], lambda image: background(raising(error)) if image == 2 else square(image))
    desk.finish(job)
    assert [image for image, _ in desk.results] == [1, 3]
    assert desk.failed == [2]
    assert list(job.failures) == [2]
    assert isinstance(job.failures[2], AtrousError)
    assert job.failures[2].path == Path("/photos/2.jpg")
    assert desk.ends == [JobState.DONE]
    BROKEN.path = None


def test_a_request_that_fails_fails_its_image(desk):
    job = desk.start([1, 2], lambda _image: answer(desk.submit))
    wait(lambda: len(desk.calls) == 1)
    desk.calls[0].resolve(Failed(request_id=0, error=BROKEN.to_dict()))
    wait(lambda: len(desk.calls) == 2)
    desk.calls[1].resolve(SimpleNamespace(request_id=0))
    wait(lambda: not job.running)
    assert list(job.failures) == [1]
    assert [image for image, _ in desk.results] == [2]


def test_a_step_may_be_caught_by_the_work(desk):
    def work(image: int) -> Steps[str]:
        try:
            yield from background(raising(BROKEN))
        except AtrousError:
            return "caught"
        return "not"

    job = desk.start([1], work)
    desk.finish(job)
    assert desk.results == [(1, "caught")]
    assert not job.failures


def test_a_bug_between_two_steps_is_raised_and_the_job_goes_on(desk):
    def work(image: int) -> Steps[int]:
        yield from background(lambda: None)
        return 1 // (image - 1)

    job = desk.start([1, 2], work)
    wait(lambda: bool(desk.pending))
    with pytest.raises(ZeroDivisionError):
        desk.end_step()
    desk.finish(job)
    assert list(job.failures) == [1]
    assert desk.results == [(2, 1)]


def test_a_project_that_cannot_be_written_ends_the_job(desk):
    trouble = StorageError("the project cannot be saved")

    def give_up(_image: int, error: AtrousError) -> None:
        raise trouble

    job = desk.start(range(5), lambda _image: background(raising(BROKEN)), on_failure=give_up)
    desk.finish(job)
    assert desk.begun == [0]
    assert desk.ends == [JobState.FAILED]
    assert job.trouble is trouble
    assert job.stopped
    assert job.left == (1, 2, 3, 4)
    BROKEN.path = None


# -- stopping -------------------------------------------------------------------------------------------------------------------


def test_cancel_takes_what_runs_and_begins_nothing(desk):
    job = desk.start(range(5), square, in_flight=2)
    wait(lambda: len(desk.pending) == 2)
    job.job.cancel()
    desk.finish(job)
    assert [image for image, _ in desk.results] == [0, 1]
    assert desk.begun == [0, 1]
    assert desk.ends == [JobState.CANCELLED]
    assert job.left == (2, 3, 4)


def test_cancel_before_the_first_image(desk):
    job = desk.start(range(3), square)
    job.job.cancel()
    desk.finish(job)
    assert desk.begun == []
    assert job.left == (0, 1, 2)


def test_cancel_stops_a_call_and_leaves_its_image(desk):
    job = desk.start([1, 2], lambda _image: answer(desk.submit))
    wait(lambda: bool(desk.calls))
    job.job.cancel()
    turn()
    assert job.running, "its end is not known before the compute process has said so"
    desk.calls[0].resolve(WasCancelled(request_id=0))
    wait(lambda: not job.running)
    assert job.left == (1, 2)
    assert desk.results == []


def stoppable(stopped: list[int]) -> Callable[[int], Steps[int]]:
    """Work that raises Cancelled once its image is in ``stopped``."""

    def work(image: int) -> Steps[int]:
        def run() -> int:
            if image in stopped:
                raise Cancelled()
            return image

        return background(run, lambda: stopped.append(image))

    return work


def test_cancel_stops_what_runs_on_the_pool_and_leaves_its_image(desk):
    stopped: list[int] = []
    job = desk.start([1, 2, 3], stoppable(stopped), in_flight=2)
    wait(lambda: len(desk.pending) == 2)
    job.job.cancel()
    assert stopped == [1, 2]
    desk.finish(job)
    assert job.left == (1, 2, 3)
    assert desk.ends == [JobState.CANCELLED]
    assert (desk.results, desk.failed, job.failures) == ([], [], {})


def test_what_is_over_is_not_stopped(desk):
    stopped: list[int] = []
    job = desk.start([1, 2], stoppable(stopped))
    wait(lambda: bool(desk.pending))
    desk.end_step()
    wait(lambda: bool(desk.pending))
    job.job.cancel()
    desk.finish(job)
    assert stopped == [2]
    assert desk.results == [(1, 1)]


def test_abandon_stops_what_runs_on_the_pool(desk):
    stopped: list[int] = []
    job = desk.start([1], stoppable(stopped))
    wait(lambda: bool(desk.pending))
    job.abandon()
    assert stopped == [1]
    desk.end_step()
    assert desk.ends == [JobState.CANCELLED]
    assert desk.failed == []


def test_what_was_cancelled_elsewhere_on_the_pool_cancels_the_job(desk):
    job = desk.start([1, 2], stoppable([1]))
    desk.finish(job)
    assert job.left == (1, 2)
    assert desk.ends == [JobState.CANCELLED]
    assert desk.failed == []


def test_an_answer_that_comes_before_the_cancel_is_kept(desk):
    written = []

    def work(image: int) -> Steps[int]:
        yield from answer(desk.submit)
        yield from background(lambda: written.append(image))
        return image

    job = desk.start([1, 2], work)
    wait(lambda: bool(desk.calls))
    job.job.cancel()
    desk.calls[0].resolve(SimpleNamespace(request_id=0))
    desk.finish(job)
    assert written == [1]
    assert job.left == (2,)


def test_no_call_is_submitted_after_the_cancel(desk):
    def work(image: int) -> Steps[None]:
        yield from background(lambda: None)
        yield from answer(desk.submit)

    job = desk.start([1, 2], work)
    wait(lambda: bool(desk.pending))
    job.job.cancel()
    desk.finish(job)
    assert desk.calls == []
    assert job.left == (1, 2)


def test_a_call_that_was_cancelled_elsewhere_stops_the_job(desk):
    job = desk.start([1, 2], lambda _image: answer(desk.submit))
    wait(lambda: bool(desk.calls))
    desk.calls[0].resolve(WasCancelled(request_id=0))
    wait(lambda: not job.running)
    assert desk.ends == [JobState.CANCELLED]
    assert desk.begun == [1]
    assert not job.job.cancel_asked


def test_cancel_by_the_program_is_not_the_users(desk):
    job = desk.start([1, 2], square)
    job.cancel()
    job.cancel()
    desk.finish(job)
    assert not job.job.cancel_asked
    assert desk.ends == [JobState.CANCELLED]


def test_another_project_ends_the_job_at_once_and_takes_nothing(desk):
    cleaned = []

    def work(image: int) -> Steps[int]:
        try:
            yield from background(lambda: None)
        finally:
            cleaned.append(image)
        return image

    job = desk.start(range(5), work, in_flight=2)
    wait(lambda: len(desk.pending) == 2)
    job.abandon()
    assert desk.ends == [JobState.CANCELLED]
    assert job.abandoned
    assert sorted(cleaned) == [0, 1]
    while desk.pending:
        desk.end_step()
    job.abandon()
    assert desk.results == []
    assert len(desk.ends) == 1


# -- images that are being opened or saved ------------------------------------------------------------------------------------


def test_an_image_that_is_being_saved_waits_while_others_go_first(desk):
    desk.busy = {1}

    def work(image: int) -> Steps[int]:
        while image in desk.busy:
            yield from pause()
        return (yield from square(image))

    job = desk.start([1, 2, 3], work)
    for image in (2, 3):
        wait(lambda: bool(desk.pending))
        desk.end_step()
        assert desk.results[-1] == (image, image * image)
    desk.busy.clear()
    desk.finish(job)
    assert sorted(desk.results) == [(1, 1), (2, 4), (3, 9)]
    assert desk.ends == [JobState.DONE]


def test_cancel_does_not_wait_for_an_image_that_is_being_saved(desk):
    def work(image: int) -> Steps[None]:
        while True:
            yield from pause()

    job = desk.start([1, 2], work)
    wait(lambda: len(desk.begun) == 2)
    job.job.cancel()
    desk.finish(job)
    assert job.left == (1, 2)
    assert desk.ends == [JobState.CANCELLED]


# -- all of it, in any order --------------------------------------------------------------------------------------------------


def drawn_work(desk: Desk, under_way: set[int], image: int, kinds: str) -> Steps[int]:
    """Steps by letter: background, call, pause, failure; ``under_way`` holds the images that have a place."""
    under_way.add(image)
    try:
        for kind in kinds:
            if kind == "b":
                yield from background(lambda: None)
            elif kind == "c":
                yield from answer(desk.submit)
            elif kind == "p":
                under_way.discard(image)  # it gives its place to others
                yield from pause()
                under_way.add(image)
            else:
                yield from background(raising(ProjectError("no")))
        return image
    finally:
        under_way.discard(image)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), number=st.integers(0, 7), places=st.integers(1, 3))
def test_whatever_happens_each_image_ends_once_or_is_left(qapp, monkeypatch, data, number, places):
    # What can be drawn next depends on which images have begun: by the turns of the test, not by the time that they take.
    monkeypatch.setattr("app.services.folder_job.RETRY_MS", 0)
    desk = Desk()
    kinds = data.draw(st.lists(st.text("bcpf", max_size=4), min_size=number, max_size=number))
    under_way: set[int] = set()
    job = desk.start(range(number), lambda image: drawn_work(desk, under_way, image, kinds[image]), in_flight=places)
    stopped = abandoned = False
    while job.running:
        running = [call for call in desk.calls if call.running]
        possible = [*["step"] * bool(desk.pending), *["answer", "refuse"] * bool(running)]
        event = data.draw(st.sampled_from([*possible, "turn", "rare"]))
        if event == "rare":
            event = data.draw(st.sampled_from(["turn", "cancel", "abandon", "drop"]))
        begun, taken = len(desk.begun), len(desk.results)
        if event == "step":
            desk.end_step(data.draw(st.integers(0, len(desk.pending) - 1)))
        elif event in ("answer", "refuse", "drop") and running:
            call = data.draw(st.sampled_from(running))
            kind = {"answer": SimpleNamespace(request_id=0), "refuse": Failed(request_id=0, error=BROKEN.to_dict())}
            stopped = stopped or event == "drop"
            call.resolve(kind.get(event, WasCancelled(request_id=0)))
        elif event == "cancel":
            job.job.cancel()
            stopped = True
        elif event == "abandon":
            job.abandon()
            stopped = abandoned = True
        else:
            turn()
        if stopped and event != "drop":
            assert len(desk.begun) == begun, "an image began after the stop"
        if abandoned:
            assert len(desk.results) == taken
        assert job.job.done_steps <= job.job.steps == number
    for call in desk.calls:
        call.resolve(SimpleNamespace(request_id=0))
    while desk.pending:
        desk.end_step()
    turn()
    assert len(desk.ends) == 1
    assert desk.begun == sorted(set(desk.begun)), "images begin in order, each once"
    ended = [image for image, _ in desk.results] + list(job.failures)
    assert sorted([*ended, *job.left]) == list(range(number))
    assert desk.ends == [JobState.CANCELLED if stopped else JobState.DONE]
    assert job.abandoned == abandoned
    if not abandoned:
        assert job.done == len(ended)
    assert not under_way
