"""Files that commands write never take the place of a photograph, and of a file of another kind only with --overwrite."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.cli.console import write_json
from app.paths import copy_sample_project
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ProtectedFile
from deeplab_core.masks.png import write_indexed_png


def photograph(path: Path) -> bytes:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path, "PNG")
    return path.read_bytes()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return copy_sample_project(tmp_path / "sample")


def commands(sample: Path, file: Path) -> dict[str, list[str]]:
    pair = ["--prediction", str(sample / "masks"), "--truth", str(sample / "truth"), "--catalog", "voc21"]
    report = sample / "report.json"
    return {
        "evaluate --json": ["evaluate", *pair, "--no-boundary", "--resamples", "0", "--json", str(file)],
        "evaluate --html": ["evaluate", *pair, "--no-boundary", "--resamples", "0", "--html", str(file)],
        "compare --json": ["compare", str(report), str(report), "--json", str(file)],
        "inspect --json": ["inspect", *pair, "--json", str(file)],
        "rank --json": ["rank", str(sample / "images"), "--model", "rooms-voc", "--json", str(file)],
        "refine --report": [
            "refine", str(sample / "images"), "--search", "--model", "rooms-voc", "--truth", str(sample / "truth"),
            "--report", str(file),
        ],
        "models export": ["models", "export", "rooms-voc", "-o", str(file), "--force"],
        "models convert": ["models", "convert", "rooms-voc", "-o", str(file), "--force"],
    }  # fmt: skip


NAMES = tuple(commands(Path(), Path()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("insist", [False, True])
def test_a_photograph_stays(sample: Path, capsys: pytest.CaptureFixture[str], name: str, insist: bool) -> None:
    ending = {"models export": ".onnx", "models convert": ".safetensors"}.get(name, ".png")
    target = sample / f"a{ending}"
    before = photograph(target)
    (sample / "report.json").write_text("{}")
    arguments = commands(sample, target)[name]
    if insist and not name.startswith("models"):
        arguments.insert(1, "--overwrite")
    assert run(arguments) != 0
    said = capsys.readouterr().err
    assert "never replaced" in said
    assert str(target) in said
    assert target.read_bytes() == before


REPORTS = [name for name in NAMES if not name.startswith("models")]


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("mask", ["masks", "truth", "colours", "own"])
def test_a_mask_stays_whatever_is_insisted_on(sample: Path, capsys: pytest.CaptureFixture[str], name: str, mask: str) -> None:
    target = next((sample / mask).glob("*.png")) if mask in ("masks", "truth") else sample / "mask.png"
    labels = np.zeros((50, 60), np.uint8)
    labels[10:30] = 15
    if mask == "colours":
        Image.fromarray(get_catalog("voc21").palette()[labels]).save(target)
    elif mask == "own":
        write_indexed_png(target, labels, get_catalog("voc21"))
    before = target.read_bytes()
    (sample / "report.json").write_text("{}")
    arguments = commands(sample, target)[name]
    arguments.insert(1, "--overwrite")
    assert run(arguments) == 2
    assert "never replaced" in capsys.readouterr().err
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["compare", "a.json", "b.json", "--json", "a.json"], "a.json"),
        (["compare", "a.json", "b.json", "--json", "x/../b.json"], "b.json"),
        (["compare", "a.json", "b.json", "--json", "linked.json"], "a.json"),
        (["evaluate", "--prediction", "m", "--truth", "m", "--catalog", "c.json", "--json", "c.json"], "c.json"),
        (["evaluate", "--prediction", "m", "--truth", "m", "--catalog", "c.json", "--html", "c.json", "--overwrite"], "c.json"),
        (["evaluate", "--prediction", "m", "--truth", "m", "--catalog", "voc21", "--json", "r", "--html", "r"], "r"),
        (["inspect", "--prediction", "m", "--truth", "m", "--catalog", "c.json", "--json", "./c.json", "--overwrite"], "c.json"),
        (["rank", "m", "--model", "net.pth", "--json", "net.pth", "--overwrite"], "net.pth"),
        (["refine", "m", "--search", "--model", "net.pth", "--truth", "m", "--report", "net.pth", "--overwrite"], "net.pth"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_a_command_reads_it_does_not_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "b.json", "c.json", "net.pth"):
        Path(name).write_text('{"kept": 1}')
    Path("m").mkdir()
    Path("x").mkdir()
    os.link("a.json", "linked.json")
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert "choose another name" in said
    assert not Path(file).exists() or Path(file).read_text() == '{"kept": 1}'


@pytest.mark.parametrize("name", REPORTS)
def test_a_file_of_another_kind_needs_a_word(sample: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    target = sample / "thesis.txt"
    target.write_text("ten years of work")
    (sample / "report.json").write_text("{}")
    assert run(commands(sample, target)[name]) == 2
    said = capsys.readouterr().err
    assert "--overwrite" in said
    assert target.read_text() == "ten years of work"


@pytest.mark.parametrize("name", NAMES)
def test_a_link_is_not_written_through(sample: Path, name: str) -> None:
    precious = sample / "precious"
    precious.write_text("{}")
    ending = {"models export": ".onnx", "models convert": ".safetensors"}.get(name, ".json")
    target = sample / f"link{ending}"
    target.symlink_to(precious)
    (sample / "report.json").write_text("{}")
    assert run(commands(sample, target)[name]) != 0
    assert precious.read_text() == "{}"


def test_reports_replace_reports(sample: Path) -> None:
    numbers, page = sample / "a.json", sample / "a.html"
    arguments = commands(sample, numbers)["evaluate --json"]
    for _ in range(2):
        assert run([*arguments, "--html", str(page)]) == 0
    assert json.loads(numbers.read_text(encoding="utf-8"))["format"]
    other = sample / "other.txt"
    other.write_text("text")
    assert run([*commands(sample, other)["evaluate --html"], "--overwrite"]) == 0
    assert other.read_text(encoding="utf-8").startswith("<!doctype html")
    other.write_bytes(b"")
    assert run(commands(sample, other)["evaluate --json"]) == 0


def test_the_door_itself_refuses(tmp_path: Path) -> None:
    before = photograph(tmp_path / "a.png")
    with pytest.raises(ProtectedFile):
        write_json(tmp_path / "a.png", {})
    assert (tmp_path / "a.png").read_bytes() == before
