"""Programs of others open what we export and find every pixel; they run in an environment of their own (``make peers``)."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from tests.peers import run_peer

from .samples import blobs, photograph

VOC = get_catalog("voc21")
SHAPES = {"a": (30, 41), "b": (17, 90), "c": (64, 64)}


@pytest.fixture
def maps() -> dict[str, np.ndarray]:
    """Label maps with holes, thin lines and single pixels."""
    found = {name: blobs(VOC, shape, seed) for seed, (name, shape) in enumerate(SHAPES.items())}
    found["a"][5:12, 5:14] = 9
    found["a"][7:9, 7:10] = 15
    found["a"][8, 8] = 0
    found["b"][::2, 3] = 4
    return found


def exported(tmp_path: Path, form: str, maps: dict[str, np.ndarray], split: str = "", **options: object) -> Path:
    items = []
    for name, labels in maps.items():
        photo = photograph(tmp_path / f"photos/{name}.jpg", labels.shape)
        items.append(
            ExportItem(name=f"{name}.jpg", catalog=VOC, labels=lambda labels=labels: labels, image_path=photo, split=split)
        )
    assert export_masks(items, get_exporter(form, **options), tmp_path / "out").failed == ()
    (tmp_path / "read").mkdir()
    return tmp_path / "out"


def in_their_numbers(labels: np.ndarray, names: list[str], rest: int, catalog: ClassCatalog = VOC) -> np.ndarray:
    """Our labels as the numbers of their classes; background and void are ``rest``."""
    table = np.full(256, rest)
    for info in catalog.classes:
        if info.id != catalog.background:
            table[info.id] = names.index(info.name)
    return table[labels]


@pytest.mark.parametrize("shapes", ["polygon", "mask"])
def test_labelme(maps: dict[str, np.ndarray], shapes: str, tmp_path: Path) -> None:
    out = exported(tmp_path, "labelme", maps, shapes=shapes)
    values = {info.name: info.id for info in VOC.classes} | {"_background_": 0, "__ignore__": 255}
    (tmp_path / "values.json").write_text(json.dumps(values))
    said = run_peer("labelme_reads.py", out, tmp_path / "values.json", tmp_path / "read")
    assert set(said) == set(maps)
    for name, labels in maps.items():
        assert said[name]["image"]
        assert np.array_equal(np.load(tmp_path / f"read/{name}.npy"), labels)


def test_supervision_reads_yolo(maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    out = exported(tmp_path, "yolo", maps)
    folders = (out / "images/train", out / "labels/train", out / "data.yaml")
    said = run_peer("supervision_reads.py", "yolo", *folders, tmp_path / "read")
    assert "void" not in said["classes"]
    for name, labels in maps.items():
        assert np.array_equal(np.load(tmp_path / f"read/{name}.npy"), in_their_numbers(labels, said["classes"], -1))


@pytest.mark.parametrize(("form", "options"), [("coco_rle", {}), ("coco_instances", {}), ("coco_instances", {"shapes": "mask"})])
def test_supervision_reads_coco(maps: dict[str, np.ndarray], form: str, options: dict[str, str], tmp_path: Path) -> None:
    out = exported(tmp_path, form, maps, **options)
    said = run_peer("supervision_reads.py", "coco", tmp_path / "photos", out / "annotations.json", "-", tmp_path / "read")
    assert sorted(said["classes"]) == sorted(VOC.names[1:])
    if form == "coco_instances" and not options:
        return  # supervision draws polygons with their outlines, not as COCO does
    for name, labels in maps.items():
        assert np.array_equal(np.load(tmp_path / f"read/{name}.npy"), in_their_numbers(labels, said["classes"], -1))


@pytest.mark.parametrize("options", [{}, {"shapes": "mask"}])
def test_datumaro_reads_coco_instances(maps: dict[str, np.ndarray], options: dict[str, str], tmp_path: Path) -> None:
    out = exported(tmp_path, "coco_instances", maps, **options)
    dataset = tmp_path / "coco"
    (dataset / "annotations").mkdir(parents=True)
    (out / "annotations.json").rename(dataset / "annotations/instances_train.json")
    (tmp_path / "photos").rename(dataset / "images")
    said = run_peer("datumaro_reads.py", "coco_instances", dataset, tmp_path / "read", "--polygons")
    for name, labels in maps.items():
        assert np.array_equal(np.load(tmp_path / f"read/{name}.npy"), in_their_numbers(labels, said["classes"], -1))


@pytest.mark.parametrize("shapes", ["mask", "polygon"])
def test_datumaro_reads_cvat_images(maps: dict[str, np.ndarray], shapes: str, tmp_path: Path) -> None:
    out = exported(tmp_path, "cvat_images", maps, shapes=shapes)
    dataset = tmp_path / "cvat"
    dataset.mkdir()
    (out / "annotations.xml").rename(dataset / "default.xml")
    (tmp_path / "photos").rename(dataset / "images")
    said = run_peer("datumaro_reads.py", "cvat", dataset, tmp_path / "read", "--polygons")
    assert set(said["items"]) == set(maps)
    for name, labels in maps.items():
        assert np.array_equal(np.load(tmp_path / f"read/{name}.npy"), in_their_numbers(labels, said["classes"], -1))


@pytest.mark.parametrize("form", ["voc", "cvat_masks"])
def test_datumaro_reads_voc_and_cvat_masks(form: str, maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    out = exported(tmp_path, form, maps)
    if form == "cvat_masks":
        with zipfile.ZipFile(out / "masks.zip") as archive:
            archive.extractall(out)
        (tmp_path / "photos").rename(out / "JPEGImages")
    said = run_peer("datumaro_reads.py", "voc_segmentation", out, tmp_path / "read")
    assert set(said["items"]) == set(maps)
    background = said["classes"].index("background")
    for name, labels in maps.items():
        found = np.load(tmp_path / f"read/{name}.npy")
        expected = in_their_numbers(labels, said["classes"], background)
        known = labels != 255 if form == "voc" else np.ones(labels.shape, bool)
        assert np.array_equal(found[known], expected[known])


def test_datasets_reads_parquet(maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    out = exported(tmp_path, "parquet", maps, split="val")
    said = run_peer("datasets_reads.py", out / "data", tmp_path / "read", tmp_path / "cache")
    assert said == {"val": [[width, height] for height, width in SHAPES.values()]}
    for number, labels in enumerate(maps.values()):
        assert np.array_equal(np.load(tmp_path / f"read/val_{number}.npy"), labels)
