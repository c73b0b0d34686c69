"""``atrous export``: what leaves a project is what was left in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.class_mapping import card_key
from app.state.patch import diff_patch
from app.state.project import ImageStatus, Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import find_images, find_truth, read_marker
from deeplab_core.masks import Untouched
from deeplab_core.masks.read import read_mask
from deeplab_core.records import Prediction, PredictOptions

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images: one reviewed (a chair), one touched (a sofa), one that only a model has seen, one unseen."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("a", "b", "c", "d"):
        Image.fromarray(np.full((20, 30, 3), 120, np.uint8)).save(folder / f"{name}.jpg")
    with Project.open(folder) as project:
        ids = {record.name[0]: record.id for record in project.images}
        for name, class_id in (("a", CHAIR), ("b", SOFA)):
            document = project.load(ids[name]).document
            labels = np.full_like(document.labels, 0)
            labels[5:10, 5:25] = class_id
            provenance = np.full_like(document.provenance, Provenance.USER)
            patch = diff_patch(document.labels, document.provenance, labels, provenance)
            project.append_step(ids[name], "Brush", Provenance.USER, patch)
        project.set_status(ids["a"], ImageStatus.REVIEWED)
        predicted = np.full((20, 30), SOFA, np.uint8)
        key = project.content_key(ids["c"])
        prediction = Prediction(labels=predicted, confidence=predicted, card_id="model", options=PredictOptions(), source_key=key)
        project.keep_prediction(ids["c"], prediction)
        project.set_setting(card_key("model"), VOC.to_dict())
    return folder


def masks(out: Path) -> dict[str, int]:
    """Largest id of each exported mask."""
    return {path.stem: int(read_mask(path, VOC).max()) for path in sorted(out.glob("*.png"))}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("reviewed", {"a": CHAIR}),
        ("touched", {"a": CHAIR, "b": SOFA}),
        ("all", {"a": CHAIR, "b": SOFA, "c": SOFA}),
    ],
)
def test_scopes(folder: Path, tmp_path: Path, scope: str, expected: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["export", str(folder), "-o", str(out), "--scope", scope]) == 0
    assert masks(out) == expected
    assert f"{len(expected)} exported and read back" in capsys.readouterr().out


def test_images_without_a_mask_are_counted(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(folder), "-o", str(tmp_path / "out"), "--scope", "all", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["written"], summary["skipped"]) == (3, 1)
    assert summary["pixels"]["chair"] == 100


def test_existing_files_are_never_replaced_unasked(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"mine")
    assert run(["export", str(folder), "-o", str(out)]) == 2
    assert "already there" in capsys.readouterr().err
    assert run(["export", str(folder), "-o", str(out), "--existing", "skip"]) == 0
    assert (out / "a.png").read_bytes() == b"mine"
    assert run(["export", str(folder), "-o", str(out), "--existing", "replace"]) == 0
    assert masks(out) == {"a": CHAIR}


def test_coco_and_classes_that_cityscapes_lacks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(folder), "-o", str(tmp_path / "coco"), "--format", "coco_rle"]) == 0
    annotations = json.loads((tmp_path / "coco" / "annotations.json").read_text())["annotations"]
    assert [row["category_id"] for row in annotations] == [CHAIR]
    capsys.readouterr()
    assert run(["export", str(folder), "-o", str(tmp_path / "ids"), "--format", "cityscapes_ids"]) == 1
    assert "Cityscapes has no class for" in capsys.readouterr().err
    assert run(["export", str(folder), "-o", str(tmp_path / "ids"), "--format", "cityscapes_ids", "--unmatched-to-void"]) == 0


def test_a_folder_that_is_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert run(["export", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]) == 2
    assert "no project here yet" in capsys.readouterr().err
    assert not (tmp_path / "empty" / ".atrous").exists()


def test_the_target_is_beside_the_folder_and_says_what_no_user_touched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(folder), "--scope", "all"]) == 0
    out = folder.parent / "photographs_export"
    assert f"in {out}" in capsys.readouterr().out
    marker = read_marker(out)
    assert marker is not None
    assert (marker.kind, marker.catalog, marker.images, marker.untouched_images) == ("export", VOC, 3, 1)
    assert marker.outputs["a.png"] == Untouched(0, whole=False)
    assert marker.outputs["c.png"] == Untouched(600, whole=True)
    # It is never found as ground truth, under no name.
    out.rename(folder.parent / "photographs_masks")
    assert not find_truth(folder, find_images(folder)).files
