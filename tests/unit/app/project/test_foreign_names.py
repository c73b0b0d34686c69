"""A name that is not UTF-8 goes through project, export and command line without a loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.ambiguous import export_marks, write_marks
from app.state.image_record import ImageRecord, ImageStatus, twins
from app.state.project import Project
from app.text import displayed
from app.viewmodels.project.image_list import ImageRow
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.masks.read import read_mask
from tests.unit.app.folders import SHAPE, image_id, make_image, same, stroke

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are any bytes on Linux only")

FOREIGN = os.fsdecode(b"\xbb\xe7\xc1\xf8 %41.png")  # a name of a Korean Windows, and what a percent-encoding might trip over
FOLDER = os.fsdecode(b"\xb9\xe6")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER / "photos"
    for seed, name in enumerate((FOREIGN, f"sub/{FOREIGN}", "ok.png")):
        make_image(folder / name, seed)
    return folder


def test_a_project_keeps_name_and_work(folder: Path) -> None:
    with Project.open(folder) as project:
        assert {record.relative_path for record in project.images} == {FOREIGN, f"sub/{FOREIGN}", "ok.png"}
        assert all(project.path_of(record).is_file() for record in project.images)
        image = image_id(project, FOREIGN)
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        stroke(project, image, document, 2)  # in the journal only
        project.set_status(image, ImageStatus.REVIEWED)
        project.set_failed(image_id(project, f"sub/{FOREIGN}"), f"{FOREIGN} cannot be read")
        project.set_setting("truth", str(folder / FOREIGN))
    with Project.open(folder) as project:
        record = project.record(image_id(project, FOREIGN))
        assert record.status is ImageStatus.REVIEWED
        assert same(project.load(record.id).document, document)
        assert project.record(image_id(project, f"sub/{FOREIGN}")).note == f"{FOREIGN} cannot be read"
        assert project.setting("truth") == str(folder / FOREIGN)
        assert project.report.moved == project.report.missing == ()


def test_plain_texts_are_decoded_by_the_database_and_foreign_ones_by_their_mark(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = (str, str)
    with Project.open(folder) as project:
        query = "SELECT path, note FROM images ORDER BY path"
        assert project._store.rows(query, (), kinds) == project._store.rows(query)
        assert (FOREIGN, "") in project._store.rows(query, (), kinds)
        monkeypatch.setattr("app.state.careful._from_text", None)  # would be called
        assert project._store.rows(f"{query} LIMIT 1 OFFSET 2", (), kinds) == [("ok.png", "")]


def test_an_image_that_gets_or_loses_such_a_name_takes_its_mask_along(folder: Path) -> None:
    with Project.open(folder) as project:
        image = image_id(project, FOREIGN)
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        project.content_key(image)
    for old, new in ((FOREIGN, "plain.png"), ("plain.png", FOREIGN)):
        (folder / old).rename(folder / new)
        with Project.open(folder) as project:
            assert project.report.moved == ((old, new),)
            assert same(project.load(image_id(project, new)).document, document)


def test_a_lost_database_is_made_again_from_the_masks(folder: Path) -> None:
    with Project.open(folder) as project:
        image = image_id(project, FOREIGN)
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    with Project.open(folder) as project:
        assert same(project.load(image_id(project, FOREIGN)).document, document)


def test_export_and_marks_keep_the_name(folder: Path, tmp_path: Path) -> None:
    with Project.open(folder) as project:
        image = image_id(project, FOREIGN)
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        project.set_status(image, ImageStatus.REVIEWED)
        write_marks(project, image, AmbiguousMarks(*SHAPE).marked(np.ones((3, 3), bool)))
        assert export_marks(project, tmp_path / "marks") == 1
        assert (tmp_path / "marks" / FOREIGN).with_suffix(".ambiguous.json").is_file()
    assert run(["export", str(folder), "-o", str(tmp_path / "coco"), "--format", "coco_rle"]) == 0
    assert run(["export", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert np.array_equal(read_mask(tmp_path / "out" / FOREIGN, get_catalog("voc21")), document.labels)


def test_the_command_line_prints_json_that_reads_back(folder: Path, tmp_path: Path) -> None:
    arguments = ["predict", str(folder), "--model", "rooms-voc", "-o", str(tmp_path / "out"), "--json"]
    done = subprocess.run([sys.executable, "-m", "app", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    images = {line["image"] for line in lines if line["event"] == "predicted"}
    assert images == {str(folder / name) for name in (FOREIGN, f"sub/{FOREIGN}", "ok.png")}
    assert (tmp_path / "out" / FOREIGN).is_file()


def test_texts_for_the_window_show_a_replacement() -> None:
    record = ImageRecord(1, FOREIGN, 1, 1)
    row = ImageRow(record, 0)
    for text in (row.title, row.tooltip, record.shown, displayed(FOREIGN)):
        assert "\N{REPLACEMENT CHARACTER}" in text
        text.encode()
    assert displayed("Zürich 의자") == "Zürich 의자"


def test_an_equal_pair_is_shown_with_its_endings() -> None:
    records = [ImageRecord(number, name, 1, 1) for number, name in enumerate(("x/a.jpg", "x/a.png", "a.jpg", "x/b.jpg"))]
    assert twins(records) == {0, 1}
    assert [ImageRow(record, 0, has_twin=record.id in twins(records)).title for record in records] == ["a.jpg", "a.png", "a", "b"]
    assert twins([ImageRecord(0, "Z\u00fc.jpg", 1, 1), ImageRecord(1, "Zu\u0308.jpg", 1, 1)]) == {0, 1}


def test_two_names_that_end_alike_keep_their_own_work(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for seed, name in enumerate(("a.jpg", "a.png")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)).save(path)
    with Project.open(folder) as project:
        for name in ("a.jpg", "a.png"):
            image = image_id(project, name)
            project.set_status(image, ImageStatus.REVIEWED)
            write_marks(project, image, AmbiguousMarks(*SHAPE).marked(np.ones((3, 3), bool)))
        assert export_marks(project, tmp_path / "marks") == 2
    assert {path.name for path in (tmp_path / "marks").iterdir()} == {"a.jpg.ambiguous.json", "a.png.ambiguous.json"}


def test_reports_and_lists_hold_such_names(folder: Path, tmp_path: Path) -> None:
    for place in ("p", "t"):
        for name in (FOREIGN, f"sub/{FOREIGN}", "ok.png"):
            path = tmp_path / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = Image.fromarray(np.zeros(SHAPE, np.uint8))
            mask.putpalette(get_catalog("voc21").palette().ravel().tolist())
            mask.save(path)
    report, page = tmp_path / "report.json", tmp_path / "report.html"
    pair = ["--prediction", str(tmp_path / "p"), "--truth", str(tmp_path / "t"), "--catalog", "voc21"]
    figures = ["--images", str(folder), "--json", str(report), "--html", str(page), "--resamples", "0"]
    for arguments in (["evaluate", *pair, *figures], ["compare", str(report), str(report)], ["inspect", *pair]):
        done = subprocess.run([sys.executable, "-m", "app", *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-1500:]
    assert FOREIGN in {image["name"] for image in json.loads(report.read_text(encoding="utf-8"))["images"]}
    page.read_text(encoding="utf-8")
