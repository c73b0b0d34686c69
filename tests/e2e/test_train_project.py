"""``atrous train --project``: the network learns what the user corrected in the window, no pixel dropped in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import run
from app.cli.train import _located
from app.cli.train_projects import project_place, project_samples
from app.state.class_mapping import choose_classes
from app.state.image_record import ImageStatus
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import CatalogError
from deeplab_core.weights import load_model
from tests.unit.app.folders import SHAPE, image_id, make_folder
from tests.unit.app.tiny_model import save_tiny_model

CAMVID = get_catalog("camvid11")
RECIPE = """
[recipe]
backbone_options = { width = 0.25 }
options = { separable = true, aspp_channels = 8, decoder_channels = 8 }
crop = [32, 32]
batch = 2
steps = 1
"""

pytestmark = pytest.mark.e2e


def ids(catalog: ClassCatalog, *names: str) -> list[int]:
    found = [catalog.by_name(name) for name in names]
    return [info.id for info in found if info is not None]


def label(project: Project, name: str, values: list[int]) -> None:
    """Horizontal stripes of these classes by hand over the upper half of an image."""
    image = image_id(project, name)
    document = project.load(image).document
    after, mine = document.labels.copy(), document.provenance.copy()
    rows = SHAPE[0] // 2 // len(values)
    for place, value in enumerate(values):
        after[place * rows : (place + 1) * rows] = value
        mine[place * rows : (place + 1) * rows] = Provenance.USER
    project.append_step(image, "Brush", Provenance.USER, diff_patch(document.labels, document.provenance, after, mine))


def labelled(folder: Path, catalog: ClassCatalog, *names: str) -> Path:
    """A project of two images with these classes painted on them."""
    make_folder(folder, "a.png", "b.png")
    with Project.open(folder, catalog=catalog) as project:
        for name in ("a.png", "b.png"):
            label(project, name, ids(catalog, *names))
    return folder


def train(tmp_path: Path, *arguments: str | Path) -> int:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    fixed = ["train", "--recipe", recipe, "-o", tmp_path / "run", "--threads", "1", "--json"]
    return run([str(part) for part in (*fixed, *arguments)])


def test_a_project_whose_data_lies_elsewhere_is_found_by_either_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, data = make_folder(tmp_path / "photos", "a.png", "b.png"), tmp_path / "data"
    with Project.open(photos, data, catalog=CAMVID) as project:
        for name in ("a.png", "b.png"):
            label(project, name, ids(CAMVID, "tree", "road"))
    assert not (photos / ".atrous").exists()
    assert project_place(data) == (photos, data)
    assert train(tmp_path, "--project", data) == 0
    assert load_model(tmp_path / "run" / "model.safetensors")[1].catalog.names == CAMVID.names
    # The folder's recipe goes on without further words, from anywhere.
    monkeypatch.chdir(tmp_path.parent)
    assert run(["train", "--resume", "-o", str(tmp_path / "run"), "--set", "steps=2", "--threads", "1"]) == 0
    assert "raised from 1 to 2 steps" in capsys.readouterr().err
    # A project inside its folder may be named by either, and moves about with it.
    inside = labelled(tmp_path / "inside", CAMVID, "tree")
    inside.rename(tmp_path / "moved")
    assert project_place(tmp_path / "moved" / ".atrous") == (tmp_path / "moved", None)
    assert project_place(tmp_path / "moved") == (tmp_path / "moved", None)
    photos.rename(tmp_path / "gone")
    assert run(["train", "--project", str(data), "-o", str(tmp_path / "other")]) == 1
    said = capsys.readouterr().err
    assert "the images of this project are missing" in said
    assert str(photos) in said


def test_the_classes_are_those_of_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = labelled(tmp_path / "photos", CAMVID, "tree", "road", "sky")
    assert train(tmp_path, "--project", photos) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(line for line in lines if line["event"] == "epoch")["loss"] > 0
    _, card = load_model(tmp_path / "run" / "model.safetensors")
    assert card.catalog.names == CAMVID.names


def test_the_start_is_found_by_name_and_beside_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    start = save_tiny_model(models / "start.safetensors")
    save_tiny_model(tmp_path / "beside.safetensors", seed=1)
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(models))
    values: dict[str, Any] = {"init": "start"}
    assert _located(values, {}, None) == {"init": str(start)}
    file = tmp_path / "recipe.toml"
    both = {"init": "models/start.safetensors", "average_with": ["beside.safetensors", "start"], "seed": 3}
    found = {"init": str(start), "average_with": [str(tmp_path / "beside.safetensors"), str(start)]}
    assert _located(both, {}, file) == found
    assert _located(both, {"init": "", "average_with": []}, file) == {}
    monkeypatch.chdir(tmp_path)
    assert _located({"init": "beside.safetensors"}, {}, None) == {"init": str(tmp_path / "beside.safetensors")}
    photos = labelled(tmp_path / "photos", get_catalog("voc21"), "chair", "sofa")
    capsys.readouterr()
    assert train(tmp_path, "--project", photos, "--init", "strat") == 2
    assert "start" in capsys.readouterr().err, "the choices are listed"
    # The example of docs/training.md, on smaller crops.
    small = ["--steps", "1", "--batch", "2", "--crop", "64x64", "--threads", "1", "-o", str(tmp_path / "mine")]
    rest = ["--init", "rooms-voc", "--norm", "frozen", "--rate", "0.001"]
    assert run(["train", "--project", str(photos), *rest, *small]) == 0
    _, card = load_model(tmp_path / "mine" / "model.safetensors")
    assert card.extra["training"]["lineage"]["start"] == "rooms-voc"
    assert card.extra["training"]["recipe"]["init"] == "rooms-voc.safetensors"


def test_classes_without_a_partner_are_named_before_anything_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = labelled(tmp_path / "photos", CAMVID, "tree", "car")
    assert train(tmp_path, "--project", photos, "--catalog", "voc21") == 2
    said = capsys.readouterr().err
    assert "has no class for tree." in said
    assert "--unmatched-to-void" in said
    assert train(tmp_path, "--project", photos, "--catalog", "voc21", "--unmatched-to-void") == 0


def test_a_project_without_corrections_has_nothing_to_teach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_folder(tmp_path / "photos", "a.png")
    with Project.open(photos):
        pass
    assert train(tmp_path, "--project", photos) == 2
    assert "correct some in the window" in capsys.readouterr().err


def test_a_run_on_a_project_goes_on_by_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = labelled(tmp_path / "photos", CAMVID, "tree", "car")
    assert train(tmp_path, "--project", photos, "--catalog", "voc21", "--unmatched-to-void", "--exclude", "b.*") == 0
    capsys.readouterr()
    assert run(["train", "--resume", "-o", str(tmp_path / "run"), "--threads", "1"]) == 0
    assert "continuing after step 1 of 1" in capsys.readouterr().err


def test_only_classes_that_occur_matter(tmp_path: Path) -> None:
    photos = labelled(tmp_path / "photos", CAMVID, "car")
    with Project.open(photos, read_only=True) as project:
        assert len(project_samples(project, get_catalog("voc21"))) == 2
        assert [sample.name for sample in project_samples(project, CAMVID, ("a.*",))] == ["b.png"]


def test_what_a_person_decided_about_the_classes_counts(tmp_path: Path) -> None:
    """The mapping that the window keeps maps VOC's sofa and dining table to the project's furniture and desk."""
    own = ClassCatalog("own", "Own", (ClassInfo(0, "ground", (9, 9, 9)), ClassInfo(4, "furniture", (200, 0, 0)),
                                      ClassInfo(6, "chair", (0, 200, 0))))  # fmt: skip
    voc = get_catalog("voc21")
    sofa, chair, stool, floor = (*ids(voc, "sofa", "chair", "bottle", "background"),)
    photos = labelled(tmp_path / "photos", own, "ground", "furniture", "chair")
    with Project.open(photos) as project:
        with pytest.raises(CatalogError, match=r"ground, furniture"):
            project_samples(project, voc)
        # Two classes of VOC became the project's chair: the one of the same name is the way back.
        choose_classes(project, voc, "model", {sofa: 4, stool: 6, floor: 0})
        project.set_status(image_id(project, "a.png"), ImageStatus.REVIEWED)
        labels = project_samples(project, voc)[1].labels
        assert labels is not None
        assert set(np.unique(labels())) == {floor, sofa, chair, 255}
