"""The command line before any network is loaded: usage, planning, messages, exit statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from app.cli import options, run
from app.cli.console import progress
from app.cli.plan import _without_suffix, plan_outputs
from app.paths import SAMPLE_PROJECT, copy_sample_project, model_folders
from deeplab_core import records


def photograph(path: Path, size: tuple[int, int] = (12, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)
    return path


def one_line_error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("atrous: ")
    return captured.err


def test_help_needs_neither_torch_nor_qt_nor_numpy() -> None:
    loaded = "sorted({'torch', 'PySide6', 'numpy', 'cv2'} & set(sys.modules))"
    code = f"import sys; from app.cli import run; run(['--help']); print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in ("predict", "evaluate", "export", "models", "doctor"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("atrous, version ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predcit"], "neither a folder of images nor one of the commands"),
        (["predict"], "Missing option"),
        (["predict", "nowhere", "--model", "m", "-o", "out"], "does not exist"),
        (["predict", ".", "--model", "m", "-o", "out", "--output-stride", "7"], "'7' is not one of"),
        (["predict", ".", "--model", "m", "-o", "out", "--scales", "1,big"], "not a list of numbers"),
        (["predict", ".", "--model", "m", "-o", "out", "--scales", "0,1"], "between 0.1 and 4"),
        (["predict", ".", "--modle", "m", "-o", "out"], "--model"),
        (["evaluate", "--prediction", ".", "--truth", ".", "--catalog", "voc21", "--bands", "0"], "1 to 40 px"),
        (["evaluate", "--prediction", ".", "--truth", ".", "--catalog", "voc21", "--bands", "x"], "not a list of widths"),
        (["evaluate", "--prediction", ".", "--truth", ".", "--catalog", "nothing"], "there is no catalog named 'nothing'"),
        (["models", "show", "nothing"], "no known model 'nothing'"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert says in one_line_error(capsys)


def test_window_without_a_screen_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert run([str(tmp_path)]) == 2
    assert "no screen here" in one_line_error(capsys)


class TestPlan:
    def test_paths_below_each_input_are_kept(self, tmp_path: Path) -> None:
        photograph(tmp_path / "one" / "a.jpg")
        photograph(tmp_path / "one" / "deep" / "b.png")
        single = photograph(tmp_path / "two" / "c.jpg")
        tasks = plan_outputs([tmp_path / "one", single], tmp_path / "out").tasks
        assert {task.output.relative_to(tmp_path / "out").as_posix() for task in tasks} == {"a.png", "deep/b.png", "c.png"}

    def test_equal_outputs_name_both(self, tmp_path: Path) -> None:
        first, second = photograph(tmp_path / "one" / "a.jpg"), photograph(tmp_path / "two" / "a.jpg")
        photograph(tmp_path / "two" / "b.jpg")
        plan = plan_outputs([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
        assert [task.name for task in plan.tasks] == ["b.jpg"]
        for _task, error in plan.refused:
            assert str(first) in str(error)
            assert str(second) in str(error)
            assert "output folder of its own" in error.remedy

    @pytest.mark.parametrize("pair", [("a.jpg", "a.png"), ("Z\u00fc.jpg", "Zu\u0308.jpg")])
    def test_an_equal_pair_of_one_folder_stops_only_itself(self, tmp_path: Path, pair: tuple[str, str]) -> None:
        for name in (*pair, "b.jpg", "c.png"):
            photograph(tmp_path / "in" / name)
        plan = plan_outputs([tmp_path / "in"], tmp_path / "out")
        assert {task.name for task in plan.tasks} == {"b.jpg", "c.png"}
        assert {task.name for task, _error in plan.refused} == set(pair)
        assert all(pair[0] in str(error) and pair[1] in str(error) for _task, error in plan.refused)
        kept = plan_outputs([tmp_path / "in"], tmp_path / "out", keep_suffix=True)
        if pair[0] == "a.jpg":
            assert kept.refused == ()
            assert {task.output.name for task in kept.tasks} == {"a.jpg.png", "a.png.png", "b.jpg.png", "c.png.png"}
        else:
            assert all("Rename" in error.remedy for _task, error in kept.refused)

    def test_a_photograph_where_a_mask_would_go_stops_only_its_image(self, tmp_path: Path) -> None:
        photograph(tmp_path / "in" / "a.jpg")
        photograph(tmp_path / "in" / "b.jpg")
        (tmp_path / "out").mkdir()
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)).save(tmp_path / "out" / "a.png")
        plan = plan_outputs([tmp_path / "in"], tmp_path / "out")
        assert [task.name for task in plan.tasks] == ["b.jpg"]
        assert "never replaced" in str(plan.refused[0][1])

    def test_what_is_left_out_is_reported(self, tmp_path: Path) -> None:
        photograph(tmp_path / "in" / "a.jpg")
        (tmp_path / "in" / "b.cr2").write_bytes(b"x")
        (said,) = plan_outputs([tmp_path / "in"], tmp_path / "out").left_out
        assert "b.cr2" in said

    def test_one_image_given_twice_is_one_task(self, tmp_path: Path) -> None:
        single = photograph(tmp_path / "one" / "a.jpg")
        assert len(plan_outputs([tmp_path / "one", single], tmp_path / "out").tasks) == 1

    def test_earlier_results_inside_the_input_are_no_images(self, tmp_path: Path) -> None:
        photograph(tmp_path / "a.jpg")
        photograph(tmp_path / "out" / "zzz.png")
        assert [task.name for task in plan_outputs([tmp_path], tmp_path / "out").tasks] == ["a.jpg"]

    def test_links_are_followed_to_what_they_are(self, tmp_path: Path) -> None:
        inside = photograph(tmp_path / "in" / "a.jpg")
        photograph(tmp_path / "out" / "deep" / "old.jpg")
        (tmp_path / "in" / "twice.jpg").symlink_to(inside)
        (tmp_path / "in" / "result.jpg").symlink_to(tmp_path / "out" / "deep" / "old.jpg")
        (tmp_path / "out" / "b.png").symlink_to(photograph(tmp_path / "in" / "b.jpg"))
        plan = plan_outputs([tmp_path / "in", tmp_path / "in" / "twice.jpg"], tmp_path / "out")
        assert [task.name for task in plan.tasks] == ["a.jpg", "twice.jpg"]  # one task for what was given twice
        assert [task.name for task, _ in plan.refused] == ["b.jpg"]

    @pytest.mark.parametrize(
        "name", ["a.jpg", "a.b.jpg", ".jpg", "a.", "a", "x.y/.jpg", "x.y/a", "x/a..jpg", "x/..a.jpg", "x/a.jpg."]
    )
    def test_a_name_loses_the_ending_that_a_path_has(self, name: str) -> None:
        assert _without_suffix(name) == Path(name).with_suffix("").as_posix()

    def test_a_mask_never_replaces_its_image(self, tmp_path: Path) -> None:
        photograph(tmp_path / "a.png")
        with pytest.raises(click.UsageError, match="would replace the image itself"):
            plan_outputs([tmp_path], tmp_path)

    def test_a_folder_without_images(self, tmp_path: Path) -> None:
        with pytest.raises(click.UsageError, match="no image found"):
            plan_outputs([tmp_path], tmp_path / "out")


def test_progress_without_a_terminal_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("predict", 3) as bar:
        for name in ("a", "b", "c"):
            bar.advance(name)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "predict 1/3 a"
    assert lines[-1] == "predict 3/3 c"


def test_model_folders_follow_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATROUS_MODEL_DIR", os.pathsep.join([str(tmp_path), str(tmp_path / "absent")]))
    assert model_folders()[-1] == tmp_path
    assert tmp_path / "absent" not in model_folders()


def test_copying_the_sample_project_keeps_what_was_changed(tmp_path: Path) -> None:
    copy_sample_project(tmp_path)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == sorted(path.name for path in (SAMPLE_PROJECT / "images").iterdir())
    mask = next((tmp_path / "masks").iterdir())
    mask.write_bytes(b"mine")
    copy_sample_project(tmp_path)
    assert mask.read_bytes() == b"mine"


def test_doctor_names_a_model_folder_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.doctor.PROBES", {})
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(tmp_path / "absent"))
    assert run(["doctor"]) == 1
    assert "absent, which is not a folder" in capsys.readouterr().err


class TestEvaluate:
    def test_the_masks_at_hand_of_the_sample_project(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        masks, truth = SAMPLE_PROJECT / "masks", SAMPLE_PROJECT / "truth"
        figures, page = tmp_path / "new" / "figures.json", tmp_path / "report.html"
        arguments = ["--prediction", str(masks), "--truth", str(truth), "--catalog", "voc21"]
        assert run(["evaluate", *arguments, "--json", str(figures), "--html", str(page)]) == 0
        shown = capsys.readouterr().out
        pooled = json.loads(figures.read_text())["pooled"]
        assert f"{pooled['mean_iou']:.4f}" in shown
        assert 0.2 < pooled["mean_iou"] < 0.95
        assert page.read_text().startswith("<!doctype html>")

    def test_truth_against_itself_is_perfect(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        truth = str(SAMPLE_PROJECT / "truth")
        assert run(["evaluate", "--prediction", truth, "--truth", truth, "--catalog", "voc21"]) == 0
        assert "mIoU  1.0000" in capsys.readouterr().out

    def test_a_cache_takes_what_has_not_changed(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        copy_sample_project(tmp_path)
        for path in tmp_path.rglob("*.png"):
            os.utime(path, (1_700_000_000, 1_700_000_000))
        arguments = ["--prediction", str(tmp_path / "masks"), "--truth", str(tmp_path / "truth"), "--catalog", "voc21"]
        arguments += ["--no-boundary", "--resamples", "0", "--cache", str(tmp_path / "cache")]
        assert run(["evaluate", *arguments]) == 0
        first = capsys.readouterr()
        assert "taken from" not in first.err
        assert run(["evaluate", *arguments]) == 0
        second = capsys.readouterr()
        assert "24 of 24 pairs taken from" in second.err
        assert second.out == first.out
        (tmp_path / "cache").write_bytes(b"something else, and long enough to be read as a database" * 20)
        assert run(["evaluate", *arguments]) == 2
        assert "cannot be used as a cache" in capsys.readouterr().err

    def test_a_file_of_another_size_fails_alone(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        copy_sample_project(tmp_path)
        odd = min((tmp_path / "masks").glob("*.png"))
        Image.new("P", (5, 5)).save(odd)
        arguments = ["--prediction", str(tmp_path / "masks"), "--truth", str(tmp_path / "truth"), "--catalog", "voc21"]
        assert run(["evaluate", *arguments]) == 1
        captured = capsys.readouterr()
        assert odd.name in captured.err
        assert "pooled over 23 images" in captured.out


@pytest.mark.parametrize("group", ["models", "project"])
def test_a_group_alone_prints_its_help_in_lines(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == f"Usage: atrous {group} [OPTIONS] COMMAND [ARGS]..."
    assert "Commands:" in captured.err.splitlines()


def test_the_choices_of_output_stride_are_those_of_the_core() -> None:
    assert options.OUTPUT_STRIDES == records.OUTPUT_STRIDES
