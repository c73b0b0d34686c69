"""LiteRT graphs: float against torch, the released int8 network against its float twin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeplab_core.errors import WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.weights import load_model
from tests.unit.core.backends.graphs import CLASSES, TwinNet, write_litert

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: no LiteRT graph can be run")

#: Share of pixels on which int8 and float labels agree over all reference inputs (docs/models/engines.md).
AGREEMENT = 0.991


def test_a_float_graph_gives_what_its_torch_twin_gives(tmp_path: Path) -> None:
    model, card = load_model(write_litert(tmp_path / "g.tflite"))
    assert model.num_classes == CLASSES
    assert card.align_corners  # 33 x 49 pixels, 9 x 13 scores: corners fall on scores
    assert card.preprocessing.mean == (127.5,) * 3
    assert card.preprocessing.resize == "fit:33x49"
    x = torch.randn(1, 3, 33, 49, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(torch.from_numpy(model.coarse_logits(x)), TwinNet().coarse_logits(x), atol=1e-5, rtol=1e-5)
    rgb = np.random.default_rng(0).integers(0, 256, (60, 98, 3), dtype=np.uint8)
    got = Predictor(model, card)(rgb)
    np.testing.assert_array_equal(got.labels, Predictor(TwinNet(align_corners=True), card)(rgb).labels)
    assert got.report.precision == "fp32"


def test_labels_tell_their_number_of_classes_by_the_scores_behind_them(tmp_path: Path) -> None:
    model, card = load_model(write_litert(tmp_path / "g.tflite", labels=True))
    assert model.num_classes == CLASSES
    got = Predictor(model, card)(np.zeros((33, 49, 3), np.uint8))
    assert (got.confidence == 255).all()


@pytest.mark.parametrize("keep", [8, 100, 0.5, 0.98])
def test_truncated_files_are_refused(keep: float, tmp_path: Path) -> None:
    whole = write_litert(tmp_path / "g.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(whole[: int(keep if keep > 1 else keep * len(whole))])
    with pytest.raises(WeightsError, match="LiteRT cannot open") as caught:
        load_model(path)
    assert caught.value.path == path


def test_a_missing_library_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_litert(tmp_path / "g.tflite")
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(WeightsError, match="not installed") as caught:
        load_model(path)
    assert caught.value.remedy == "Run: pip install ai-edge-litert"


def test_the_released_int8_network_agrees_with_its_float_twin(shared_real: Path) -> None:
    integer, card = load_model(shared_real / "weights" / "deeplabv3_mnv2_pascal_quant.tflite")
    assert card.catalog.name == "voc21"
    assert integer.engine is not None
    assert integer.engine.precision == "int8"
    twin, twin_card = load_model(shared_real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors")
    ours, theirs = Predictor(integer, card, device="cpu"), Predictor(twin, twin_card, device="cpu")
    rows = [row for row in json.loads((shared_real / "voc_net" / "index.json").read_text()) if "input" in row][:6]
    equal = pixels = 0
    for row in rows:
        rgb = np.asarray(Image.open(shared_real / row["input"]).convert("RGB"))
        got = ours(rgb)
        assert (got.confidence == 255).all()
        equal += int((got.labels == theirs(rgb).labels).sum())
        pixels += got.labels.size
    assert equal / pixels > AGREEMENT - 0.02  # six of the photographs that the figure is an average over
