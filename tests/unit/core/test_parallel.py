"""Work on several cores."""

from __future__ import annotations

import threading
import time

import pytest

from deeplab_core.parallel import available_cores, in_order, in_stages


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(20), threads)) == [number * number for number in range(20)]
    assert list(in_order(slow_first, [], threads)) == []


def test_several_threads_work_at_once_and_few_items_wait() -> None:
    taken, both = [], threading.Barrier(2)

    def items():
        for number in range(12):
            taken.append(number)
            yield number

    def meet(number: int) -> int:
        both.wait(timeout=240)  # passes only where two work at the same time
        return number

    results = in_order(meet, items(), 2)
    assert next(results) == 0
    assert len(taken) == 4
    assert list(results) == list(range(1, 12))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_in_its_turn_and_stops_the_rest(threads: int) -> None:
    done = []

    def work(number: int) -> int:
        if number == 4:
            raise ValueError("four")
        done.append(number)
        return number

    results = in_order(work, range(100), threads)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="four"):
        next(results)
    assert len(done) < 20


def test_a_consumer_that_stops_early_leaves_nothing_running() -> None:
    results = in_order(str, range(1000), 2)
    assert next(results) == "0"
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("in order")]


def test_there_is_at_least_one_core() -> None:
    assert available_cores() >= 1


def test_stages_overlap_in_order_and_an_error_is_one_item_s() -> None:
    begun, running = [], threading.Barrier(2)

    def first(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise KeyError(number)
        return number

    def second(number: int) -> int:
        if number == 4:
            raise OSError("second")
        if number in (6, 7, 9):
            running.wait(timeout=240)  # passes only while the third step of the one before is under way
        return number * 10

    def third(number: int) -> str:
        if number == 70:
            raise ValueError("third")
        if number in (50, 60, 80):
            running.wait(timeout=240)
        return str(number)

    results = in_stages(first, second, third, range(10))
    assert next(results).result() == "0"
    assert len(begun) <= 7  # one is taken, three wait behind each step, one is under way
    rest = list(results)
    assert [type(future.exception()).__name__ for future in rest if future.exception()] == ["KeyError", "OSError", "ValueError"]
    assert [future.result() for future in rest if future.exception() is None] == ["10", "20", "50", "60", "80", "90"]
    assert begun == list(range(10))


def test_stages_in_pools_compute_side_by_side_while_one_is_read_and_one_is_written() -> None:
    begun, meeting, named = [], threading.Barrier(3), set()

    def first(number: int) -> int:
        begun.append(number)
        if number == 4:
            raise KeyError(number)
        return number

    def second(number: int) -> int:
        if number == 5:
            raise OSError("second")
        if number in (2, 3):
            meeting.wait(timeout=240)  # passes only while both are computed, and the third step of an earlier one is under way
        return number * 10

    def third(number: int) -> str:
        if number == 0:
            meeting.wait(timeout=240)
        if number == 70:
            raise ValueError("third")
        return str(number)

    def named_thread() -> None:
        named.add(threading.get_ident())

    results = in_stages(first, second, third, range(40), threads=2, begin=named_thread)
    assert next(results).result() == "0"
    assert len(begun) <= 6
    rest = list(results)
    failed = [type(future.exception()).__name__ for future in rest if future.exception()]
    assert failed == ["KeyError", "OSError", "ValueError"]
    assert [future.result() for future in rest if future.exception() is None] == [
        str(10 * n) for n in range(1, 40) if n not in (4, 5, 7)
    ]
    assert begun == list(range(40))
    assert len(named) == 2


@pytest.mark.parametrize("slow", ["second", "third"])
def test_few_items_are_in_memory_whichever_stage_in_pools_is_slow(slow: str) -> None:
    lock, held, most = threading.Lock(), set(), [0]
    go_on = threading.Event()

    def first(number: int) -> int:
        with lock:
            held.add(number)
            most[0] = max(most[0], len(held))
            if len(held) >= 10 or number == 39:
                go_on.set()
        return number

    def wait_if(stage: str) -> None:
        if stage == slow:
            go_on.wait(timeout=240)  # until as many were begun as may be

    def second(number: int) -> int:
        wait_if("second")
        return number

    def third(number: int) -> int:
        wait_if("third")
        with lock:
            held.remove(number)
        return number

    assert [future.result() for future in in_stages(first, second, third, range(40), threads=4)] == list(range(40))
    assert most[0] == 10  # two for each thread, and two


def test_stages_in_pools_that_are_not_finished_leave_no_thread() -> None:
    results = in_stages(str, str, str, range(100), threads=2)
    assert next(results).result() == "0"
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("in order")]
