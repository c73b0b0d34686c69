"""Datumaro, the reader and writer behind several annotation programs: it reads our exports exactly, and we read its."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import find_images, find_truth
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.read import read_mask
from tests.peers import run_peer

from .samples import blobs, photograph

VOC = get_catalog("voc21")
SHAPES = {"a": (30, 41), "b": (17, 90), "c": (64, 64)}


def exported(target: Path, form: str, maps: dict[str, np.ndarray]) -> None:
    items = [ExportItem(name=f"{name}.jpg", catalog=VOC, labels=lambda labels=labels: labels) for name, labels in maps.items()]
    assert export_masks(items, get_exporter(form), target).failed == ()


@pytest.fixture
def maps() -> dict[str, np.ndarray]:
    return {name: blobs(VOC, shape, seed) for seed, (name, shape) in enumerate(SHAPES.items())}


def test_masks_in_voc_s_layout_are_read_exactly(maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    dataset, read = tmp_path / "voc", tmp_path / "read"
    read.mkdir()
    exported(dataset / "SegmentationClass", "indexed", maps)
    for name, labels in maps.items():
        photograph(dataset / "JPEGImages" / f"{name}.jpg", labels.shape)
    lists = dataset / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(maps) + "\n")
    colours = [(item.name, item.color) for item in VOC.classes] + [("void", VOC.ignore_color)]
    (dataset / "labelmap.txt").write_text("".join(f"{name}:{','.join(map(str, colour))}::\n" for name, colour in colours))

    said = run_peer("datumaro_reads.py", "voc_segmentation", dataset, read)

    assert set(said["items"]) == set(maps)
    theirs = {name: number for number, name in enumerate(said["classes"])}
    ids = np.full(256, -1)
    for item in VOC.classes:
        ids[item.id] = theirs[item.name]
    ids[VOC.ignore] = theirs["void"]
    for name, labels in maps.items():
        assert np.array_equal(np.load(read / f"{name}.npy"), ids[labels])


def test_coco_run_lengths_are_read_exactly(maps: dict[str, np.ndarray], tmp_path: Path) -> None:
    dataset, read = tmp_path / "coco", tmp_path / "read"
    read.mkdir()
    exported(tmp_path / "out", "coco_rle", maps)
    (dataset / "annotations").mkdir(parents=True)
    (tmp_path / "out" / "annotations.json").rename(dataset / "annotations" / "instances_train.json")
    for name, labels in maps.items():
        photograph(dataset / "images" / "train" / f"{name}.jpg", labels.shape)

    said = run_peer("datumaro_reads.py", "coco_instances", dataset, read)

    assert set(said["items"]) == set(maps)
    theirs = {name: number for number, name in enumerate(said["classes"])}
    ids = np.full(256, -1)  # the background is what no run covers
    for item in VOC.classes:
        if item.id != VOC.background:
            ids[item.id] = theirs[item.name]
    for name, labels in maps.items():
        got = np.load(read / f"{name}.npy")
        known = labels != VOC.ignore
        assert np.array_equal(got[known], ids[labels[known]])


@pytest.mark.parametrize(
    ("form", "name", "unlabelled"),
    [
        ("voc_segmentation", "voc21", "background"),  # Datumaro's VOC has no other value for it
        ("cityscapes", "cityscapes34", "unlabeled"),
        ("camvid", "camvid11", None),
    ],
)
def test_what_datumaro_writes_is_found_and_read_exactly(form: str, name: str, unlabelled: str | None, tmp_path: Path) -> None:
    catalog = get_catalog(name)
    maps = {stem: blobs(catalog, shape, seed) for seed, (stem, shape) in enumerate(SHAPES.items())}
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    for stem, labels in maps.items():
        np.save(numbers / f"{stem}.npy", np.where(labels == catalog.ignore, -1, np.searchsorted(catalog.ids, labels)).astype(int))
    classes = tmp_path / "classes.json"
    classes.write_text(json.dumps([(item.name, item.color) for item in catalog.classes]), encoding="utf-8")
    dataset = tmp_path / "dataset"

    run_peer("datumaro_writes.py", form, numbers, classes, dataset)

    images = find_images(dataset)
    truth = find_truth(dataset, images, catalog=catalog)
    assert truth.certain
    assert len(truth.files) == len(images) == len(maps)
    rest = catalog.ignore if unlabelled is None else next(item.id for item in catalog.classes if item.name == unlabelled)
    for image, path in truth.files.items():
        labels = maps[Path(image).stem[0]]
        assert np.array_equal(read_mask(path, catalog), np.where(labels == catalog.ignore, rest, labels))
