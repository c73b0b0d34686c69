"""``atrous classes``: list, write, choose and edit the classes of a project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.cli import run
from app.state.class_keys import assigned_keys
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from tests.unit.app.folders import image_id, make_folder, paint, stroke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = make_folder(tmp_path / "photos", "a.png", "b.png")
    Project.open(folder).close()
    return folder


def test_show_lists_builtin_catalogs_files_and_projects(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("background\ncrack\n")
    assert run(["classes", "show", "camvid11"]) == run(["classes", "show", str(tmp_path / "labels.txt")]) == 0
    out = capsys.readouterr().out
    assert "Bicyclist" in out or "bicyclist" in out
    assert "1  crack" in out
    assert run(["classes", "show", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in shown["classes"]] == list(get_catalog("voc21").names)


def test_show_of_a_folder_without_project_creates_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "photos", "a.png")
    assert run(["classes", "show", str(folder)]) == 2
    assert "has no project yet" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("form", "name"),
    [("labelme", "l.txt"), ("cvat", "labelmap.txt"), ("yolo", "n.yaml"), ("coco", "c.json"), ("roboflow", "_classes.csv")],
)
def test_show_writes_lists_that_read_back(
    folder: Path, tmp_path: Path, form: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / name
    command = ["classes", "show", str(folder), "--as", form, "-o", str(target)]
    assert run(command) == 0
    assert get_catalog(target).names == get_catalog("voc21").names
    assert capsys.readouterr().out == ""
    before = target.read_bytes()
    assert run(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert run([*command, "--overwrite"]) == 0


def test_show_never_replaces_a_photograph(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph = folder / "a.png"
    before = photograph.read_bytes()
    target = folder / "list.json"
    target.write_bytes(before)
    assert run(["classes", "show", str(folder), "-o", str(target), "--overwrite"]) != 0
    assert target.read_bytes() == before
    assert capsys.readouterr().err


def test_set_takes_typed_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classes", "set", str(folder), "--names", " crack, void; no  crack "]) == 0
    assert "crack, no crack" in capsys.readouterr().out
    with Project.open(folder, read_only=True) as project:
        assert [(info.id, info.name, info.key) for info in project.catalog.classes] == [(0, "crack", "1"), (1, "no crack", "2")]
    for wrong in ([], ["voc21", "--names", "a"], ["--names", "void"], ["--names", "a, a"], ["--names", " ,"]):
        assert run(["classes", "set", str(folder), *wrong]) == 2
        assert capsys.readouterr().err


def test_set_takes_a_list_for_a_project_without_labels(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncrack\n")
    assert run(["classes", "set", str(folder), str(tmp_path / "labels.txt")]) == 0
    assert "2\u202fclasses" in capsys.readouterr().out.replace(" classes", "\u202fclasses")
    with Project.open(folder, read_only=True) as project:
        assert project.catalog.names == ("_background_", "crack")
        assert project.catalog.background == 0


def test_set_never_changes_what_painted_ids_mean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        stroke(project, image, project.load(image).document, 1)
    assert run(["classes", "set", str(folder), "camvid11"]) == 2
    assert "because you worked on" in capsys.readouterr().err
    with Project.open(folder, read_only=True) as project:
        assert project.catalog.name == "voc21"


def test_edits_apply_together_and_keep_every_stroke(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        before = document.labels.copy()
    options = ["--add", "bean bag=#102030", "--rename", "chair=seat", "--color", "seat=#abcdef", "--key", "seat=s"]
    assert run(["classes", "edit", str(folder), *options, "--order", "bean bag,seat"]) == 0
    assert "Rename chair to seat" in capsys.readouterr().out
    with Project.open(folder, read_only=True) as project:
        assert [(info.id, info.name, info.color, info.key) for info in project.catalog.classes[:2]] == [
            (21, "bean bag", (16, 32, 48), ""),
            (9, "seat", (171, 205, 239), "s"),
        ]
        assert (project.load(image).document.labels == before).all()


def test_an_assigned_key_goes_to_another_class_only_when_it_is_free(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classes", "edit", str(folder), "--key", "chair=1"]) == 0
    assert run(["classes", "edit", str(folder), "--key", "sofa=1"]) == 2
    said = capsys.readouterr().err
    assert "1 is the key of 'chair'" in said
    assert "first: --key" in said
    assert run(["classes", "edit", str(folder), "--key", "chair=", "--key", "sofa=1"]) == 0
    with Project.open(folder, read_only=True) as project:
        assert assigned_keys(project) == {"1": 18}


def test_merge_and_delete_say_what_they_change_and_can_be_undone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        for seed, value in enumerate((9, 18, 15)):
            project.append_step(image, "Brush", Provenance.USER, paint(document, seed, value))
        before = document.labels.copy()
    command = ["classes", "edit", str(folder), "--add", "bean bag", "--merge", "chair=bean bag", "--delete", "person"]
    assert run([*command, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"chair: {(before == 9).sum():,} px of 1 image become bean bag." in shown
    assert f"person: {(before == 15).sum():,} px of 1 image become void." in shown
    with Project.open(folder, read_only=True) as project:
        assert project.catalog == get_catalog("voc21")
    assert run(command) == 0
    assert capsys.readouterr().out == shown
    with Project.open(folder) as project:
        expected = np.where(before == 9, 21, np.where(before == 15, 255, before))
        assert np.array_equal(project.load(image).document.labels, expected)
        assert {"chair", "person"}.isdisjoint(project.catalog.names)
    assert run(["classes", "undo", str(folder)]) == 0
    assert "Undone: Add bean bag, Merge chair into bean bag, Delete person." in capsys.readouterr().out
    with Project.open(folder) as project:
        assert np.array_equal(project.load(image).document.labels, before)
        assert project.catalog == get_catalog("voc21")
    assert run(["classes", "undo", str(folder)]) == 2
    assert "no edit of the classes to undo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--merge", "chair=chair"], "merged into itself"),
        (["--merge", "chair=stool"], "there is no class 'stool'"),
        (["--delete", "stool"], "there is no class 'stool'"),
        ([], "nothing to edit"),
        (["--rename", "chair"], "has no '='"),
        (["--rename", "chear=seat"], "there is no class 'chear'"),
        (["--rename", "Chair=seat"], "Did you mean 'chair'?"),
        (["--rename", "chair=sofa"], "already a class 'sofa'"),
        (["--color", "chair=red"], "'red' is not a colour"),
        (["--color", "chair=#1234567"], "is not a colour"),
        (["--key", "chair=ab"], "is not a key"),
        (["--key", "chair=1", "--key", "sofa=1"], "1 is the key of 'chair'"),
        (["--key", "chair=s", "--key", "sofa=s"], "s is the key of 'chair'"),
        (["--order", "chair,chair"], "named twice"),
        (["--add", "lamp", "--add", "lamp"], "already a class 'lamp'"),
    ],
)
def test_a_refused_edit_changes_nothing(folder: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classes", "edit", str(folder), "--add", "first", *options] if options else ["classes", "edit", str(folder)]) == 2
    assert said in capsys.readouterr().err
    with Project.open(folder, read_only=True) as project:
        assert project.catalog == get_catalog("voc21")


def test_a_refused_choice_names_the_classes_that_occur(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        patch = paint(document, 1, 18)
        project.append_step(image, "Brush", Provenance.USER, patch)
        pixels = int((document.labels == 18).sum())
    assert run(["classes", "set", str(folder), "camvid11"]) == 2
    said = capsys.readouterr().err
    assert f"{pixels:,} px are sofa, which it has not" in said
    assert "aeroplane" not in said
    with Project.open(folder) as project:
        project.load(image)
        erased = project.load(image).document
        blank = np.full_like(erased.labels, 255)
        patch = diff_patch(erased.labels, erased.provenance, blank, erased.provenance)
        project.append_step(image, "Erase", Provenance.USER, patch)
    assert run(["classes", "set", str(folder), "camvid11"]) == 2
    assert "No pixel has one of the classes that would be lost" in capsys.readouterr().err


def test_classes_are_locked_and_unlocked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classes", "edit", str(folder), "--lock", "chair", "--lock", "sofa", "--dry-run"]) == 0
    assert "Locked: chair, sofa." in capsys.readouterr().out
    with Project.open(folder, read_only=True) as project:
        assert not project.locked_classes
    assert run(["classes", "edit", str(folder), "--rename", "sofa=couch", "--lock", "chair", "--lock", "couch"]) == 0
    assert run(["classes", "edit", str(folder), "--unlock", "chair"]) == 0
    assert "Locked: couch." in capsys.readouterr().out
    assert run(["classes", "show", str(folder)]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.endswith("locked  formerly sofa")]
    assert run(["classes", "show", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["locked"] == [18]
    assert run(["classes", "edit", str(folder), "--lock", "couch", "--unlock", "couch"]) == 2
    assert run(["classes", "edit", str(folder), "--lock", "unicorn"]) == 2
    assert "there is no class 'unicorn'" in capsys.readouterr().err


def test_colours_of_all_classes_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classes", "edit", str(folder), "--colors", "color-blind", "--color", "chair=#010203"]) == 0
    assert "Colours for colour-blind eyes." in capsys.readouterr().out
    with Project.open(folder, read_only=True) as project:
        assert project.catalog.by_id(9).color == (1, 2, 3)
        assert project.catalog.by_id(18).color != get_catalog("voc21").by_id(18).color


def test_lines_of_a_list_that_are_no_classes_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("# mine\nchair\n# table\n#1\n", encoding="utf-8")
    assert run(["classes", "show", str(tmp_path / "labels.txt")]) == 0
    shown = capsys.readouterr()
    assert "2 lines with '# ' at the beginning are remarks and no classes." in shown.err
    assert "#1" in shown.out
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nchair:1,2,3::\n", encoding="utf-8")
    assert run(["classes", "show", str(tmp_path / "labelmap.txt")]) == 0
    assert capsys.readouterr().err == ""
    (tmp_path / "own.json").write_text('{"name": "own", "classes": ["# chair"]}', encoding="utf-8")
    assert run(["classes", "show", str(tmp_path / "own.json"), "--as", "labelme", "-o", str(tmp_path / "out.txt")]) == 2
