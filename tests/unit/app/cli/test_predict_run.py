"""What a run of ``predict`` says of the engine that computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli.predict_run import settle_engine
from app.paths import FIRST_MODEL
from deeplab_core.backends import load_own_graph
from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.weights.files import read_own_weights


def test_the_engine_of_a_graph_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It said "torch" in an installation without PyTorch."""
    weights = read_own_weights(FIRST_MODEL)
    model = load_own_graph(weights.card, weights.tensors(), FIRST_MODEL)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    predictor = Predictor(model, weights.card, options=PredictOptions(engine="auto"), device="cpu")
    settle_engine(predictor, [tmp_path / "a.png"])
    assert capsys.readouterr().err.startswith("engine: onnxruntime ")
    assert predictor.options.engine == "torch"
