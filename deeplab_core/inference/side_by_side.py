"""Images side by side, with one thread each, or one after the other with all of them: a short trial says which is faster.

On a GPU several images share one forward pass, and threads prepare and finish them.

The layers of a small network are short, and threads that share one wait for each other after each, spinning. Threads with an
image each do not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from deeplab_core.flavour import has_torch
from deeplab_core.inference.device import pick_precision
from deeplab_core.inference.memory import SharedRoom, available_bytes
from deeplab_core.inference.pixels import RGB
from deeplab_core.inference.predictor import Predictor
from deeplab_core.networks import ComputeDevice, compute_threads
from deeplab_core.parallel import available_cores

#: Fewer images are not worth a trial, which costs as much as three or four of them: they are computed side by side.
LEAST_IMAGES = 16
#: Images of one forward pass at most: larger ones bring little, and three times as many images are decoded and wait.
MOST_PER_PASS = 16
#: Threads for each image of a pass: while one pass is computed the next is launched, and the images of a third are prepared.
_THREADS_PER_PLACE = 3
#: Bytes of memory that an image of one byte takes from decoding to its written mask: scaled pixels, labels, confidence, PNG.
_BYTES_PER_BYTE = 8
#: One image at a time with all threads has to be this much faster, because it costs more processor time, and no more than this.
_WORTH, _MOST_CPU = 0.9, 1.1


def images_at_once(predictor: Predictor, rgb: RGB, images: int) -> int:
    """How many images to predict at a time, by a trial with one of them.

    Args:
        predictor: as it will be used.
        rgb: one image of the run.
        images: how many there are.

    Returns:
        The number of cores, or as many as have room in memory with the tiles of one alone; 1 on other devices than the CPU, for
        fewer images than cores, and where that is faster without costing more processor time.
    """
    cores = min(available_cores(), compute_threads())
    if cores < 2 or images < cores or predictor.device.type != "cpu" or predictor.model.engine is not None:
        return 1
    cores = min(cores, predictor.usable_bytes() // predictor.needed_bytes(rgb))
    if cores < 2 or images < max(LEAST_IMAGES, 2 * cores):
        return max(1, cores)
    predict = partial(predictor, rgb, uncertainty=False, confidence=False)  # as a run over a folder does
    together = _seconds(predict)
    with one_thread_each(predictor, cores), ThreadPoolExecutor(cores, initializer=single_thread) as pool:
        found = _seconds(lambda: [future.result() for future in [pool.submit(predict) for _ in range(cores)]])
    apart, apart_cpu = (spent / cores for spent in found)
    return 1 if together[0] < _WORTH * apart and together[1] <= _MOST_CPU * apart_cpu else cores


def images_per_pass(predictor: Predictor, rgb: RGB, images: int) -> int:
    """How many images share a forward pass on a GPU: a power of two that its free memory, and that of the host, has room for.

    Args:
        predictor: as it will be used.
        rgb: one image of the run.
        images: how many there are.

    Returns:
        1 to :data:`MOST_PER_PASS`; 1 on other devices than CUDA, for graphs, and with a CRF, which would compute on the device
        for all threads at a time.
    """
    if predictor.device.type != "cuda" or predictor.model.engine is not None or predictor.options.crf is not None:
        return 1
    return _fitting_pass(predictor, rgb, images)


def _fitting_pass(predictor: Predictor, rgb: RGB, images: int) -> int:
    precision = pick_precision(predictor.options.precision, predictor.device)[0]
    needed = predictor.needed_bytes(rgb) // (1 if precision == "fp32" else 2)
    host = available_bytes(ComputeDevice("cpu")) // 2
    fitting = min(
        MOST_PER_PASS, images, predictor.usable_bytes() // needed, host // (_THREADS_PER_PLACE * _BYTES_PER_BYTE * rgb.nbytes)
    )
    return 1 << (int(fitting).bit_length() - 1) if fitting > 1 else 1


@contextmanager
def in_batches(predictor: Predictor, batch: int) -> Iterator[int]:
    """Let threads predict that share forward passes while the context lasts; each of them calls :func:`single_thread` first.

    The scores of an image in a batch may differ in their last bits from those of the image alone, so labels differ at ties only.

    Args:
        predictor: with a network of torch, on any device.
        batch: images of a pass at most; memory that runs out halves it, and a note says so.

    Returns:
        How many threads keep the device busy.
    """
    from deeplab_core.inference.batches import WindowBatches

    with one_thread_each(predictor, _THREADS_PER_PLACE * batch):
        predictor.room = SharedRoom(predictor.usable_bytes(), waits=False)
        predictor.batches = WindowBatches(batch, predictor.device)
        try:
            yield predictor.at_once
        finally:
            predictor.batches = None


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


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of CPU of the second of two runs: the first makes graphs, and lays out memory."""
    work()
    began, cpu_began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu_began
