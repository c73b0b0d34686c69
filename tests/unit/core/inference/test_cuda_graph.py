"""CUDA graphs: tried and compared like other engines, never on a CPU; what makes a graph is replaced where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deeplab_core.backends import cuda_graph
from deeplab_core.backends.cuda_graph import MOST_GRAPHS, CudaGraphNetwork, eager_logits
from deeplab_core.inference import PredictOptions, Predictor, in_batches, prepare_for_inference, single_thread
from deeplab_core.inference.engine_trial import EngineChooser, TrialRecord
from tests.unit.core.inference.networks import TinyNet, card, photograph

GPU = "cuda:0 (a test)"
X = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(1))


class Recorder:
    """Instead of graphs: the forward pass itself, with buffers as a graph has them."""

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda logits: logits) -> None:
        self.captured: list[tuple[int, ...]] = []
        self.replayed = 0
        self._change = change

    def __call__(self, forward: Any, inputs: tuple[Tensor, ...]) -> Any:
        self.captured.append(tuple(inputs[0].shape))
        own = tuple(given.clone() for given in inputs)

        def replay(*given: Tensor) -> Tensor:
            self.replayed += 1
            for buffer, new in zip(own, given, strict=True):
                buffer.copy_(new)
            return self._change(forward(*own))

        return replay


def chooser(monkeypatch: pytest.MonkeyPatch, recorder: Any) -> EngineChooser:
    monkeypatch.setattr(cuda_graph, "_with_shared_memory", lambda: recorder)
    return EngineChooser(prepare_for_inference(TinyNet(pooling=True)), "ab" * 32, TrialRecord())


def test_a_size_is_captured_when_it_comes_again() -> None:
    model, recorder = prepare_for_inference(TinyNet(pooling=True)), Recorder()
    network = CudaGraphNetwork(model, "fp32", recorder)
    other = torch.randn(1, 3, 64, 48, generator=torch.Generator().manual_seed(2))
    pooled = torch.ones(1, 16, 1, 1)
    for inputs in ((X,), (X,), (other,), (X + 1,), (X, pooled), (X, pooled)):
        np.testing.assert_allclose(network(*inputs), eager_logits(model, inputs[0], "fp32", *inputs[1:]), atol=1e-5)
    assert recorder.captured == [(1, 3, 40, 56)] * 2  # with and without a pooled context
    assert recorder.replayed == 3


def test_few_sizes_are_kept() -> None:
    recorder = Recorder()
    network = CudaGraphNetwork(prepare_for_inference(TinyNet()), "fp32", recorder)
    for side in range(16, 16 + MOST_GRAPHS + 1):
        for _ in range(2):
            network(torch.zeros(1, 3, side, side))
    assert len(recorder.captured) == MOST_GRAPHS + 1
    network(torch.zeros(1, 3, 16, 16))  # forgotten: by torch again
    assert len(recorder.captured) == MOST_GRAPHS + 1
    network(torch.zeros(1, 3, 16, 16))
    assert len(recorder.captured) == MOST_GRAPHS + 2


def test_memory_that_runs_out_frees_the_graphs() -> None:
    recorder = Recorder()
    network = CudaGraphNetwork(prepare_for_inference(TinyNet()), "fp32", recorder)
    network(X), network(X)
    failing = CudaGraphNetwork.__dict__["_replay"]
    network._replay = lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("a test"))  # type: ignore[method-assign]
    with pytest.raises(torch.OutOfMemoryError):
        network(X)
    network._replay = failing.__get__(network)  # type: ignore[method-assign]
    network(X), network(X)
    assert len(recorder.captured) == 2


def test_a_trial_compares_the_graph_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (40, 56)
    good = chooser(monkeypatch, Recorder()).choose("cuda-graph", "fp32", size, lambda: X, on=GPU)
    assert (good.name, good.note) == ("cuda-graph", "")
    wrong = chooser(monkeypatch, Recorder(lambda logits: logits * 1.01)).choose("cuda-graph", "fp32", size, lambda: X, on=GPU)
    assert wrong.name == "torch"
    assert "cuda-graph is not used: its logits differ by" in wrong.note

    def cannot(*_: object) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    refused = chooser(monkeypatch, cannot).choose("cuda-graph", "fp32", size, lambda: X, on=GPU)
    assert refused.name == "torch"
    assert "not permitted when stream is capturing" in refused.note
    assert chooser(monkeypatch, cannot).choose("auto", "fp32", size, lambda: X, on=GPU).name == "torch"


def test_memory_that_runs_out_in_a_trial_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Any:
        raise torch.OutOfMemoryError("a test")

    choosing = chooser(monkeypatch, full)
    found = choosing.choose("auto", "fp32", (40, 56), lambda: X, on=GPU)
    assert (found.name, found.note) == ("torch", "Memory ran out in the trial of engines; torch computes.")
    assert choosing._record.all() == {}


def test_never_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graph, "_with_shared_memory", lambda: pytest.fail("a graph was made"))
    predictor = Predictor(TinyNet(), card(), device="cpu")
    rgb = photograph(40, 56)
    found = predictor(rgb, options=PredictOptions(engine="cuda-graph"))
    assert "cuda-graph is not used: cpu computes." in found.report.notes
    np.testing.assert_array_equal(found.labels, predictor(rgb).labels)
    assert predictor.choose_engine(rgb, PredictOptions(engine="auto")) != "cuda-graph"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_graphs_of_a_gpu_give_the_labels_of_torch(precision: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    predictor = Predictor(TinyNet(pooling=True, decoder=True), card(), device="cuda")
    images = [photograph(129, 97 + 32 * (number % 2), seed=number) for number in range(16)]
    plain, graph = (PredictOptions(precision=precision, engine=engine) for engine in ("torch", "cuda-graph"))
    expected = [predictor(rgb, options=plain) for rgb in images]
    alone = [predictor(rgb, options=graph) for rgb in images]
    with in_batches(predictor, 4) as threads, ThreadPoolExecutor(threads, initializer=single_thread) as pool:
        together = list(pool.map(lambda rgb: predictor(rgb, options=graph), images))
    for found in (alone, together):
        assert all("CUDA graph" in one.report.device for one in found)
        for one, other in zip(found, expected, strict=True):
            assert (one.labels == other.labels).mean() >= (0.9999 if precision == "fp32" else 0.995)
