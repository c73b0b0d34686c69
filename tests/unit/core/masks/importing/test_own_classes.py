"""Classes of a user's own: ids with gaps, void in the table of colours, numbers without a name, classes that do not occur."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, MaskFormatError, UnmappedClasses
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.importing import SourceClass, map_classes, scan
from deeplab_core.masks.output_marker import MARKER_NAME

from .sources import CATALOG, HEIGHT, SQUARE, WIDTH, labelme, photographs, shape, write

GAPS = ClassCatalog(
    name="cracks", title="Cracks", background=0,
    classes=(
        ClassInfo(0, "background", (0, 0, 0), "0"), ClassInfo(7, "crack", (200, 20, 30), "c"),
        ClassInfo(9, "wall, brick", (10, 90, 200)), ClassInfo(12, "spalling", (250, 200, 0)),
    ),
)  # fmt: skip
#: The same classes without a background.
BARE = replace(GAPS, name="bare", background=None, classes=GAPS.classes[1:])
#: Export format -> what is read of it, and the format that reads it.
FORMATS = {
    "voc": ("", "cvat_masks"), "ade20k": ("", "ade20k"), "cvat_masks": ("masks.zip", "cvat_masks"), "npz": ("", "numpy"),
    "npy": ("", "numpy"), "binary": ("", "binary"), "coco_rle": ("", "coco"), "coco_panoptic": ("", "coco_panoptic"),
    "labelme": ("", "labelme"), "yolo": ("", "yolo"), "cvat_images": ("annotations.xml", "cvat"),
}  # fmt: skip
#: Formats without a value for void.
NO_VOID = {"yolo", "cvat_images", "cvat_masks"}


def maps(catalog: ClassCatalog, count: int = 2) -> dict[str, np.ndarray]:
    found = {}
    for number in range(count):
        labels = np.full((HEIGHT, WIDTH), catalog.classes[0].id, np.uint8)
        labels[3:12, 4:20], labels[15:25, 10:38], labels[20:29, 1:8] = 7, 12, 9
        labels[0:2, number:20] = 255
        found[f"a{number}.jpg"] = labels
    return found


def exported(tmp_path: Path, form: str, catalog: ClassCatalog) -> tuple[Path, Path, dict[str, np.ndarray]]:
    labels = maps(catalog)
    images = photographs(tmp_path / "photos", list(labels))
    items = [
        ExportItem(name=name, catalog=catalog, labels=lambda name=name: labels[name], image_path=images / name)  # type: ignore[misc]
        for name in labels
    ]
    options = {"images": "none"} if form in ("voc", "ade20k", "yolo", "labelme") else {}
    assert export_masks(items, get_exporter(form, **options), tmp_path / "out").failed == ()
    return tmp_path / "out", images, labels


@pytest.mark.parametrize("catalog", [GAPS, BARE], ids=["background", "bare"])
@pytest.mark.parametrize("form", FORMATS)
def test_an_export_brings_its_project_s_classes_back(tmp_path: Path, form: str, catalog: ClassCatalog) -> None:
    out, images, labels = exported(tmp_path, form, catalog)
    name, key = FORMATS[form]
    plan = scan(out / name, images, list(labels), format=key)
    own = plan.own_catalog()
    assert own.classes[: len(catalog)] == catalog.classes
    if form not in NO_VOID:
        assert own == catalog
    plan = plan.mapped(own)
    assert plan.mapping is not None
    assert plan.mapping.unmapped == ()
    for item in plan.items:
        expected = labels[item.name]
        if form in NO_VOID and own.background is not None:
            expected = np.where(expected == 255, own.background, expected)
        assert np.array_equal(plan.read(item).labels, expected), item.name


@pytest.mark.parametrize("form", ["voc", "npz"])
def test_ids_come_back_without_the_marker(tmp_path: Path, form: str) -> None:
    out, images, labels = exported(tmp_path, form, GAPS)
    (out / MARKER_NAME).unlink()
    plan = scan(out, images, list(labels), format=FORMATS[form][1])
    own = plan.own_catalog()
    assert own.ids.tolist() == GAPS.ids.tolist()
    assert own.names == GAPS.names
    plan = plan.mapped(own)
    for item in plan.items:
        assert np.array_equal(plan.read(item).labels, labels[item.name])


def test_a_list_of_an_export_is_the_classes_of_the_export(tmp_path: Path) -> None:
    out, _, _ = exported(tmp_path, "voc", GAPS)
    listed = get_catalog(out / "labelmap.txt")
    assert [(info.id, info.name, info.color) for info in listed.classes] == [
        (info.id, info.name, info.color) for info in GAPS.classes
    ]
    assert listed.ignore_color == GAPS.ignore_color


def labelmap(folder: Path, *lines: str) -> None:
    write(folder / "labelmap.txt", "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n")


def picture(folder: Path, values: np.ndarray, colors: dict[int, tuple[int, int, int]] | None = None) -> None:
    path = folder / "SegmentationClass/a.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if colors is not None:
        image = image.convert("P")
        table = [0] * 768
        for entry, color in colors.items():
            table[3 * entry : 3 * entry + 3] = color
        image.putpalette(table)
    image.save(path)


def test_values_without_colours_are_places_of_the_table_void_among_them(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", ["a.jpg"])
    labelmap(tmp_path / "set", "background:0,0,0::", "void:224,224,192::", "crack:1,2,3::")
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[4:9], values[20:25] = 1, 2
    picture(tmp_path / "set", values)
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    own = plan.own_catalog()
    assert own.names == ("background", "crack")
    labels = plan.mapped(own).read(plan.items[0]).labels
    assert [int(labels[row, 0]) for row in (0, 5, 22)] == [0, 255, 2]


def test_a_palette_is_read_by_the_table_of_colours(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", ["a.jpg"])
    labelmap(tmp_path / "set", "background:0,0,0::", "crack:1,2,3::", "wall:4,5,6::")
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[4:9], values[20:25] = 1, 2
    picture(tmp_path / "set", values, {1: (4, 5, 6), 2: (1, 2, 3)})
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    labels = plan.mapped(plan.own_catalog()).read(plan.items[0]).labels
    assert [int(labels[row, 0]) for row in (0, 5, 22)] == [0, 2, 1]
    picture(tmp_path / "set", values, {1: (4, 5, 6), 2: (77, 66, 55)})
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    with pytest.raises(MaskFormatError, match=r"77, 66, 55"):
        plan.mapped(plan.own_catalog()).read(plan.items[0])


def yolo(tmp_path: Path, names: str) -> Path:
    square = "0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5"
    write(tmp_path / "set/data.yaml", names)
    write(tmp_path / "set/labels/a.txt", f"0 {square}\n7 {square}\n")
    return photographs(tmp_path / "set/images", ["a.jpg"])


def test_a_number_outside_the_list_is_asked_about_and_no_class(tmp_path: Path) -> None:
    images = yolo(tmp_path, "names: [road, car]\n")
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    assert plan.own_catalog().names == ("background", "road", "car")
    plan = plan.mapped(plan.own_catalog())
    assert plan.mapping is not None
    with pytest.raises(UnmappedClasses, match="no 7"):
        plan.mapping.check()
    chosen = plan.mapped(plan.own_catalog(), {"7": "car"})
    assert chosen.mapping is not None
    assert chosen.mapping.unmapped == ()
    assert int(chosen.read(chosen.items[0]).labels[10, 10]) in (1, 2)


def test_a_number_is_not_the_class_whose_name_is_that_number(tmp_path: Path) -> None:
    images = yolo(tmp_path, "names: ['7', '8']\n")
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    assert {one.name: (one.regions, one.undeclared) for one in plan.classes} == {
        "7": (1, False), "8": (0, False), "number 7": (1, True)
    }  # fmt: skip


def test_a_class_without_a_region_is_not_asked_about(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    categories = [{"id": 1, "name": "road"}, {"id": 2, "name": "unicorn"}]
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    square = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [[5, 4, 20, 4, 20, 15, 5, 15]]}
    write(tmp_path / "in/a.json", json.dumps({"images": [image], "annotations": [square], "categories": categories}))
    plan = scan(tmp_path / "in", images, ["a.jpg"]).mapped(CATALOG)
    assert plan.mapping is not None
    assert plan.mapping.unmapped == ()
    assert [pair.how for pair in plan.mapping.pairs] == ["name", "absent"]
    plan.read(plan.items[0])


def test_masks_are_looked_into_before_a_class_is_asked_about(tmp_path: Path) -> None:
    images = photographs(tmp_path / "photos", ["a.jpg"])
    labelmap(tmp_path / "set", "background:0,0,0::", "road:1,2,3::", "unicorn:4,5,6::")
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[4:9] = 1
    picture(tmp_path / "set", values)
    plan = scan(tmp_path / "set", images, ["a.jpg"]).mapped(CATALOG)
    assert plan.uncounted
    seen: list[str] = []
    settled = plan.settled(progress=seen.append)
    assert seen == ["a.jpg"]
    assert settled.mapping is not None
    assert settled.mapping.unmapped == ()
    assert settled.read(settled.items[0]).labels[5, 5] == 1
    # The files changed in between: nothing becomes void without a word.
    values[20:] = 2
    picture(tmp_path / "set", values)
    again = scan(tmp_path / "set", images, ["a.jpg"]).mapped(CATALOG)
    assert again.settled().mapping.unmapped == ("unicorn",)  # type: ignore[union-attr]
    changed = replace(again, mapping=settled.mapping)
    with pytest.raises(AtrousError, match="unicorn"):
        changed.read(changed.items[0])


def test_former_names_find_their_class() -> None:
    renamed = replace(GAPS, classes=(*GAPS.classes[:-1], replace(GAPS.classes[-1], name="flaking", aliases=("spalling",))))
    (pair,) = map_classes([SourceClass(name="Spalling")], renamed).pairs
    assert (pair.target, pair.how) == (12, "name")


def test_the_user_s_edits_decide_about_classes_that_are_gone() -> None:
    mapping = map_classes([SourceClass(name="lamp"), SourceClass(name="5", id=5)], GAPS, None, {"lamp": None, "5": 7})
    assert [(pair.target, pair.how) for pair in mapping.pairs] == [(None, "edit"), (7, "edit")]


def test_spellings_of_one_name_are_one_class(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    later = [[22, 16], [38, 16], [38, 28], [22, 28]]
    shapes = [shape("Chair ", SQUARE), shape("chair", later), shape(" + ", [[1, 1], [4, 1], [4, 3], [1, 3]])]
    write(tmp_path / "in/a.json", labelme("a.jpg", *shapes))
    plan = scan(tmp_path / "in", images, ["a.jpg"])
    own = plan.own_catalog()
    assert own.names == ("background", "Chair", "+")
    mapping = plan.mapped(own).mapping
    assert mapping is not None
    assert mapping.unmapped == ()
    assert mapping.spellings == {"Chair": ("Chair ", "chair")}
    labels = plan.mapped(own).read(plan.items[0]).labels
    assert (labels[5, 6], labels[20, 30], labels[2, 2]) == (1, 1, 2)
    # The same holds for names that an export's own classes lack.
    assert replace(plan, recorded=CATALOG).own_catalog().names == (*CATALOG.names, "Chair", "+")
