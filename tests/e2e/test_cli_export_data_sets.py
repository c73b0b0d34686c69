"""``atrous export`` of whole data sets: splits, mapped classes, provenance, and what a format cannot carry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.label_import import ImportTotals, import_items, plan_labels
from app.state.patch import diff_patch
from app.state.project import ImageStatus, Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.images import probe_image
from deeplab_core.masks import read_marker
from deeplab_core.masks.confirmed import read_confirmed
from deeplab_core.masks.read import read_mask

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sequences of five frames, a chair or a sofa in each, and a copy of a frame of the first in the second; all reviewed."""
    folder = tmp_path / "photographs"
    rng = np.random.default_rng(0)
    for sequence in ("one", "two"):
        (folder / sequence).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)).save(folder / sequence / f"f{number}.jpg")
    with Project.open(folder) as project:
        for record in project.images:
            document = project.load(record.id).document
            labels = np.zeros_like(document.labels)
            labels[5:10, 5:25] = CHAIR if record.relative_path.startswith("one") else SOFA
            labels[0, :3] = 255
            provenance = np.full_like(document.provenance, Provenance.USER)
            provenance[15:] = Provenance.MODEL
            patch = diff_patch(document.labels, document.provenance, labels, provenance)
            project.append_step(record.id, "Brush", Provenance.USER, patch)
            project.set_status(record.id, ImageStatus.REVIEWED)
    return folder


def test_a_voc_data_set_with_splits_by_sequence(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    order = ["export", str(folder), "-o", str(out), "--format", "voc", "--split", "train=0.5", "--split", "val=0.5"]
    assert run([*order, "--group", "parent", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["splits"] == {"train": 5, "val": 5} or summary["splits"] == {"val": 5, "train": 5}
    lists = {name: (out / f"ImageSets/Segmentation/{name}.txt").read_text().split() for name in ("train", "val", "trainval")}
    assert len({line.partition("/")[0] for line in lists["train"]}) == 1
    assert sorted(lists["train"] + lists["val"]) == sorted(lists["trainval"])
    assert len(list((out / "JPEGImages").rglob("*.jpg"))) == 10
    assert (out / "JPEGImages/one/f0.jpg").read_bytes() == (folder / "one/f0.jpg").read_bytes()


def test_copies_of_an_image_are_never_parted(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "two/f1.jpg").write_bytes((folder / "one/f1.jpg").read_bytes())
    for name, lines in (("train", "one/f0\none/f1\n"), ("val", "two/f1\n")):
        (tmp_path / f"{name}.txt").write_text(lines)
    order = ["export", str(folder), "-o", str(tmp_path / "out"), "--format", "coco_rle"]
    lists = [word for name in ("train", "val") for word in ("--split-list", f"{name}={tmp_path / name}.txt")]
    assert run([*order, *lists]) == 2
    assert "have the same content" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "val.txt").write_text("two/f0\n")
    assert run([*order, *lists]) == 0
    assert "7 images in no list" in capsys.readouterr().out
    data = {name: json.loads((tmp_path / f"out/annotations_{name}.json").read_text()) for name in ("train", "val")}
    assert [row["file_name"] for row in data["val"]["images"]] == ["two/f0.jpg"]
    assert len(data["train"]["images"]) == 2


def test_classes_are_mapped_and_provenance_comes_along(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    order = ["export", str(folder), "-o", str(out), "--map", "chair=seat", "--map", "sofa=seat", "--provenance"]
    assert run(order) == 0
    marker = read_marker(out)
    assert marker is not None
    assert marker.catalog is not None
    seat = marker.catalog.by_name("seat")
    assert seat is not None
    assert marker.catalog.by_name("sofa") is None
    for name in ("one/f0", "two/f4"):
        labels = read_mask(out / f"{name}.png", marker.catalog)
        assert set(np.unique(labels)) == {0, seat.id, 255}
        found = read_confirmed(out / f"{name}.png", probe_image(folder / f"{name}.jpg"))
        assert found is not None
        assert found.reviewed
        assert set(np.unique(found.codes)) == {int(Provenance.MODEL), int(Provenance.USER)}


def test_an_import_reads_who_set_each_pixel(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Project.open(folder) as project:
        touched = next(record for record in project.images if record.relative_path == "two/f0.jpg")
        project.set_status(touched.id, ImageStatus.TOUCHED)
    assert run(["export", str(folder), "-o", str(out), "--scope", "touched", "--provenance"]) == 0
    with Project.open(folder, tmp_path / "second") as project:
        ids = {record.relative_path: record.id for record in project.images}
        plan = plan_labels(out, folder, list(ids), project_classes=project.catalog)[0].mapped(project.catalog)
        totals = ImportTotals()
        assert len(plan.items) == len(ids)
        for item, found in import_items(project, ids, plan, totals):
            assert found is not None
            by = project.load(ids[item.name]).document.provenance
            rest = Provenance.MODEL if item.name == "two/f0.jpg" else Provenance.IMPORT
            assert (by[:15] == Provenance.USER).all()
            assert (by[15:] == rest).all()
        assert not totals.notes
        (out / "provenance/one/f0.png").write_bytes(b"damaged")
        assert [note.kind for note in plan.read(plan.items[0]).notes] == ["provenance"]


def test_what_a_format_cannot_carry_is_counted_first(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    order = ["export", str(folder), "-o", str(out), "--format", "yolo"]
    assert run([*order, "--measure"]) == 0
    assert "would not carry, in 10 of 10 images: 30 void pixels as background" in capsys.readouterr().out
    assert not out.exists()
    assert run([*order, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"]["void"] == 30
    assert run(["export", str(folder), "-o", str(tmp_path / "l"), "--format", "labelme", "--measure"]) == 0
    assert "labelme carries every pixel of 10 images" in capsys.readouterr().out


def test_nothing_that_can_be_exported_is_nothing_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(folder), "--format", "cityscapes", "--measure"]) == 1
    captured = capsys.readouterr()
    assert "nothing was measured" in captured.out
    assert "Cityscapes has no class for" in captured.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "indexed", "--shapes", "mask"], "the format indexed has no option 'shapes'"),
        (["--map", "chair"], "maps no class"),
        (["--map", "unicorn=seat"], "has no class 'unicorn'"),
        (["--split", "train=x"], "not a share of a split"),
        (["--split", "train=1", "--split-list", "val=nothing.txt"], "by shares and by lists"),
        (["--split-list", "val"], "not a list of a split"),
        (["--split", "train=1", "--split", "val=1", "--group", "("], "not a regular expression"),
        (
            ["--split", "train=1", "--split", "val=1", "--split", "test=1", "--group", "parent"],
            "cannot be shared out to 3 splits",
        ),
        (["--catalog", "cityscapes19", "--format", "voc"], "10 failed"),
    ],
)
def test_what_cannot_be_is_said(
    folder: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(folder), "-o", str(tmp_path / "out"), *words]) != 0
    captured = capsys.readouterr()
    assert said in captured.out + captured.err


@pytest.mark.parametrize("form", ["yolo", "ade20k", "coco_rle"])
def test_a_data_set_never_has_an_image_in_two_splits(
    folder: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    order = ["export", str(folder), "-o", str(out), "--format", form, "--existing", "replace"]
    assert run([*order, "--split", "train=0.5", "--split", "val=0.5"]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert run([*order, "--split", "train=0.5", "--split", "test=0.5"]) == 2
    assert "with other splits" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert run([*order, "--split", "train=0.5", "--split", "val=0.5"]) == 0


def test_a_format_without_a_place_for_splits_refuses_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["export", str(folder), "-o", str(tmp_path / "out"), "--format", "indexed"]
    assert run([*order, "--split", "train=0.5", "--split", "val=0.5"]) == 2
    assert "no place for splits" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
