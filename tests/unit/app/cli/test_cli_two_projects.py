"""``atrous project merge`` and ``agreement``: two users' labels of the same images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.cli import run
from app.state.image_record import ImageStatus
from app.state.label_import import store_labels
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.two_projects import TwoProjects, project_at
from deeplab_core.catalogs import get_catalog, save_catalog
from deeplab_core.errors import ProjectError
from tests.unit.app.folders import image_id, make_folder

CHAIR, SOFA, CAT = 9, 18, 8
NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of three images, each with a project."""
    one = make_folder(tmp_path / "one", *NAMES)
    other = tmp_path / "two"
    shutil.copytree(one, other)
    for folder in (one, other):
        Project.open(folder).close()
    return one, other


def put(folder: Path, name: str, change: Callable[[np.ndarray, np.ndarray], None], *, reviewed: bool = False) -> None:
    """Change labels and provenance of an image."""
    with Project.open(folder) as project:
        image = image_id(project, name)
        document = project.load(image).document
        labels, provenance = document.labels.copy(), document.provenance.copy()
        change(labels, provenance)
        store_labels(project, image, labels, "Brush", overwrite=True, by=provenance)
        if reviewed:
            project.set_status(image, ImageStatus.REVIEWED)


def area(rows: slice, value: int, by: int = Provenance.USER) -> Callable[[np.ndarray, np.ndarray], None]:
    def change(labels: np.ndarray, provenance: np.ndarray) -> None:
        labels[rows], provenance[rows] = value, by

    return change


def labels_of(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    with Project.open(folder, read_only=True) as project:
        document = project.load(image_id(project, name)).document
        return document.labels.copy(), document.provenance.copy()


def merge(*arguments: object) -> int:
    return run(["project", "merge", *map(str, arguments)])


def test_each_user_s_pixels_come_together(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    one, other = two
    put(one, "a.png", area(slice(0, 10), CHAIR))
    put(one, "a.png", area(slice(10, 20), CAT, Provenance.MODEL))
    put(other, "a.png", area(slice(10, 30), SOFA))
    put(other, "b.png", area(slice(0, 5), CAT, Provenance.MODEL))
    before = {name: labels_of(other, name) for name in NAMES}
    assert merge(one, other, "--dry-run") == 0
    assert "would take" in capsys.readouterr().out
    assert (labels_of(one, "b.png")[0] == 255).all()
    assert merge(one, other) == 0
    labels, provenance = labels_of(one, "a.png")
    assert (labels[:10] == CHAIR).all()
    assert (labels[10:30] == SOFA).all()
    assert (provenance[:30] == Provenance.USER).all()
    labels, provenance = labels_of(one, "b.png")
    assert (labels[:5] == CAT).all()  # the first user had nothing there
    assert (provenance[:5] == Provenance.MODEL).all()
    for name in NAMES:
        assert all(np.array_equal(now, was) for now, was in zip(labels_of(other, name), before[name], strict=True))
    assert merge(one, other) == 0
    assert "0 images took labels of B: 0 px." in capsys.readouterr().out
    with Project.open(one) as project:
        image = image_id(project, "a.png")
        loaded = project.load(image)
        assert loaded.steps[-1].title == "Merge with two"
        loaded.document.apply(loaded.steps[-1].patch.inverted())
        assert (loaded.document.labels[10:20] == CAT).all()


def test_conflicts_are_listed_and_decided_image_by_image(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = two
    for name in ("a.png", "b.png"):
        put(one, name, area(slice(0, 10), CHAIR))
        put(other, name, area(slice(5, 15), SOFA))
    put(other, "c.png", area(slice(0, 3), CAT))
    listed = tmp_path / "conflicts.json"
    assert merge(one, other, "--conflicts", listed) == 1
    said = capsys.readouterr().out
    width = labels_of(one, "a.png")[0].shape[1]
    assert f"conflict: a.png: A / B: chair / sofa {5 * width:,} px" in said
    assert "2 images with conflicts were not merged" in said
    assert (labels_of(one, "c.png")[0][:3] == CAT).all()
    assert (labels_of(one, "a.png")[0][10:15] == 255).all()  # all of the image waits

    data = json.loads(listed.read_text())
    assert [(row["image"], row["take"], row["conflicts"]) for row in data["images"]] == [
        (name, None, [{"a": "chair", "b": "sofa", "px": 5 * width}]) for name in ("a.png", "b.png")
    ]
    data["images"][0]["take"] = "b"
    listed.write_text(json.dumps(data))
    assert merge(one, other, "--solve", listed) == 1
    labels = labels_of(one, "a.png")[0]
    assert (labels[:5] == CHAIR).all()
    assert (labels[5:15] == SOFA).all()
    assert (labels_of(one, "b.png")[0][:10] == CHAIR).all()
    assert merge(one, other, "--prefer", "a", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert events[-1]["open"] == 0
    labels = labels_of(one, "b.png")[0]
    assert (labels[:10] == CHAIR).all()
    assert (labels[10:15] == SOFA).all()


def test_places_of_an_image_are_decided_one_by_one(two: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = two
    put(one, "a.png", area(slice(0, 20), CHAIR))
    put(other, "a.png", area(slice(0, 4), SOFA))
    put(other, "a.png", area(slice(8, 10), CAT))
    listed = tmp_path / "conflicts.json"
    assert merge(one, other, "--conflicts", listed) == 1
    (row,) = json.loads(listed.read_text())["images"]
    assert [(place["x"], place["y"], place["a"], place["b"], place["take"]) for place in row["places"]] == [
        (0, 0, "chair", "sofa", None), (0, 8, "chair", "cat", None),
    ]  # fmt: skip
    row["places"][1]["take"] = "b"
    listed.write_text(json.dumps({"images": [row]}))
    assert merge(one, other, "--solve", listed) == 1, "one place is open, so the image waits"
    assert (labels_of(one, "a.png")[0][:20] == CHAIR).all()
    row["take"] = "a"
    listed.write_text(json.dumps({"images": [row]}))
    assert merge(one, other, "--solve", listed) == 0
    labels = labels_of(one, "a.png")[0]
    assert (labels[:8] == CHAIR).all()
    assert (labels[8:10] == CAT).all()
    assert (labels[10:20] == CHAIR).all()


def test_a_place_that_has_other_classes_by_now_is_open_again(two: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = two
    put(one, "a.png", area(slice(0, 20), CHAIR))
    put(other, "a.png", area(slice(0, 4), SOFA))
    listed = tmp_path / "conflicts.json"
    assert merge(one, other, "--conflicts", listed) == 1
    (row,) = json.loads(listed.read_text())["images"]
    row["places"][0]["take"] = "b"
    listed.write_text(json.dumps({"images": [row]}))
    put(other, "a.png", area(slice(0, 4), CAT))
    assert merge(one, other, "--solve", listed) == 1
    assert (labels_of(one, "a.png")[0][:20] == CHAIR).all()
    put(other, "a.png", area(slice(0, 4), SOFA))
    assert merge(one, other, "--solve", listed) == 0
    assert (labels_of(one, "a.png")[0][:4] == SOFA).all()


@pytest.mark.parametrize("text", ["{", "[]", '{"images": [{"image": "a.png", "take": "c"}]}', '{"images": [{"take": "a"}]}'])
def test_a_list_that_is_none_changes_nothing(
    two: tuple[Path, Path], tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(two[1], "a.png", area(slice(0, 5), CAT))
    path = tmp_path / "x.json"
    path.write_text(text)
    assert merge(*two, "--solve", path) != 0
    assert "x.json" in capsys.readouterr().err
    assert (labels_of(two[0], "a.png")[0] == 255).all()
    path.write_text('{"images": [{"image": "unicorn.png", "take": "a"}]}')
    assert merge(*two, "--solve", path) != 0
    assert "unicorn.png" in capsys.readouterr().err


def test_a_reviewed_mask_is_confirmed_as_a_whole(two: tuple[Path, Path]) -> None:
    one, other = two
    put(one, "a.png", area(slice(0, 10), CHAIR, Provenance.MODEL))
    put(other, "a.png", area(slice(0, 10), SOFA, Provenance.MODEL), reviewed=True)
    put(one, "b.png", area(slice(0, 10), CHAIR, Provenance.MODEL), reviewed=True)
    put(other, "b.png", area(slice(0, 10), SOFA, Provenance.MODEL))
    assert merge(one, other) == 0
    assert (labels_of(one, "a.png")[0][:10] == SOFA).all()
    assert (labels_of(one, "b.png")[0][:10] == CHAIR).all()
    with Project.open(one) as project:
        assert [project.record(image_id(project, name)).reviewed for name in NAMES] == [True, True, False]


def test_other_pictures_other_classes_and_missing_images_are_named(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = two
    for name in NAMES:
        put(other, name, area(slice(0, 5), CAT))
    assert run(["classes", "edit", str(other), "--add", "unicorn"]) == 0
    with Project.open(other) as project:
        unicorn = project.catalog.classes[-1].id
    put(other, "b.png", area(slice(0, 2), unicorn))
    make_folder(tmp_path / "new", "x.png", "y.png")
    shutil.copy(tmp_path / "new/y.png", one / "a.png")
    (one / "c.png").rename(one / "d.png")
    assert merge(one, other) == 1
    said = capsys.readouterr().err
    assert "not merged: a.png" in said
    assert "different pictures" in said
    assert "has no class for: unicorn" in said
    assert "c.png: The first project has no image of this name" in said
    assert merge(one, other, "--map", "unicorn=cow") == 1  # the others are still open
    assert (labels_of(one, "b.png")[0][:2] == 10).all()
    assert merge(one, other, "--map", "nothing=cow") == 2


def test_locked_classes_keep_their_pixels(two: tuple[Path, Path]) -> None:
    one, other = two
    put(one, "a.png", area(slice(0, 10), CHAIR, Provenance.MODEL))
    put(other, "a.png", area(slice(0, 20), CAT))
    assert run(["classes", "edit", str(one), "--lock", "chair"]) == 0
    assert merge(one, other) == 0
    labels = labels_of(one, "a.png")[0]
    assert (labels[:10] == CHAIR).all()
    assert (labels[10:20] == CAT).all()


def test_classes_with_other_ids_are_matched_by_name(tmp_path: Path) -> None:
    one = make_folder(tmp_path / "one", "a.png")
    other = tmp_path / "two"
    shutil.copytree(one, other)
    save_catalog(get_catalog("voc21"), tmp_path / "voc.json")
    Project.open(one, catalog=get_catalog("voc21")).close()
    (tmp_path / "own.txt").write_text("sofa\nbackground\ncat\n")
    assert run(["classes", "set", str(other), str(tmp_path / "own.txt")]) == 0
    put(other, "a.png", area(slice(0, 7), 0))
    assert merge(one, other) == 0
    assert (labels_of(one, "a.png")[0][:7] == SOFA).all()


def test_agreement_of_two_users(two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = two
    for folder, value in ((one, CHAIR), (other, SOFA)):
        put(folder, "a.png", area(slice(0, 30), 0))
        put(folder, "b.png", area(slice(0, 30), 0))
        put(folder, "b.png", area(slice(0, 10), value))
    put(other, "c.png", area(slice(0, 30), 0))
    report = tmp_path / "agreement.json"
    assert run(["project", "agreement", str(one), str(other), "--json", str(report)]) == 0
    said = capsys.readouterr().out
    assert "2 images of both projects" in said
    assert "A chair, B sofa" in said
    data = json.loads(report.read_text())
    assert data["agreement"] == pytest.approx(50 / 60)
    assert data["kappa"] == pytest.approx((50 / 60 - (50 / 60) ** 2) / (1 - (50 / 60) ** 2))
    assert [row["image"] for row in data["images"]] == ["b.png", "a.png"]
    rows = {row["name"]: row for row in data["classes"]}
    assert rows["background"]["iou"] == 1
    assert rows["chair"]["iou"] == 0
    assert rows["cow"]["iou"] is None
    assert run(["project", "agreement", str(other), str(one), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["kappa"] == pytest.approx(data["kappa"])
    capsys.readouterr()
    assert run(["project", "agreement", str(one), str(other), "--scope", "reviewed"]) == 2
    assert "no image of both projects is reviewed" in capsys.readouterr().err


def test_projects_are_found_by_their_directories(two: tuple[Path, Path], tmp_path: Path) -> None:
    one = two[0]
    Project.open(one, tmp_path / "data").close()
    assert project_at(one) == (one, None)
    assert project_at(one / ".atrous") == (one, None)
    assert project_at(tmp_path / "data") == (one, tmp_path / "data")
    with pytest.raises(ProjectError):
        project_at(tmp_path)
    assert merge(one, one) == 2
    assert merge(one, tmp_path) == 2
    with Project.open(one) as first, Project.open(one, tmp_path / "data") as second:
        assert TwoProjects(first, second).pairs == ()
