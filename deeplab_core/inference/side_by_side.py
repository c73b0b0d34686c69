"""Images side by side, with one thread each, or one after the other with all of them: a short trial says which is faster.

The layers of a small network are short, and threads that share one wait for each other after each, spinning. Threads with an
image each do not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from deeplab_core.flavour import has_torch
from deeplab_core.inference.memory import SharedRoom
from deeplab_core.inference.pixels import RGB
from deeplab_core.inference.predictor import Predictor
from deeplab_core.networks import compute_threads
from deeplab_core.parallel import available_cores

#: Fewer images are not worth a trial: it costs as much as three or four of them.
LEAST_IMAGES = 16
#: One image at a time with all threads has to be this much faster: it costs more processor time.
_WORTH = 0.9


def images_at_once(predictor: Predictor, rgb: RGB, images: int) -> int:
    """How many images to predict at a time, by a trial with one of them.

    Args:
        predictor: as it will be used.
        rgb: one image of the run.
        images: how many there are.

    Returns:
        The number of cores, or as many as have room in memory with the tiles of one alone; 1 on other devices than the CPU, for
        few images, and where it is faster.
    """
    cores = min(available_cores(), compute_threads())
    if cores < 2 or images < max(LEAST_IMAGES, 2 * cores) or predictor.device.type != "cpu" or predictor.model.engine is not None:
        return 1
    cores = min(cores, predictor.usable_bytes() // predictor.needed_bytes(rgb))
    if cores < 2:
        return 1
    together = _seconds(lambda: predictor(rgb))
    with one_thread_each(predictor, cores), ThreadPoolExecutor(cores, initializer=single_thread) as pool:
        apart = _seconds(lambda: [future.result() for future in [pool.submit(predictor, rgb) for _ in range(cores)]]) / cores
    return 1 if together < _WORTH * apart else cores


@contextmanager
def one_thread_each(predictor: Predictor, at_once: int) -> Iterator[None]:
    """Let several threads predict while the context lasts; each of them calls :func:`single_thread` first.

    Tiles are those of one image alone in the memory that is free now. Images that do not fit beside each other wait.
    """
    before = compute_threads()
    predictor.at_once, predictor.room = at_once, SharedRoom(predictor.usable_bytes())
    single_thread()
    try:
        yield
    finally:
        predictor.at_once, predictor.room = 1, None
        _set_threads(before)


def single_thread() -> None:
    """Let torch compute in the calling thread alone."""
    _set_threads(1)


def _set_threads(threads: int) -> None:
    if has_torch():
        import torch

        torch.set_num_threads(threads)


def _seconds(work: Callable[[], object]) -> float:
    """The second of two runs: the first makes graphs, and lays out memory."""
    work()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
