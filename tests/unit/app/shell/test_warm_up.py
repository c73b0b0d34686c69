"""Loops are compiled ahead, and no request waits for that but those that need them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from app.worker.correction_messages import PrepareRegions
from app.worker.messages import NORMAL, URGENT, AskScores, Request
from app.worker.request_queue import RequestQueue
from app.worker.serve import WarmUp, _Server
from deeplab_core.correction.warm_up import warm_up
from deeplab_core.errors import Cancelled
from tests.unit.core.correction.scenes import CATALOG, disk_corrector

_LONG = 60.0


class Compiler:
    """Stands for the loops of the correction tools: it counts its steps, and takes each when it is allowed to."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.steps = 0
        self.stepped = threading.Event()

    def __call__(self, rest: Callable[[], bool]) -> None:
        for _ in range(2):
            assert not rest()
            self.steps += 1
            self.stepped.set()
            assert self.allowed.acquire(timeout=_LONG)


def ask(number: int, priority: int = NORMAL) -> Request:
    return AskScores(request_id=number, priority=priority, source_key="", x=0, y=0)


def regions(number: int) -> PrepareRegions:
    return PrepareRegions(request_id=number, image="", source_key="", catalog=CATALOG, channel_ids=(), threshold=None)


class Window:
    """What a window would see of the compute process: its answers, in their order."""

    def __init__(self, compiler: Compiler) -> None:
        self.queue = RequestQueue()
        self.warm = WarmUp(self.queue, lambda: None, compiler)
        self.answers: list[int] = []
        self.came = threading.Condition()
        self.server = _Server(self.queue, SimpleNamespace(say=self._take), self.warm)  # type: ignore[arg-type]
        self.warm.start()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while (request := self.queue.take()) is not None:
            self.server.answer(request)

    def _take(self, message: object) -> None:
        if type(message).__name__ != "Progress":
            with self.came:
                self.answers.append(message.request_id)  # type: ignore[attr-defined]
                self.came.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.came:
            while not condition():
                self.came.wait(0.01)

    def wait_for(self, *answers: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: self.answers == list(answers), _LONG), self.answers


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


@pytest.fixture
def window(compiler: Compiler) -> Iterator[Window]:
    made = Window(compiler)
    yield made
    made.queue.close()
    for _ in range(2):
        compiler.allowed.release()
    made.thread.join(_LONG)


def test_nothing_is_compiled_before_the_first_answer(window: Window, compiler: Compiler) -> None:
    assert not compiler.stepped.wait(0.1)
    window.queue.put(ask(1))
    window.wait_for(1)
    assert compiler.stepped.wait(_LONG)


def test_an_urgent_request_is_answered_while_regions_wait_for_their_loops(window: Window, compiler: Compiler) -> None:
    window.queue.put(regions(1))
    assert compiler.stepped.wait(_LONG)  # the regions wait: the loops are compiled at once
    window.queue.put(ask(2, URGENT))
    window.wait_for(2)
    for _ in range(2):
        compiler.allowed.release()
    window.wait_for(2, 1)


def test_regions_that_wait_can_be_cancelled(window: Window, compiler: Compiler) -> None:
    window.queue.put(regions(1))
    assert compiler.stepped.wait(_LONG)
    window.queue.cancel(1)
    window.wait_for(1)
    assert compiler.steps == 1


def test_regions_are_ready_although_further_requests_wait_behind_them(window: Window, compiler: Compiler) -> None:
    window.queue.put(regions(1))
    assert compiler.stepped.wait(_LONG)
    window.queue.put(ask(2))  # it can only be answered after the regions, and so must not keep them waiting
    for _ in range(2):
        compiler.allowed.release()
    window.wait_for(1, 2)


def test_regions_are_ready_after_urgent_ones_were_cancelled(window: Window, compiler: Compiler) -> None:
    window.queue.put(regions(1))
    assert compiler.stepped.wait(_LONG)
    window.queue.put(replace(regions(2), priority=URGENT))
    window.wait_until(lambda: window.queue.resting(2))
    window.queue.cancel(2)
    window.wait_for(2)
    for _ in range(2):
        compiler.allowed.release()
    window.wait_for(2, 1)


def test_nothing_is_compiled_while_a_request_is_answered() -> None:
    queue = RequestQueue()
    begun, steps = threading.Event(), []

    def later(rest: Callable[[], bool]) -> None:
        begun.set()
        steps.append(rest())

    warm = WarmUp(queue, lambda: None, later)
    queue.put(ask(1))
    queue.take()
    warm.answered()
    warm.start()
    assert begun.wait(_LONG)
    assert not warm.ready.wait(0.1)
    assert not steps
    queue.close()
    queue.take()
    assert warm.ready.wait(_LONG)
    assert steps == [False]


def test_loops_that_cannot_be_compiled_make_no_request_wait(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_rest: Callable[[], bool]) -> None:
        raise OSError("no compiler")

    warm = WarmUp(RequestQueue(), lambda: None, broken)
    warm.start()
    warm.wait(1, lambda: False)
    assert "no compiler" in caplog.text


def test_the_warm_up_compiles_what_regions_and_scribbles_use() -> None:
    from deeplab_core.kernels import filter as mean_field_loops
    from deeplab_core.kernels import lattice, region_tree, shortest_paths, watershed

    def variants() -> dict[str, list[object]]:
        modules = (mean_field_loops, lattice, region_tree, shortest_paths, watershed)
        return {
            f"{module.__name__}.{name}": list(loop.signatures)
            for module in modules
            for name, loop in vars(module).items()
            if hasattr(loop, "signatures")
        }

    warm_up()
    known = variants()
    assert any(known.values())
    for scores in (False, True):
        corrector, _ = disk_corrector(scores=scores)
        corrector.prepare()
        assert corrector.scribble([(32, 20), (32, 28)], 3, 12, 5) is not None
    assert variants() == known


def test_a_warm_up_stops_when_it_is_told_to() -> None:
    with pytest.raises(Cancelled):
        warm_up(lambda: True)
