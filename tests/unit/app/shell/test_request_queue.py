"""The queue of the compute process."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from app.worker.messages import NORMAL, URGENT, AskScores, Request
from app.worker.request_queue import RequestQueue


def ask(number: int, priority: int = NORMAL) -> Request:
    return AskScores(request_id=number, priority=priority, source_key="", x=0, y=0)


def drain(queue: RequestQueue, count: int) -> list[int]:
    return [request.request_id for _ in range(count) if (request := queue.take()) is not None]


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_urgent_first_then_in_order_of_arrival(priorities: list[int]) -> None:
    queue = RequestQueue()
    for number, priority in enumerate(priorities):
        queue.put(ask(number, priority))
    assert drain(queue, len(priorities)) == sorted(range(len(priorities)), key=lambda n: priorities[n])


def test_cancelling_what_waits_drops_it_and_nothing_else() -> None:
    queue = RequestQueue()
    for number in range(4):
        queue.put(ask(number))
    assert drain(queue, 1) == [0]
    assert queue.cancel(2) == (2,)
    assert queue.cancel(2) == ()
    assert not queue.running_is_cancelled()
    assert drain(queue, 2) == [1, 3]


def test_cancelling_what_runs_marks_it_until_the_next_is_taken() -> None:
    queue = RequestQueue()
    queue.put(ask(1))
    queue.put(ask(2))
    queue.take()
    assert queue.cancel(1) == ()
    assert queue.running_is_cancelled()
    queue.take()
    assert not queue.running_is_cancelled()


def test_cancel_all_reaches_both() -> None:
    queue = RequestQueue()
    for number in range(3):
        queue.put(ask(number))
    queue.take()
    assert queue.cancel(-1) == (1, 2)
    assert queue.running_is_cancelled()


def test_close_wakes_who_waits_and_stops_what_runs() -> None:
    queue = RequestQueue()
    taken: list[Request | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.close()
    waiting.join(10)
    assert taken == [None]
    assert queue.running_is_cancelled()


def test_a_request_put_later_wakes_who_waits() -> None:
    queue = RequestQueue()
    taken: list[Request | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    queue.put(ask(7, URGENT))
    waiting.join(10)
    assert [request.request_id for request in taken if request is not None] == [7]


def test_waiting_ends_with_a_request_or_the_end_of_the_queue() -> None:
    queue = RequestQueue()
    assert not queue.wait(0.0)
    queue.put(ask(1))
    assert queue.wait(60.0)
    queue.cancel(1)
    assert not queue.wait(0.0)
    queue.close()
    assert queue.wait(60.0)
