"""The strip of pictures for the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.app.tiny_model import save_photograph, save_tiny_model
from tools.crf_strip import GAP, HEAD, WIDTH, main


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    (tmp_path / "rooms" / "images").mkdir(parents=True)
    (tmp_path / "rooms" / "truth").mkdir()
    for number in range(4):
        save_photograph(tmp_path / "rooms" / "images" / f"room_{number}.jpg", 60, 80, seed=number)
        truth = np.zeros((60, 80), np.uint8)
        truth[20:40, 20 + number : 60] = 1 + number
        truth[:3] = 255
        Image.fromarray(truth).save(tmp_path / "rooms" / "truth" / f"room_{number}.png")
    return tmp_path / "rooms"


def test_a_strip_has_a_line_for_every_image_and_takes_search_reports(rooms: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "tiny.safetensors")
    report = tmp_path / "found.json"
    report.write_text(json.dumps({"params": {"bilateral_sxy": 20, "iterations": 2}}))
    out = tmp_path / "docs" / "strip.png"
    main(["--rooms", str(rooms), "--model", str(model), "-o", str(out), "--crf", str(report), "--only", "room_1", "room_3"])
    with Image.open(out) as picture:
        assert picture.width == 5 * WIDTH + 6 * GAP
        assert picture.height > HEAD + 2 * WIDTH * 60 / 80
    main(["--rooms", str(rooms), "--model", str(model), "-o", str(out), "--count", "3"])
    with Image.open(out) as picture:
        assert picture.height > HEAD + 3 * WIDTH * 60 / 80


def test_a_folder_without_truth_is_refused(rooms: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "tiny.safetensors")
    for path in (rooms / "truth").iterdir():
        path.unlink()
    with pytest.raises(SystemExit, match="no image"):
        main(["--rooms", str(rooms), "--model", str(model), "-o", str(tmp_path / "strip.png")])
