"""Supervisely: ``meta.json`` with the classes, and one JSON file per image with polygons and bitmaps."""

from __future__ import annotations

import base64
import binascii
import zlib
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from deeplab_core.errors import AtrousError, LabelSourceError
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.labelme import decode_bitmap
from deeplab_core.masks.importing.raster import Patch, Pen
from deeplab_core.masks.importing.reader import Reader, size_of, text_of
from deeplab_core.masks.importing.records import Entry, SourceClass
from deeplab_core.masks.importing.source import Source
from deeplab_core.reading import expecting, shorten, unpack

#: Largest bitmap after unpacking, bytes.
_LARGEST_BITMAP = 256 << 20


class SuperviselyReader(Reader):
    """Supervisely's project folder; later objects cover earlier ones."""

    format_key = "supervisely"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_is_annotation(values) for values in source.samples)

    def scan(self) -> None:
        declared: list[SourceClass] = []
        for name in self.source.with_ending(".json"):
            try:
                with expecting("not a file of this format", path=self.source.shown(name), error=LabelSourceError):
                    values: Any = self.read_json(name)
                    if PurePosixPath(name).name == "meta.json":
                        declared += [
                            SourceClass(name=text_of(row["title"]), color=_color(row.get("color")), regions=0)
                            for row in values["classes"]
                        ]
                    elif _is_annotation(values):
                        self._scan_image(name, values)
                    else:
                        self.leave_out(name, "It is not a label file of one image")
            except AtrousError as problem:
                self.leave_out(name, problem)
        self.list_counted({one.name: one for one in declared}.values())

    def _scan_image(self, name: str, values: dict[str, Any]) -> None:
        size = size_of(values["size"]["width"], values["size"]["height"])
        for row in values["objects"]:
            if isinstance(row, dict) and "classTitle" in row:
                self.count(text_of(row["classTitle"]))
        path = PurePosixPath(name.removesuffix(".json"))
        parts = [part for part in path.parts if part != "ann"]
        beside = ["img" if part == "ann" else part for part in path.parts]
        self.entries.append(Entry(names=tuple(dict.fromkeys(("/".join(beside), "/".join(parts)))), file=name, size=size))

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        values: Any = self.read_json(entry.file)
        pen = Pen(canvas.width, canvas.height)
        for number, row in enumerate(values["objects"]):
            with canvas.drawing("an object"):
                label = text_of(row["classTitle"])
                patch = _patch(row, pen)
                if patch is None:
                    canvas.skip(f"a {shorten(row.get('geometryType'), 40)}", "It has no area in this format")
                    continue
                canvas.paint(label, patch.mask, top=patch.top, left=patch.left, instance=row.get("instance") or number)


READERS: dict[str, type[Reader]] = {"supervisely": SuperviselyReader}


def _is_annotation(values: object) -> bool:
    if not isinstance(values, dict) or not isinstance(values.get("objects"), list) or not isinstance(values.get("size"), dict):
        return False
    return "tags" in values or any(isinstance(row, dict) and "classTitle" in row for row in values["objects"])


def _color(value: object) -> tuple[int, int, int] | None:
    if not isinstance(value, str) or len(value) != 7 or not value.startswith("#"):
        return None
    try:
        red, green, blue = bytes.fromhex(value[1:])
    except ValueError:
        return None
    return red, green, blue


def _patch(row: dict[str, Any], pen: Pen) -> Patch | None:
    kind = row.get("geometryType")
    if kind == "bitmap":
        left, top = (int(value) for value in pen.points([row["bitmap"]["origin"]])[0])
        return Patch(decode_bitmap(_unpacked(text_of(row["bitmap"]["data"]))), top=top, left=left)
    if kind == "polygon":
        outer = np.rint(pen.points(row["points"]["exterior"], least=3))
        holes = [np.rint(pen.points(hole, least=3)) for hole in row["points"].get("interior") or []]
        return pen.opencv_polygon(outer, holes)
    if kind == "rectangle":
        one, other = np.rint(pen.points(row["points"]["exterior"], least=2))[:2]
        return pen.pillow_rectangle(one, other)
    if kind == "line":
        return pen.opencv_lines(np.rint(pen.points(row["points"]["exterior"], least=2)))
    return None


def _unpacked(text: str) -> bytes:
    try:
        return unpack(base64.b64decode(text), _LARGEST_BITMAP)
    except (binascii.Error, ValueError, zlib.error) as problem:
        raise ValueError(f"its bitmap is damaged: {problem}") from problem
