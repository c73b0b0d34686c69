"""The one real network on its reference inputs, through the Predictor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.inference import PredictOptions, Predictor
from deeplab_core.weights import load_model


@pytest.fixture(scope="module")
def predictor(shared_real: Path) -> Predictor:
    model, card = load_model(shared_real / "weights" / "deeplabv3_mnv2_voc_folded.safetensors")
    return Predictor(model, card, device="cpu")


def references(shared_real: Path) -> list[tuple[Path, Path]]:
    rows = json.loads((shared_real / "voc_net" / "index.json").read_text())
    return [(shared_real / row["input"], shared_real / row["labels"]) for row in rows if "input" in row]


def test_labels_are_the_references(predictor: Predictor, shared_real: Path) -> None:
    pairs = references(shared_real)
    assert len(pairs) >= 20
    for given, labels in pairs:
        prediction = predictor(np.asarray(Image.open(given).convert("RGB")))
        agreement = (prediction.labels == np.asarray(Image.open(labels))).mean()
        assert agreement >= 0.9995, f"{given.name}: {agreement:.5f}"


def test_tiles_with_shared_pooling_give_the_labels_of_the_whole(predictor: Predictor, shared_real: Path) -> None:
    """Context of the receptive radius: every pixel; a quarter of it: stated in ``Predictor._margin``."""
    rgb = np.asarray(Image.open(shared_real / "no_gt" / "ibm_cc0" / "airplane.jpg").convert("RGB"))
    native = PredictOptions(resize="native")
    whole = predictor(rgb, options=native)
    radius = predictor.model.receptive_radius()
    tiled = predictor(rgb, options=PredictOptions(resize="native", tile=512, overlap=radius))
    sparing = predictor(rgb, options=PredictOptions(resize="native", tile=512, overlap=64))
    assert (whole.report.tiles, tiled.report.tiles) == (1, 6)
    assert (whole.labels == tiled.labels).mean() >= 0.9999
    assert (whole.labels == sparing.labels).mean() >= 0.995
