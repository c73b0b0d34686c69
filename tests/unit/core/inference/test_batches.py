"""Images that share forward passes give what they give alone; one fails alone; memory that runs out halves the batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from deeplab_core.errors import Cancelled, ComputeError
from deeplab_core.inference import (
    PredictOptions,
    Predictor,
    ScoreGrid,
    images_per_pass,
    in_batches,
    pick_device,
    side_by_side,
    single_thread,
)
from deeplab_core.inference import predictor as predictor_module
from deeplab_core.inference.batches import WindowBatches
from deeplab_core.inference.memory import BYTES_PER_PIXEL
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.scores import store_scores
from deeplab_core.inference.torch_network import TorchPasses, stored
from deeplab_core.networks import ComputeDevice
from deeplab_core.records import Prediction
from tests.unit.core.inference.networks import TinyNet, card, photograph

BATCH = 4
CPU = ComputeDevice("cpu")


class Gate:
    """Holds the first pass back until as many windows wait as there are threads, so that batches do not depend on luck."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
        self.sizes: list[tuple[int, ...]] = []
        self._changed = threading.Condition()
        self._handed_in = 0
        handed, attempt = WindowBatches.__call__, WindowBatches._attempt

        def hand_in(batches: WindowBatches, *arguments: object) -> tuple[Tensor, ...]:
            with self._changed:
                self._handed_in += 1
                self._changed.notify_all()
            return handed(batches, *arguments)  # type: ignore[arg-type]

        def attempted(batches: WindowBatches, taken: list) -> BaseException | None:
            with self._changed:
                assert self._changed.wait_for(lambda: self._handed_in >= waiting, 60)
            self.sizes.append((len(taken), *taken[0].x.shape[2:]))
            return attempt(batches, taken)

        monkeypatch.setattr(WindowBatches, "__call__", hand_in)
        monkeypatch.setattr(WindowBatches, "_attempt", attempted)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def together(predictor: Predictor, images: list[np.ndarray], options: PredictOptions | None = None) -> list[Prediction]:
    with in_batches(predictor, BATCH) as threads, ThreadPoolExecutor(threads, initializer=single_thread) as pool:
        return list(pool.map(lambda rgb: predictor(rgb, options=options), images))


def assert_same(found: list[Prediction], expected: list[Prediction]) -> None:
    for one, other in zip(found, expected, strict=True):
        # Scores are equal up to rounding, so labels differ where no class has more than half, and confidences by one step.
        differs = one.labels != other.labels
        assert differs.mean() <= 0.001
        assert other.confidence[differs].max(initial=0) <= 128
        assert np.abs(one.confidence.astype(int) - other.confidence).max() <= 1
        assert one.report.precision == other.report.precision
        assert one.report.tiles == other.report.tiles


@pytest.mark.parametrize("pooling", [False, True])
def test_predictions_are_those_of_one_image_after_the_other(pooling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(pooling=pooling, decoder=True), card(), device="cpu")
    images = [photograph(*((40, 56) if number % 3 else (48, 33)), seed=number) for number in range(9)]
    with one_torch_thread():
        expected = [predictor(rgb) for rgb in images]
    gate = Gate(monkeypatch, 9)
    found = together(predictor, images)
    assert_same(found, expected)
    # Six images of one size and three of the other; the first window may have gone alone.
    assert max(size for size, *_ in gate.sizes) >= 3
    assert sum(size for size, *_ in gate.sizes) == 9
    assert all(size <= BATCH for size, *_ in gate.sizes)
    assert (predictor.at_once, predictor.room, predictor.batches) == (1, None, None)


def test_scales_flips_and_tiles_share_passes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(pooling=True), card(), device="cpu")
    images = [photograph(90, 100, seed=number) for number in range(4)]
    for options in (PredictOptions(flip=True, scales=(0.5, 1.0)), PredictOptions(tile=48)):
        with one_torch_thread():
            expected = [predictor(rgb, options=options) for rgb in images]
        with monkeypatch.context() as context:
            gate = Gate(context, 4)
            assert_same(together(predictor, images, options), expected)
            if options.flip:
                assert max(size for size, *_ in gate.sizes) > 1
            else:  # a tile with the context of its image goes alone
                assert {size for size, *_ in gate.sizes} == {1}


class Picky(TinyNet):
    """Raises if a window begins with a black pixel, gives NaN for a white one; records how many windows come."""

    fails = False
    most_that_fit = 1000

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        if len(x) > self.most_that_fit:
            raise torch.OutOfMemoryError("CUDA out of memory (a test)")
        first = x[:, 0, 0, 0]
        if self.fails and bool((first < -2).any()):
            raise RuntimeError("no such picture")
        logits = super().coarse_logits(x, pooled)
        if self.fails:
            logits = torch.where((first > 2.2)[:, None, None, None], torch.nan, logits)
        return logits


def outcomes_of(predictor: Predictor, images: list[np.ndarray]) -> list[Prediction | BaseException]:
    with in_batches(predictor, BATCH) as threads, ThreadPoolExecutor(threads, initializer=single_thread) as pool:
        futures = [pool.submit(predictor, rgb) for rgb in images]
        list(as_completed(futures, 60))
    return [future.exception() or future.result() for future in futures]


def test_what_fails_for_one_image_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(Picky(), card(), device="cpu")
    assert isinstance(predictor.model, Picky)
    images = [np.clip(photograph(40, 56, seed=number), 20, 230) for number in range(8)]
    with one_torch_thread():
        expected = [predictor(rgb) for rgb in images]
    images[2][0, 0], images[5][0, 0] = 0, 255
    predictor.model.fails = True
    gate = Gate(monkeypatch, 8)
    found = outcomes_of(predictor, images)
    assert max(size for size, *_ in gate.sizes) > 1
    assert isinstance(found[2], RuntimeError)
    assert str(found[2]) == "no such picture"
    assert isinstance(found[5], ComputeError)
    assert "not finite" in found[5].what
    fine = [number for number in range(8) if number not in (2, 5)]
    assert_same([found[number] for number in fine], [expected[number] for number in fine])  # type: ignore[misc]


def test_cancel_stops_one_image_and_not_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(TinyNet(), card(), device="cpu")
    images = [photograph(40, 56, seed=number) for number in range(4)]
    options = PredictOptions(scales=(1.0, 0.5))
    with one_torch_thread():
        expected = [predictor(rgb, options=options) for rgb in images]
    gate = Gate(monkeypatch, 4)
    with in_batches(predictor, BATCH) as threads, ThreadPoolExecutor(threads, initializer=single_thread) as pool:
        cancels = [None, None, lambda: bool(gate.sizes), None]  # while the first pass runs
        futures = [pool.submit(predictor, rgb, options=options, cancel=one) for rgb, one in zip(images, cancels, strict=True)]
        assert isinstance(futures[2].exception(60), Cancelled)
        others = (0, 1, 3)
        assert_same([futures[number].result(60) for number in others], [expected[number] for number in others])


def test_a_monitor_hears_the_layers_of_its_own_thread_only() -> None:
    """Images side by side share the network: each one's Cancel ended the others, and their layers moved its progress."""
    model, reached = TinyNet(), list[float]()
    monitor = ProgressMonitor(lambda: len(reached) > 1, lambda fraction, _text: reached.append(fraction))
    with monitor.over(model), ThreadPoolExecutor(1) as pool:
        monitor.step(0.0, 1.0, "")
        pool.submit(model, torch.zeros(1, 3, 32, 32)).result(60)
        assert reached == [0.0]
        with pytest.raises(Cancelled):
            model(torch.zeros(1, 3, 32, 32))


def test_memory_that_runs_out_halves_the_batch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(Picky(), card(), device="cpu")
    assert isinstance(predictor.model, Picky)
    images = [photograph(40, 56, seed=number) for number in range(8)]
    with one_torch_thread():
        expected = [predictor(rgb) for rgb in images]
    predictor.model.most_that_fit = 1
    gate = Gate(monkeypatch, 8)
    found = outcomes_of(predictor, images)
    assert_same(found, expected)  # type: ignore[arg-type]
    notes = {note for one in found for note in one.report.notes}  # type: ignore[union-attr]
    assert "Memory ran out; computed 1 image at a time." in notes
    assert not any("tiles" in note for note in notes)
    tried = [size for size, *_ in gate.sizes]
    assert 2 in tried
    assert max(tried[tried.index(2) :]) <= 2, "once halved, no pass is larger again"


def test_an_image_too_large_by_itself_is_computed_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(TinyNet):
        def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
            if x.shape[0] * x.shape[2] * x.shape[3] > 300_000:
                raise torch.OutOfMemoryError("CUDA out of memory (a test)")
            return super().coarse_logits(x, pooled)

    predictor = Predictor(Small(), card(), device="cpu")
    images = [photograph(560, 640, seed=1), photograph(120, 100, seed=2), photograph(120, 100, seed=3)]
    found = outcomes_of(predictor, images)
    assert not any(isinstance(one, BaseException) for one in found), found
    large, *small = found
    assert large.report.tiles > 1  # type: ignore[union-attr]
    assert "Memory ran out; computed in tiles of 320 pixels." in large.report.notes  # type: ignore[union-attr]
    assert [one.report.tiles for one in small] == [1, 1]  # type: ignore[union-attr]


def test_a_pass_that_is_interrupted_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = WindowBatches(BATCH, CPU)
    gate = Gate(monkeypatch, 3)

    def interrupted(_windows: Tensor) -> tuple[Tensor, ...]:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batches, torch.zeros(1, 3, 4, 4), "kind", interrupted) for _ in range(3)]
        assert [type(future.exception(60)) for future in futures] == [KeyboardInterrupt] * 3
    assert gate.sizes


@pytest.mark.parametrize("spread", [0.01, 3.0, 1e3, 1e30])
def test_scores_of_the_device_are_those_of_the_host_bit_for_bit(spread: float) -> None:
    logits = torch.randn(2, 9, 11, 21, generator=torch.Generator().manual_seed(5)) * spread
    expected = store_scores(logits.numpy())
    np.testing.assert_array_equal(stored(logits).numpy().view(np.uint16), expected.view(np.uint16))


def test_infinite_scores_are_refused() -> None:
    class Infinite(TinyNet):
        def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
            logits = super().coarse_logits(x, pooled)
            logits[:, 0, 0, 0] = -torch.inf  # below the largest: clipping would hide it
            return logits

    with pytest.raises(ComputeError, match="not finite"):
        Predictor(Infinite(), card(), device="cpu")(photograph(40, 40))


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, gpu: int, host: int = 1 << 40) -> Predictor:
    """A predictor that believes in a GPU of so many free bytes; nothing computes."""
    predictor = Predictor(TinyNet(), card(), PredictOptions(precision="fp16"), device="cpu")
    predictor.device = ComputeDevice("cuda", 0)
    monkeypatch.setattr(predictor_module, "available_bytes", lambda _device: gpu)
    monkeypatch.setattr(side_by_side, "available_bytes", lambda _device: host)
    return predictor


def test_the_batch_follows_memory_and_the_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = photograph(100, 120)
    one = 2 * 100 * 120 * BYTES_PER_PIXEL // 2  # half of what is free is used, half precision takes half
    for room, expected in ((1, 1), (3.9, 2), (4, 4), (1000, 16)):
        assert images_per_pass(on_a_gpu(monkeypatch, int(room * max(one, 1)) + 1), rgb, 100) == expected
    assert images_per_pass(on_a_gpu(monkeypatch, 1 << 40), rgb, 7) == 4
    assert images_per_pass(on_a_gpu(monkeypatch, 1 << 40, host=6 * 24 * rgb.nbytes), rgb, 100) == 2
    assert images_per_pass(Predictor(TinyNet(), card(), device="cpu"), rgb, 100) == 1


def test_forward_passes_of_threads_keep_precisions_apart() -> None:
    """An image that overflowed in half precision is computed in float32, never in the pass of others."""
    model, batches = Predictor(TinyNet(), card(), device="cpu").model, WindowBatches(BATCH, CPU)
    kinds = []
    batches.__class__ = type("Spy", (WindowBatches,), {"__call__": lambda _self, _x, kind, _forward: kinds.append(kind) or (
        torch.zeros(1, 1, 1, 2).half(), torch.ones(1, dtype=torch.bool)
    )})  # fmt: skip
    for precision in ("fp32", "bf16", "fp32"):
        TorchPasses(model, CPU, precision, batches).scores(torch.zeros(1, 3, 16, 16), None, None)  # type: ignore[arg-type]
    assert kinds[0] == kinds[2] != kinds[1]


@pytest.mark.gpu
def test_a_gpu_gives_the_labels_of_the_cpu_alone_and_in_batches() -> None:
    images = [photograph(97 + 16 * (number % 2), 129, seed=number) for number in range(12)]
    options = PredictOptions(precision="fp32")
    reference = Predictor(TinyNet(pooling=True, decoder=True), card(), options, device="cpu")
    predictor = Predictor(TinyNet(pooling=True, decoder=True), card(), options, device=str(pick_device("cuda")[0]))
    expected = [reference(rgb) for rgb in images]
    for found in ([predictor(rgb) for rgb in images], together(predictor, images)):
        for one, other in zip(found, expected, strict=True):
            assert (one.labels == other.labels).mean() >= 0.999


@pytest.mark.gpu
def test_half_precision_on_a_gpu_keeps_the_labels() -> None:
    images = [photograph(129, 129, seed=number) for number in range(8)]
    exact = Predictor(TinyNet(decoder=True), card(), PredictOptions(precision="fp32"), device="cuda")
    half = Predictor(TinyNet(decoder=True), card(), PredictOptions(precision="fp16"), device="cuda")
    for one, other in zip(together(half, images), [exact(rgb) for rgb in images], strict=True):
        assert one.report.precision == "fp16"
        assert (one.labels == other.labels).mean() >= 0.995


@pytest.mark.gpu
def test_memory_of_a_gpu_that_runs_out_halves_the_batch() -> None:
    predictor = Predictor(Picky(), card(), device="cuda")
    assert isinstance(predictor.model, Picky)
    predictor.model.most_that_fit = 1
    found = together(predictor, [photograph(40, 56, seed=number) for number in range(8)])
    assert all(one.labels.shape == (40, 56) for one in found)


def test_score_grids_stay_small() -> None:
    """What a batch gives an image does not hold the memory of its neighbours."""
    predictor = Predictor(TinyNet(), card(), device="cpu")
    with in_batches(predictor, BATCH):
        (grid,) = predictor.scores(photograph(40, 56)).grids
    assert isinstance(grid, ScoreGrid)
    owner = grid.values if grid.values.base is None else torch.from_numpy(grid.values)
    assert grid.values.nbytes == (owner.nbytes if isinstance(owner, np.ndarray) else owner.untyped_storage().nbytes())
