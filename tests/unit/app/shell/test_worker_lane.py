"""The queue of the compute process."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from app.worker.lane import Lane
from app.worker.messages import NORMAL, URGENT, AskScores, Request


def ask(number: int, priority: int = NORMAL) -> Request:
    return AskScores(request_id=number, priority=priority, source_key="", x=0, y=0)


def drain(lane: Lane, count: int) -> list[int]:
    return [request.request_id for _ in range(count) if (request := lane.take()) is not None]


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_urgent_first_then_in_order_of_arrival(priorities: list[int]) -> None:
    lane = Lane()
    for number, priority in enumerate(priorities):
        lane.put(ask(number, priority))
    assert drain(lane, len(priorities)) == sorted(range(len(priorities)), key=lambda n: priorities[n])


def test_cancelling_what_waits_drops_it_and_nothing_else() -> None:
    lane = Lane()
    for number in range(4):
        lane.put(ask(number))
    assert drain(lane, 1) == [0]
    assert lane.cancel(2) == (2,)
    assert lane.cancel(2) == ()
    assert not lane.running_is_cancelled()
    assert drain(lane, 2) == [1, 3]


def test_cancelling_what_runs_marks_it_until_the_next_is_taken() -> None:
    lane = Lane()
    lane.put(ask(1))
    lane.put(ask(2))
    lane.take()
    assert lane.cancel(1) == ()
    assert lane.running_is_cancelled()
    lane.take()
    assert not lane.running_is_cancelled()


def test_cancel_all_reaches_both() -> None:
    lane = Lane()
    for number in range(3):
        lane.put(ask(number))
    lane.take()
    assert lane.cancel(-1) == (1, 2)
    assert lane.running_is_cancelled()


def test_close_wakes_who_waits_and_stops_what_runs() -> None:
    lane = Lane()
    taken: list[Request | None] = []
    waiting = threading.Thread(target=lambda: taken.append(lane.take()))
    waiting.start()
    lane.close()
    waiting.join(10)
    assert taken == [None]
    assert lane.running_is_cancelled()


def test_a_request_put_later_wakes_who_waits() -> None:
    lane = Lane()
    taken: list[Request | None] = []
    waiting = threading.Thread(target=lambda: taken.append(lane.take()))
    waiting.start()
    lane.put(ask(7, URGENT))
    waiting.join(10)
    assert [request.request_id for request in taken if request is not None] == [7]
