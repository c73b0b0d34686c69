"""``atrous open --catalog``: the classes of a new project, named before the window opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.class_choice import stored_how, stored_reason, take_named
from app.state.data_choices import settle
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog

VOC, CAMVID = get_catalog("voc21"), get_catalog("camvid11")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(np.full((20, 30, 3), 120, np.uint8)).save(folder / "a.jpg")
    return folder


def label(project: Project) -> None:
    image = project.images[0].id
    document = project.load(image).document
    labels = np.full_like(document.labels, 3)
    patch = diff_patch(document.labels, document.provenance, labels, np.full_like(document.provenance, Provenance.USER))
    project.append_step(image, "Brush", Provenance.USER, patch)


@pytest.mark.parametrize("arguments", [["--catalog", "camvid11"], ["--sample", "--catalog", "camvid11"]])
def test_it_needs_a_folder(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["open", *arguments]) == 2
    assert "give the FOLDER" in capsys.readouterr().err


def test_an_unknown_catalog_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["open", "--catalog", "camvid12", str(folder)]) == 2
    assert "there is no catalog named 'camvid12'" in capsys.readouterr().err


def test_the_window_gets_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.json"
    own.write_text('{"name": "cracks", "classes": ["wall", "crack"]}')
    asked: dict[str, Any] = {}

    def main(opened: Path, **values: Any) -> int:
        asked.update(values, folder=opened)
        return 0

    monkeypatch.setattr("app.main.main", main)
    assert run(["open", "--catalog", str(own), str(folder)]) == 0
    assert asked["folder"] == folder
    assert asked["catalog"].names == ("wall", "crack")
    assert run([str(folder)]) == 0
    assert asked["catalog"] is None


def test_a_new_project_has_the_named_classes_and_is_not_asked(folder: Path) -> None:
    truth = folder.parent / "labels"
    truth.mkdir()
    Image.fromarray(np.full((20, 30), 3, np.uint8)).save(truth / "a.png")  # fits CamVid and VOC alike
    with Project.open(folder, catalog=CAMVID) as project:
        take_named(project, CAMVID)
        questions = settle(project)
        assert (project.catalog.name, stored_how(project)) == ("camvid11", "user")
        assert "when the folder was opened" in stored_reason(project)
        assert questions.classes is None
        assert len(project.ground_truth.index) == 1
    with Project.open(folder) as project:
        assert project.catalog.name == "camvid11"


def test_a_project_without_labels_takes_them_later_too(folder: Path) -> None:
    with Project.open(folder) as project:
        assert project.catalog.name == "voc21"
    with Project.open(folder, catalog=CAMVID) as project:
        take_named(project, CAMVID)
        assert project.catalog.name == "camvid11"


def test_a_labelled_project_keeps_its_classes_and_reports_it(folder: Path) -> None:
    with Project.open(folder) as project:
        label(project)
    with Project.open(folder, catalog=CAMVID) as project:
        take_named(project, CAMVID)
        assert project.catalog == VOC
        assert "keeps its classes (PASCAL VOC" in project.notices[-1]
        assert "it has labelled images" in project.notices[-1]
    with Project.open(folder, catalog=CAMVID, read_only=True) as project:
        take_named(project, CAMVID)
        assert "read-only" in project.notices[-1]
