"""COCO panoptic: a PNG of segment ids per image, and one JSON for their classes.

Format: "COCO data format", section "Panoptic Segmentation". A pixel's segment is R + 256 G + 65536 B; 0 is void.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.exporter import (
    REMEDY,
    Encoded,
    ExportItem,
    LayoutExporter,
    LayoutSession,
    Part,
    check_catalog,
    holds,
)
from deeplab_core.masks.export.shapes import regions
from deeplab_core.masks.png import encode_png, to_file_values
from deeplab_core.masks.stored import read_stored
from deeplab_core.reading import json_text, parse_json

_MOST_BYTES = 1 << 30


class PanopticExporter(LayoutExporter):
    """``panoptic_SPLIT/NAME.png`` and ``panoptic_SPLIT.json``. Every class is a category, the background too; void is segment 0.

    Args:
        unit: one segment per class and image ("stuff"), or per connected region (4-neighbourhood, "things"). Which regions are
            one object is more than a label map knows.
    """

    name = "coco_panoptic"

    def __init__(self, *, unit: Literal["class", "component"] = "class") -> None:
        if unit not in ("class", "component"):
            raise ValueError(f"unit '{unit}' is neither 'class' nor 'component'")
        self.unit = unit

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return (f"panoptic_{item.part}/{item.stem}.png",)

    def shared(self, items: Sequence[ExportItem]) -> tuple[str, ...]:
        return tuple(f"panoptic_{split}.json" for split in dict.fromkeys(item.part for item in items))

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        return _PanopticSession(self, catalog)


class _PanopticSession(LayoutSession):
    def __init__(self, exporter: PanopticExporter, catalog: ClassCatalog) -> None:
        self._exporter, self._catalog = exporter, catalog
        self._rows: dict[str, tuple[tuple[int, int], list[dict[str, Any]]]] = {}

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        ids, segments = self._segments(labels)
        table = {0: int(self._catalog.ignore)} | {row["id"]: row["category_id"] for row in segments}
        (name,) = self._exporter.files(item)
        pixels = np.stack((ids & 255, ids >> 8 & 255, ids >> 16 & 255), axis=-1).astype(np.uint8)

        def check(path: Path) -> None:
            found = read_stored(path).colors
            if found is not None and found.shape == pixels.shape:
                wide = found.astype(np.int64)
                read = wide[..., 0] + 256 * wide[..., 1] + 65536 * wide[..., 2]
                known, places = np.unique(read, return_inverse=True)
                values = np.array([table.get(int(number), -1) for number in known])[places].reshape(labels.shape)
                if np.array_equal(values, labels):
                    return
            raise ExportError(message("the segments do not read back equal"), remedy=REMEDY, path=name)

        self._rows[item.name] = (labels.shape[:2], segments)
        return Encoded((Part(name, encode_png(pixels), check),))

    def _segments(self, labels: LabelMap) -> tuple[NDArray[np.int32], list[dict[str, Any]]]:
        """(H, W) segment numbers from 1, 0 for void, and their rows."""
        ids = np.zeros(labels.shape, np.int32)
        segments: list[dict[str, Any]] = []
        if self._exporter.unit == "component":
            for region in regions(labels, int(self._catalog.ignore)):
                height, width = region.mask.shape
                number = len(segments) + 1
                ids[region.y : region.y + height, region.x : region.x + width][region.mask > 0] = number
                segments.append(_segment(number, region.value, region.pixels, [region.x, region.y, width, height]))
            return ids, segments
        for value in np.unique(labels):
            if value != self._catalog.ignore:
                inside = (labels == value).astype(np.uint8)
                ids[inside > 0] = len(segments) + 1
                segments.append(_segment(len(segments) + 1, int(value), int(inside.sum()), list(cv2.boundingRect(inside))))
        return ids, segments

    def finish(self, items: Sequence[ExportItem]) -> tuple[Part, ...]:
        parts = []
        for split in dict.fromkeys(item.part for item in items):
            written = [item for item in items if item.part == split and item.name in self._rows]
            data = [self._document(written)]
            parts.append(Part(f"panoptic_{split}.json", data, holds(data), self._merge(written)))
        return tuple(parts)

    def _merge(self, items: Sequence[ExportItem]) -> Callable[[bytes], list[bytes]]:
        return lambda earlier: [self._document(items, earlier)]

    def _document(self, items: Sequence[ExportItem], earlier: bytes = b"") -> bytes:
        """The JSON; entries of an earlier export come first, except those of images that were written again."""
        categories = [
            {"id": info.id, "name": info.name, "supercategory": "", "isthing": int(self._exporter.unit == "component"),
             "color": list(info.color)}
            for info in self._catalog.classes
        ]  # fmt: skip
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        if earlier:
            before = parse_json(earlier, limit=_MOST_BYTES, what="the JSON of the earlier export", error=ExportError)
            try:
                if before["categories"] != categories:
                    raise ExportError(
                        message("the earlier export has other classes"),
                        remedy=message("Replace its files, or export into another folder"),
                    )
                names = {item.name for item in items}
                images = [row for row in before["images"] if row["file_name"] not in names]
                kept = {row["id"] for row in images}
                annotations = [row for row in before["annotations"] if row["image_id"] in kept]
            except (KeyError, TypeError) as error:
                raise ExportError(
                    message("the JSON of the earlier export is damaged"), remedy=message("Replace its files")
                ) from error
        first = max((int(row["id"]) for row in images), default=0) + 1
        for number, item in enumerate(items, first):
            (height, width), segments = self._rows[item.name]
            images.append({"id": number, "file_name": item.name, "width": width, "height": height})
            annotations.append({"image_id": number, "file_name": f"{item.stem}.png", "segments_info": segments})
        info = {"description": "Masks exported by Atrous", "catalog": self._catalog.to_dict()}
        text = json_text({"info": info, "images": images, "annotations": annotations, "categories": categories})
        return (text + "\n").encode("utf-8")


def _segment(number: int, category: int, area: int, bbox: list[int]) -> dict[str, Any]:
    return {"id": number, "category_id": category, "area": area, "bbox": [int(side) for side in bbox], "iscrowd": 0}
