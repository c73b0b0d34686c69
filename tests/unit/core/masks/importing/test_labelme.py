"""labelme, X-AnyLabeling and ISAT JSON."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.errors import AtrousError, LabelSourceError
from deeplab_core.masks.importing import scan

from .sources import (
    CATALOG,
    HEIGHT,
    SQUARE,
    WIDTH,
    base64_png,
    box,
    labelme,
    photographs,
    planned,
    png,
    read_all,
    shape,
    write,
)


def test_shapes_cover_each_other_in_their_order(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    later = [[10, 8], [30, 8], [30, 20], [10, 20]]
    write(
        images / "a.json",
        labelme("a.jpg", shape("road", SQUARE), shape("car", later), shape("road", [[1, 1], [2, 2]], "rectangle")),
    )
    plan = planned(images, images)
    assert plan.format.key == "labelme"
    assert {one.name: one.regions for one in plan.classes} == {"road": 2, "car": 1}
    assert plan.without_labels == ("b.jpg",)
    found = read_all(plan)["a.jpg"]
    assert box(found.labels, 2) == (10, 8, 30, 20)
    assert found.labels[5, 5] == 1
    assert found.labels[1, 1] == 1
    assert found.labels[29, 39] == 0
    assert (found.regions, found.instances) == (3, 3)
    assert found.overlaps == 11 * 8
    assert found.labelled + found.unlabelled == WIDTH * HEIGHT
    assert found.labelled == int((found.labels > 0).sum())
    assert found.px.tolist() == [*(int((found.labels == value).sum()) for value in range(3)), 0]


def test_groups_are_one_object(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    parts = [shape("car", [[x, 1], [x + 3, 1], [x + 3, 5]], group_id=7) for x in (1, 10, 20)]
    write(images / "a.json", labelme("a.jpg", *parts))
    found = read_all(planned(images, images))["a.jpg"]
    assert (found.regions, found.instances) == (3, 1)


def test_every_kind_of_shape(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    inside = np.zeros((4, 6), np.uint8)
    inside[1:3, 2:5] = 1
    write(
        images / "a.json",
        labelme(
            "a.jpg",
            shape("road", [[8, 9], [12, 9]], "circle"),
            shape("car", [[20, 10], [25, 13]], "mask", mask=base64_png(inside)),
            shape("road", [[30, 25]], "point"),
            shape("road", [[1, 20], [8, 20]], "line"),
            shape("road", [[1, 27], [5, 27], [9, 29]], "linestrip"),
            shape("car", [[33, 2], [38, 2], [38, 6], [33, 6]], "oriented_rectangle"),
        ),
    )
    found = read_all(planned(images, images))["a.jpg"]
    assert found.skipped == ()
    assert found.regions == 6
    assert found.labels[9, 8] == 1
    assert box(found.labels[9:15, 15:28], 2) == (7, 2, 9, 3)
    assert found.labels[25, 30] == 1
    assert found.labels[20, 4] == 1
    assert found.labels[4, 35] == 2


def test_what_cannot_be_drawn_is_counted_and_the_rest_is_drawn(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    broken = [
        shape("road", [[1, 1]]), shape("road", "abc"), shape("road", [[1, 1], [2, 2]], "points"), {"points": SQUARE}, 7,
        shape("road", [[1, 1], [2, 2]], "mask", mask="no picture"), shape("road", [[1, 1], [2, 2]], "mask"),
    ]  # fmt: skip
    write(images / "a.json", labelme("a.jpg", *broken, shape("car", SQUARE)))
    found = read_all(planned(images, images))["a.jpg"]
    assert sum(entry.count for entry in found.skipped) == len(broken)
    assert all(entry.why for entry in found.skipped)
    assert (found.regions, box(found.labels, 2)) == (1, (5, 4, 20, 15))


def test_images_are_found_by_path_name_and_label_file(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["x/a.jpg", "y/a.jpg", "c.jpg"])
    names = ["x/a.jpg", "y/a.jpg", "c.jpg"]
    write(tmp_path / "json/x/a.json", labelme("..\\..\\images\\x\\a.jpg", shape("car", SQUARE)))
    write(tmp_path / "json/c.json", labelme("elsewhere.jpg", shape("car", SQUARE)))
    write(tmp_path / "json/a.json", labelme("a.jpg", shape("car", SQUARE)))
    write(tmp_path / "json/gone.json", labelme("gone.jpg", shape("car", SQUARE)))
    plan = planned(tmp_path / "json", images, names=names)
    assert {item.name: item.entry.file for item in plan.items} == {"x/a.jpg": "x/a.json", "c.jpg": "c.json"}
    assert [entry.name for entry in plan.without_image] == ["a.jpg (a.json)", "gone.jpg (gone.json)"]
    assert "Several images" in plan.without_image[0].why
    assert plan.without_labels == ("y/a.jpg",)


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    write(images / "a.json", labelme("a.jpg", shape("car", SQUARE), size=(WIDTH + 1, HEIGHT)))
    plan = planned(images, images)
    with pytest.raises(AtrousError, match="41 x 30 px, but the image has 40 x 30"):
        plan.read(plan.items[0])


def test_coordinates_are_those_of_the_displayed_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.jpg", exif=exif)
    write(tmp_path / "a.json", labelme("a.jpg", shape("car", SQUARE)))
    plan = planned(tmp_path, tmp_path, names=["a.jpg"])
    assert box(plan.read(plan.items[0]).labels, 2) == (5, 4, 20, 15)
    turned = plan.read(plan.items[0], frame="stored")
    assert box(turned.labels, 2) == (WIDTH - 21, HEIGHT - 16, WIDTH - 6, HEIGHT - 5)


def test_images_within_the_files_are_written_once(tmp_path: Path) -> None:
    photograph = png(np.full((HEIGHT, WIDTH, 3), 99, np.uint8))
    data = {"imageData": base64.b64encode(photograph).decode()}
    source, images = tmp_path / "json", tmp_path / "images"
    images.mkdir()
    write(source / "p.json", labelme("p.png", shape("car", SQUARE)) | data | {"imageHeight": None, "imageWidth": None})
    write(source / "up.json", labelme("../../up.png", shape("car", SQUARE)) | data)
    write(source / "bad.json", labelme("bad.png", shape("car", SQUARE)) | {"imageData": base64.b64encode(b"no image").decode()})
    plan = planned(source, images, names=[])
    assert {name: error is None for name, error in plan.extract()} == {"bad.png": False, "p.png": True, "up.png": True}
    assert sorted(path.name for path in images.iterdir()) == ["p.png", "up.png"]
    assert (images / "p.png").read_bytes() == photograph
    assert [error is None for _, error in plan.extract()] == [False, False, False]
    again = planned(source, images, names=["p.png"])
    assert box(again.read(again.items[0]).labels, 2) == (5, 4, 20, 15)


def test_anylabeling_is_told_from_labelme(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    turned = shape("car", [[10, 5], [20, 8], [18, 15], [8, 12]], "rotation", difficult=False, score=0.5, direction=0.3)
    write(
        images / "a.json",
        labelme("a.jpg", turned, shape("road", [[2, 20], [9, 20], [9, 25], [2, 25]], "rectangle", attributes={})),
    )
    plan = planned(images, images)
    assert plan.format.key == "xanylabeling"
    found = read_all(plan)["a.jpg"]
    assert found.labels[10, 14] == 2
    assert box(found.labels, 1) == (2, 20, 9, 25)


def isat(name: str, *objects: dict[str, object]) -> dict[str, object]:
    info = {"description": "ISAT", "folder": "", "name": name, "width": WIDTH, "height": HEIGHT, "depth": 3, "note": ""}
    return {"info": info, "objects": list(objects)}


def test_isat_draws_by_layer_and_with_the_outline(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    above = {"category": "car", "group": 1, "segmentation": [[10.9, 8.2], [30.4, 8], [30, 20], [10, 20]], "layer": 3.0}
    below = {"category": "road", "group": 2, "segmentation": SQUARE, "layer": 1.0}
    hidden = {"category": "road", "group": 3, "segmentation": [[1, 1]], "layer": 9.0}
    point = {"category": "road", "group": 4, "segmentation": [[1, 1]], "layer": 9.0, "shape_type": "point"}
    write(images / "a.json", isat("a.jpg", above, below, hidden, point))
    plan = planned(images, images)
    assert plan.format.key == "isat"
    found = read_all(plan)["a.jpg"]
    assert box(found.labels, 2) == (10, 8, 30, 20)
    assert box(found.labels, 1) == (5, 4, 20, 15)
    assert sum(entry.count for entry in found.skipped) == 2
    assert (found.regions, found.overlaps) == (2, 11 * 8)


def test_other_json_files_are_named(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    write(images / "a.json", labelme("a.jpg", shape("car", SQUARE)))
    write(images / "settings.json", {"theme": "dark"})
    write(images / "broken.json", "{")
    plan = planned(images, images)
    assert [entry.name for entry in plan.unread] == ["broken.json", "settings.json"]
    assert [item.name for item in plan.items] == ["a.jpg"]


def test_a_folder_without_labels_is_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(LabelSourceError, match="no known format"):
        scan(photographs(tmp_path), tmp_path, ["a.jpg"])


def test_own_classes_make_a_catalog(tmp_path: Path) -> None:
    images = photographs(tmp_path / "cracks")
    write(images / "a.json", labelme("a.jpg", shape("crack", SQUARE), shape("__ignore__", SQUARE)))
    plan = scan(images, images, ["a.jpg"])
    catalog = plan.own_catalog()
    assert (catalog.name, catalog.names, catalog.background) == ("cracks", ("background", "crack"), 0)
    assert plan.mapped(catalog).mapping is not None
    assert plan.mapped(catalog).read(plan.items[0]).labels.max() == catalog.ignore
    assert CATALOG.background == 0


def test_a_shape_without_a_name_is_counted_and_void_is_no_class(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    car = shape("car", [[30, 20], [38, 28], [30, 28]])
    write(images / "a.json", labelme("a.jpg", shape(" ", SQUARE), shape("Void", SQUARE), car))
    plan = scan(images, images, ["a.jpg"])
    plan = plan.mapped(plan.own_catalog())
    assert plan.mapping is not None
    assert plan.mapping.catalog.names == ("background", "car")
    assert plan.mapping.unmapped == ()
    found = plan.read(plan.items[0])
    assert [(part.name, part.why) for part in found.skipped] == [("a shape", "the name of its class is empty")]
    assert int((found.labels == 255).sum()) == 16 * 12
