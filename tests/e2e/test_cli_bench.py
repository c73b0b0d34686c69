"""``atrous bench`` prints a table of every engine and of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import run
from deeplab_core.backends.engines import installed_engines
from deeplab_core.catalogs import get_catalog
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.weights import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=21, output_stride=16).eval()
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    card = ModelCard(
        id="tiny", name="Tiny", architecture={}, catalog=get_catalog("voc21"), preprocessing=Preprocessing(resize="long_side:64")
    )
    save_model(path, network, card)
    return path


def test_rows_of_every_engine_and_of_the_folder(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no image")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert run(["bench", str(tmp_path), "--model", str(model), "--rounds", "1", "--json", "--device", "cpu"]) == 0
        printed = capsys.readouterr()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["engine"] for row in rows if "engine" in row] == ["torch", *installed_engines()]
    assert [row["folder"] for row in rows if "folder" in row] == [
        "one after the other, 2 threads",
        "2 side by side, 1 thread each",
    ]
    assert rows[0]["CPU ratio"] == 1
    assert rows[0]["labels as torch, %"] == 100
    assert all(row["CPU ms"] > 0 for row in rows)
    assert "b.jpg" in printed.err
    assert run(["bench", str(tmp_path / "a.png"), "--model", str(model), "--rounds", "1", "--device", "cpu"]) == 0
    assert "| engine | CPU ms | wall ms |" in capsys.readouterr().out
