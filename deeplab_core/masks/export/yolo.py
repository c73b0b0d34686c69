"""YOLO's segmentation layout: a text file of polygons per image, ``data.yaml`` for the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, message
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
    text_part,
)
from deeplab_core.masks.export.shapes import Points, joined_outline, regions, simplified
from deeplab_core.masks.png import to_file_values
from deeplab_core.reading import read_text

#: Added to a pixel's column and row before they are divided by the sides: readers that cut off and readers that round to whole
#: numbers both find the pixel again.
_INSIDE = 0.25
_MOST_BYTES = 1 << 30


class YoloExporter(LayoutExporter):
    """``labels/SPLIT/NAME.txt`` and ``images/SPLIT``: a line per connected region, large ones first.

    Readers draw each polygon together with its outline (``cv2.fillPoly``), which gives exactly the region; holes are joined by
    doubled lines. The background class, and void, are outside all polygons. Classes are numbered from 0 in the catalog's order.
    Readers apply the EXIF orientation, so masks are in the oriented frame.

    Args:
        tolerance: polygons may leave the border of a region by so many px; 0 keeps every pixel.
        min_pixels: regions of fewer pixels are left out and counted.
        images: what happens to the photographs.
    """

    name = "yolo"
    follows_frame = False

    def __init__(self, *, tolerance: float = 0, min_pixels: int = 0, images: Pictures = "copy") -> None:
        self.tolerance, self.min_pixels = tolerance, min_pixels
        self.images = images

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return (f"labels/{item.part}/{item.stem}.txt",)

    def picture_name(self, item: ExportItem) -> str:
        return f"images/{item.part}/{item.stem}{picture_suffix(item)}"

    def shared(self, items: Sequence[ExportItem]) -> tuple[str, ...]:
        del items
        return ("data.yaml",)

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        return _YoloSession(self, catalog)


class _YoloSession(LayoutSession):
    def __init__(self, exporter: YoloExporter, catalog: ClassCatalog) -> None:
        self._exporter, self._catalog = exporter, catalog
        self._rest = int(catalog.ignore) if catalog.background is None else catalog.background
        self._ids = [info.id for info in catalog.classes if info.id != catalog.background]
        self._numbers = {class_id: number for number, class_id in enumerate(self._ids)}

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        check_catalog(item, self._catalog)
        to_file_values(labels, item.catalog)
        loss = Loss()
        found: list[tuple[int, int, Points]] = []
        for region in regions(labels, self._rest):
            if region.value == self._catalog.ignore:
                continue
            if region.pixels < self._exporter.min_pixels:
                loss += Loss(regions=1, region_pixels=region.pixels)
                continue
            outline = simplified(joined_outline(region), self._exporter.tolerance)
            found.append((region.pixels, self._numbers[region.value], outline))
        found.sort(key=lambda entry: -entry[0])
        size = np.array(labels.shape[::-1])
        text = "".join(_line(number, (outline + _INSIDE) / size) for _, number, outline in found)
        drawn = self._drawn(text, labels.shape)
        void = labels == self._catalog.ignore
        known = ~void if self._rest != self._catalog.ignore else np.ones(labels.shape, bool)
        loss += Loss(pixels=int(np.count_nonzero((drawn != labels) & known)), void=int(np.count_nonzero(~known)))
        (name,) = self._exporter.files(item)

        def check(path: Path) -> None:
            read = read_text(path, limit=_MOST_BYTES, what="the exported file", error=ExportError)
            if not np.array_equal(self._drawn(read, labels.shape), drawn):
                raise ExportError(message("the polygons in the file differ from the mask"), remedy=REMEDY, path=name)

        return Encoded((Part(name, [text.encode("ascii")], check),), loss)

    def _drawn(self, text: str, size: tuple[int, ...]) -> LabelMap:
        """The map of the polygons: corners cut to whole pixels, filled with their outlines, later lines over earlier ones."""
        drawn = np.full(size, self._rest, np.int32)
        for line in text.splitlines():
            number, *sides = line.split()
            outline = np.array(sides, np.float64).reshape(-1, 2) * size[::-1]
            cv2.fillPoly(drawn, [outline.astype(np.int32)], self._ids[int(number)])
        return drawn.astype(self._catalog.dtype)

    def finish(self, items: Sequence[ExportItem]) -> tuple[Part, ...]:
        import yaml

        splits = dict.fromkeys(("train", "val", *(item.part for item in items)))
        used = {item.part for item in items}
        # Without "path" YOLO's programs start at the folder of this file; "." would be their own folder of data sets.
        data: dict[str, object] = {}
        for split in splits:
            # YOLO's programs want both entries; a split without images of its own names those of the training.
            data[split] = f"images/{split if split in used else next(iter(sorted(used)))}"
        data["names"] = {number: self._catalog.by_id(class_id).name for number, class_id in enumerate(self._ids)}
        text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=130)
        return (text_part("data.yaml", text),)


def _line(number: int, sides: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> str:
    return f"{number} " + " ".join(f"{side:.8g}" for side in sides.reshape(-1).tolist()) + "\n"
