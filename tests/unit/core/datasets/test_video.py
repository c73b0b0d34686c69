"""Frames of a video: which ones, how they are turned, what is damaged, and that a stopped run goes on."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deeplab_core.datasets import find_images, video
from deeplab_core.datasets.video import FrameChoice, frame_times, frames_folder, is_video, plan_frames, probe_video, take_frames
from deeplab_core.errors import ImageReadError, StorageError
from deeplab_core.images import read_image

WIDTH, HEIGHT = 64, 48


def clip(path: Path, frames: int = 30, rate: float = 10, code: str = "MJPG") -> Path:
    """A video in which the square at the top left has 8 times the frame's number as its grey, and a corner is red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, (WIDTH, HEIGHT))  # type: ignore[attr-defined]
    assert writer.isOpened()
    for number in range(frames):
        picture = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        picture[:16, :16] = number * 8 % 256
        picture[-16:, :16] = (0, 0, 255)
        writer.write(picture)
    writer.release()
    return path


def taken(path: Path, choice: FrameChoice, **options: Any) -> tuple[video.FrameSummary, list[str]]:
    plan = plan_frames(path, choice)
    summary = take_frames(plan, choice, **options)
    return summary, find_images(plan.folder) if plan.folder.is_dir() else []


def numbers(names: list[str]) -> list[int]:
    return [int(Path(name).stem.rpartition("_")[2]) for name in names]


def times(path: Path, *runs: tuple[int, int]) -> Path:
    """Give the frames of an MP4 file other durations: (how many, in 1/10240 s) each."""
    data = bytearray(path.read_bytes())
    place = data.index(b"stts") - 4
    size = struct.unpack_from(">I", data, place)[0]
    box = struct.pack(">I4sII", 16 + 8 * len(runs), b"stts", 0, len(runs)) + b"".join(struct.pack(">II", *run) for run in runs)
    grown = len(box) - size
    moov = data.index(b"moov") - 4
    assert moov > data.index(b"mdat")  # so no offset moves
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = data.index(name, moov) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + grown)
    data[place : place + size] = box
    if b"edts" in data:
        data[data.index(b"edts") : data.index(b"edts") + 4] = b"free"  # the edit list would cut what is longer now
    path.write_bytes(data)
    return path


def turned(path: Path) -> Path:
    """Turn an MP4 file by 90 degrees, as phones do: by a matrix in its header."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 16
    struct.pack_into(">9i", data, place, 0, 65536, 0, -65536, 0, 0, HEIGHT * 65536, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("code", "name"), [("MJPG", "a.avi"), ("mp4v", "a.mp4"), ("mp4v", "a.mov"), ("VP80", "a.webm")])
def test_every_nth_frame_is_that_frame(tmp_path: Path, code: str, name: str) -> None:
    path = clip(tmp_path / name, code=code)
    info = probe_video(path)
    assert (info.width, info.height, info.declared, round(info.rate)) == (WIDTH, HEIGHT, 30, 10)
    summary, names = taken(path, FrameChoice(every=7))
    assert names == [f"a_{number:06}.png" for number in (0, 7, 14, 21, 28)]
    assert (summary.written, summary.kept, summary.failed, summary.problems) == (5, 0, [], [])
    for number, found in zip(numbers(names), names, strict=True):
        rgb = read_image(frames_folder(path) / found).rgb
        assert abs(float(rgb[3:13, 3:13].mean()) - number * 8) < 6
    assert frame_times(frames_folder(path))["a_000014.png"] == pytest.approx(1.4, abs=0.01)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (FrameChoice(every=None, seconds=0.5), [0, 5, 10, 15, 20, 25]),
        (FrameChoice(every=None, seconds=0.25), [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28]),
        (FrameChoice(every=10, start=0.5), [10, 20]),
        (FrameChoice(every=None, seconds=1, start=0.95, end=2.5), [10, 20]),
        (FrameChoice(every=None, seconds=0.01), list(range(30))),
        (FrameChoice(every=100), [0]),
    ],
)
def test_frames_by_time_and_between(tmp_path: Path, choice: FrameChoice, expected: list[int]) -> None:
    path = clip(tmp_path / "a.mp4", code="mp4v")
    summary, names = taken(path, choice)
    assert numbers(names) == expected
    assert summary.problems == []


def test_a_variable_rate_counts_by_the_times_of_the_frames(tmp_path: Path) -> None:
    # 10 frames of 0.1 s, 10 of 0.5 s, 10 of 0.1 s: 7 s, a mean of some 4 frames a second.
    path = times(clip(tmp_path / "a.mp4", code="mp4v"), (10, 1024), (10, 5120), (10, 1024))
    _, names = taken(path, FrameChoice(every=None, seconds=1))
    assert numbers(names) == [0, 10, 12, 14, 16, 18, 20]
    known = frame_times(frames_folder(path))
    assert [round(known[name], 1) for name in names] == [0, 1, 2, 3, 4, 5, 6]


def test_videos_of_phones_are_turned(tmp_path: Path) -> None:
    path = turned(clip(tmp_path / "a.mp4", code="mp4v"))
    info = probe_video(path)
    assert (info.width, info.height, info.rotation) == (HEIGHT, WIDTH, 90)
    _, names = taken(path, FrameChoice(every=15))
    rgb = read_image(frames_folder(path) / names[0]).rgb
    assert rgb.shape == (WIDTH, HEIGHT, 3)
    assert rgb[5, 5, 0] > 150  # the red corner came from the bottom left
    assert rgb[5, 5, 1] < 100


def test_a_stopped_run_goes_on_and_a_finer_choice_adds(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi")
    asked = iter([False] * 12 + [True])
    summary, names = taken(path, FrameChoice(every=5), cancel=lambda: next(asked))
    assert summary.cancelled
    assert numbers(names) == [0, 5, 10]
    before = {name: (frames_folder(path) / name).stat().st_mtime_ns for name in names}
    plan = plan_frames(path, FrameChoice(every=5))
    assert (plan.there, plan.frames) == (3, 6)
    summary, names = taken(path, FrameChoice(every=5))
    assert (summary.written, summary.kept, summary.cancelled) == (3, 3, False)
    summary, names = taken(path, FrameChoice(every=3, kind="jpg"))
    assert numbers(names) == sorted({*range(0, 30, 5), *range(0, 30, 3)})
    assert {name: (frames_folder(path) / name).stat().st_mtime_ns for name in before} == before
    assert set(frame_times(frames_folder(path))) == set(names)


def test_a_video_that_ends_early_says_so_and_keeps_what_there_is(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", frames=200)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    choice = FrameChoice(every=10)
    try:
        plan = plan_frames(path, choice)
    except ImageReadError:
        pytest.fail("half of a video has frames")
    summary = take_frames(plan, choice)
    assert summary.written >= 5
    if plan.info.declared > summary.read:
        assert "ends after" in summary.problems[0]


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"#EXTM3U\nhttp://localhost/a.ts\n", b"\x1aE\xdf\xa3" + b"\0" * 500])
def test_what_is_no_video_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageReadError) as raised:
        plan_frames(path, FrameChoice())
    assert raised.value.path == path
    assert raised.value.remedy
    assert not frames_folder(path).exists()


def test_a_name_with_a_percent_sign_is_a_file(tmp_path: Path) -> None:
    path = clip(tmp_path / "plain.avi").rename(tmp_path / "a%03d.avi")
    assert probe_video(path).declared == 30


def test_names_of_other_systems(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi").rename(tmp_path / "häuser 한국.avi")
    assert len(taken(path, FrameChoice())[1]) == 3
    foreign = clip(tmp_path / "b.avi").rename(tmp_path / os.fsdecode(b"caf\xe9.avi"))
    with pytest.raises(ImageReadError, match="not text"):
        plan_frames(foreign, FrameChoice())


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi")
    frames_folder(path).mkdir()
    (frames_folder(path) / "mine.txt").write_text("x")
    with pytest.raises(StorageError, match="other files"):
        plan_frames(path, FrameChoice())
    other = clip(tmp_path / "b.avi", frames=12)
    taken(other, FrameChoice())
    with pytest.raises(StorageError, match=r"another video, b\.avi"):
        plan_frames(path, FrameChoice(), frames_folder(other))
    (frames_folder(other) / video.RECORD_NAME).write_text("{")
    with pytest.raises(StorageError):
        plan_frames(other, FrameChoice())


def test_the_need_of_disk_is_stated_before_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.avi")
    plan = plan_frames(path, FrameChoice(every=2))
    assert plan.frames == 15
    summary = take_frames(plan, FrameChoice(every=2))
    real = sum((plan.folder / name).stat().st_size for name in find_images(plan.folder))
    assert 0.5 * real < plan.nbytes < 2 * real
    assert summary.written == 15
    other = clip(tmp_path / "b.avi")
    monkeypatch.setattr(video.shutil, "disk_usage", lambda _path: os.terminal_size((1, 1)) and type("Free", (), {"free": 100}))
    small = plan_frames(other, FrameChoice(every=2))
    assert not small.fits
    with pytest.raises(StorageError, match="are free"):
        take_frames(small, FrameChoice(every=2))
    assert not small.folder.exists()


def test_frames_that_cannot_be_decoded_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.avi")
    plan = plan_frames(path, FrameChoice(every=10))
    real = video._decoded
    calls = iter(range(100))
    monkeypatch.setattr(video, "_decoded", lambda capture: None if next(calls) == 1 else real(capture))
    summary = take_frames(plan, FrameChoice(every=10))
    assert (summary.written, summary.failed) == (2, [10])
    assert any("could not be decoded: 10." in line for line in video.summary_text(plan, summary))
    json.dumps(summary.to_dict())


@pytest.mark.parametrize("values", [{"every": 0}, {"every": None}, {"seconds": 1.0}, {"start": 3.0, "end": 2.0}])
def test_choices_that_contradict_themselves(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        FrameChoice(**values)


def test_endings() -> None:
    assert is_video("A.MP4")
    assert not is_video("a.png")
