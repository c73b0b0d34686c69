"""What is exported is read again by the program's own import, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import find_images
from deeplab_core.masks.export import FORMATS, ExportItem, export_masks, get_exporter
from deeplab_core.masks.importing import scan

from .samples import blobs, photograph

#: Export format -> import format. Plain masks are read by ``read_mask``, not by an import.
SAME = {
    "labelme": "labelme",
    "coco_rle": "coco",
    "coco_instances": "coco",
    "coco_panoptic": "coco_panoptic",
    "yolo": "yolo",
    "cvat_images": "cvat",
    "cvat_masks": "cvat_masks",
    "voc": "voc",
    "cityscapes": "cityscapes",
    "ade20k": "ade20k",
    "npy": "numpy",
    "parquet": "parquet",
}
#: Names of images by which an import recognises the data set.
NAMES = {"cityscapes": "city_{:06}_000019_leftImg8bit.jpg", "ade20k": "ADE_train_{:08}.jpg"}
FILES = {"cvat_masks": "masks.zip"}
VOID_IS_BACKGROUND = {"yolo", "cvat_images", "cvat_masks"}


@pytest.mark.parametrize("form", list(SAME))
@pytest.mark.parametrize("orientation", [1, 6])
def test_every_pixel_comes_back(form: str, orientation: int, tmp_path: Path) -> None:
    catalog = get_catalog({"cityscapes": "cityscapes34", "ade20k": "ade20k150"}.get(form, "voc21"))
    if FORMATS[form].extra:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    maps, items = {}, []
    for number in range(2):
        name = NAMES.get(form, "im{}.jpg").format(number)
        labels = blobs(catalog, (30, 41), number)
        if form == "cityscapes":
            labels[labels == catalog.ignore] = 0  # its files have no void
        maps[name] = labels
        photo = photograph(tmp_path / "photos" / name, labels.shape, orientation)
        items.append(ExportItem(name=name, catalog=catalog, labels=lambda labels=labels: labels, image_path=photo))
    options = {"images": "none"} if "images" in FORMATS[form].options else {}
    assert export_masks(items, get_exporter(form, **options), tmp_path / "out").failed == ()

    photos = tmp_path / "photos"
    plan = scan(tmp_path / "out" / FILES.get(form, ""), photos, find_images(photos), format=SAME[form]).mapped(catalog)
    assert {item.name for item in plan.items} == set(maps)
    for item in plan.items:
        expected = maps[item.name]
        if form in VOID_IS_BACKGROUND:
            expected = np.where(expected == catalog.ignore, catalog.background, expected)
        found = plan.read(item)
        assert np.array_equal(found.labels, expected), int((found.labels != expected).sum())
