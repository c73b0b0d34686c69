"""What a run of ``predict`` says of the engine that computes it."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.cli.predict_run import pixels_of, settle_engine
from app.cli.run_record import asked_engine
from app.paths import FIRST_MODEL
from deeplab_core.backends import OwnGraph, load_own_graph
from deeplab_core.errors import MissingPackage
from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.inference.variants import parse_variant
from deeplab_core.nn import create_model
from deeplab_core.records import EngineChoice
from deeplab_core.refine.dense_crf import choose_engine
from deeplab_core.weights.files import read_own_weights


def test_the_engine_of_a_graph_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It said "torch" in an installation without PyTorch."""
    weights = read_own_weights(FIRST_MODEL)
    model = load_own_graph(weights.card, weights.tensors(), FIRST_MODEL)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    predictor = Predictor(model, weights.card, options=PredictOptions(engine="auto"), device="cpu")
    settle_engine(predictor, pixels_of(predictor, [tmp_path / "a.png"]))
    assert capsys.readouterr().err.startswith("engine: onnxruntime ")
    assert predictor.options.engine == "onnx"  # what the record of the run says


def without_torch(monkeypatch: pytest.MonkeyPatch) -> OwnGraph:
    """A bundled network as a light installation has it."""
    monkeypatch.setattr("deeplab_core.flavour.has_torch", lambda: False)
    weights = read_own_weights(FIRST_MODEL)
    return load_own_graph(weights.card, weights.tensors(), FIRST_MODEL)


@pytest.mark.parametrize("asked", [None, "auto"])
@pytest.mark.parametrize("earlier", ["torch", "openvino", "cuda-graph"])
def test_a_run_of_another_engine_is_not_resumed_without_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: EngineChoice | None, earlier: EngineChoice
) -> None:
    """It named a package that would not have helped, or went on with ONNX Runtime in silence."""
    model = without_torch(monkeypatch)
    with pytest.raises(MissingPackage) as error:
        asked_engine(asked, earlier, tmp_path, model, 1)
    assert earlier in str(error.value)
    assert str(tmp_path) in error.value.why
    assert "pip install torch" in error.value.remedy


def test_onnx_runtime_goes_on_with_its_own_run_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = without_torch(monkeypatch)
    assert asked_engine(None, None, tmp_path, model, 1) == "onnx"
    assert asked_engine(None, "onnx", tmp_path, model, 4) == "onnx"
    assert asked_engine("auto", None, tmp_path, model, 1) == "auto"  # settled and named before the run
    assert asked_engine("auto", None, tmp_path, model, 4) == "onnx"


def test_a_run_by_amx_goes_on_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=2)
    monkeypatch.setattr("deeplab_core.backends.engines.multiplies_tiles", lambda: True)
    assert asked_engine(None, "amx", tmp_path, model, 1) == "amx"
    monkeypatch.setattr("deeplab_core.backends.engines.multiplies_tiles", lambda: False)
    with pytest.raises(click.UsageError, match="amx computed, which this computer cannot; choose another folder"):
        asked_engine(None, "amx", tmp_path, model, 1)


@pytest.mark.parametrize("engine", ["torch", "openvino", "amx", "cuda-graph"])
@pytest.mark.parametrize("command", ["predict", "rank", "refine"])
def test_an_engine_that_is_named_is_refused_without_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, engine: str
) -> None:
    monkeypatch.setattr("deeplab_core.flavour.has_torch", lambda: False)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    out = [] if command == "rank" else ["-o", str(tmp_path / "out")]
    assert run([command, str(tmp_path), *out, "--engine", engine]) == 1
    said = capsys.readouterr().err
    assert f"The engine {engine} needs PyTorch" in said
    assert "pip install torch" in said
    assert not (tmp_path / "out").exists()


def test_variants_and_the_crf_refuse_what_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("deeplab_core.flavour", "deeplab_core.refine.dense_crf"):
        monkeypatch.setattr(f"{module}.has_torch", lambda: False)
    with pytest.raises(MissingPackage):
        parse_variant("engine:openvino", PredictOptions())
    assert parse_variant("engine:onnx", PredictOptions()).options.engine == "onnx"
    with pytest.raises(MissingPackage):
        choose_engine("torch", "cpu")
    assert choose_engine("auto", "cuda:0") == "native"  # ONNX Runtime may have the GPU without torch
