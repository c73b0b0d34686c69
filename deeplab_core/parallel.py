"""Work on several cores, and what long work takes from its caller: a question whether to stop, and a place for its progress."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Middle = TypeVar("Middle")
Later = TypeVar("Later")

#: Returns True once the work is no longer wanted. Long work asks often, and then raises :class:`deeplab_core.errors.Cancelled`.
#: It may be called from any thread.
IsCancelled = Callable[[], bool]

#: Takes the share of the work that is done, 0..1 and never falling, and a text that names what is being done or was done last.
ProgressCallback = Callable[[float, str], None]

#: Takes (items done, items of this loop, what was done last) after every item.
ItemCallback = Callable[[int, int, str], None]


def available_cores() -> int:
    """Cores that this process may really use: CPU affinity and Linux container quotas counted, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass
    return max(1, cores)


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result]:
    """Results of ``work`` in the order of the items, computed by several threads.

    At most ``2 * threads`` items are under way or wait to be taken, whatever their number. What ``work`` raises is raised in its
    turn, and nothing further is begun then, or where the consumer stops early. It pays where ``work`` mostly runs outside the
    interpreter lock (decoding, OpenCV, compiled loops).

    Args:
        threads: 1 works in the calling thread.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    with closing(futures_in_order(work, items, threads, depth=2 * threads)) as futures:
        for future in futures:
            yield future.result()


class SharedRun(Generic[Result]):
    """Work that one run does for everybody who asked before it began, such as a flush to disk.

    Args:
        work: called by one thread at a time.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._asking, self._running = threading.Lock(), threading.Lock()
        self._asked = self._served = 0
        self._last: list[Result] = []

    def __call__(self) -> Result:
        """The result of a run that began after this call; what it raised, only the call that ran it raises."""
        with self._asking:
            self._asked += 1
            mine = self._asked
        with self._running:
            if self._served < mine:
                with self._asking:
                    covered = self._asked
                self._last = [self._work()]
                self._served = covered
            return self._last[0]


def futures_in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    *,
    depth: int,
    begin: Callable[[], object] | None = None,
) -> Generator[Future[Result]]:
    """As :func:`in_order`, but each result or error waits in a future, so that an error ends nothing.

    Args:
        threads: that work beside the calling thread, also where it is 1.
        depth: most items that are under way or wait.
        begin: called first by each thread.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="in order", initializer=begin) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= depth:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for future in waiting:
                future.cancel()


def read_ahead(items: Iterator[Item], depth: int) -> Generator[Item]:
    """The items of an iterator that waits for disks or networks, taken by a thread of its own; what it raises comes in its turn.

    Args:
        items: used by that thread alone.
        depth: most items that wait to be taken.
    """
    done = object()

    def take(_number: int) -> Item | object:
        return next(items, done)

    with closing(futures_in_order(take, count(), 1, depth=max(1, depth))) as futures:
        for future in futures:
            item = future.result()
            if item is done:
                return
            yield item  # type: ignore[misc]  # every other object is an item


def in_stages(
    first: Callable[[Item], Middle],
    second: Callable[[Middle], Later],
    third: Callable[[Later], Result],
    items: Iterable[Item],
    *,
    depth: int = 2,
    threads: int = 0,
    begin: Callable[[], object] | None = None,
) -> Generator[Future[Result]]:
    """Three steps of each item that overlap: reading, computing and writing. The first step has a thread of its own.

    Args:
        first, second, third: each takes what the one before gave.
        depth: most items that wait behind the first step, and behind the second. With ``threads`` so many are under way beside
            two for each thread: no more are in memory, whichever step is the slowest.
        threads: that do the second step side by side, and as many the third, so that no core waits for a disk that makes files
            durable; 0 does the second in the calling thread and the third in one, item after item.
        begin: called first by each thread of the second step.

    Returns:
        A future of each item's last result, or of what one of its steps raised, in the order of the items.
    """
    if threads:
        yield from _in_pools(first, second, third, items, depth, threads, begin)
        return
    waiting: deque[Future[Result]] = deque()
    with (
        closing(futures_in_order(first, items, 1, depth=depth)) as begun,
        ThreadPoolExecutor(1, thread_name_prefix="last stage") as pool,
    ):
        for future in begun:
            try:
                waiting.append(pool.submit(third, second(future.result())))
            except Exception as error:
                failed: Future[Result] = Future()
                failed.set_exception(error)
                waiting.append(failed)
            if len(waiting) > depth:
                # Waits for it, so that no more than this is ever in memory.
                wait([waiting[0]])
                yield waiting.popleft()
        yield from waiting


def _in_pools(
    first: Callable[[Item], Middle],
    second: Callable[[Middle], Later],
    third: Callable[[Later], Result],
    items: Iterable[Item],
    depth: int,
    threads: int,
    begin: Callable[[], object] | None,
) -> Generator[Future[Result]]:
    """As :func:`in_stages`, each step in a pool: it waits for the future of the step before, which holds its result or error."""

    def compute(future: Future[Middle]) -> Later:
        return second(future.result())

    def finish(future: Future[Later]) -> Result:
        return third(future.result())

    with (  # the last step alone bounds what is under way: the others hand each item on as soon as it is begun
        closing(futures_in_order(first, items, 1, depth=1)) as begun,
        closing(futures_in_order(compute, begun, threads, depth=1, begin=begin)) as computed,
        closing(futures_in_order(finish, computed, threads, depth=2 * threads + depth)) as finished,
    ):
        for future in finished:
            wait([future])
            yield future
