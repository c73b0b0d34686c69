"""COCO json: one file for all images, written and checked image by image.

Format: "COCO data format" of the COCO detection task. Masks are compressed column-major run lengths as in pycocotools; polygons
run along the borders of pixels, which pycocotools fills exactly.
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
from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.exporter import REMEDY, CollectionExporter, CollectionSession, ExportItem, Loss, check_catalog
from deeplab_core.masks.export.shapes import corner_rings, joined_corners, regions, simplified
from deeplab_core.masks.importing.raster import coco_counts
from deeplab_core.masks.png import to_file_values
from deeplab_core.reading import json_text

Unit = Literal["class", "component"]
Shapes = Literal["mask", "polygon"]


class CocoRleExporter(CollectionExporter):
    """One ``annotations.json`` with masks; category ids are the catalog's class ids.

    Pixels without an annotation are the catalog's background class, and where it has none, void. Void is not a category: beside a
    background class its run lengths are in the entry of the image, under ``void``, where other programs do not look.

    Args:
        unit: one annotation per class and image, or per connected region (8-neighbourhood).
    """

    name = "coco_rle"
    file_name = "annotations.json"

    def __init__(self, *, unit: Unit = "class") -> None:
        if unit not in ("class", "component"):
            raise ValueError(f"unit '{unit}' is neither 'class' nor 'component'")
        self.unit = unit

    def session(self, catalog: ClassCatalog) -> CocoSession:
        return CocoSession(catalog, self.unit)


class CocoInstancesExporter(CollectionExporter):
    """One ``annotations.json`` with an annotation for each connected region; otherwise as :class:`CocoRleExporter`.

    Args:
        shapes: polygons, or masks (run lengths). A polygon has its holes joined to its outline by doubled lines, which
            pycocotools fills exactly.
        tolerance: polygons may leave the border of a region by so many px; 0 keeps every pixel.
        min_pixels: regions of fewer pixels are left out and counted.
    """

    name = "coco_instances"
    file_name = "annotations.json"

    def __init__(self, *, shapes: Shapes = "polygon", tolerance: float = 0, min_pixels: int = 0) -> None:
        if shapes not in ("mask", "polygon"):
            raise ValueError(f"shapes '{shapes}' are neither 'mask' nor 'polygon'")
        self.shapes, self.tolerance, self.min_pixels = shapes, tolerance, min_pixels

    def session(self, catalog: ClassCatalog) -> CocoSession:
        if self.shapes == "mask" and not self.min_pixels:
            return CocoSession(catalog, "component")
        return CocoRegionsSession(catalog, self.shapes, self.tolerance, self.min_pixels)


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
        info = {"description": "Masks exported by Atrous", "catalog": self._catalog.to_dict()}
        head = f'{{"info": {_dump(info)},\n"categories": {_dump(categories)},\n"annotations": ['
        return head.encode("utf-8")

    def encode(self, item: ExportItem, labels: LabelMap) -> bytes:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        image_id = len(self._images) + 1
        height, width = labels.shape
        void = labels == self._catalog.ignore
        kept = bool(self._rest != self._catalog.ignore and void.any())
        rows, written, loss = self._rows(labels)
        lines = [
            _dump({"id": self._annotations + number, "image_id": image_id, "iscrowd": 0, **row})
            for number, row in enumerate(rows, 1)
        ]
        first = self._annotations == 0
        image: dict[str, Any] = {"id": image_id, "file_name": item.name, "width": width, "height": height}
        if kept:
            image["void"] = _compressed(_counts_of(void, height, width), height, width)
        self.loss = loss + Loss(void=int(void.sum()) if kept else 0)
        self._images.append(image)
        self._checksums.append(zlib.crc32(np.ascontiguousarray(written).data))
        self._annotations += len(lines)
        return "".join(("\n" if first and not number else ",\n") + line for number, line in enumerate(lines)).encode("utf-8")

    def _rows(self, labels: LabelMap) -> tuple[list[dict[str, Any]], LabelMap, Loss]:
        """Annotations of one image, the map that they and the void of the image describe, and what they do not carry."""
        from pycocotools import mask as coco_mask

        height, width = labels.shape
        rows = []
        for category, counts in region_runs(labels, self._rest, self._unit):
            if category != self._catalog.ignore:
                rle = coco_mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
                shape = {"size": [height, width], "counts": rle["counts"].decode("ascii")}
                rows.append(_row(category, rle, shape))
        return rows, labels, Loss()

    def finish(self) -> bytes:
        images = ",\n".join(_dump(image) for image in self._images)
        return f'\n],\n"images": [\n{images}\n]}}\n'.encode()

    def check(self, path: Path) -> None:
        images = {int(row["id"]): row for row in _rows_of(path, "images")}
        if list(images.values()) != self._images:
            raise ExportError(message("the entries of the images do not read back equal"), remedy=REMEDY, path=path)
        found: dict[int, int] = {}
        for image_id, rows in groupby(_rows_of(path, "annotations"), key=lambda row: int(row["image_id"])):
            found[image_id] = self._checksum(list(rows), images[image_id])
        for image, checksum in zip(self._images, self._checksums, strict=True):
            if (found[image["id"]] if image["id"] in found else self._checksum([], image)) != checksum:
                raise ExportError(message("the shapes in the file differ from the mask"), remedy=REMEDY, path=image["file_name"])

    def _checksum(self, rows: list[dict[str, Any]], image: dict[str, Any]) -> int:
        """Checksum of the label map that the annotations of one image describe."""
        height, width = image["height"], image["width"]
        shapes = [(row["segmentation"], int(row["category_id"])) for row in rows]
        if "void" in image:
            shapes.append((image["void"], int(self._catalog.ignore)))
        runs = [np.empty((3, 0), np.int64)]
        for shape, category in shapes:
            counts = coco_counts(shape["counts"])
            ends = np.cumsum(counts)
            if ends[-1] != height * width:
                raise ExportError(message("run lengths do not add up to the image"), remedy=REMEDY)
            inside = ends[1::2]
            runs.append(np.stack((inside - counts[1::2], inside, np.full(len(inside), category))))
        starts, ends, categories = np.concatenate(runs, axis=1)
        order = np.argsort(starts)
        starts, ends, categories = starts[order], ends[order], categories[order]
        if (starts[1:] < ends[:-1]).any():
            raise ExportError(message("annotations of one image overlap"), remedy=REMEDY)
        # Between the claimed runs lie gaps of the rest; the last gap may be empty like any other.
        lengths = np.diff(np.concatenate(([0], np.stack((starts, ends), axis=1).reshape(-1), [height * width])))
        values = np.full(len(lengths), self._rest, dtype=self._catalog.dtype)
        values[1::2] = categories
        labels = np.repeat(values, lengths).reshape(width, height).T
        return zlib.crc32(np.ascontiguousarray(labels).data)


class CocoRegionsSession(CocoSession):
    """Annotations per connected region, as polygons or masks; shapes may overlap, and later ones are drawn over earlier ones."""

    def __init__(self, catalog: ClassCatalog, shapes: Shapes, tolerance: float, min_pixels: int) -> None:
        super().__init__(catalog, "component")
        self._shapes, self._tolerance, self._min_pixels = shapes, tolerance, min_pixels

    def _rows(self, labels: LabelMap) -> tuple[list[dict[str, Any]], LabelMap, Loss]:
        height, width = labels.shape
        rows, loss = [], Loss()
        for region in regions(labels, self._rest):
            if region.value == self._catalog.ignore:
                continue
            if region.pixels < self._min_pixels:
                loss += Loss(regions=1, region_pixels=region.pixels)
                continue
            shape: Any
            if self._shapes == "mask":
                shape = _compressed(_counts_of(region.mask, height, width, (region.x, region.y)), height, width)
            else:
                outer, holes = corner_rings(region)
                outer = simplified(outer, self._tolerance)
                thin = [simplified(hole, self._tolerance) for hole in holes]
                kept = [hole for hole in thin if len(np.unique(hole, axis=0)) > 2]
                loss += Loss(holes=len(holes) - len(kept))
                shape = [joined_corners((outer, kept)).reshape(-1).tolist()]
            rows.append(_row(region.value, _as_rle(shape, height, width), shape))
        written = self._painted([(row["segmentation"], row["category_id"]) for row in rows], labels.shape)
        written[labels == self._catalog.ignore] = self._catalog.ignore
        different = int(np.count_nonzero(written != labels))
        return rows, written, loss + Loss(pixels=different)

    def _painted(self, shapes: list[tuple[Any, int]], size: tuple[int, ...]) -> LabelMap:
        height, width = size
        columns = np.full(height * width, self._rest, dtype=self._catalog.dtype)
        for shape, category in shapes:
            _fill(columns, _as_rle(shape, height, width), category)
        return np.ascontiguousarray(columns.reshape(width, height).T)

    def _checksum(self, rows: list[dict[str, Any]], image: dict[str, Any]) -> int:
        shapes = [(row["segmentation"], int(row["category_id"])) for row in rows]
        if "void" in image:
            shapes.append((image["void"], int(self._catalog.ignore)))
        return zlib.crc32(np.ascontiguousarray(self._painted(shapes, (image["height"], image["width"]))).data)


def fill_polygon(columns: NDArray[Any], points: list[list[float]], value: int) -> None:
    """Fill a polygon by pycocotools' rule.

    Args:
        columns: (W, H), changed in place; the transposed map.
        points: (N, 2) columns and rows of pixel corners.
        value: what the pixels become.
    """
    width, height = columns.shape
    flat = [side for point in points for side in point]
    _fill(columns.reshape(-1), _as_rle([flat], height, width), value)


def _fill(columns: NDArray[Any], rle: dict[str, Any], value: int) -> None:
    counts = coco_counts(rle["counts"])
    lengths = counts[1::2]
    starts = np.cumsum(counts)[::2][: len(lengths)]
    first = np.cumsum(lengths) - lengths
    columns[np.repeat(starts - first, lengths) + np.arange(int(lengths.sum()))] = value


def _row(category: int, rle: dict[str, Any], shape: object) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    bbox = [int(side) for side in coco_mask.toBbox(rle)]
    return {"category_id": category, "area": int(coco_mask.area(rle)), "bbox": bbox, "segmentation": shape}


def _as_rle(shape: Any, height: int, width: int) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    if isinstance(shape, list):
        found: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
        return found
    return {"size": [height, width], "counts": shape["counts"].encode("ascii")}


def _counts_of(inside: NDArray[Any], height: int, width: int, place: tuple[int, int] = (0, 0)) -> list[int]:
    """COCO counts of a mask: alternating lengths outside and inside down the columns of an image, beginning outside.

    Args:
        inside: (h, w), nonzero inside; a part of the image.
        height, width: of the image.
        place: column and row of the part in the image.
    """
    x, y = np.nonzero(inside.T)
    places = (x + place[0]) * height + y + place[1]
    breaks = np.flatnonzero(np.diff(places) != 1)
    starts = np.concatenate((places[:1], places[breaks + 1]))
    ends = np.concatenate((places[breaks], places[-1:])) + 1
    edges = np.stack((starts, ends), axis=1).reshape(-1)
    counts: list[int] = np.diff(np.concatenate(([0], edges, [height * width]))).tolist()
    return counts if counts[-1] or len(counts) == 1 else counts[:-1]


def _compressed(counts: list[int], height: int, width: int) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    rle = coco_mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


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


def _rows_of(path: Path, part: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        inside = False
        for line in stream:
            if line.startswith(f'"{part}": ['):
                inside = True
            elif inside and line.startswith("]"):
                return
            elif inside:
                try:
                    yield json.loads(line.rstrip("\n").removesuffix(","))
                except json.JSONDecodeError as error:
                    raise ExportError(message("the exported json does not read back"), why=str(error), remedy=REMEDY) from error


def _dump(value: object) -> str:
    return json_text(value)
