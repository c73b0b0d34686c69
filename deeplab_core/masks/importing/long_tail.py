"""Further formats through Datumaro (extra ``formats``), which is only imported where the user asks for it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from deeplab_core.errors import LabelSourceError, message
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.raster import Pen
from deeplab_core.masks.importing.reader import Reader, size_of
from deeplab_core.masks.importing.records import Entry, SourceClass
from deeplab_core.masks.importing.source import Source, ZipSource


class DatumaroReader(Reader):
    """Every format that Datumaro imports; shapes by their ``z_order``, polygons by pycocotools' rule."""

    format_key = "datumaro"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._datumaro = import_datumaro(source.path)

    @classmethod
    def recognises(cls, source: Source) -> bool:
        del source
        return False

    def scan(self) -> None:
        path = self.source.path
        if isinstance(self.source, ZipSource):
            raise LabelSourceError(
                message("Datumaro reads folders"), remedy=message("Unpack the archive and import the folder"), path=path
            )
        with decoder_guard(LabelSourceError, "Datumaro cannot read this data set", path, "Import it in another format"):
            dataset = self._datumaro.Dataset.import_from(str(path))
            labels = dataset.categories()[self._datumaro.AnnotationType.label]
            titles = [str(item.name) for item in labels.items]
            for item in dataset:
                self._add(item, titles)
        self.list_counted(SourceClass(name=title, regions=0) for title in dict.fromkeys(titles))

    def _add(self, item: Any, titles: list[str]) -> None:
        kinds = self._datumaro.AnnotationType
        shapes = []
        for one in item.annotations:
            title = titles[one.label] if getattr(one, "label", None) is not None else None
            shapes.append((one, title))
            if title is not None and one.type in (kinds.mask, kinds.polygon):
                self.count(title)
        height, width = item.media.size if item.media is not None and getattr(item.media, "has_size", False) else (None, None)
        self.entries.append(Entry(names=(str(item.id),), file="", size=size_of(width, height), data=shapes))

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        kinds, pen = self._datumaro.AnnotationType, Pen(canvas.width, canvas.height)
        for number, (shape, title) in sorted(enumerate(entry.data), key=lambda pair: getattr(pair[1][0], "z_order", 0)):
            if shape.type not in (kinds.mask, kinds.polygon) or title is None:
                canvas.skip(f"a {shape.type.name}", "It has no area or no class")
                continue
            with canvas.drawing(f"a {shape.type.name}"):
                if shape.type == kinds.mask:
                    canvas.paint(title, np.asarray(shape.image) != 0, instance=number)
                else:
                    canvas.paint(title, pen.coco_polygons([pen.points(shape.points, least=3)]).mask, instance=number)


READERS: dict[str, type[Reader]] = {"datumaro": DatumaroReader}


def import_datumaro(path: Path) -> ModuleType:
    """The package. Raises LabelSourceError, which says how to install it."""
    try:
        import datumaro
    except ImportError as problem:
        raise LabelSourceError(
            message("this format needs the package datumaro, which is not installed"),
            why=message("Its versions of OpenCV and Pillow are older than those of Atrous"),
            remedy=message(
                "Install both into an environment of their own: pip install 'atrous[formats]'; or convert the labels with "
                "datumaro to COCO or VOC, and import these"
            ),
            path=path,
        ) from problem
    module: ModuleType = datumaro
    return module
