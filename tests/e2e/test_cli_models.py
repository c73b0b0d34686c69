"""``atrous models show|convert|export``: one checkpoint in three forms that say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from tests.unit.app.tiny_model import save_photograph

if TYPE_CHECKING:
    from deeplab_core.nn import SegmentationModel


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of ours, saved with its card."""
    import torch

    from deeplab_core.nn import create_model

    torch.manual_seed(0)
    model = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=4, atrous_rates=[]).eval()
    return saved(model, tmp_path_factory.mktemp("models") / "small.safetensors")


def saved(model: SegmentationModel, path: Path) -> Path:
    from deeplab_core.model_cards import numbered_catalog
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import save_model

    card = ModelCard(
        id="", name="Small", architecture=model.architecture, catalog=numbered_catalog(4), align_corners=model.align_corners,
        output_stride=model.output_stride, guessed=("catalog",),
    )  # fmt: skip
    save_model(path, model, card)
    return path


def test_show_says_what_a_network_is_made_of(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from deeplab_core.nn import count_multiply_adds, count_parameters
    from deeplab_core.weights import load_model

    model, card = load_model(checkpoint)
    assert run(["models", "show", str(checkpoint), "--layers", "--size", "257", "--json"]) == 0
    (said,) = lines_of(capsys.readouterr().out)
    assert said["card"] == card.to_dict()
    assert said["parameters"] == count_parameters(model) == sum(layer["parameters"] for layer in said["layers"])
    assert said["multiply_adds"] == count_multiply_adds(model, (257, 257))
    assert said["multiply_adds"] == sum(layer["multiply_adds"] for layer in said["layers"])
    assert said["parameters"] == sum(part["parameters"] for part in said["parts"])
    assert said["receptive_radius"] == model.receptive_radius()
    assert {layer["rate"][0] for layer in said["layers"]} == {1, 2}

    assert run(["models", "show", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"multiply-adds +\d+\.\d\d G for 513 x 513 pixels at output stride 16", shown)
    assert f"{2 * model.receptive_radius() + 1} px wide" in shown
    assert "encoder.blocks" in shown
    assert "guessed  catalog" in shown

    assert run(["models", "show", str(checkpoint), "--output-stride", "8", "--layers"]) == 0
    shown = capsys.readouterr().out
    assert "at output stride 8" in shown
    assert "depthwise" in shown
    assert "rate 4" in shown


def test_convert_writes_weights_and_card(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from deeplab_core.weights import load_model

    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    assert run(["models", "convert", str(checkpoint), "-o", str(whole)]) == 0
    shown = capsys.readouterr().out
    assert "Read back equal." in shown
    assert "please check in the card: catalog" in shown
    assert json.loads((tmp_path / "whole.safetensors.card.json").read_text())["name"] == "Small"
    original, card = load_model(checkpoint)
    again, found = load_model(whole)
    assert found.catalog == card.catalog
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in original.state_dict().items())

    assert run(["models", "convert", str(checkpoint), "-o", str(half), "--half", "--json"]) == 0
    (said,) = lines_of(capsys.readouterr().out)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert 0 < said["largest_change"] < 0.01

    assert run(["models", "convert", str(checkpoint), "-o", str(half)]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["models", "convert", str(checkpoint), "-o", str(half), "--force"]) == 0
    assert run(["models", "convert", str(checkpoint), "-o", str(checkpoint), "--force"]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert run(["models", "convert", str(checkpoint), "-o", str(tmp_path / "x.pth")]) == 2


def test_an_exported_graph_predicts_what_the_network_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network of few layers: each takes a part of a second to be traced."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason=f"{library} is not installed: nothing can be exported")
    import torch

    from deeplab_core.nn import create_model

    torch.manual_seed(0)
    checkpoint = saved(create_model("unet", num_classes=4, width=4, upsampling="bilinear").eval(), tmp_path / "small.safetensors")
    graph = tmp_path / "small.onnx"
    assert run(["models", "export", str(checkpoint), "-o", str(tmp_path / "small.pb")]) == 2
    assert run(["models", "export", str(checkpoint), "-o", str(graph), "--size", "12"]) == 2
    assert "not a HEIGHTxWIDTH" in capsys.readouterr().err
    assert run(["models", "export", str(checkpoint), "-o", str(graph), "--json"]) == 0
    (said,) = lines_of(capsys.readouterr().out)
    assert said["difference"] <= 1e-4 * said["deviation"]
    assert said["card"]["name"] == "Small"

    assert run(["models", "show", str(graph)]) == 0
    shown = capsys.readouterr().out
    assert "NCHW, height any, width any" in shown
    assert re.search(r"operations +\d+ Conv", shown)
    assert "exported_from" in shown
    assert run(["models", "convert", str(graph), "-o", str(tmp_path / "back.safetensors")]) == 2
    assert "Convert the checkpoint that it was exported from" in capsys.readouterr().err
    assert not (tmp_path / "back.safetensors").exists()

    folder = tmp_path / "photographs"
    folder.mkdir()
    save_photograph(folder / "a.png", 97, 131)
    save_photograph(folder / "b.png", 64, 60, seed=1)
    for name, model in (("ours", checkpoint), ("graph", graph)):
        assert run(["predict", str(folder), "--model", str(model), "-o", str(tmp_path / name), "--device", "cpu"]) == 0
    for name in ("a.png", "b.png"):
        ours, theirs = (np.asarray(Image.open(tmp_path / side / name)) for side in ("ours", "graph"))
        assert (ours == theirs).mean() > 0.9999


def test_a_compute_session_runs_a_graph(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: no graphs can be written")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no ONNX graph can be run")
    from app.worker.messages import AskScores, Loaded, LoadModel, Predict, Predicted, ScoresAt
    from app.worker.session import ComputeSession
    from deeplab_core.records import PredictOptions
    from tests.unit.core.backends.graphs import CLASSES, write_onnx

    photograph = save_photograph(tmp_path / "a.png", 97, 131)
    session = ComputeSession()
    loaded = session.answer(LoadModel(request_id=1, path=str(write_onnx(tmp_path / "g.onnx")), output_stride=8))
    assert isinstance(loaded, Loaded), loaded
    assert loaded.card.output_stride == 16  # the only one that the graph has
    assert len(loaded.card.catalog) == CLASSES
    predicted = session.answer(Predict(request_id=2, image=str(photograph), source_key="a", options=PredictOptions()))
    assert isinstance(predicted, Predicted), predicted
    assert predicted.prediction.labels.shape == (97, 131)
    scores = session.answer(AskScores(request_id=3, source_key="a", x=5, y=7))
    assert isinstance(scores, ScoresAt)
    assert scores.class_ids[0] == predicted.prediction.labels[7, 5]
