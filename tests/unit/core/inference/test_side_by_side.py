"""Images side by side give what they give one after the other; the trial takes the faster way, the cheaper of equal ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from deeplab_core.inference import PredictOptions, Predictor, images_at_once, one_thread_each, side_by_side, single_thread
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


@pytest.mark.parametrize(("together", "apart", "expected"), [(1.0, 2.0, CORES), (0.55, 1.5, CORES), (0.4, 1.5, 1)])
def test_one_at_a_time_has_to_be_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, together: float, apart: float, expected: int
) -> None:
    seconds = iter((together, apart))
    monkeypatch.setattr(side_by_side, "_seconds", lambda _work: next(seconds))
    predictor = Predictor(TinyNet(), card(), device="cpu")
    assert images_at_once(predictor, photograph(40, 50), 100) == expected


def test_few_images_and_one_core_need_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_seconds", lambda _work: pytest.fail("a trial was made"))
    predictor = Predictor(TinyNet(), card(), device="cpu")
    assert images_at_once(predictor, photograph(40, 50), 15) == 1
    torch.set_num_threads(1)
    assert images_at_once(predictor, photograph(40, 50), 100) == 1
