"""``atrous project frames`` and ``atrous open VIDEO``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import run
from app.state.project import Project
from deeplab_core.datasets.video import frames_folder
from tests.unit.core.datasets.test_video import clip


def test_frames_become_a_folder_that_is_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = clip(tmp_path / "a.avi")
    assert run(["project", "frames", str(path), "--every", "10", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "a.avi: 64 x 48 px, 30 frames, 3.0 s" in said
    assert "about 3 frames" in said
    assert " free)" in said
    assert not frames_folder(path).exists()
    assert run(["project", "frames", str(path), "--every", "10"]) == 0
    assert "3 frames written to" in capsys.readouterr().out
    with Project.open(frames_folder(path)) as project:
        assert [record.relative_path for record in project.images] == [f"a_{number:06}.png" for number in (0, 10, 20)]
    assert run(["project", "frames", str(path), "--seconds", "0,5", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["plan", "summary"]
    assert (events[1]["written"], events[1]["kept"]) == (3, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--every", "2", "--seconds", "1"], "two ways to choose frames"),
        (["--start", "2", "--end", "1"], "--end is not behind --start"),
        (["--every", "0"], "--every"),
    ],
)
def test_contradictions_are_bad_usage(tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["project", "frames", str(clip(tmp_path / "a.avi")), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_video_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = clip(tmp_path / "a.mp4", frames=200, code="mp4v")
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    middle = (start + end) // 2
    path.write_bytes(bytes(data[:middle]) + bytes(end - middle) + bytes(data[end:]))  # the second half is empty
    status = run(["project", "frames", str(path)])
    said = capsys.readouterr()
    assert status == 1, said
    assert "ends after" in said.out or "could not be decoded" in said.out
    assert list(frames_folder(path).glob("*.png"))


def test_the_window_opens_the_frames_of_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import app.main

    opened: list[Path] = []
    monkeypatch.setattr(app.main, "main", lambda folder, **_more: opened.append(folder) or 0)
    path = clip(tmp_path / "a.avi")
    assert run([str(path), "--every", "15"]) == 0
    assert opened == [frames_folder(path)]
    assert len(list(opened[0].glob("*.png"))) == 2
    assert run(["open", str(tmp_path), "--every", "15"]) == 2
    assert "are for videos" in capsys.readouterr().err
