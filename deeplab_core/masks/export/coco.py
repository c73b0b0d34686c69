"""COCO json with run-length masks: one file for all images, written and checked image by image.

Format: "COCO data format" of the COCO detection task; masks are compressed column-major run lengths as in pycocotools.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.exporter import REMEDY, CollectionExporter, CollectionSession, ExportItem
from deeplab_core.masks.png import to_file_values
from deeplab_core.reading import json_text

Unit = Literal["class", "component"]


class CocoRleExporter(CollectionExporter):
    """One ``annotations.json``; category ids are the catalog's class ids.

    Nothing is lost: pixels without an annotation are the catalog's background class, and where it has none, void. Void beside
    a background class is annotated as the category ``void`` with ``iscrowd`` and ``ignore`` set to 1.

    Args:
        unit: one annotation per class and image, or per connected region (8-neighbourhood).
    """

    name = "coco_rle"
    title = "COCO json with run-length masks"
    file_name = "annotations.json"

    def __init__(self, *, unit: Unit = "class") -> None:
        if unit not in ("class", "component"):
            raise ValueError(f"unit '{unit}' is neither 'class' nor 'component'")
        self.unit = unit

    def session(self, catalog: ClassCatalog) -> CocoSession:
        return CocoSession(catalog, self.unit)


class CocoSession(CollectionSession):
    """Annotations stand one a line, in the order of the images, so that a file of any length is checked in little memory."""

    def __init__(self, catalog: ClassCatalog, unit: Unit) -> None:
        self._catalog = catalog
        self._unit = unit
        self._images: list[dict[str, Any]] = []
        self._checksums: list[int] = []
        self._annotations = 0
        self._rest = int(catalog.ignore) if catalog.background is None else catalog.background

    def begin(self) -> bytes:
        categories = [
            {"id": info.id, "name": info.name, "supercategory": "", "color": list(info.color)}
            for info in self._catalog.classes
            if info.id != self._rest
        ]
        if self._rest != self._catalog.ignore:
            void = {"id": int(self._catalog.ignore), "name": "void", "supercategory": "ignore"}
            categories.append({**void, "color": list(self._catalog.ignore_color)})
        info = {"description": "Masks exported by Atrous", "catalog": self._catalog.to_dict()}
        head = f'{{"info": {_dump(info)},\n"categories": {_dump(categories)},\n"annotations": ['
        return head.encode("utf-8")

    def encode(self, item: ExportItem, labels: LabelMap) -> bytes:
        if item.catalog != self._catalog:
            raise ExportError("the labels belong to another catalog than the rest of the file", path=item.name)
        to_file_values(labels, item.catalog)
        from pycocotools import mask as coco_mask

        image_id = len(self._images) + 1
        height, width = labels.shape
        lines: list[str] = []
        for category, counts in region_runs(labels, self._rest, self._unit):
            rle = coco_mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
            void = category == self._catalog.ignore
            row = {
                "id": self._annotations + len(lines) + 1,
                "image_id": image_id,
                "category_id": category,
                "iscrowd": int(void),
                **({"ignore": 1} if void else {}),
                "area": int(coco_mask.area(rle)),
                "bbox": [int(side) for side in coco_mask.toBbox(rle)],
                "segmentation": {"size": [height, width], "counts": rle["counts"].decode("ascii")},
            }
            lines.append(_dump(row))
        first = self._annotations == 0
        self._images.append({"id": image_id, "file_name": item.name, "width": width, "height": height})
        self._checksums.append(zlib.crc32(np.ascontiguousarray(labels).data))
        self._annotations += len(lines)
        return "".join(("\n" if first and not number else ",\n") + line for number, line in enumerate(lines)).encode("utf-8")

    def finish(self) -> bytes:
        images = ",\n".join(_dump(image) for image in self._images)
        return f'\n],\n"images": [\n{images}\n]}}\n'.encode()

    def check(self, path: Path) -> None:
        found: dict[int, int] = {}
        for image_id, rows in groupby(_annotation_rows(path), key=lambda row: int(row["image_id"])):
            found[image_id] = self._checksum(list(rows))
        for image, checksum in zip(self._images, self._checksums, strict=True):
            empty = np.full((image["height"], image["width"]), self._rest, dtype=self._catalog.dtype)
            if (found[image["id"]] if image["id"] in found else zlib.crc32(empty.data)) != checksum:
                raise ExportError("the run lengths in the file differ from the mask", remedy=REMEDY, path=image["file_name"])

    def _checksum(self, rows: list[dict[str, Any]]) -> int:
        """Checksum of the label map that the annotations of one image describe."""
        height, width = rows[0]["segmentation"]["size"]
        runs = []
        for row in rows:
            counts = np.array(decode_counts(row["segmentation"]["counts"]), dtype=np.int64)
            ends = np.cumsum(counts)
            if ends[-1] != height * width:
                raise ExportError("run lengths do not add up to the image", remedy=REMEDY)
            inside = ends[1::2]
            runs.append(np.stack((inside - counts[1::2], inside, np.full(len(inside), int(row["category_id"])))))
        starts, ends, categories = np.concatenate(runs, axis=1)
        order = np.argsort(starts)
        starts, ends, categories = starts[order], ends[order], categories[order]
        if (starts[1:] < ends[:-1]).any():
            raise ExportError("annotations of one image overlap", remedy=REMEDY)
        # Between the claimed runs lie gaps of the rest; the last gap may be empty like any other.
        lengths = np.diff(np.concatenate(([0], np.stack((starts, ends), axis=1).reshape(-1), [height * width])))
        values = np.full(len(lengths), self._rest, dtype=self._catalog.dtype)
        values[1::2] = categories
        labels = np.repeat(values, lengths).reshape(width, height).T
        return zlib.crc32(np.ascontiguousarray(labels).data)


def decode_counts(text: str) -> list[int]:
    """Run lengths from pycocotools' compressed form.

    Every length is a little-endian number of 5-bit groups, each plus 48 as a character, with a continuation bit (32) and, in
    the last group, a sign bit (16); from the fourth on it is the difference to the length two before.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        group = character - 48
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def region_runs(labels: LabelMap, rest: int, unit: Unit) -> Iterator[tuple[int, list[int]]]:
    """Run lengths of every class, or of every connected region, except ``rest``.

    The runs of the whole map are found in one pass down its columns and then handed out by region, so the cost does not grow
    with the number of regions.

    Yields:
        class id (or the ignore value), and COCO counts: alternating lengths outside and inside, beginning outside, summing to
        H * W.
    """
    regions: NDArray[Any] = labels if unit == "class" else _components(labels, rest)
    columns = regions.T.reshape(-1)
    starts = np.flatnonzero(np.concatenate(([True], columns[1:] != columns[:-1])))
    lengths = np.diff(np.append(starts, columns.size))
    owners = columns[starts]
    order = np.argsort(owners, kind="stable")
    bounds = np.flatnonzero(np.diff(owners[order])) + 1
    by_column = labels.T.reshape(-1)
    for runs in np.split(order, bounds):
        category = int(by_column[starts[runs[0]]])
        if category == rest:
            continue
        first, length = starts[runs], lengths[runs]
        ends = first + length
        gaps = first - np.concatenate(([0], ends[:-1]))
        counts = np.stack((gaps, length), axis=1).reshape(-1).tolist()
        tail = columns.size - int(ends[-1])
        yield category, counts + ([tail] if tail else [])


def _components(labels: LabelMap, rest: int) -> NDArray[np.int32]:
    """(H, W) int32: a number per connected region, 0 for ``rest``; regions of different classes have different numbers."""
    import cv2

    regions = np.zeros(labels.shape, dtype=np.int32)
    total = 0
    for value in np.unique(labels):
        if value == rest:
            continue
        number, found = cv2.connectedComponents((labels == value).astype(np.uint8), connectivity=8)
        inside = found > 0
        regions[inside] = found[inside] + total
        total += number - 1
    return regions


def _annotation_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        inside = False
        for line in stream:
            if line.startswith('"annotations": ['):
                inside = True
            elif inside and line.startswith("]"):
                return
            elif inside:
                try:
                    yield json.loads(line.rstrip("\n").removesuffix(","))
                except json.JSONDecodeError as error:
                    raise ExportError("the exported json does not read back", why=str(error), remedy=REMEDY) from error


def _dump(value: object) -> str:
    return json_text(value)
