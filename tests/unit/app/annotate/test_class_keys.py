"""Digits assigned to classes: kept with the project, and unmoved by edits of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.actions.table import CLASS_KEYS
from app.cli import run
from app.state.class_choice import HIDDEN, choose_catalog
from app.state.class_keys import assign_keys, assigned_keys, exported_catalog, keyed
from app.state.project import Project
from deeplab_core.catalogs import DEFAULT_KEYS, get_catalog
from deeplab_core.catalogs.editing import delete_class, reorder_classes
from deeplab_core.images import read_image
from tests.unit.app.folders import make_folder

CHAIR, PERSON, SOFA = 9, 15, 18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "images", "a.png")


def test_the_window_and_the_catalogs_have_the_same_digits() -> None:
    assert tuple(DEFAULT_KEYS) == CLASS_KEYS


@pytest.mark.parametrize(
    ("setting", "value", "found"),
    [
        ("assigned_class_keys", {"1": SOFA, "x": 3, "2": 99, "3": "18", "4": True, "5": [1]}, {"1": SOFA}),
        ("assigned_class_keys", {"1": 0}, {"1": 0}),
        ("assigned_class_keys", [1, 2], {}),
        ("class_keys", {"1": 0, "2": SOFA}, {"2": SOFA}),  # of an earlier version, with the key of each of the first classes
    ],
)
def test_keys_are_read_as_they_were_kept(folder: Path, setting: str, value: object, found: dict[str, int]) -> None:
    with Project.open(folder) as project:
        assert assigned_keys(project) == {}  # the catalog names none itself
        project.set_setting(setting, value)
        assert assigned_keys(project) == found


def test_an_edit_of_the_classes_assigns_no_key(folder: Path) -> None:
    with Project.open(folder) as project:
        for edit in (reorder_classes(project.catalog, [SOFA, CHAIR]), delete_class(project.catalog, 0)):
            project.edit_classes(edit)
            assert assigned_keys(project) == {}
        assign_keys(project, {"3": PERSON})
        project.edit_classes(delete_class(project.catalog, PERSON))
        assert assigned_keys(project) == {}
        project.undo_class_edit()
        assert assigned_keys(project) == {"3": PERSON}


def test_other_classes_get_no_keys_and_hide_nothing(folder: Path) -> None:
    with Project.open(folder) as project:
        assign_keys(project, {"3": CHAIR})
        project.set_setting(HIDDEN, [CHAIR])
        project.lock_classes([CHAIR])
        choose_catalog(project, get_catalog("camvid11"), "user")
        assert assigned_keys(project) == {}
        assert not project.setting(HIDDEN)
        assert not project.locked_classes


def test_a_digit_of_the_command_line_is_the_window_s(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Project.open(folder) as project:
        assign_keys(project, {"1": CHAIR})
    edit = ["classes", "edit", str(folder), "--rename", "sofa=couch", "--key", "chair="]
    assert run([*edit, "--key", "couch=1", "--key", "person=p", "--dry-run"]) == 0
    with Project.open(folder, read_only=True) as project:
        assert assigned_keys(project) == {"1": CHAIR}
    assert run([*edit, "--key", "couch=1", "--key", "person=p"]) == 0
    with Project.open(folder, read_only=True) as project:
        assert assigned_keys(project) == {"1": SOFA}
        shown = {info.name: info.key for info in keyed(project.catalog, assigned_keys(project)).classes if info.key}
        assert shown == {"couch": "1", "person": "p"}
    assert run(["classes", "edit", str(folder), "--key", "couch="]) == 0
    with Project.open(folder, read_only=True) as project:
        assert assigned_keys(project) == {}
    capsys.readouterr()


def test_an_export_carries_the_assigned_keys_into_another_project(folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    Image.fromarray(np.full(read_image(folder / "a.png").rgb.shape[:2], CHAIR, np.uint8)).save(masks / "a.png")
    assert run(["import", str(masks), "--images", str(folder), "--catalog", "voc21"]) == 0
    with Project.open(folder) as project:
        assign_keys(project, {"3": CHAIR, "7": SOFA})
    out, again = tmp_path / "out", tmp_path / "again"
    assert run(["export", str(folder), "--scope", "all", "-o", str(out)]) == 0
    again.mkdir()
    (again / "a.png").write_bytes((folder / "a.png").read_bytes())
    assert run(["import", str(out), "--images", str(again)]) == 0
    with Project.open(again) as project:
        assert assigned_keys(project) == {"3": CHAIR, "7": SOFA}


def test_keys_that_an_earlier_version_kept_are_exported_too(folder: Path) -> None:
    with Project.open(folder, catalog=get_catalog("voc21")) as project:
        project.set_setting("class_keys", {"3": CHAIR})
        assert assigned_keys(project) == {"3": CHAIR}
        assert exported_catalog(project).by_id(CHAIR).key == "3"
