"""COCO instances and COCO panoptic."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import LabelSourceError
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.importing import scan
from tests.unit.core.masks.samples import blobs

from .sources import CATALOG, HEIGHT, NAMES, SQUARE, WIDTH, box, coco, photographs, planned, read_all, write

FLAT = [value for point in SQUARE for value in point]


def annotation(category: int, segmentation: object, **more: object) -> dict[str, object]:
    return {"category_id": category, "segmentation": segmentation, **more}


def test_the_regions_are_those_of_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = photographs(tmp_path / "images")
    rng = np.random.default_rng(4)
    rows = []
    for number in range(40):
        parts = [rng.uniform(-4, 44, int(rng.integers(3, 8)) * 2).round(2).tolist() for _ in range(int(rng.integers(1, 4)))]
        rows.append(annotation(number % 2 + 1, parts, image_id=number % 2 + 1))
    mask = np.asfortranarray(rng.random((HEIGHT, WIDTH)) < 0.3).astype(np.uint8)
    packed = coco_mask.encode(mask)
    rows.append(annotation(1, {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}))
    path = write(tmp_path / "instances.json", coco(*rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = COCO(path)
        expected = {name: np.zeros((HEIGHT, WIDTH), np.uint8) for name in NAMES}
        for row in theirs.dataset["annotations"]:
            expected[NAMES[row["image_id"] - 1]][theirs.annToMask(row) != 0] = row["category_id"]
    capsys.readouterr()
    found = read_all(planned(path, images))
    assert {name: np.array_equal(one.labels, expected[name]) for name, one in found.items()} == dict.fromkeys(NAMES, True)
    assert sum(one.regions for one in found.values()) == sum(one.instances for one in found.values()) == 41


def test_crowds_lie_below_and_run_lengths_may_be_plain(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    crowd = annotation(1, {"size": [HEIGHT, WIDTH], "counts": [0, WIDTH * HEIGHT]}, iscrowd=1)
    path = write(tmp_path / "a.json", coco(annotation(2, [FLAT]), crowd))
    found = read_all(planned(path, images))["a.jpg"]
    assert box(found.labels, 2) == (5, 4, 19, 14)
    assert found.unlabelled == 0
    assert (found.regions, found.instances) == (2, 1)


def test_what_cannot_be_drawn_is_counted(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    rows = [
        annotation(1, []), annotation(1, [[1, 2, 3, 4]]), annotation(9, [FLAT]), annotation(1, {"size": [9, 9], "counts": [81]}),
        annotation(1, {"size": [HEIGHT, WIDTH], "counts": "!!"}), annotation(1, 7), {"category_id": 1}, annotation(2, [FLAT]),
    ]  # fmt: skip
    path = write(tmp_path / "a.json", coco(*rows, annotation(1, [FLAT], image_id=77)))
    plan = planned(path, images)
    assert [(entry.name, entry.count) for entry in plan.unread] == [("an annotation", 1)]
    found = read_all(plan)["a.jpg"]
    assert sum(entry.count for entry in found.skipped) == 7
    assert found.regions == 1


def test_our_own_export_reads_back(tmp_path: Path) -> None:
    catalog = get_catalog("voc21")
    maps = {name: blobs(catalog, (HEIGHT, WIDTH), seed) for seed, name in enumerate(NAMES)}
    items = [ExportItem(name=name, catalog=catalog, labels=lambda labels=labels: labels) for name, labels in maps.items()]
    assert export_masks(items, get_exporter("coco_rle", unit="component"), tmp_path / "out").failed == ()
    images = photographs(tmp_path / "images")
    plan = scan(tmp_path / "out", images, NAMES).mapped(catalog)
    assert plan.format.key == "coco"
    assert {item.name: np.array_equal(plan.read(item).labels, maps[item.name]) for item in plan.items} == dict.fromkeys(
        maps, True
    )


def panoptic(folder: Path) -> Path:
    segments = np.zeros((HEIGHT, WIDTH), np.uint32)
    segments[4:16, 5:21] = 7
    segments[20:25, 5:21] = 300
    segments[26:, 30:] = 70_000
    segments[:3, 35:] = 9
    colors = np.stack((segments % 256, segments // 256 % 256, segments // 65536), axis=-1).astype(np.uint8)
    (folder / "panoptic_val").mkdir(parents=True)
    Image.fromarray(colors).save(folder / "panoptic_val/a.png")
    infos = [{"id": 7, "category_id": 2}, {"id": 300, "category_id": 2}, {"id": 70_000, "category_id": 1}]
    values = coco()
    values["annotations"] = [{"image_id": 1, "file_name": "a.png", "segments_info": infos}]
    values["categories"] = [{"id": 1, "name": "road", "isthing": 0}, {"id": 2, "name": "car", "isthing": 1}]
    return write(folder / "panoptic_val.json", values)


@pytest.mark.parametrize("whole", [True, False])
def test_panoptic_segments(tmp_path: Path, whole: bool) -> None:
    images = photographs(tmp_path / "images")
    path = panoptic(tmp_path / "labels")
    plan = planned(tmp_path / "labels" if whole else path, images)
    assert plan.format.key == "coco_panoptic"
    found = read_all(plan)["a.jpg"]
    assert box(found.labels, 2) == (5, 4, 20, 24)
    assert box(found.labels, 1) == (30, 26, 39, 29)
    assert found.labels[15, 30] == CATALOG.ignore
    assert (found.regions, found.instances) == (3, 2)
    assert [(entry.name, entry.count) for entry in found.skipped] == [("a segment", 1)]
    assert found.labels[0, 39] == 0


def test_two_files_share_their_classes(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    write(tmp_path / "json/train.json", coco(annotation(2, [FLAT]), names=["a.jpg"]))
    write(tmp_path / "json/val.json", coco(annotation(1, [FLAT]), names=["b.jpg"], categories=["car"]))
    write(tmp_path / "json/other.json", json.dumps({"a": 1}))
    plan = planned(tmp_path / "json", images)
    assert {one.name: one.regions for one in plan.classes} == {"road": 0, "car": 2}
    assert [int(one.labels.max()) for one in read_all(plan).values()] == [2, 2]
    assert [entry.name for entry in plan.unread] == ["other.json"]


def test_a_file_that_is_half_coco_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"images": [{"id": 1}], "annotations": [], "categories": []})
    with pytest.raises(LabelSourceError, match=r"a\.json"):
        scan(path, tmp_path, ["a.jpg"])
