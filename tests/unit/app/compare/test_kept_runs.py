"""Runs that a project keeps: labels of their moment, facts, figures, and what a stranger may have made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run as command
from app.state.kept_runs import RUNS, KeptRuns
from app.state.project import Project
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ProjectError, ProjectLocked
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.truth_hash import ground_truth_hash, label_map_hash

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


def labels_of(number: int, chair: int) -> np.ndarray:
    found = np.zeros((40, 60), np.uint8)
    found[5:25, 5 : 5 + chair] = CHAIR
    found[10:30, 40:55] = SOFA
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images with ground truth beside them, and masks of the project."""
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    (tmp_path / "set" / "truth").mkdir()
    rng = np.random.default_rng(0)
    for number, name in enumerate(("a", "b", "c")):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(images / f"{name}.jpg")
        write_mask(tmp_path / "set" / "truth" / f"{name}.png", labels_of(number, 20), VOC)
    return images


def keep(project: Project, name: str, chair: int) -> KeptRuns:
    runs = KeptRuns(project)
    recorder = runs.begin(name, "a model", model_id="id", settings="mirrored too")
    for number, record in enumerate(project.images):
        recorder.add(record.id, labels_of(number, chair), labels_of(number, 20))
    recorder.finish()
    return runs


def test_a_run_is_what_was_kept(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = keep(project, " first ", 10)
        (run,) = runs.all()
        matrix = ConfusionMatrix(VOC)
        for number in range(3):
            matrix.update(truth=labels_of(number, 20), prediction=labels_of(number, 10))
        assert (run.number, run.name, run.model, run.model_id, run.settings) == (1, "first", "a model", "id", "mirrored too")
        assert (run.images, run.scored, run.classes) == (3, 3, 3)
        assert run.mean_iou == pytest.approx(matrix.mean_iou("truth").value)
        assert run.iou["chair"] == pytest.approx(0.5)
        assert set(run.iou) == {"background", "chair", "sofa"}
        hashes = [(record.relative_path, label_map_hash(labels_of(0, 20))) for record in project.images]
        assert run.truth_sha256 == ground_truth_hash(hashes)
        for number, record in enumerate(project.images):
            np.testing.assert_array_equal(runs.labels(run, record.id), labels_of(number, 10))
    with Project.open(folder, read_only=True) as project:  # and it is there the next time
        assert KeptRuns(project).named("first") == run
        with pytest.raises(ProjectLocked):
            KeptRuns(project).begin("x", "y")


def test_runs_are_numbered_renamed_and_removed(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        keep(project, "first", 10)
        runs = keep(project, "second", 15)
        assert [run.name for run in runs.all()] == ["second", "first"]
        runs.give_name(runs.named("1"), "older")
        assert runs.named("older").number == 1
        gone = runs.folder(runs.named("second"))
        runs.remove(runs.named("second"))
        assert not gone.exists()
        with pytest.raises(ProjectError, match="second"):
            runs.named("second")


def test_an_interrupted_run_does_not_exist(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = KeptRuns(project)
        recorder = runs.begin("half", "a model")
        recorder.add(project.images[0].id, labels_of(0, 10), None)
        assert runs.all() == []
        assert list((project.directory / RUNS / "1").iterdir())
        keep(project, "whole", 10)
        assert len(list((project.directory / RUNS / "1").iterdir())) == 3  # nothing of the half is left


def test_facts_and_files_of_a_stranger(folder: Path, tmp_path: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = keep(project, "first", 10)
        project.set_setting("kept_run.2", {"number": 3, "name": "x"})
        project.set_setting("kept_run.x", ["nonsense"])
        assert [run.name for run in runs.all()] == ["first"]
        run, image = runs.all()[0], project.images[0]
        path = runs.folder(run) / f"{image.relative_path}.png"
        path.unlink()
        outside = tmp_path / "outside.png"
        write_mask(outside, labels_of(0, 20), VOC)
        path.symlink_to(outside)
        with pytest.raises(ProjectError, match="does not belong"):
            runs.labels(run, image.id)


def test_the_command_keeps_lists_and_compares(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        keep(project, "first", 10)
        keep(project, "second", 15)
        labels = KeptRuns(project).folder(KeptRuns(project).named("second"))
    assert command(["project", "runs", str(folder), "--json", str(tmp_path / "runs.json")]) == 0
    listed = capsys.readouterr().out
    assert "second" in listed
    assert "mIoU" in listed
    rows = json.loads((tmp_path / "runs.json").read_text())["runs"]
    assert [row["name"] for row in rows] == ["second", "first"]
    assert Path(rows[0]["labels"]) == labels
    np.testing.assert_array_equal(read_mask(labels / "a.jpg.png", VOC), labels_of(0, 15))
    assert command(["project", "runs", str(folder), "--compare", "first", "second", "--json", str(tmp_path / "c.json")]) == 0
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["images"], found["fixed_px"], found["made_px"]) == (3, 3 * 100, 0)
    assert found["kinds"][0]["low"] is not None
    assert "300 fixed" in capsys.readouterr().out
    assert command(["project", "runs", str(folder), "--compare", "first", "nothing"]) == 2
    assert "keeps no run 'nothing'" in capsys.readouterr().err
    assert command(["project", "runs", str(folder), "--remove", "first"]) == 0
    assert "first" not in capsys.readouterr().out
