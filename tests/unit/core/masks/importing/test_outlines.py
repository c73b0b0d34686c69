"""YOLO, CVAT, Supervisely and Label Studio: regions as outlines, boxes and brush masks."""

from __future__ import annotations

import base64
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.errors import DataFileError, LabelSourceError
from deeplab_core.markup import parse_xml
from deeplab_core.masks.importing import scan
from deeplab_core.masks.importing.labelstudio import brush_mask

from .sources import HEIGHT, SQUARE, WIDTH, box, photographs, planned, png, read_all, write

# -- YOLO ----------------------------------------------------------------------------------------------------------------


def yolo_line(number: int, points: list[list[int]]) -> str:
    return f"{number} " + " ".join(f"{(x + 0.5) / WIDTH:.6f} {(y + 0.5) / HEIGHT:.6f}" for x, y in points)


def test_yolo_small_regions_cover_large_ones(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images/train")
    small, large = [[10, 8], [14, 8], [14, 12], [10, 12]], SQUARE
    write(tmp_path / "data.yaml", "path: .\nnames:\n  0: road\n  1: car\n")
    lines = [yolo_line(1, small), yolo_line(0, large), "0 0.5 0.5 0.2 0.2", "nonsense", "7 0.1 0.1 0.2 0.1 0.2 0.2"]
    write(tmp_path / "labels/train/a.txt", "\n".join(lines))
    write(tmp_path / "labels/train/b.txt", "")
    plan = scan(tmp_path, images, ("a.jpg", "b.jpg"), format="yolo")
    assert {one.name: one.regions for one in plan.classes} == {"road": 1, "car": 1, "7": 1}
    plan = planned(tmp_path, images, {"7": "void"}, format="yolo")
    found = read_all(plan)
    assert box(found["a.jpg"].labels, 2) == (10, 8, 14, 12)
    assert box(found["a.jpg"].labels, 1) == (5, 4, 20, 15)
    assert sum(entry.count for entry in found["a.jpg"].skipped) == 2
    assert found["b.jpg"].unlabelled == WIDTH * HEIGHT


def test_yolo_is_recognised_beside_texts_empty_files_and_damaged_lines(tmp_path: Path) -> None:
    """As Roboflow writes it, with readme files; most images have no object."""
    for number in range(30):
        write(tmp_path / f"train/labels/a{number:02}.txt", "")
    write(tmp_path / "train/labels/b.txt", f"{yolo_line(0, SQUARE)}\n{yolo_line(1, SQUARE)}\nnonsense\n")
    write(tmp_path / "README.roboflow.txt", "Provided by a Roboflow user")
    write(tmp_path / "data.yaml", "train: ../train/images\nnc: 2\nnames: ['road', 'car']\n")
    images = photographs(tmp_path / "train/images", ["b.jpg"])
    plan = planned(tmp_path, images, names=["b.jpg"])
    assert (plan.format.key, plan.unread) == ("yolo", ())
    assert read_all(plan)["b.jpg"].regions == 2
    write(tmp_path / "train/labels/b.txt", "these are\nnotes 1 2\n")
    with pytest.raises(LabelSourceError, match="no known format"):
        scan(tmp_path, images, ["b.jpg"])


def test_a_file_that_describes_a_data_set_stands_for_it(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    write(tmp_path / "set/labels/a.txt", yolo_line(1, SQUARE))
    other = write(tmp_path / "set/a.yaml", "names: [a, b]\n")
    named = write(tmp_path / "set/data.yaml", "path: /nowhere\ntrain: ../images\nnames: [road, car]\n")
    above = write(tmp_path / "set.yaml", "path: set\nnames: {0: road, 1: car}\n")
    listed = write(tmp_path / "set/classes.txt", "road\ncar\n")
    for path in (named, above):
        plan = planned(path, images)
        assert (plan.format.key, [item.name for item in plan.items]) == ("yolo", ["a.jpg"])
        assert [one.name for one in plan.classes] == ["road", "car"]
        assert (read_all(plan)["a.jpg"].labels == 2).any()
    assert [one.name for one in scan(other, images, ["a.jpg"]).classes] == ["a", "b"]
    assert scan(listed, images, ["a.jpg"]).format.key == "yolo"
    with pytest.raises(LabelSourceError, match="no known format"):
        scan(write(tmp_path / "set/settings.yaml", "batch: 4\n"), images, ["a.jpg"])


def test_yolo_is_recognised_with_either_list_of_classes(tmp_path: Path) -> None:
    for number, (name, text) in enumerate([("data.yaml", "names: [road, car]\n"), ("classes.txt", "road\ncar\n")]):
        folder = tmp_path / str(number)
        write(folder / name, text)
        write(folder / "labels/a.txt", yolo_line(1, SQUARE))
        images = photographs(folder / "images")
        plan = planned(folder, images)
        assert plan.format.key == "yolo"
        assert box(read_all(plan)["a.jpg"].labels, 2) == (5, 4, 20, 15)


@pytest.mark.parametrize("seed", range(20))
def test_yolo_outlines_are_opencv_s(tmp_path: Path, seed: int) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    points = np.random.default_rng(seed).random((6, 2))
    write(tmp_path / "data.yaml", "names: [road]\n")
    write(tmp_path / "labels/a.txt", "0 " + " ".join(f"{value!r}" for value in points.reshape(-1).tolist()))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(expected, [(points * (WIDTH, HEIGHT)).astype(np.int32)], (1,))
    assert np.array_equal(read_all(planned(tmp_path, images, names=["a.jpg"]))["a.jpg"].labels, expected)


# -- CVAT ----------------------------------------------------------------------------------------------------------------


def cvat(*shapes: str, width: int = WIDTH) -> str:
    labels = "".join(
        f"<label><name>{name}</name><color>#0{place}0000</color></label>" for place, name in enumerate(("road", "car"))
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f"<meta><task><labels>{labels}</labels></task></meta>"
        f'<image id="0" name="sub/a.jpg" width="{width}" height="{HEIGHT}">{"".join(shapes)}</image></annotations>'
    )


POLYGON = '<polygon label="road" source="manual" points="5.0,4.0;20.0,4.0;20.0,15.0;5.0,15.0" z_order="{z}"/>'


def test_cvat_shapes_lie_by_their_z_order(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["sub/a.jpg"])
    mask = '<mask label="car" rle="2, 3, 1, 4" left="8" top="6" width="5" height="2" z_order="{z}"/>'
    for z, above in ((1, 2), (0, 1)):
        write(tmp_path / "annotations.xml", cvat(mask.format(z=z), POLYGON.format(z=0 if z else 5)))
        plan = planned(tmp_path / "annotations.xml", images, names=["sub/a.jpg"])
        assert plan.format.key == "cvat"
        found = read_all(plan)["sub/a.jpg"]
        assert found.labels[6, 10] == above
        assert found.overlaps == 7
    assert [one.color for one in plan.classes] == [(0, 0, 0), (1, 0, 0)]


def test_cvat_kinds_of_shapes(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["sub/a.jpg"])
    shapes = [
        '<box label="car" xtl="2" ytl="3" xbr="8" ybr="9" z_order="0"/>',
        '<ellipse label="road" cx="30.0" cy="20.0" rx="4.0" ry="6.0" z_order="0"/>',
        '<box label="car" xtl="20" ytl="2" xbr="26" ybr="8" rotation="45" z_order="0"/>',
        '<points label="car" points="1,1" z_order="0"/>', '<polyline label="car" points="1,1;5,5"/>', '<tag label="car"/>',
        '<polygon label="car" points="1,1;5,5"/>', '<mask label="car" rle="3" left="0" top="0" width="5" height="2"/>', "<box/>",
    ]  # fmt: skip
    write(tmp_path / "in/annotations.xml", cvat(*shapes))
    found = read_all(planned(tmp_path / "in", images, names=["sub/a.jpg"]))["sub/a.jpg"]
    assert box(found.labels[:, :10], 2) == (2, 3, 7, 8)
    ellipse = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(ellipse, (30, 20), (4, 6), 0, 0, 360, (1,), thickness=-1)
    assert np.array_equal(found.labels == 1, ellipse != 0)
    assert found.labels[5, 19] == 2  # the turned box reaches beyond its sides
    assert (found.regions, sum(entry.count for entry in found.skipped)) == (3, 5)


def test_cvat_in_an_archive_and_tracks(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["sub/a.jpg"])
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations.xml", cvat(POLYGON.format(z=0)).replace("</annotations>", '<track id="0"/></annotations>'))
    plan = planned(tmp_path / "task.zip", images, names=["sub/a.jpg"])
    assert [(entry.name, entry.count) for entry in plan.unread] == [("a track", 1)]
    assert box(read_all(plan)["sub/a.jpg"].labels, 1) == (5, 4, 19, 14)


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotations><version>&b;</version></annotations>'


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>',
        "<a>" * 200,
        "<annotations>",
        "",
        "<a/><b/>",
        "\0",
        "<a>&x;</a>",
    ],
)
def test_xml_that_is_no_plain_document_is_refused(text: str) -> None:
    with pytest.raises(DataFileError):
        parse_xml(text.encode())


def test_xml_is_read_as_it_is_written() -> None:
    root = parse_xml('<a x="1"><b>one &amp; two</b><b/><!-- no --></a>'.encode("utf-16"))
    assert (root.tag, root.number("x")) == ("a", 1.0)
    assert [child.text for child in root.all("b")] == ["one & two", ""]
    assert root.first("b", "c") is None


# -- Supervisely ---------------------------------------------------------------------------------------------------------


def supervisely(folder: Path, *objects: dict[str, object]) -> Path:
    rows = [{"title": "road", "shape": "polygon", "color": "#0A0B0C"}, {"title": "car", "shape": "bitmap", "color": "#010203"}]
    write(folder / "meta.json", {"classes": rows, "tags": []})
    write(
        folder / "ds/ann/a.jpg.json",
        {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": list(objects)},
    )
    return photographs(folder / "ds/img", ["a.jpg"])


def test_supervisely_objects(tmp_path: Path) -> None:
    alpha = np.zeros((4, 6, 4), np.uint8)
    alpha[1:3, 2:5, 3] = 255
    data = base64.b64encode(zlib.compress(png(alpha))).decode()
    hole = [[10, 8], [14, 8], [14, 11], [10, 11]]
    images = supervisely(
        tmp_path,
        {"classTitle": "road", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": [hole]}},
        {"classTitle": "car", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [25, 20]}},
        {"classTitle": "car", "geometryType": "rectangle", "points": {"exterior": [[30, 2], [35, 5]], "interior": []}},
        {"classTitle": "car", "geometryType": "point", "points": {"exterior": [[1, 1]], "interior": []}},
        {"classTitle": "car", "geometryType": "bitmap", "bitmap": {"data": "AAAA", "origin": [25, 20]}},
        {"geometryType": "polygon"},
    )
    plan = planned(tmp_path, images, names=["a.jpg"])
    assert plan.format.key == "supervisely"
    assert [(one.name, one.color, one.regions) for one in plan.classes] == [("road", (10, 11, 12), 1), ("car", (1, 2, 3), 4)]
    found = read_all(plan)["a.jpg"]
    assert box(found.labels, 1) == (5, 4, 20, 15)
    assert found.labels[9, 12] == 0
    assert found.labels[8, 9] == 1
    assert box(found.labels[15:], 2) == (27, 6, 29, 7)
    assert box(found.labels[:10], 2) == (30, 2, 35, 5)
    assert (found.regions, sum(entry.count for entry in found.skipped)) == (3, 3)


# -- Label Studio --------------------------------------------------------------------------------------------------------


def packed_brush(mask: np.ndarray, sizes: tuple[int, int, int, int] = (3, 4, 8, 16)) -> list[int]:
    """An RGBA picture of a mask as Label Studio packs it, written from the published description of rle-pack."""
    words = np.repeat(np.where(mask.reshape(-1), 255, 0), 4)
    bits = [*_bits(len(words), 32), *_bits(7, 5), *(bit for size in sizes for bit in _bits(size - 1, 4))]
    place = 0
    while place < len(words):
        same = place
        while same < len(words) and words[same] == words[place] and same - place < 1 << sizes[3]:
            same += 1
        length = same - place
        if length == 1 and place + 1 < len(words):
            length = 2
            bits += [0, 0, 0, *_bits(length - 1, sizes[0]), *_bits(int(words[place]), 8), *_bits(int(words[place + 1]), 8)]
        else:
            chosen = next(number for number, size in enumerate(sizes) if length <= 1 << size)
            bits += [1, *_bits(chosen, 2), *_bits(length - 1, sizes[chosen]), *_bits(int(words[place]), 8)]
        place += length
    return np.packbits(bits).tolist()


def _bits(value: int, count: int) -> list[int]:
    return [value >> place & 1 for place in range(count - 1, -1, -1)]


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.integers(1, 12))
def test_brush_masks_unpack(flags: list[bool], height: int) -> None:
    width = -(-len(flags) // height)
    mask = np.zeros(width * height, bool)
    mask[: len(flags)] = flags
    mask = mask.reshape(height, width)
    assert np.array_equal(brush_mask(packed_brush(mask), width, height), mask)


@pytest.mark.parametrize("packed", [[], [1, 2], "ab", [300], [-1], [0.5], [[1]], [0, 0, 0, 16, 57], [255] * 40])
def test_damaged_brush_masks_are_refused(packed: object) -> None:
    with pytest.raises(ValueError):
        brush_mask(packed, 2, 2)


def test_an_official_brush_mask() -> None:
    """A picture of one pixel of alpha 255, its bytes written by hand: 4 words of 8 bits, sizes 1, one run of 3 and one of 1."""
    bits = [*_bits(4, 32), *_bits(7, 5), *_bits(1, 4), *_bits(0, 4), *_bits(0, 4), *_bits(0, 4)]
    bits += [1, 0, 0, *_bits(2, 2), *_bits(0, 8), 1, 0, 0, *_bits(0, 2), *_bits(255, 8)]
    assert brush_mask(np.packbits(bits).tolist(), 1, 1).tolist() == [[True]]


def result(kind: str, label: str, **value: object) -> dict[str, object]:
    return {
        "type": kind, "id": f"{kind}{label}", "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
        "value": {kind: [label], **value},
    }  # fmt: skip


def test_label_studio_tasks(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:25, 3:9] = True
    results = [
        result("polygonlabels", "road", points=[[x / WIDTH * 100, y / HEIGHT * 100] for x, y in SQUARE]),
        result("brushlabels", "car", format="rle", rle=packed_brush(mask)),
        result("rectanglelabels", "car", x=75.0, y=50.0, width=10.0, height=20.0, rotation=0),
        result("keypointlabels", "car", x=75.0, y=50.0),
        result("brushlabels", "car", format="rle", rle=[1, 2, 3]),
        {"type": "choices", "value": {"choices": ["day"]}},
    ]
    task = {
        "id": 1, "data": {"image": "/data/upload/1/1a2b3c4d-a.jpg", "note": "x"},
        "annotations": [{"result": []}, {"result": results, "was_cancelled": False}, {"result": [], "was_cancelled": True}],
    }  # fmt: skip
    empty = {"id": 2, "data": {"image": "s3://bucket/b.jpg"}, "annotations": []}
    path = write(tmp_path / "export.json", [task, empty])
    plan = planned(path, images)
    assert plan.format.key == "labelstudio"
    found = read_all(plan)["a.jpg"]
    assert np.array_equal(found.labels[16:, :20] == 2, mask[16:, :20])
    assert box(found.labels, 1) == (5, 4, 19, 14)
    assert box(found.labels[:, 25:], 2) == (5, 15, 8, 20)
    assert (found.regions, sum(entry.count for entry in found.skipped)) == (3, 3)
    assert "earlier annotations" in plan.unread[0].name


def test_label_studio_addresses_are_names(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["my photo.jpg", "b.jpg", "50%25.jpg"])
    outline = result("polygonlabels", "car", points=[[10, 10], [50, 10], [50, 50]])
    names = ("/data/local-files/?d=set/my%20photo.jpg", "https://host/x/b.jpg?signature=1%2F2", "50%25.jpg")
    tasks = [{"data": {"image": name}, "annotations": [{"result": [outline]}]} for name in names]
    plan = planned(write(tmp_path / "e.json", tasks), images, names=["my photo.jpg", "b.jpg", "50%25.jpg"])
    assert [item.name for item in plan.items] == ["my photo.jpg", "b.jpg", "50%25.jpg"]
    two = {**outline, "value": {**outline["value"], "polygonlabels": ["car", "road"]}}  # type: ignore[dict-item]
    tasks = [{"data": {"image": "b.jpg"}, "annotations": [{"result": [outline, two]}]}]
    found = read_all(planned(write(tmp_path / "f.json", tasks), images, names=["b.jpg"]))["b.jpg"]
    assert [part.why for part in found.skipped] == ["It has several labels"]


def test_label_studio_in_short_form(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    row = {"original_width": WIDTH, "original_height": HEIGHT, "polygonlabels": ["car"], "points": [[10, 10], [50, 10], [50, 50]]}
    path = write(tmp_path / "export.json", [{"image": "/data/upload/1a2b3c4d-a.jpg", "id": 1, "tag": [row]}])
    found = read_all(planned(path, images))["a.jpg"]
    assert (found.regions, int(found.labels.max())) == (1, 2)


def test_a_list_of_something_else_is_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(LabelSourceError, match="no known format"):
        scan(write(tmp_path / "a.json", [{"a": 1}]), tmp_path, [])
