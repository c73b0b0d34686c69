"""The ways in which a photograph was once written over, from the command line: each leaves it byte for byte, and reports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.image_record import ImageStatus
from app.state.project import Project
from tests.unit.app.folders import SHAPE, image_id, stroke


def photograph(path: Path, seed: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)).save(path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("c1.jpg", "c2.jpg")):
        photograph(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def review(folder: Path, *names: str) -> None:
    with Project.open(folder) as project:
        for name in names:
            image = image_id(project, name)
            document = project.load(image).document
            stroke(project, image, document, 1)
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
            project.set_status(image, ImageStatus.REVIEWED)


@pytest.mark.parametrize("existing", ["replace", "skip", "error"])
def test_export_beside_the_photographs(folder: Path, capsys: pytest.CaptureFixture[str], existing: str) -> None:
    other = photograph(folder / "c2.png", 9)
    review(folder, "c1.jpg", "c2.jpg")
    assert run(["export", str(folder), "-o", str(folder), "--existing", existing]) == 1
    assert (folder / "c2.png").read_bytes() == other
    assert (folder / "c1.png").is_file()
    assert "c2.png" in capsys.readouterr().err


def test_export_through_a_link(folder: Path, tmp_path: Path) -> None:
    other = photograph(tmp_path / "elsewhere" / "a.png", 9)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c1.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    review(folder, "c1.jpg", "c2.jpg")
    assert run(["export", str(folder), "-o", str(tmp_path / "out"), "--existing", "replace"]) == 1
    assert (tmp_path / "elsewhere" / "a.png").read_bytes() == other
    assert (tmp_path / "out" / "c2.png").is_file()


def test_predict_beside_the_photographs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = photograph(folder / "c2.png", 9)
    arguments = ["--model", "rooms-voc", "-o", str(folder), "--overwrite"]
    assert run(["predict", str(folder / "c1.jpg"), str(folder / "c2.jpg"), *arguments]) == 1
    assert (folder / "c2.png").read_bytes() == other
    assert (folder / "c1.png").is_file()
    assert "never replaced" in capsys.readouterr().err
    assert run(["predict", str(folder / "c2.jpg"), *arguments]) == 2
    assert (folder / "c2.png").read_bytes() == other


def test_predict_into_a_folder_of_photographs_by_confidence(folder: Path, tmp_path: Path) -> None:
    other = photograph(tmp_path / "out" / "c1.confidence.png", 9)
    arguments = ["--model", "rooms-voc", "-o", str(tmp_path / "out"), "--overwrite", "--save-confidence"]
    assert run(["predict", str(folder), *arguments]) == 1
    assert (tmp_path / "out" / "c1.confidence.png").read_bytes() == other
    assert (tmp_path / "out" / "c2.confidence.png").is_file()


def test_an_equal_pair_is_predicted_with_its_endings(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph(folder / "c2.png", 9)
    arguments = ["predict", str(folder), "--model", "rooms-voc"]
    assert run([*arguments, "-o", str(tmp_path / "plain")]) == 1
    said = capsys.readouterr().err
    assert "c2.jpg" in said
    assert "c2.png" in said
    assert "--keep-suffix" in said
    assert {path.name for path in (tmp_path / "plain").glob("*.png")} == {"c1.png"}
    assert run([*arguments, "-o", str(tmp_path / "kept"), "--keep-suffix"]) == 0
    assert {path.name for path in (tmp_path / "kept").glob("*.png")} == {"c1.jpg.png", "c2.jpg.png", "c2.png.png"}
    pair = ["--prediction", str(tmp_path / "kept"), "--truth", str(tmp_path / "kept"), "--catalog", "voc21"]
    assert run(["evaluate", *pair, "--resamples", "0", "--allow-predicted-truth"]) == 0
    assert "over 3 images" in capsys.readouterr().out


def test_names_that_differ_only_in_their_unicode_form_are_to_be_renamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("\u00e9.jpg", "e\u0301.jpg", "x.jpg")):
        photograph(tmp_path / "photos" / name, seed)
    arguments = ["--model", "rooms-voc", "-o", str(tmp_path / "out")]
    assert run(["predict", str(tmp_path / "photos"), *arguments]) == 1
    said = capsys.readouterr().err
    assert "Their names differ only in the Unicode form. Rename one of them." in said
    assert "--keep-suffix" not in said  # both end in .jpg: their masks would still be one file
