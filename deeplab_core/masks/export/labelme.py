"""labelme JSON: one file per image, a polygon for each region, drawn over each other from large to small."""

from __future__ import annotations

import base64
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, ExportError, message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.exporter import (
    REMEDY,
    Encoded,
    ExportItem,
    LayoutExporter,
    LayoutSession,
    Loss,
    Part,
    Pictures,
    check_catalog,
    picture_suffix,
)
from deeplab_core.masks.export.shapes import Points, Region, filled_outline, filled_pixels, regions, simplified
from deeplab_core.masks.png import encode_png, to_file_values
from deeplab_core.reading import json_text, read_json

#: labelme's own names for pixels without a class, and for pixels that count nowhere.
BACKGROUND, IGNORED = "_background_", "__ignore__"
_VERSION = "5.5.0"
_MOST_BYTES = 1 << 30


class LabelmeExporter(LayoutExporter):
    """``NAME.json`` beside its image, as labelme, X-AnyLabeling and their like open it.

    Each connected region (4-neighbourhood) is a shape. A polygon goes around its holes too; what is in the holes has shapes of
    its own, which come later and so are drawn over it, void as ``__ignore__`` and background as ``_background_``. labelme applies
    the EXIF orientation, so masks are in the oriented frame.

    Args:
        shapes: polygons, or ``mask``: labelme's own kind of shape for pixels, in the bounding box of each region.
        tolerance: polygons may leave the border of a region by so many px; 0 keeps every pixel.
        min_pixels: regions of fewer pixels are left out and counted.
        images: what happens to the photographs; where they are left out, the file names the original.
    """

    name = "labelme"
    follows_frame = False

    def __init__(self, *, shapes: str = "polygon", tolerance: float = 0, min_pixels: int = 0, images: Pictures = "copy") -> None:
        if shapes not in ("mask", "polygon"):
            raise ValueError(f"shapes '{shapes}' are neither 'mask' nor 'polygon'")
        self.shapes, self.tolerance, self.min_pixels = shapes, tolerance, min_pixels
        self.images = images

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return (f"{item.stem}.json",)

    def picture_name(self, item: ExportItem) -> str:
        return item.stem + picture_suffix(item)

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        return _LabelmeSession(self, catalog)


class _LabelmeSession(LayoutSession):
    def __init__(self, exporter: LabelmeExporter, catalog: ClassCatalog) -> None:
        self._exporter, self._catalog = exporter, catalog
        self._rest = int(catalog.ignore) if catalog.background is None else catalog.background
        self._names = {info.id: info.name for info in catalog.classes} | {int(catalog.ignore): IGNORED}
        if catalog.background is not None:
            self._names[catalog.background] = BACKGROUND
        self._values = {name: value for value, name in self._names.items()}
        if len(self._values) != len(self._names):
            raise ExportError(
                message("'{ignored}' or '{background}' is the name of a class", ignored=IGNORED, background=BACKGROUND),
                remedy=message("Rename the class"),
            )

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        shapes, loss = self._shapes(labels)
        drawn = self._drawn(shapes, labels.shape)
        loss += Loss(pixels=int(np.count_nonzero(drawn != labels)))
        document = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": self._image_path(item),
            "imageData": None,
            "imageHeight": labels.shape[0],
            "imageWidth": labels.shape[1],
        }
        (name,) = self._exporter.files(item)

        def check(path: Path) -> None:
            try:
                found = read_json(path, limit=_MOST_BYTES, what="the exported file", error=ExportError)
                same = np.array_equal(self._drawn(found["shapes"], labels.shape), drawn)
            except (AtrousError, KeyError, TypeError, ValueError) as error:
                raise ExportError(
                    message("the exported file does not read back"), why=str(error), remedy=REMEDY, path=name
                ) from error
            if not same or found["imagePath"] != document["imagePath"]:
                raise ExportError(message("the shapes in the file differ from the mask"), remedy=REMEDY, path=name)

        return Encoded((Part(name, [json_text(document).encode("utf-8")], check),), loss)

    def _image_path(self, item: ExportItem) -> str:
        """The image as seen from the JSON file: beside it, or where the original is."""
        if self._exporter.images == "none" and item.image_path is not None:
            return os.path.abspath(item.image_path)  # noqa: PTH100 -- resolve() follows links
        return PurePosixPath(self._exporter.picture_name(item)).name

    def _shapes(self, labels: LabelMap) -> tuple[list[dict[str, Any]], Loss]:
        loss = Loss()
        found: list[tuple[float, dict[str, Any]]] = []
        polygons = self._exporter.shapes == "polygon"
        # What nothing covers is the rest, so only rest that another polygon would cover needs a shape.
        for region in regions(labels, -1):
            outer = region.value == self._rest and _touches_border(region, labels.shape)
            if outer or (region.value == self._rest and not polygons):
                continue
            if region.pixels < self._exporter.min_pixels:
                loss += Loss(regions=1, region_pixels=region.pixels)
                continue
            if polygons:
                outline = filled_outline(region)
                found.append((filled_pixels(outline), self._polygon(region, simplified(outline, self._exporter.tolerance))))
            else:
                found.append((region.pixels, self._mask(region)))
        found.sort(key=lambda pair: -pair[0])
        return [shape for _, shape in found], loss

    def _polygon(self, region: Region, outline: Points) -> dict[str, Any]:
        return _shape(self._names[region.value], "polygon", outline.tolist(), None)

    def _mask(self, region: Region) -> dict[str, Any]:
        height, width = region.mask.shape
        corners = [[region.x, region.y], [region.x + width - 1, region.y + height - 1]]
        picture = base64.b64encode(b"".join(encode_png(region.mask))).decode("ascii")
        return _shape(self._names[region.value], "mask", corners, picture)

    def _drawn(self, shapes: list[dict[str, Any]], size: tuple[int, ...]) -> LabelMap:
        """The map that labelme draws: its rule is Pillow's polygon with its outline, later shapes over earlier ones."""
        picture = Image.new("I", (size[1], size[0]), self._rest)
        pen = ImageDraw.Draw(picture)
        for shape in shapes:
            value = self._values[shape["label"]]
            if shape["shape_type"] == "polygon":
                pen.polygon([(x, y) for x, y in shape["points"]], fill=value, outline=value)
            else:
                pen.bitmap(tuple(shape["points"][0]), _decoded(shape["mask"]), fill=value)
        return np.ascontiguousarray(np.asarray(picture).astype(self._catalog.dtype))


def _shape(label: str, kind: str, points: list[list[int]], mask: str | None) -> dict[str, Any]:
    return {
        "label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {}, "mask": mask,
    }  # fmt: skip


def _decoded(text: str) -> Image.Image:
    import io

    with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as picture:
        return Image.fromarray((np.asarray(picture) > 0).astype(np.uint8) * 255).convert("1")


def _touches_border(region: Region, size: tuple[int, ...]) -> bool:
    """Whether a region reaches the border of the image, so that no polygon of another can enclose it."""
    height, width = region.mask.shape
    return region.x == 0 or region.y == 0 or region.x + width == size[1] or region.y + height == size[0]
