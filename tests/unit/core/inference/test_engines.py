"""Other engines give torch's numbers or are not used; trials are remembered, and a damaged record is not a trouble."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from deeplab_core.backends import compiled, engines
from deeplab_core.backends.compiled import TOLERANCE, AtrousProducts, CompiledNetwork
from deeplab_core.backends.engines import EngineName, installed_engines
from deeplab_core.errors import ComputeError
from deeplab_core.inference import PredictOptions, Predictor, prepare_for_inference
from deeplab_core.inference import engine_trial as trials
from deeplab_core.inference.engine_trial import Trial, TrialRecord
from tests.unit.core.inference.networks import TinyNet, card, photograph

ENGINES: tuple[EngineName, ...] = ("onnx", "openvino")


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    for library in ("onnx", "onnxruntime", "openvino"):  # not when tests are collected, which every process does
        pytest.importorskip(library, reason=f"{library} is not installed: only torch can run a network")


def known(**changes: Any) -> Any:
    """A card with a digest, by which trials are remembered."""
    return replace(card(), sha256="ab" * 32, **changes)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("align_corners", [False, True], ids=["centres", "corners"])
def test_logits_are_those_of_torch_at_any_size(engine: EngineName, align_corners: bool) -> None:
    model = prepare_for_inference(TinyNet(align_corners=align_corners, pooling=True, decoder=True))
    network = CompiledNetwork(model, engine)
    for size in ((40, 40), (1, 90), (77, 33)):
        x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(2))
        for pooled in (None, torch.ones(1, 16, 1, 1)):
            with torch.inference_mode():
                expected = model.coarse_logits(x, pooled)
            got = network(x, pooled)
            assert float((got - expected).abs().max()) <= 1e-5 * float(expected.max() - expected.min())


@given(rate=st.integers(2, 7), height=st.integers(1, 20), width=st.integers(1, 20), bias=st.booleans())
def test_nine_products_are_an_atrous_convolution(rate: int, height: int, width: int, bias: bool) -> None:
    conv = nn.Conv2d(5, 4, 3, padding=rate, dilation=rate, bias=bias).double()
    x = torch.randn(2, 5, height, width, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        torch.testing.assert_close(AtrousProducts(conv)(x), conv(x))


class Wide(TinyNet):
    """Its atrous convolution has more weights than a cache, if a cache is as small as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.strided = nn.Conv2d(16, 16, 3, stride=2, padding=2, dilation=2)
        self.other_padding = nn.Conv2d(16, 16, 3, padding=1, dilation=2)
        self.grouped = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=2)
        self.dense = nn.Conv2d(16, 16, 3, padding=1)


@pytest.mark.parametrize(("amx", "engine", "precision", "products"), [
    (True, "openvino", "bf16", True), (False, "openvino", "bf16", False),
    (True, "openvino", "fp32", False), (True, "onnx", "fp32", False),
])  # fmt: skip
def test_large_atrous_convolutions_are_products_where_tiles_multiply(
    monkeypatch: pytest.MonkeyPatch, amx: bool, engine: EngineName, precision: Any, products: bool
) -> None:
    model, seen, real = prepare_for_inference(Wide()), [], compiled.traced
    monkeypatch.setattr(compiled, "has_amx", lambda: amx)
    monkeypatch.setattr(compiled, "_CACHED_WEIGHTS", 16)
    monkeypatch.setattr(compiled, "traced", lambda traced, pooled: seen.append(traced) or real(traced, pooled))
    monkeypatch.setattr(compiled, "_loader", lambda _engine, _precision: compiled._OnnxGraph)  # bf16 is not everywhere
    x = torch.randn(1, 3, 50, 70, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = model.coarse_logits(x)
    got = CompiledNetwork(model, engine, precision)(x)
    assert float((got - expected).abs().max()) <= 1e-5 * float(expected.max() - expected.min())
    (one,) = seen
    assert [name for name, part in one.named_modules() if isinstance(part, AtrousProducts)] == (["atrous"] if products else [])
    assert not any(isinstance(part, AtrousProducts) for part in model.modules())
    assert {id(part) for part in one.parameters()} == {id(part) for part in model.parameters()}, "the weights are shared"


def test_the_processor_says_whether_it_has_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert compiled.has_amx()
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # torch 2.6
    assert not compiled.has_amx()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_gives_memory_back_and_computes_the_same_afterwards(engine: EngineName) -> None:
    network = CompiledNetwork(prepare_for_inference(TinyNet()), engine)
    x = torch.randn(1, 3, 60, 70, generator=torch.Generator().manual_seed(2))
    before = network(x)
    for _ in range(2):
        network.give_back_memory()
        assert torch.equal(network(x), before)


def test_onnx_runtime_keeps_no_arena_which_never_shrinks() -> None:
    network = CompiledNetwork(prepare_for_inference(TinyNet()), "onnx")
    graph = network._graph(None)
    assert isinstance(graph, compiled._OnnxGraph)
    assert not graph._session.get_session_options().enable_cpu_mem_arena


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_that_ask_for_the_first_graph_at_once_get_the_same(engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    network = CompiledNetwork(prepare_for_inference(TinyNet(pooling=True)), engine)
    both, real, made = threading.Barrier(2), compiled.traced, []

    def traced(*arguments: Any) -> bytes:
        made.append(arguments)
        return real(*arguments)

    def ask(_number: int) -> Tensor:
        both.wait(timeout=240)
        return network(torch.ones(1, 3, 60, 70))

    monkeypatch.setattr(compiled, "traced", traced)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(ask, range(2))
    assert torch.equal(one, other)
    assert len(made) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_predictions_whole_tiled_flipped_and_scaled(engine: EngineName) -> None:
    rgb = photograph(150, 131)
    predictor = Predictor(TinyNet(pooling=True, decoder=True), known(), device="cpu")
    for changes in ({}, {"tile": 64}, {"flip": True, "scales": (0.5, 1.0)}):
        options = PredictOptions(**changes)  # type: ignore[arg-type]
        expected = predictor(rgb, options=options)
        got = predictor(rgb, options=replace(options, engine=engine))
        assert (got.labels == expected.labels).mean() >= 0.9999
        assert compiled.PACKAGES[engine] in got.report.device
        assert compiled.PACKAGES[engine] not in expected.report.device
        assert got.report.tiles == expected.report.tiles


def test_the_prediction_key_names_the_engine_and_stays_as_it_was_for_torch() -> None:
    keys = {PredictOptions(engine=engine).cache_key() for engine in ("auto", "torch", "onnx", "openvino")}
    assert len(keys) == 4
    assert PredictOptions().cache_key() == PredictOptions(engine="torch").cache_key()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines of every trial from now on."""
    asked: list[str] = []
    real = trials.EngineChooser._try

    def count(self: Any, wish: Any, *arguments: Any) -> Trial:
        asked.append(wish)
        return real(self, wish, *arguments)

    monkeypatch.setattr(trials.EngineChooser, "_try", count)
    return asked


def test_a_trial_is_remembered_by_size_class_and_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(monkeypatch)
    book = tmp_path / "cache" / "engines.json"
    auto = PredictOptions(engine="auto")
    predictor = Predictor(TinyNet(), known(), device="cpu", trials=book)
    predictor(photograph(64, 64), options=auto)
    predictor(photograph(66, 63), options=auto)  # of the same size class
    assert asked == ["auto"]
    Predictor(TinyNet(), known(), device="cpu", trials=book)(photograph(64, 64), options=auto)
    assert asked == ["auto"]
    predictor(photograph(128, 128), options=auto)
    Predictor(TinyNet(), replace(known(), sha256="cd" * 32), device="cpu", trials=book)(photograph(64, 64), options=auto)
    assert asked == ["auto"] * 3
    assert len(json.loads(book.read_text())["trials"]) == 3


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "trials": {"a": 3}}', b"\xff\x00",
     b'{"version": 1, "trials": {"a": {"engine": "rm -rf", "milliseconds": {}, "agreement": {}, "refused": {}}}}'],
)  # fmt: skip
def test_a_damaged_record_is_empty_and_written_again(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "engines.json"
    path.write_bytes(content)
    book = TrialRecord(path)
    assert book.all() == {}
    book.keep("key", Trial(engine="onnx", milliseconds={"onnx": 1.0}, refused={"openvino": "it failed"}, agreement={"onnx": 1.0}))
    found = TrialRecord(path).find("key")
    assert found is not None
    assert (found.engine, found.refused) == ("onnx", {"openvino": "it failed"})


def test_two_processes_add_to_one_record(tmp_path: Path) -> None:
    path = tmp_path / "engines.json"
    one, other = TrialRecord(path), TrialRecord(path)
    one.keep("a", Trial(engine="torch"))
    other.keep("b", Trial(engine="onnx"))
    assert set(TrialRecord(path).all()) == {"a", "b"}


class Off:
    """A graph with numbers that are wrong by a share of their range, on large images only (small ones are compared at once)."""

    def __init__(self, inner: Any, share: float) -> None:
        self.inner, self.share = inner, share

    def run(self, inputs: dict[str, Any]) -> Any:
        found = self.inner.run(inputs)
        return found if inputs["image"].shape[-1] < 80 else found + self.share * np.ptp(found)


@pytest.mark.parametrize("share", [0.5 * TOLERANCE, 2 * TOLERANCE, np.nan], ids=["within", "beyond", "nan"])
def test_an_engine_with_other_numbers_is_refused(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = compiled._loader
    monkeypatch.setattr(compiled, "_loader", lambda *words: lambda data: Off(real(*words)(data), share))
    predictor = Predictor(TinyNet(), known(), device="cpu")
    expected = predictor(photograph(90, 96))
    got = predictor(photograph(90, 96), options=PredictOptions(engine="onnx"))
    refused = not share < TOLERANCE
    assert ("onnxruntime" in got.report.device) != refused
    assert any("onnx is not used" in note for note in got.report.notes) == refused
    assert np.array_equal(got.labels, expected.labels)  # the same shift of all classes changes no label


class Fixed(TinyNet):
    """Keeps a size of the example that the graph is traced with."""

    def coarse_logits(self, x: Tensor, pooled: Tensor | None = None) -> Tensor:
        logits = super().coarse_logits(x, pooled)
        return logits + float(x.shape[-1])  # a number, not a tensor: the trace has the example's


def test_a_trace_that_kept_a_size_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network = CompiledNetwork(prepare_for_inference(Fixed()), "onnx")
    with pytest.raises(ComputeError, match="other numbers than torch"):
        network(torch.zeros(1, 3, 40, 40))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engines, compiled):
        monkeypatch.setattr(module, "installed_version", lambda package: "" if package == "openvino" else "1")
    monkeypatch.setattr(engines, "multiplies_tiles", lambda: False)
    assert installed_engines() == ("onnx",)
    got = Predictor(TinyNet(), known(), device="cpu")(photograph(64, 64), options=PredictOptions(engine="openvino"))
    assert any("openvino" in note and "not installed" in note for note in got.report.notes)
    assert got.report.device == "cpu"


@pytest.mark.parametrize(("share", "taken"), [(0.001, True), (0.02, False)])
def test_reduced_precision_states_its_agreement_or_is_refused(share: float, taken: bool) -> None:
    expected = torch.zeros(1, 2, 100, 100)
    expected[:, 0] = 1
    got = expected.clone()
    got.flatten(2)[0, 1, : round(10_000 * share)] = 2
    agreement, reason = trials._agreement(got, expected, "bf16")
    assert agreement == pytest.approx(1 - share)
    assert (reason == "") == taken
    assert taken or "98.00 %" in reason


def test_a_processor_without_bf16_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplab_core.inference.device._cpu_computes_bf16", lambda: False)
    options = PredictOptions(engine="openvino", precision="bf16")
    got = Predictor(TinyNet(), known(), device="cpu")(photograph(64, 64), options=options)
    assert got.report.precision == "fp32"
    assert "openvino" in got.report.device
