"""Images side by side give what they give one after the other; the trial takes the faster way, the cheaper of equal ones."""

from __future__ import annotations

import platform
import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from deeplab_core.errors import Cancelled
from deeplab_core.inference import (
    PredictOptions,
    Predictor,
    freed_memory_kept,
    images_at_once,
    one_thread_each,
    side_by_side,
    single_thread,
)
from deeplab_core.inference import predictor as predictor_module
from deeplab_core.inference.memory import BYTES_PER_PIXEL
from deeplab_core.inference.network import TiledNetwork
from tests.unit.core.inference.networks import TinyNet, card, photograph

CORES = 3


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    monkeypatch.setattr(side_by_side, "available_cores", lambda: CORES)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("engine", ["torch", "onnx", "openvino"])
def test_masks_are_those_of_one_image_after_the_other(engine: str) -> None:
    if engine != "torch":
        for library in ("onnx", "onnxruntime" if engine == "onnx" else engine):
            pytest.importorskip(library, reason=f"{library} is not installed: only torch can run a network")
    predictor = Predictor(TinyNet(pooling=True, decoder=True), card(), PredictOptions(engine=engine), device="cpu")
    images = [photograph(40 + 3 * number, 50) for number in range(9)]
    expected = [predictor(rgb) for rgb in images]
    with one_thread_each(predictor, CORES), ThreadPoolExecutor(CORES, initializer=single_thread) as pool:
        assert predictor.at_once == CORES
        found = list(pool.map(predictor, images))
    assert (predictor.at_once, torch.get_num_threads()) == (1, CORES)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.confidence, other.confidence)


#: Half of it holds one image of 540 x 600 network pixels whole, and not two.
ROOM_FOR_ONE = 2 * 400_000 * BYTES_PER_PIXEL


def test_tiles_do_not_follow_the_number_of_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(pooling=True), card(), device="cpu")
    images = [photograph(520 + 8 * number, 600) for number in range(4)]
    monkeypatch.setattr(predictor_module, "available_bytes", lambda _device: ROOM_FOR_ONE)
    with one_thread_each(predictor, 1):  # another number of threads adds up in another order: the last bit of a score differs
        expected = [predictor(rgb) for rgb in images]
    running, most, lock = 0, 0, threading.Lock()
    whole = TiledNetwork.whole

    def counted(*args: object) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return whole(*args)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(TiledNetwork, "whole", counted)
    with one_thread_each(predictor, CORES), ThreadPoolExecutor(CORES, initializer=single_thread) as pool:
        monkeypatch.setattr(predictor_module, "available_bytes", lambda _device: ROOM_FOR_ONE // 8)  # they use it themselves
        found = list(pool.map(predictor, images))
    assert [one.report.tiles for one in found] == [one.report.tiles for one in expected] == [1] * len(images)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
    assert most == 1, "two at a time do not fit"


@pytest.mark.parametrize(("rooms", "expected"), [(1, 1), (2, 2), (8, CORES)])
def test_no_more_images_than_fit_into_memory(monkeypatch: pytest.MonkeyPatch, rooms: int, expected: int) -> None:
    seconds = iter(((1.0, 1.0), (1.0, 1.0)))
    monkeypatch.setattr(side_by_side, "_seconds", lambda _work: next(seconds))
    monkeypatch.setattr(predictor_module, "available_bytes", lambda _device: 2 * rooms * 700 * 760 * BYTES_PER_PIXEL)
    predictor = Predictor(TinyNet(), card(), PredictOptions(tile=2048), device="cpu")
    assert images_at_once(predictor, photograph(700, 760), 100) == expected


def test_who_waits_for_memory_can_be_cancelled() -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    with one_thread_each(predictor, CORES):
        assert predictor.room is not None
        with predictor.room.take(predictor.room.total, lambda: None), pytest.raises(Cancelled):
            predictor(photograph(40, 50), cancel=lambda: True)


@pytest.mark.parametrize(
    ("together", "apart", "expected"),
    [
        ((1.0, 1.0), (2.0, 4.0), CORES),
        ((0.55, 1.0), (1.5, 4.0), CORES),
        ((0.4, 1.0), (1.5, 4.0), 1),
        ((0.4, 1.5), (1.5, 4.0), CORES),  # its threads wait and spin
    ],
)
def test_one_at_a_time_has_to_be_clearly_faster_and_no_dearer(
    monkeypatch: pytest.MonkeyPatch, together: tuple[float, float], apart: tuple[float, float], expected: int
) -> None:
    seconds = iter((together, apart))
    monkeypatch.setattr(side_by_side, "_seconds", lambda _work: next(seconds))
    predictor = Predictor(TinyNet(), card(), device="cpu")
    assert images_at_once(predictor, photograph(40, 50), 100) == expected


def test_few_images_and_one_core_need_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_seconds", lambda _work: pytest.fail("a trial was made"))
    predictor = Predictor(TinyNet(), card(), device="cpu")
    assert images_at_once(predictor, photograph(40, 50), CORES - 1) == 1
    assert images_at_once(predictor, photograph(40, 50), CORES) == CORES
    assert images_at_once(predictor, photograph(40, 50), 15) == CORES
    torch.set_num_threads(1)
    assert images_at_once(predictor, photograph(40, 50), 100) == 1


def test_freed_memory_is_kept_while_a_run_lasts_and_goes_back_after_it() -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.ones(100 << 20, np.uint8)  # larger than what glibc keeps by itself
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with freed_memory_kept():
        np.ones(100 << 20, np.uint8)
        kept = faults()
    assert kept < faults() / 10 or platform.libc_ver()[0] != "glibc"  # no other library can be told
