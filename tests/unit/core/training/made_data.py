"""A made data set that a small network can learn: the class of a pixel is its colour, with noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_core.catalogs import save_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.masks.png import write_mask
from deeplab_core.training import DataSource, Recipe, SegmentationDataset

CATALOG = ClassCatalog(
    "toy", "Toy", (ClassInfo(0, "floor", (40, 40, 40)), ClassInfo(3, "chair", (200, 30, 30)), ClassInfo(7, "sofa", (30, 180, 60)))
)
RECIPE = Recipe(
    network="deeplabv3plus",
    backbone="mobilenet_v2",
    options={"separable": True, "aspp_channels": 8, "decoder_channels": 8, "low_level_channels": 8, "decoder_dropout": 0.2},
    crop=(32, 40),
    batch=4,
    steps=6,
    rate=0.02,
    scales=(0.8, 1.2),
)


def make_folder(folder: Path, count: int = 6, seed: int = 0) -> Path:
    """``folder/images`` and ``folder/labels`` with rectangles of two classes, a void ring, and the catalog as a file."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    colours = {info.id: np.array(info.color) for info in CATALOG.classes}
    for number in range(count):
        labels = np.zeros((40, 48), dtype=np.uint8)
        for class_id in (3, 7):
            y, x = random.integers(0, 24, 2)
            labels[y : y + 16, x : x + 20] = class_id
        rgb = np.zeros((40, 48, 3))
        for class_id, colour in colours.items():
            rgb[labels == class_id] = colour
        rgb += random.normal(0, 8, rgb.shape)
        labels[0] = 255
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / "images" / f"room_{number}.png")
        write_mask(folder / "labels" / f"room_{number}.png", labels, CATALOG)
    save_catalog(CATALOG, folder / "toy.json")
    return folder


def dataset(folder: Path) -> SegmentationDataset:
    """All images of :func:`make_folder`."""
    return SegmentationDataset(DataSource(images=folder / "images").samples(CATALOG), CATALOG)
