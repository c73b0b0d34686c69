"""CVAT's formats: "CVAT for images 1.1" (XML) and "Segmentation mask 1.1" (a zip of pictures).

Format of the XML: CVAT's documentation, "XML annotation format", version 1.1. A ``mask`` is run lengths along the rows of its
bounding box, beginning outside; a ``polygon`` has pixel corners as vertices. Later shapes of equal ``z_order`` are above.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.coco import fill_polygon
from deeplab_core.masks.export.exporter import REMEDY, CollectionExporter, CollectionSession, ExportItem, Loss, check_catalog
from deeplab_core.masks.export.masks import color_table, refuse_shared_colors
from deeplab_core.masks.export.shapes import Region, corner_rings, joined_corners, regions, simplified
from deeplab_core.masks.export.voc import labelmap_text
from deeplab_core.masks.png import encode_png, to_file_values

#: Characters that XML 1.0 cannot hold, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CvatImagesExporter(CollectionExporter):
    """``annotations.xml``: a shape for each connected region (4-neighbourhood).

    Pixels without a shape are the background class, and where the catalog has none, void. CVAT applies the EXIF orientation, so
    shapes are always in the oriented frame.

    Args:
        shapes: masks, which CVAT edits with its brush, or polygons, their holes joined to the outline by doubled lines.
        tolerance: polygons may leave the border of a region by so many px; 0 keeps every pixel.
        min_pixels: regions of fewer pixels are left out and counted.
    """

    name = "cvat_images"
    file_name = "annotations.xml"
    follows_frame = False

    def __init__(self, *, shapes: str = "mask", tolerance: float = 0, min_pixels: int = 0) -> None:
        if shapes not in ("mask", "polygon"):
            raise ValueError(f"shapes '{shapes}' are neither 'mask' nor 'polygon'")
        self.shapes, self.tolerance, self.min_pixels = shapes, tolerance, min_pixels

    def session(self, catalog: ClassCatalog) -> CollectionSession:
        return _ImagesSession(self, catalog)


class _ImagesSession(CollectionSession):
    def __init__(self, exporter: CvatImagesExporter, catalog: ClassCatalog) -> None:
        self._exporter, self._catalog = exporter, catalog
        self._rest = int(catalog.ignore) if catalog.background is None else catalog.background
        self._ids = {info.name: info.id for info in catalog.classes}
        self._written: list[tuple[str, int]] = []

    def begin(self) -> bytes:
        rows = [
            f"<label><name>{_text(info.name)}</name><color>#{bytes(info.color).hex()}</color><attributes></attributes></label>"
            for info in self._catalog.classes
            if info.id != self._rest
        ]
        labels = "\n".join(rows)
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
            f"<meta><task><name>Atrous</name><labels>\n{labels}\n</labels></task></meta>\n"
        ).encode()

    def encode(self, item: ExportItem, labels: LabelMap) -> bytes:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        loss = Loss()
        shapes = []
        for region in regions(labels, self._rest):
            if region.value == self._catalog.ignore:
                continue
            if region.pixels < self._exporter.min_pixels:
                loss += Loss(regions=1, region_pixels=region.pixels)
                continue
            text, filled = self._shape(region)
            loss += Loss(holes=filled)
            shapes.append(text)
        size = f'width="{labels.shape[1]}" height="{labels.shape[0]}"'
        subset = f" subset={quoteattr(item.split)}" if item.split else ""
        head = f'<image id="{len(self._written)}" name={_attribute(item.name)}{subset} {size}>\n'
        part = (head + "".join(shapes) + "</image>\n").encode("utf-8")
        drawn = self._drawn(ET.fromstring(part))
        void = (labels == self._catalog.ignore) & (self._rest != self._catalog.ignore)
        self.loss = loss + Loss(
            pixels=int(np.count_nonzero((drawn != labels) & ~void)), void=int(np.count_nonzero(void))
        )  # fmt: skip
        self._written.append((item.name, zlib.crc32(drawn.data)))
        return part

    def _shape(self, region: Region) -> tuple[str, int]:
        """The element of a region, and how many of its holes are lost."""
        label = f'label={_attribute(self._catalog.by_id(region.value).name)} source="manual" occluded="0" z_order="0"'
        if self._exporter.shapes == "mask":
            height, width = region.mask.shape
            runs = ", ".join(map(str, _row_runs(region.mask)))
            place = f'left="{region.x}" top="{region.y}" width="{width}" height="{height}"'
            return f'<mask {label} rle="{runs}" {place}></mask>\n', 0
        outer, holes = corner_rings(region)
        thin = [simplified(hole, self._exporter.tolerance) for hole in holes]
        kept = [hole for hole in thin if len(np.unique(hole, axis=0)) > 2]
        ring = joined_corners((simplified(outer, self._exporter.tolerance), kept))
        points = ";".join(f"{x},{y}" for x, y in ring.tolist())
        return f'<polygon {label} points="{points}"></polygon>\n', len(holes) - len(kept)

    def _drawn(self, image: ET.Element) -> LabelMap:
        """The map that the shapes of an ``image`` element describe."""
        height, width = int(image.attrib["height"]), int(image.attrib["width"])
        columns = np.full((width, height), self._rest, dtype=self._catalog.dtype)
        for shape in image:
            value = self._ids[shape.attrib["label"]]
            if shape.tag == "mask":
                rows, sides = (
                    [int(run) for run in shape.attrib["rle"].split(",")],
                    (int(shape.attrib["height"]), int(shape.attrib["width"])),
                )
                inside = np.repeat(np.arange(len(rows)) % 2 == 1, rows).reshape(sides)
                left, top = int(shape.attrib["left"]), int(shape.attrib["top"])
                columns[left : left + sides[1], top : top + sides[0]][inside.T] = value
            else:
                points = [[float(side) for side in point.split(",")] for point in shape.attrib["points"].split(";")]
                fill_polygon(columns, points, value)
        return np.ascontiguousarray(columns.T)

    def finish(self) -> bytes:
        return b"</annotations>\n"

    def check(self, path: Path) -> None:
        found = []
        try:
            for _, element in ET.iterparse(path):
                if element.tag == "image":
                    found.append((element.attrib["name"], zlib.crc32(self._drawn(element).data)))
                    element.clear()
        except (ET.ParseError, KeyError, ValueError) as error:
            raise ExportError(message("the exported XML does not read back"), why=str(error), remedy=REMEDY, path=path) from error
        if found != self._written:
            raise ExportError(message("the shapes in the file differ from the masks"), remedy=REMEDY, path=path)


def _row_runs(mask: NDArray[np.uint8]) -> list[int]:
    """Lengths along the rows, alternating outside and inside, beginning outside."""
    flat = mask.reshape(-1)
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    lengths: list[int] = np.diff(np.append(starts, flat.size)).tolist()
    return [0, *lengths] if flat[0] else lengths


def _text(name: str) -> str:
    return escape(_checked(name))


def _attribute(name: str) -> str:
    # ElementTree and CVAT read line breaks in attributes as spaces unless they are escaped.
    return quoteattr(_checked(name), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _checked(name: str) -> str:
    if _NOT_XML.search(name):
        raise ExportError(
            message("XML cannot hold the name {name}", name=repr(name)), remedy=message("Rename it, or choose another format")
        )
    return name


class CvatMasksExporter(CollectionExporter):
    """``masks.zip`` in the form of "Segmentation mask 1.1": colour pictures, lists, ``labelmap.txt``.

    Colours tell the classes apart, so classes that occur need colours of their own. What is unlabelled in CVAT is black: the
    catalog's background class, and void with it; where the catalog has no background, void alone. CVAT applies the EXIF
    orientation, so masks are always in the oriented frame.
    """

    name = "cvat_masks"
    file_name = "masks.zip"
    follows_frame = False

    def session(self, catalog: ClassCatalog) -> CollectionSession:
        return _MasksSession(catalog)


class _MasksSession(CollectionSession):
    def __init__(self, catalog: ClassCatalog) -> None:
        self._catalog = catalog
        self._named = _with_black_background(catalog)
        self._labelmap = labelmap_text(self._named)
        rest = int(catalog.ignore) if catalog.background is None else catalog.background
        table = color_table(catalog)
        table[[rest, int(catalog.ignore)]] = 0
        self._colors = table
        self._pieces = Pieces()
        self._zip = zipfile.ZipFile(self._pieces, "w", zipfile.ZIP_STORED)
        self._lists: dict[str, list[str]] = {}
        self._written: dict[str, int] = {}

    def begin(self) -> bytes:
        self._put("labelmap.txt", self._labelmap.encode("utf-8"))
        return self._pieces.take()

    def encode(self, item: ExportItem, labels: LabelMap) -> bytes:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        unlabelled = labels.dtype.type(self._named.classes[0].id)
        refuse_shared_colors(np.where(labels == self._catalog.ignore, unlabelled, labels), replace(item, catalog=self._named))
        colors = self._colors[labels]
        name = f"SegmentationClass/{item.stem}.png"
        if name in self._written:
            raise ExportError(
                message("two images would have one mask in the zip"),
                remedy=message("Keep the endings in the names"),
                path=item.name,
            )
        self._put(name, b"".join(encode_png(colors)))
        self._written[name] = zlib.crc32(np.ascontiguousarray(colors).data)
        self._lists.setdefault(item.split or "default", []).append(item.stem)
        void = int(np.count_nonzero(labels == self._catalog.ignore)) if self._catalog.background is not None else 0
        self.loss = Loss(void=void)
        return self._pieces.take()

    def finish(self) -> bytes:
        for split, stems in self._lists.items():
            self._put(
                f"ImageSets/Segmentation/{split}.txt", "".join(f"{stem}\n" for stem in stems).encode("utf-8", "surrogateescape")
            )
        self._zip.close()
        return self._pieces.take()

    def check(self, path: Path) -> None:
        from PIL import Image

        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ExportError(message("the exported zip does not read back"), remedy=REMEDY, path=path)
            for name, checksum in self._written.items():
                with archive.open(name) as stream, Image.open(io.BytesIO(stream.read())) as picture:
                    found = np.asarray(picture)
                if zlib.crc32(np.ascontiguousarray(found).data) != checksum:
                    raise ExportError(message("a picture in the zip differs from its mask"), remedy=REMEDY, path=name)

    def close(self) -> None:
        self._zip.close()

    def _put(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name)  # of 1980: the same masks give the same file
        entry.external_attr = 0o644 << 16
        self._zip.writestr(entry, data)


def _with_black_background(catalog: ClassCatalog) -> ClassCatalog:
    """The classes as CVAT names them: unlabelled first, called background and black."""
    others = tuple(info for info in catalog.classes if info.id != catalog.background)
    number = int(max(info.id for info in catalog.classes)) + 1 if catalog.background is None else catalog.background
    clash = next((info for info in others if info.color == (0, 0, 0) or info.name == "background"), None)
    if clash is not None:
        raise ExportError(
            message("'{class_name}' is black, or called background, which means unlabelled in CVAT", class_name=clash.name),
            remedy=message("Give the class another colour or name, or choose another format"),
        )  # fmt: skip
    classes = (ClassInfo(number, "background", (0, 0, 0)), *others)
    taken = {info.color for info in classes}
    free = next((0, 0, blue) for blue in range(256) if (0, 0, blue) not in taken)
    return replace(catalog, classes=classes, background=number, ignore_color=free)  # void is not in the files


class Pieces(io.RawIOBase):
    """What a writer of archives wrote since it was asked last."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
