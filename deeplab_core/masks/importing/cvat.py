"""CVAT for images 1.1: one XML file for all images."""

from __future__ import annotations

import math

import numpy as np

from deeplab_core.errors import AtrousError, LabelSourceError
from deeplab_core.images.probe import ImageInfo
from deeplab_core.markup import Element, parse_xml
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.raster import Patch, Pen, Points, runs_to_mask
from deeplab_core.masks.importing.reader import Reader, image_names
from deeplab_core.masks.importing.records import Entry, SourceClass, Unread
from deeplab_core.masks.importing.source import Source
from deeplab_core.reading import expecting

_LARGEST = 512 << 20
_AREAS = frozenset({"polygon", "box", "mask", "ellipse"})
#: Elements of an image that are not shapes.
_NO_SHAPES = frozenset({"tag"})


class CvatReader(Reader):
    """CVAT for images 1.1: shapes in the order of ``z_order``, then of the file."""

    format_key = "cvat"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_looks_like_cvat(source, name) for name in source.with_ending(".xml")[:20])

    def scan(self) -> None:
        declared: dict[str, SourceClass] = {}
        files = self.source.with_ending(".xml")
        for name in files:
            try:
                with expecting("not a file of CVAT for images", path=self.source.shown(name), error=LabelSourceError):
                    self._scan_file(name, declared)
            except AtrousError as problem:
                if len(files) == 1:
                    raise
                self.leave_out(name, problem)
        self.list_counted(declared.values())

    def _scan_file(self, name: str, declared: dict[str, SourceClass]) -> None:
        data = self.source.read(name, limit=_LARGEST)
        root = parse_xml(data, path=self.source.shown(name), what="the label file", error=LabelSourceError)
        if root.tag != "annotations":
            raise ValueError(f"Its root is '{root.tag[:60]}'")
        for part in ("task", "project", "job"):
            labels = root.first("meta", part, "labels")
            for label in labels.all("label") if labels is not None else ():
                title = _text(label.first("name"))
                if title:
                    declared.setdefault(title, SourceClass(name=title, color=_color(_text(label.first("color"))), regions=0))
        for image in root.all("image"):
            self._scan_image(name, image)
        tracks = len(root.all("track"))
        if tracks:
            self.unread.append(Unread("a track", "It belongs to a video; export the task as CVAT for images", tracks))

    def _scan_image(self, name: str, image: Element) -> None:
        shapes = [shape for shape in image.children if shape.tag not in _NO_SHAPES]
        for shape in shapes:
            if shape.tag in _AREAS and "label" in shape.attributes:
                self.count(shape.attributes["label"])
        size = (int(image.attributes["width"]), int(image.attributes["height"]))
        if min(size) < 1:
            raise ValueError("An image has no size")
        names = image_names(image.attributes["name"])
        self.entries.append(Entry(names=names, file=name, size=size, data=shapes))

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        pen = Pen(canvas.width, canvas.height)
        for number, shape in sorted(enumerate(entry.data), key=lambda pair: _z_order(pair[1])):
            if shape.tag not in _AREAS:
                canvas.skip(f"a {shape.tag[:40]}", "It has no area")
                continue
            with canvas.drawing(f"a {shape.tag}"):
                label = shape.attributes["label"]
                patch = _patch(shape, pen)
                group = shape.attributes.get("group_id", "0")
                instance = ("group", group) if group not in ("", "0") else number
                canvas.paint(label, patch.mask, top=patch.top, left=patch.left, instance=instance)


READERS: dict[str, type[Reader]] = {"cvat": CvatReader}


def _looks_like_cvat(source: Source, name: str) -> bool:
    try:
        head = source.read(name, limit=_LARGEST)[:4000]
    except AtrousError:
        return False
    return b"<annotations" in head and (b"<version>" in head or b"<meta>" in head or b"<image " in head)


def _text(element: Element | None) -> str:
    return "" if element is None else element.text.strip()


def _color(text: str) -> tuple[int, int, int] | None:
    digits = text.removeprefix("#")
    if len(digits) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        return None
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def _z_order(shape: Element) -> int:
    text = shape.attributes.get("z_order", "0").strip()
    return int(text) if len(text) < 10 and text.lstrip("-").isascii() and text.lstrip("-").isdigit() else 0


def _patch(shape: Element, pen: Pen) -> Patch:
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in shape.attributes["points"].split(";")]
        return pen.coco_polygons([pen.points([[float(x), float(y)] for x, y in pairs], least=3)])
    if shape.tag == "box":
        left, top, right, bottom = (shape.number(name) for name in ("xtl", "ytl", "xbr", "ybr"))
        corners = pen.points([[left, top], [right, top], [right, bottom], [left, bottom]])
        return pen.coco_polygons([pen.points(_turned(corners, float(shape.attributes.get("rotation", 0))))])
    if shape.tag == "ellipse":
        center = pen.points([shape.number("cx"), shape.number("cy")])[0]
        return pen.opencv_ellipse(center, (shape.number("rx"), shape.number("ry")), float(shape.attributes.get("rotation", 0)))
    left, top, width, height = (int(shape.number(name)) for name in ("left", "top", "width", "height"))
    if not (0 < width <= 4 * pen.width and 0 < height <= 4 * pen.height) or max(abs(left), abs(top)) > 4 * (
        pen.width + pen.height
    ):
        raise ValueError("its box is far larger than the image")
    counts = [int(part) for part in shape.attributes["rle"].split(",")]
    return Patch(runs_to_mask(counts, width, height, by_column=False), top=top, left=left)


def _turned(points: Points, degrees: float) -> Points:
    """Corners turned clockwise around their middle."""
    if not degrees:
        return points
    angle = math.radians(degrees)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.asarray((points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle)
