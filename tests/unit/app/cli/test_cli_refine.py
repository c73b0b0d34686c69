"""``atrous refine`` and ``predict --crf``, run as a user runs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics.truth_hash import ground_truth_hash, label_map_hash
from tests.unit.app.tiny_model import save_photograph, save_tiny_model
from tests.unit.core.refine.scenes import blob


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def noisy(tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """A folder with one picture of a disk, a folder with its noisy mask, and the true disk."""
    rgb, probabilities = blob(60, 72)
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        (folder / "a").mkdir(parents=True)
    Image.fromarray(rgb).save(images / "a" / "disk.png")
    write_mask(masks / "a" / "disk.png", probabilities[:2].argmax(axis=0).astype(np.uint8), get_catalog("voc21"))
    y, x = np.mgrid[:60, :72]
    return images, masks, (y - 30) ** 2 + (x - 36) ** 2 < 20**2


def test_masks_are_cleaned_along_the_edges_of_the_picture(noisy: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    images, masks, disk = noisy
    out = tmp_path / "out"
    arguments = ["refine", str(images), "--masks", str(masks), "--catalog", "voc21", "-o", str(out)]
    assert run(arguments) == 0
    catalog = get_catalog("voc21")
    before = (read_mask(masks / "a" / "disk.png", catalog) == 1) == disk
    after = (read_mask(out / "a" / "disk.png", catalog) == 1) == disk
    assert before.mean() < 0.97
    assert after.mean() > 0.99
    assert run(arguments) == 2, "masks that are there are not replaced unasked"
    assert run([*arguments, "--overwrite"]) == 0


def test_predict_crf_is_refine_with_a_model(model: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    save_photograph(images / "one.png", 80, 100)
    common = ["--model", str(model)]
    assert run(["predict", str(images), *common, "-o", str(tmp_path / "plain")]) == 0
    assert run(["predict", str(images), *common, "--crf", "v2", "-o", str(tmp_path / "crf")]) == 0
    assert run(["refine", str(images), *common, "--crf", "v2", "-o", str(tmp_path / "refined")]) == 0
    plain, crf, refined = (np.asarray(Image.open(tmp_path / name / "one.png")) for name in ("plain", "crf", "refined"))
    np.testing.assert_array_equal(crf, refined)
    assert crf.shape == plain.shape


def test_resume_refuses_to_mix_with_and_without_crf(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_photograph(tmp_path / "one.png", 64, 64)
    arguments = ["predict", str(tmp_path / "one.png"), "--model", str(model), "-o", str(tmp_path / "out")]
    assert run(arguments) == 0
    assert run([*arguments, "--resume", "--crf", "v1"]) == 2
    assert "another run" in capsys.readouterr().err


def test_search_writes_what_crf_reads(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from deeplab_core.refine import search

    monkeypatch.setattr(search, "COARSE_SXY", (30.0,))
    monkeypatch.setattr(search, "COARSE_SRGB", (8.0,))
    images, truth = tmp_path / "images", tmp_path / "truth"
    for folder in (images, truth):
        folder.mkdir()
    for number in range(2):
        save_photograph(images / f"{number}.png", 48, 64, seed=number)
        Image.fromarray(np.full((48, 64), number, np.uint8)).save(truth / f"{number}.png")
    report = tmp_path / "found" / "crf.json"
    arguments = ["refine", str(images), "--model", str(model), "--search", "--truth", str(truth), "--report", str(report)]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert "mIoU" in said
    assert "The CRF" in said
    found = json.loads(report.read_text())
    assert found["images"] == 2
    hashes = [(str(number), label_map_hash(np.full((48, 64), number, np.uint8))) for number in range(2)]
    assert found["truth_sha256"] == ground_truth_hash(hashes)
    assert run(["predict", str(images), "--model", str(model), "--crf", str(report), "-o", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "out"], "either --model or --masks"),
        (["--masks", "."], "say with -o"),
        (["--masks", ".", "-o", "out"], "no mask in . has the name of an image"),
        (["--search"], "--search needs --model, and ground truth"),
        (["--crf", "v9", "-o", "out"], "neither a file nor one of v1"),
    ],
)
def test_usage(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_photograph(tmp_path / "one.png", 16, 16)
    assert run(["refine", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", "{", '{"sxy": 3}', '{"bilateral_sxy": -1}', '{"params": 7}', '{"clip": "x"}'])
def test_a_damaged_parameter_file_is_named(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_photograph(tmp_path / "one.png", 16, 16)
    path = tmp_path / "crf.json"
    path.write_text(content)
    assert run(["refine", str(tmp_path), "--masks", str(tmp_path), "--catalog", "voc21", "--crf", str(path), "-o", "out"]) == 2
    assert "crf.json" in capsys.readouterr().err


def test_the_reference_engine_can_be_chosen_or_its_absence_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    save_photograph(images / "one.png", 80, 100)
    common = ["predict", str(images), "--model", str(model), "--crf", "v2", "--device", "cpu", "--crf-engine", "pydensecrf"]
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    assert run([*common, "-o", str(tmp_path / "absent")]) == 1
    assert "atrous[crf]" in capsys.readouterr().err
    monkeypatch.undo()
    pytest.importorskip("pydensecrf", reason="the extra 'crf' (pydensecrf2) is not installed")
    ours = ["predict", str(images), "--model", str(model), "--crf", "v2", "--device", "cpu", "--crf-engine", "native"]
    assert run([*common, "-o", str(tmp_path / "theirs")]) == 0
    assert run([*ours, "-o", str(tmp_path / "ours")]) == 0
    one, other = (np.asarray(Image.open(tmp_path / name / "one.png")) for name in ("ours", "theirs"))
    assert np.mean(one == other) > 0.999
