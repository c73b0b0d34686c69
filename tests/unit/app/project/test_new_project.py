"""What a folder without a project holds, and what a project in it begins with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.state.class_choice import stored_how
from app.state.data_choices import stored_choice
from app.state.new_project import (
    BEGINS_EMPTY,
    NewProject,
    classes_of_file,
    has_project,
    look_at,
    object_classes,
    proposal,
    settle_new,
    typed_classes,
)
from app.state.project import Project
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import CatalogError, ImageReadError
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.png import write_indexed_png
from tests.unit.app.folders import SHAPE, make_folder

VOC, CAMVID = get_catalog("voc21"), get_catalog("camvid11")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "set" / "images", "a.jpg", "b.jpg", "c.jpg")


def labelme(images: Path, name: str, *classes: str) -> None:
    shapes = [
        {"label": label, "shape_type": "rectangle", "points": [[5 + 20 * n, 5], [20 + 20 * n, 30]], "group_id": None, "flags": {}}
        for n, label in enumerate(classes)
    ]
    data = {"version": "5", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
            "imageHeight": SHAPE[0], "imageWidth": SHAPE[1]}  # fmt: skip
    (images / f"{name}.json").write_text(json.dumps(data))


def masks(folder: Path, catalog_name: str, values: list[int], names: tuple[str, ...] = ("a", "b", "c")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.resize(np.array(values, np.uint8), SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    for name in names:
        write_indexed_png(folder / f"{name}.png", labels, get_catalog(catalog_name))


def test_looking_writes_nothing(images: Path) -> None:
    labelme(images, "a", "crack")
    before = sorted(path.name for path in images.parent.rglob("*"))
    look = look_at(images)
    assert look.images == ("a.jpg", "b.jpg", "c.jpg")
    assert sorted(path.name for path in images.parent.rglob("*")) == before
    assert not has_project(images)


def test_a_plain_folder_gets_the_default_classes_unconfirmed(images: Path) -> None:
    chosen = proposal(look_at(images), by_user=False)
    assert (chosen.classes.catalog, chosen.how) == (VOC, "later")
    assert (chosen.truth, chosen.labels) == (None, None)
    assert proposal(look_at(images), by_user=True).how == "asked"


def test_labels_beside_the_images_name_the_classes(images: Path) -> None:
    labelme(images, "a", "crack", "spalling")
    look = look_at(images)
    chosen = proposal(look, by_user=False)
    assert chosen.classes.catalog.names == ("background", "crack", "spalling")
    assert (chosen.classes.source, chosen.how) == ("labels", "certain")
    assert chosen.labels is not None
    assert chosen.labels.plan is not None
    assert [item.name for item in chosen.labels.plan.items] == ["a.jpg"]


def test_an_export_of_another_project_beside_the_images_is_listed_and_not_proposed(images: Path) -> None:
    labels = np.full(SHAPE, 9, np.uint8)
    item = ExportItem(name="a.jpg", catalog=VOC, labels=lambda: labels, image_path=images / "a.jpg")
    export_masks([item], get_exporter("coco_instances"), images.parent / "other")
    look = look_at(images)
    assert [offer.path.name for offer in look.labels] == ["other"]
    assert proposal(look, by_user=False).labels is None
    assert proposal(look, by_user=False).classes.source == "builtin"
    (images.parent / "other" / ".atrous-output.json").unlink()
    assert proposal(look_at(images), by_user=False).labels is not None


def test_a_list_with_the_classes_of_the_labels_gives_their_order(images: Path) -> None:
    labelme(images, "a", "crack", "spalling")
    (images.parent / "labels.txt").write_text("__ignore__\n_background_\nspalling\nrust\ncrack\n")
    chosen = proposal(look_at(images), by_user=False)
    assert chosen.classes.source == "list"
    assert chosen.classes.catalog.names == ("_background_", "spalling", "rust", "crack")


def test_certain_ground_truth_decides_over_labels(images: Path) -> None:
    masks(images.parent / "SegmentationClass", "voc21", [0, 7, 255])
    labelme(images, "a", "car")
    look = look_at(images)
    chosen = proposal(look, by_user=False)
    assert look.taken_truth
    assert chosen.truth is not None
    assert chosen.truth.folders == look.taken_truth
    assert (chosen.classes.catalog.name, chosen.classes.source) == ("voc21", "truth")


def test_the_ground_truth_is_not_offered_as_labels_too(images: Path) -> None:
    masks(images.parent / "SegmentationClass", "voc21", [0, 7, 255])
    look = look_at(images)
    assert not [offer for offer in look.labels if offer.path in look.taken_truth]


def test_classes_that_the_user_named_come_first(images: Path) -> None:
    labelme(images, "a", "crack")
    chosen = proposal(look_at(images, named=CAMVID), by_user=False)
    assert (chosen.classes.catalog, chosen.how) == (CAMVID, "user")


def test_equal_classes_are_offered_once(images: Path) -> None:
    look = look_at(images, named=VOC)
    assert sum(offer.catalog.names == VOC.names for offer in look.offers) == 1


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError):
        look_at(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("crack, no crack", ("crack", "no crack")),
        ("a;b\nc", ("a", "b", "c")),
        (" background ,  wall crack,", ("background", "wall crack")),
    ],
)
def test_typed_names_become_classes(text: str, names: tuple[str, ...]) -> None:
    catalog = typed_classes(text).catalog
    assert catalog.names == names
    assert [info.id for info in catalog.classes] == list(range(len(names)))
    assert len({info.color for info in catalog.classes}) == len(names)
    assert [info.key for info in catalog.classes] == list("1234567890"[: len(names)])
    assert catalog.background == (0 if names[0] == "background" else None)


@pytest.mark.parametrize("text", ["", " , ;", "crack, crack"])
def test_names_that_are_no_list_are_refused(text: str) -> None:
    with pytest.raises(CatalogError, match="not a class list"):
        typed_classes(text)


def test_a_file_of_classes_is_read_and_a_bad_one_named(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("crack\nrust\n")
    assert classes_of_file(path).catalog.names == ("crack", "rust")
    path.write_text("")
    with pytest.raises(CatalogError) as caught:
        classes_of_file(path)
    assert caught.value.path == path


def test_what_was_accepted_is_stored(images: Path) -> None:
    masks(images.parent / "truth", "voc21", [0, 7, 255])
    look = look_at(images)
    chosen = proposal(look, by_user=True)
    card = get_catalog("camvid11")
    accepted = NewProject(classes=object_classes(), how="user", truth=chosen.truth, begins_empty=True, agreed=("model-1", card))
    with Project.open(images, catalog=accepted.classes.catalog) as project:
        settle_new(project, accepted)
        assert project.catalog.names == ("background", "object")
        assert stored_how(project) == "user"
        assert project.setting(BEGINS_EMPTY) is True
        assert stored_choice(project) is not None
        assert len(project.ground_truth.files) == 3
    assert has_project(images)


def test_a_postponed_choice_of_ground_truth_is_kept_as_postponed(images: Path) -> None:
    masks(images.parent / "labels_one", "voc21", [0, 7])
    masks(images.parent / "labels_two", "voc21", [0, 9])
    look = look_at(images)
    assert not look.truth.certain
    chosen = proposal(look, by_user=False)
    with Project.open(images, catalog=chosen.classes.catalog) as project:
        settle_new(project, chosen)
        choice = stored_choice(project)
    assert choice is not None
    assert (choice.folders, choice.how) == ((), "later")
