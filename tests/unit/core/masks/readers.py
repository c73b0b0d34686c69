"""Readers of the export formats that share no code with the exporters: each gives the label maps of a folder back.

A reader gets the target folder, the items and their catalog, and returns image name -> (H, W) labels in the catalog's in-memory
values.
"""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile
import yaml
from PIL import Image, ImageDraw

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.masks.export import ExportItem

Reader = Callable[[Path, Sequence[ExportItem], ClassCatalog], dict[str, np.ndarray]]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def from_values(values: np.ndarray, catalog: ClassCatalog, void: int | None = None) -> np.ndarray:
    void = catalog.file_ignore if void is None else void
    return np.where(values == void, catalog.ignore, values).astype(catalog.dtype)


def one_each(suffix: str, load: Callable[[Path], np.ndarray]) -> Reader:
    def read(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
        return {item.name: from_values(load(target / f"{item.stem}{suffix}"), catalog) for item in items}

    return read


def read_color(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    table = {info.color: info.id for info in catalog.classes} | {catalog.ignore_color: int(catalog.ignore)}
    found = {}
    for item in items:
        rgb = pixels(target / f"{item.stem}.png")
        flat = [table[tuple(pixel)] for pixel in rgb.reshape(-1, 3).tolist()]
        found[item.name] = np.array(flat, catalog.dtype).reshape(rgb.shape[:2])
    return found


def read_binary(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    folders = {path.name: path for path in target.iterdir() if path.is_dir()}
    assert len(folders) == len(catalog)
    found = {}
    for item in items:
        labels = None
        for info in catalog.classes:
            plain = "".join(letter if letter.isalnum() or letter in "_.+-" else "_" for letter in info.name)
            folder = folders.get(plain.strip("._")) or folders[f"{info.id}_{plain}"]
            mask = pixels(folder / f"{item.stem}.png")
            assert set(np.unique(mask)) <= {0, 255}
            labels = np.full(mask.shape, catalog.ignore, catalog.dtype) if labels is None else labels
            labels[mask == 255] = info.id
        assert labels is not None
        found[item.name] = labels
    return found


def read_npz(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    found = {}
    for item in items:
        with np.load(target / f"{item.stem}.npz", allow_pickle=False) as archive:
            assert archive["names"].tolist() == list(catalog.names)
            assert archive["ids"].tolist() == catalog.ids.tolist()
            found[item.name] = from_values(archive["labels"], catalog, int(archive["void"]))
    return found


def read_voc(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    listed = (target / "ImageSets/Segmentation/train.txt").read_text(encoding="utf-8").splitlines()
    assert listed == [item.stem for item in items]
    return {item.name: from_values(pixels(target / f"SegmentationClass/{item.stem}.png"), catalog, 255) for item in items}


def read_ade20k(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    rows = (target / "objectInfo.txt").read_text(encoding="utf-8").splitlines()[1:]
    ids = {0: int(catalog.ignore)}
    for number, name in (row.split("\t") for row in rows):
        ids[int(number)] = next(info.id for info in catalog.classes if info.name == name)
    table = np.array([ids[number] for number in range(len(ids))], catalog.dtype)
    return {item.name: table[pixels(target / f"annotations/training/{item.stem}.png")] for item in items}


def read_cityscapes(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    """Of a catalog of label ids; the benchmark has no void, its unlabeled is 0."""
    return {item.name: pixels(next(target.rglob(f"*{item.stem}_*_gtFine_labelIds.png"))) for item in items}


def read_cityscapes_ids(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    return {item.name: pixels(target / f"{item.stem}_gtFine_labelIds.png") for item in items}


def read_cityscapes_train_ids(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    return {item.name: pixels(target / f"{item.stem}_gtFine_labelTrainIds.png") for item in items}


def read_coco(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    from pycocotools import mask as coco_mask

    data = json.loads((target / "annotations.json").read_text(encoding="utf-8"))
    rest = int(catalog.ignore) if catalog.background is None else catalog.background
    assert "void" not in {row["name"] for row in data["categories"]}
    found = {}
    for image in data["images"]:
        height, width = image["height"], image["width"]
        labels = np.full((height, width), rest, catalog.dtype)
        for row in data["annotations"]:
            if row["image_id"] == image["id"]:
                shape = row["segmentation"]
                if isinstance(shape, list):
                    shape = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
                labels[coco_mask.decode(shape).astype(bool)] = row["category_id"]
        if "void" in image:
            labels[coco_mask.decode(image["void"]).astype(bool)] = catalog.ignore
        found[image["file_name"]] = labels
    return found


def read_panoptic(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    data = json.loads((target / "panoptic_train.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in data["categories"]] == list(catalog.names)
    names = {row["id"]: row["file_name"] for row in data["images"]}
    found = {}
    for row in data["annotations"]:
        rgb = pixels(target / "panoptic_train" / row["file_name"]).astype(int)
        ids = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
        labels = np.full(ids.shape, catalog.ignore, catalog.dtype)
        for segment in row["segments_info"]:
            inside = ids == segment["id"]
            assert inside.sum() == segment["area"]
            labels[inside] = segment["category_id"]
        found[names[row["image_id"]]] = labels
    return found


def read_labelme(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    """By labelme's rule, which is Pillow's polygon with its outline."""
    rest = int(catalog.ignore) if catalog.background is None else catalog.background
    found = {}
    for item in items:
        data = json.loads((target / f"{item.stem}.json").read_text(encoding="utf-8"))
        labels = np.full((data["imageHeight"], data["imageWidth"]), rest, catalog.dtype)
        for shape in data["shapes"]:
            named = {"__ignore__": int(catalog.ignore), "_background_": rest}
            value = named.get(shape["label"])
            if value is None:
                value = next(info.id for info in catalog.classes if info.name == shape["label"])
            mask = Image.new("L", labels.shape[::-1])
            ImageDraw.Draw(mask).polygon([tuple(point) for point in shape["points"]], outline=1, fill=1)
            labels[np.asarray(mask) > 0] = value
        found[item.name] = labels
    return found


def read_yolo(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    """By supervision's rule: rounded, then drawn by ``cv2.fillPoly``."""
    rest = int(catalog.ignore) if catalog.background is None else catalog.background
    names = yaml.safe_load((target / "data.yaml").read_text(encoding="utf-8"))["names"]
    ids = {number: next(info.id for info in catalog.classes if info.name == name) for number, name in names.items()}
    found = {}
    for item in items:
        labels = item.labels()
        assert labels is not None
        drawn = np.full(labels.shape, rest, np.int32)
        for line in (target / f"labels/train/{item.stem}.txt").read_text().splitlines():
            number, *sides = line.split()
            points = np.array(sides, np.float32).reshape(-1, 2) * labels.shape[::-1]
            cv2.fillPoly(drawn, [np.round(points).astype(np.int32)], ids[int(number)])
        found[item.name] = drawn
    return found


def read_cvat_images(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    rest = int(catalog.ignore) if catalog.background is None else catalog.background
    root = ET.parse(target / "annotations.xml").getroot()
    found = {}
    for image in root.iter("image"):
        labels = np.full((int(image.attrib["height"]), int(image.attrib["width"])), rest, catalog.dtype)
        for mask in image.iter("mask"):
            left, top, width, height = (int(mask.attrib[name]) for name in ("left", "top", "width", "height"))
            runs = [int(run) for run in mask.attrib["rle"].split(",")]
            flat = np.concatenate([np.full(run, number % 2) for number, run in enumerate(runs)])
            inside = flat.reshape(height, width).astype(bool)
            value = next(info.id for info in catalog.classes if info.name == mask.attrib["label"])
            labels[top : top + height, left : left + width][inside] = value
        found[image.attrib["name"]] = labels
    return found


def read_cvat_masks(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    rest = int(catalog.ignore) if catalog.background is None else catalog.background
    found = {}
    with zipfile.ZipFile(target / "masks.zip") as archive:
        rows = archive.read("labelmap.txt").decode().splitlines()[1:]
        table = {}
        for row in rows:
            name, color = row.split(":")[:2]
            info = next((info for info in catalog.classes if info.name == name), None)
            black = color == "0,0,0"
            table[tuple(map(int, color.split(",")))] = rest if black or info is None else info.id
        assert archive.read("ImageSets/Segmentation/default.txt").decode().split() == [item.stem for item in items]
        for item in items:
            with archive.open(f"SegmentationClass/{item.stem}.png") as stream, Image.open(stream) as picture:
                rgb = np.asarray(picture)
            flat = [table[tuple(pixel)] for pixel in rgb.reshape(-1, 3).tolist()]
            found[item.name] = np.array(flat, catalog.dtype).reshape(rgb.shape[:2])
    return found


def read_parquet(target: Path, items: Sequence[ExportItem], catalog: ClassCatalog) -> dict[str, np.ndarray]:
    from pyarrow import parquet

    found = {}
    for row in parquet.read_table(target / "data/train.parquet").to_pylist():
        with Image.open(io.BytesIO(row["mask"]["bytes"])) as picture:
            found[row["image"]["path"]] = from_values(np.asarray(picture), catalog)
    return found


READERS: dict[str, Reader] = {
    "indexed": one_each(".png", pixels),
    "raw_ids": one_each(".png", pixels),
    "ids_16bit": one_each(".png", pixels),
    "npy": one_each(".npy", np.load),
    "geotiff": one_each(".tif", tifffile.imread),
    "npz": read_npz,
    "color": read_color,
    "binary": read_binary,
    "voc": read_voc,
    "ade20k": read_ade20k,
    "cityscapes": read_cityscapes,
    "cityscapes_ids": read_cityscapes_ids,
    "cityscapes_train_ids": read_cityscapes_train_ids,
    "coco_rle": read_coco,
    "coco_instances": read_coco,
    "coco_panoptic": read_panoptic,
    "labelme": read_labelme,
    "yolo": read_yolo,
    "cvat_images": read_cvat_images,
    "cvat_masks": read_cvat_masks,
    "parquet": read_parquet,
}
