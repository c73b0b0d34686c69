"""Small sources of labels, made by hand, for the tests of this folder."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.masks.importing import ImportedImage, ImportPlan, scan

WIDTH, HEIGHT = 40, 30
NAMES = ("a.jpg", "b.jpg")
CATALOG = ClassCatalog(
    name="own", title="Own classes", background=0,
    classes=(ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "road", (90, 0, 90)), ClassInfo(2, "car", (0, 0, 200))),
)  # fmt: skip
SQUARE = [[5, 4], [20, 4], [20, 15], [5, 15]]


def photographs(folder: Path, names: Sequence[str] = NAMES, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (120, 90, 60)).save(path)
    return folder


def write(path: Path, values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def base64_png(pixels: np.ndarray) -> str:
    return base64.b64encode(png(pixels)).decode()


def shape(label: str, points: object, kind: str = "polygon", **more: object) -> dict[str, object]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def labelme(image: str, *shapes: Mapping[str, object], size: tuple[int, int] = (WIDTH, HEIGHT), **more: object) -> dict[str, Any]:
    width, height = size
    return {
        "version": "6.3.1", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None, "imageHeight": height,
        "imageWidth": width, **more,
    }  # fmt: skip


def coco(
    *annotations: Mapping[str, object], names: Sequence[str] = NAMES, categories: Sequence[str] = ("road", "car")
) -> dict[str, Any]:
    images = [{"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} for number, name in enumerate(names, 1)]
    rows = [{"id": number, "image_id": 1, "iscrowd": 0, **one} for number, one in enumerate(annotations, 1)]
    named = [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
    return {"images": images, "annotations": rows, "categories": named}


def planned(
    source: Path, images: Path, choices: Mapping[str, str] | None = None, names: Sequence[str] = NAMES, **options: Any
) -> ImportPlan:
    return scan(source, images, names, **options).mapped(CATALOG, choices)


def read_all(plan: ImportPlan, **options: Any) -> dict[str, ImportedImage]:
    return {item.name: plan.read(item, **options) for item in plan.items}


def box(labels: np.ndarray, value: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom), both ends included, of what has a value."""
    rows, columns = np.nonzero(labels == value)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())
