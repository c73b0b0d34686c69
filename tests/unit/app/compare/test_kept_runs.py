"""Runs that a project keeps: labels of their moment, facts, figures, and what a stranger may have made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run as command
from app.paths import whole_setting
from app.state.comparison import VARIANTS, ModelSetting
from app.state.data_choices import settle
from app.state.kept_runs import RUNS, KeptRun, KeptRuns
from app.state.project import Project
from app.state.run_sides import RunSide, change_of, settings_text, truth_note
from app.state.samples import load_sample
from deeplab_core.analysis.difference import RunDifference
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.editing import add_class, merge_classes, rename_class
from deeplab_core.errors import ProjectError, ProjectLocked, StorageError
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.truth_hash import ground_truth_hash, label_map_hash
from deeplab_core.records import PredictOptions
from deeplab_core.refine.parameters import preset

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
        assert list((project.directory / RUNS / "1.part").iterdir())
        runs = keep(project, "whole", 10)
        (run,) = runs.all()
        assert [path.name for path in (project.directory / RUNS).iterdir()] == [str(run.number)]  # nothing of the half is left
        assert len(list(runs.folder(run).iterdir())) == 3


def test_nothing_is_removed_behind_a_link(folder: Path, tmp_path: Path) -> None:
    for name in ("7", "8.part"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "thesis.txt").write_text("years of work")
    with Project.open(folder, catalog=VOC) as project:
        (project.directory / RUNS).symlink_to(tmp_path / "data", target_is_directory=True)
        with pytest.raises(ProjectError, match="does not belong"):
            KeptRuns(project).begin("x", "a model")
    assert sorted(path.parent.name for path in (tmp_path / "data").rglob("*.txt")) == ["7", "8.part"]


@pytest.mark.parametrize("damage", ["facts", "database"])
def test_complete_labels_stay_where_their_facts_are_lost(folder: Path, damage: str) -> None:
    with Project.open(folder, catalog=VOC) as project:
        labels = KeptRuns(project).folder(keep(project, "paper", 10).named("paper"))
        if damage == "facts":
            facts = project.setting("kept_run.1")
            project.set_setting("kept_run.1", facts | {"mean_iou": "high"})
        else:  # as in an older backup
            project.drop_setting("kept_run.1")
            project.drop_setting("kept_runs.newest")
        assert KeptRuns(project).all() == []
        runs = keep(project, "next", 15)
        assert len(list(labels.iterdir())) == 3
        np.testing.assert_array_equal(read_mask(labels / "a.jpg.png", VOC), labels_of(0, 10))
        assert [run.number for run in runs.all()] == [2]


def test_a_run_of_an_impossible_time_is_left_out(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = keep(project, "good", 10)
        for number, created in enumerate((1e300, -1e300, float("nan"), float("inf")), 2):
            facts = project.setting("kept_run.1")
            project.set_setting(f"kept_run.{number}", facts | {"number": number, "created": created})
        assert [run.name for run in runs.all()] == ["good"]
    assert command(["project", "runs", str(folder)]) == 0


def test_a_run_from_before_the_count_of_runs_is_read(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        keep(project, "old", 10)
        project.drop_setting("kept_runs.newest")
        runs = keep(project, "new", 15)
        assert [(run.number, run.name) for run in runs.all()] == [(2, "new"), (1, "old")]
        np.testing.assert_array_equal(runs.labels(runs.named("old"), project.images[0].id), labels_of(0, 10))


def test_no_number_is_given_twice(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = keep(project, "first", 10)
        first = runs.named("first")
        runs.remove(first)
        second = keep(project, "second", 15).named("second")
        assert second.number != first.number
        assert runs.labels(first, project.images[0].id) is None


def test_a_run_whose_facts_cannot_be_written_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = KeptRuns(project)
        recorder = runs.begin("full", "a model")
        recorder.add(project.images[0].id, labels_of(0, 10), None)
        with monkeypatch.context() as patch:
            patch.setattr(Project, "set_setting", _full_disk)
            with pytest.raises(StorageError):
                recorder.finish()
        assert runs.all() == []
        run = keep(project, "whole", 10).named("whole")
        assert [path.name for path in (project.directory / RUNS).iterdir()] == [str(run.number)]


def _full_disk(*_arguments: object) -> None:
    raise StorageError("the file cannot be written", why="The disk is full")


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


def test_the_command_compares_with_the_lists_of_objects(folder: Path, tmp_path: Path) -> None:
    (folder.parent / "objects").mkdir()
    chair = {"voc_id": CHAIR, "box": [5, 5, 25, 25], "visible_px": 400, "visible_fraction": 0.2, "truncated": False}
    for name in ("a", "b", "c"):
        (folder.parent / "objects" / f"{name}.json").write_text(json.dumps({"objects": [chair]}))
    with Project.open(folder, catalog=VOC) as project:
        keep(project, "first", 10)
        keep(project, "second", 15)
    assert command(["project", "runs", str(folder), "--compare", "first", "second", "--json", str(tmp_path / "c.json")]) == 0
    kinds = {row["kind"]: row for row in json.loads((tmp_path / "c.json").read_text())["kinds"]}
    row = kinds["low_visible"]
    assert row["measured"]
    assert (row["before"], row["fixed"]) == (3 * 200, 3 * 100)


def difference_of(project: Project, run: KeptRun, images: int) -> RunDifference:
    difference = RunDifference(project.catalog)
    for record in project.images[:images]:
        change = change_of(project, record.id, (RunSide("run", kept=run), RunSide("run", kept=run)))
        difference.add(str(record.id), change)
    return difference


def test_other_ground_truth_than_that_of_a_kept_run_is_named(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        settle(project)
        (run,) = keep(project, "first", 10).all()

        def note(images: int = 3) -> str:
            return truth_note(run, difference_of(project, run, images), lambda image: project.record(int(image)).relative_path)

        assert note() == ""
        assert note(2).startswith("Only 2 images of run 'first' are compared")
        assert truth_note(replace(run, truth_sha256=""), difference_of(project, run, 3), str) == "", "it was kept without figures"
        write_mask(folder.parent / "truth" / "b.png", labels_of(1, 21), VOC)
        assert note().startswith("The ground truth has changed since run 'first' was kept")


def test_lost_runs_are_listed_and_kept_again_or_deleted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder, catalog=VOC) as project:
        settle(project)
        before = keep(project, "paper", 10).named("paper")
        keep(project, "other", 15)
        for number in (1, 2):
            project.drop_setting(f"kept_run.{number}")  # as in an older backup
        runs = KeptRuns(project)
        (project.directory / RUNS / "9.part").mkdir()
        assert [(lost.number, lost.images) for lost in runs.lost()] == [(2, 3), (1, 3)]
        assert runs.used() == sum(lost.bytes for lost in runs.lost())
        run = runs.take_in(runs.lost()[1], "again", lambda image: load_sample(project, image, labels="none").scored)
        assert (run.number, run.name, run.images, run.scored, run.iou) == (1, "again", 3, 3, before.iou)
        assert run.truth_sha256 == before.truth_sha256
        np.testing.assert_array_equal(runs.labels(run, project.images[0].id), labels_of(0, 10))
        assert [lost.number for lost in runs.lost()] == [2]
    assert command(["project", "runs", str(folder)]) == 0
    assert "--take-in 2 NAME" in capsys.readouterr().out
    assert command(["project", "runs", str(folder), "--take-in", "2", "second"]) == 0
    assert "second" in capsys.readouterr().out
    assert command(["project", "runs", str(folder), "--take-in", "7", "x"]) == 2
    with Project.open(folder) as project:
        project.drop_setting("kept_run.2")
        labels = project.directory / RUNS / "2"
    assert command(["project", "runs", str(folder), "--remove", "2"]) == 0
    assert not labels.exists()


def test_runs_take_no_more_space_than_they_may(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = keep(project, "first", 10)
        used = runs.used()
        with pytest.raises(ProjectError, match="may take"):
            runs.begin("second", "a model", most_bytes=used)
        recorder = runs.begin("second", "a model", most_bytes=used + 10)
        for number, record in enumerate(project.images):
            recorder.add(record.id, labels_of(number, 15), None)
        assert recorder.outgrown
        with pytest.raises(ProjectError, match="may take"):
            recorder.finish()
        assert [run.name for run in runs.all()] == ["first"]
        recorder = runs.begin("third", "a model", most_bytes=2 * used + 1000)
        for number, record in enumerate(project.images):
            recorder.add(record.id, labels_of(number, 15), None)
        recorder.finish()
        assert [run.name for run in runs.all()] == ["third", "first"]


def test_runs_follow_edits_of_the_classes_and_say_which_they_cannot(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        runs = keep(project, "first", 10)
        run, image = runs.named("first"), project.images[0].id
        project.edit_classes(merge_classes(project.catalog, [SOFA], CHAIR))
        expected = np.where(labels_of(0, 10) == SOFA, CHAIR, labels_of(0, 10))
        np.testing.assert_array_equal(runs.labels(run, image), expected)
        merged = keep_labels(project, "merged", expected)
        project.undo_class_edit()
        np.testing.assert_array_equal(runs.labels(run, image), labels_of(0, 10))
        with pytest.raises(ProjectError, match="was kept") as refused:
            runs.labels(merged, image)
        assert "was undone since" in str(refused.value.why)
        old = replace(run, edits=None, catalog="another")
        assert "did not note the classes" in str(runs.unreadable(old))
        assert "was 'throne' then" in str(runs.unreadable(replace(run, catalog="another", names={str(CHAIR): "throne"})))
        strange = replace(run, catalog="another", names={"?": "throne"})  # of a damaged project, or someone else's
        assert "? was 'throne' then" in str(runs.unreadable(strange))


def test_runs_follow_the_undo_of_an_edit_that_moved_no_pixel(folder: Path) -> None:
    with Project.open(folder, catalog=VOC) as project:
        image = project.images[0].id
        project.edit_classes(rename_class(project.catalog, CHAIR, "throne"))
        run = keep_labels(project, "renamed", labels_of(0, 10))
        project.undo_class_edit()
        np.testing.assert_array_equal(KeptRuns(project).labels(run, image), labels_of(0, 10))
        project.edit_classes(add_class(project.catalog, "stool"))
        added = keep_labels(project, "added", labels_of(0, 10))
        project.undo_class_edit()
        with pytest.raises(ProjectError, match="was kept"):
            KeptRuns(project).labels(added, image)


def test_the_command_line_keeps_the_bound_of_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(folder, catalog=VOC) as project:
        keep(project, "first", 10)
    asked = []

    def bound(key: str) -> int:
        asked.append(key)
        return 0

    monkeypatch.setattr("app.paths.whole_setting", bound)
    assert command(["project", "runs", str(folder), "--keep", "second"]) != 0
    assert asked == ["work.runs_megabytes"]
    assert "may take" in capsys.readouterr().err


def test_a_number_of_the_settings_file_counts_if_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.folders.settings_file", lambda: tmp_path / "settings.toml")
    for text, expected in (("7", 7), ("0", 2048), ("true", 2048), ("'7'", 2048)):
        (tmp_path / "settings.toml").write_text(f"[work]\nruns_megabytes = {text}\n")
        assert whole_setting("work.runs_megabytes") == expected
    (tmp_path / "settings.toml").write_text("no toml")
    assert whole_setting("work.runs_megabytes") == 2048


def keep_labels(project: Project, name: str, labels: np.ndarray) -> KeptRun:
    recorder = KeptRuns(project).begin(name, "a model")
    recorder.add(project.images[0].id, labels, None)
    return recorder.finish()


def test_settings_of_a_run_name_what_a_setting_of_compare_changes() -> None:
    assert settings_text(PredictOptions()) == ""
    assert settings_text(PredictOptions(crf=preset("v1"), engine="onnx")) == "CRF v1, engine ONNX Runtime"
    assert settings_text(PredictOptions(crf=preset("v2"), engine="auto")) == "CRF v2, engine auto"
    assert settings_text(PredictOptions(crf=replace(preset("v2"), iterations=3))) == "CRF"
    texts = [settings_text(ModelSetting(Path("m.pth"), name).apply(PredictOptions())) for name in VARIANTS]
    assert all(texts)
    assert len(set(texts)) == len(texts)
