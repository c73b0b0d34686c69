"""``atrous report``: of a project, of masks in a folder, and of what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.patch import diff_patch
from app.state.project import ImageStatus, Project
from app.state.provenance import Provenance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(folder / f"{name}.jpg")
    return folder


def test_of_a_project(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder) as project:
        record = next(record for record in project.images if record.relative_path == "a.jpg")
        document = project.load(record.id).document
        labels = np.zeros_like(document.labels)
        labels[5:10, 5:25] = 9
        patch = diff_patch(document.labels, document.provenance, labels, np.full_like(document.provenance, Provenance.USER))
        project.append_step(record.id, "Brush", Provenance.USER, patch)
        project.set_status(record.id, ImageStatus.REVIEWED)
    out = tmp_path / "out"
    assert run(["report", str(folder), "--json", str(out / "r.json"), "--html", str(out / "r.html")]) == 0
    captured = capsys.readouterr()
    assert "3 images, 1 with labels" in captured.out
    assert "2 images not reviewed: b.jpg, c.jpg." in captured.err
    data = json.loads((out / "r.json").read_text())
    assert data["unlabelled"] == ["b.jpg", "c.jpg"] == data["unreviewed"]
    chair = next(row for row in data["classes"] if row["name"] == "chair")
    assert (chair["pixels"], chair["images"]) == (100, 1)
    assert "chair" in (out / "r.html").read_text()
    assert run(["report", str(folder), "--catalog", "voc21"]) == 2


def test_of_masks_in_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, value in (("a", 9), ("b", 200)):
        labels = np.zeros((20, 30), np.uint8)
        labels[3:8, 3:8] = value
        Image.fromarray(labels).save(masks / f"{name}.png")
    order = ["report", str(folder), "--truth", str(masks), "--catalog", "voc21", "--json", str(tmp_path / "r.json")]
    assert run(order) == 1
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["undeclared"] == [{"id": 200, "pixels": 25, "images": 1}]
    assert [row["image"] for row in data["unread"]] == ["b.jpg"]
    assert data["unlabelled"] == ["c.jpg"]
    assert data["unreviewed"] is None
    assert "1 id in mask files that the classes do not declare: 200." in capsys.readouterr().err


def test_without_labels_it_says_what_to_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(folder)]) == 2
    assert "--truth" in capsys.readouterr().err
