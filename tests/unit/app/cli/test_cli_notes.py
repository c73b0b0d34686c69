"""What was scaled, left out or read by colour is counted by every command, in words and in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from tests.unit.app.tiny_model import save_tiny_model

VOC = get_catalog("voc21")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three 12-bit pictures and one stack; masks of which one was saved again with another order of colours."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    ramp = (np.mgrid[0:40, 0:50][1] * 4095 // 49).astype(np.uint16)
    for name in "abc":
        Image.fromarray(ramp).save(tmp_path / "images" / f"{name}.png")
    grey = (ramp >> 4).astype(np.uint8)
    tifffile.imwrite(tmp_path / "images" / "d.tif", np.stack([grey, grey, grey]), photometric="minisblack")
    labels = np.zeros((40, 50), np.uint8)
    labels[10:30, 10:30] = 15
    for name in "abcd":
        picture = Image.fromarray(labels)
        picture.putpalette(VOC.palette().reshape(-1).tolist())
        picture.save(tmp_path / "masks" / f"{name}.png")
    picture = Image.fromarray((labels > 0).astype(np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[1] = VOC.by_id(15).color
    picture.putpalette(table.reshape(-1).tolist())
    picture.save(tmp_path / "masks" / "a.png")
    return tmp_path


def test_predict_counts_images(model: Path, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(folders / "images"), "--model", str(model), "-o", str(folders / "out"), "--json"]
    assert run(command) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    summary = rows[-1]
    assert [(note["summary"], note["count"]) for note in summary["notes"]] == [
        ("was scaled from 12 bit", 3), ("has further pages", 1),
    ]  # fmt: skip
    assert sum(bool(row.get("image_notes")) for row in rows) == 4
    assert run([*command[:-1], "--overwrite"]) == 0
    said = capsys.readouterr().err
    assert "note: 3 images were scaled from 12 bit (a.png, b.png, c.png)" in said
    assert "note: 1 image has further pages (d.tif): the first of 3 pages is read" in said


def test_refine_counts_images_and_masks(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, masks, out = folders / "images", folders / "masks", folders / "out"
    assert run(["refine", str(images), "--masks", str(masks), "--catalog", "voc21", "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "note: 3 images were scaled from 12 bit" in said
    assert "warning: 1 mask was read by colour, because the palette contradicts the ids (a.png)" in said
    assert set(np.unique(np.asarray(Image.open(out / "a.png")))) <= {0, 15}


def test_rank_counts_images_and_ground_truth(model: Path, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = folders / "truth"
    truth.mkdir()
    picture = Image.fromarray((np.mgrid[0:40, 0:50][0] > 20).astype(np.uint8))
    picture.putpalette([4, 8, 12, 0, 0, 0])  # the model's classes 4 and 0, at the places 0 and 1
    picture.save(truth / "b.png")
    assert run(["rank", str(folders / "images"), "--model", str(model), "--truth", str(truth)]) == 0
    said = capsys.readouterr().err
    assert "note: 3 images were scaled from 12 bit" in said
    assert "warning: 1 ground truth mask was read by colour" in said


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_masks_read_by_colour_are_said(folders: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    file = folders / "figures.json"
    options = ["--prediction", str(folders / "masks"), "--truth", str(folders / "masks"), "--catalog", "voc21"]
    run([command, *options, "--json", str(file)])
    said = capsys.readouterr().err
    assert "warning: 1 ground truth mask was read by colour" in said
    assert "warning: 1 predicted mask was read by colour" in said
    assert json.loads(file.read_text(encoding="utf-8"))["notes"]["truth"][0]["first"] == ["a.png"]
