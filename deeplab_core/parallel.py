"""Work on several cores: how many there are, and a map with results in order."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def futures_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, *, depth: int
) -> Generator[Future[Result]]:
    """As :func:`in_order`, but each result or error waits in a future, so that an error ends nothing.

    Args:
        threads: that work beside the calling thread, also where it is 1.
        depth: most items that are under way or wait.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="in order") as pool:
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
