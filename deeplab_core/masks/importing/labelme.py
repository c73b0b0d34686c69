"""labelme, X-AnyLabeling and ISAT: one JSON file per image, outlines in px of the image as it is displayed."""

from __future__ import annotations

import base64
import binascii
import io
import math
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, LabelSourceError, message
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.limits import check_size
from deeplab_core.images.pillow import Image
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.raster import Patch, Pen
from deeplab_core.masks.importing.reader import Reader, folder_of, image_names, size_of, text_of
from deeplab_core.masks.importing.records import Entry
from deeplab_core.masks.importing.source import Source
from deeplab_core.reading import expecting, shorten

#: What labelme draws lines and points with, px.
LINE_WIDTH, POINT_RADIUS = 10, 5
#: Keys of a shape that X-AnyLabeling writes and labelme does not.
_ANY_KEYS = frozenset({"difficult", "attributes", "kie_linking", "direction", "score"})


class _PerImage(Reader):
    """One JSON file per image; what is another kind of JSON is noted."""

    shapes_key: str

    def scan(self) -> None:
        for name in self.source.with_ending(".json"):
            try:
                values = self.read_json(name)
                if self.fits(values):
                    self.entries.append(self._entry(name, values))
                else:
                    self.leave_out(name, "It is not a label file of one image")
            except AtrousError as problem:
                self.leave_out(name, problem)
        self.list_counted()

    def _entry(self, name: str, values: dict[str, Any]) -> Entry:
        with expecting("not a label file of one image", path=self.source.shown(name), error=LabelSourceError):
            entry = self.entry_of(values, name)
            for shape in values[self.shapes_key]:
                label = self._label(shape)
                if label is not None:
                    self.count(label)
        return entry

    def _label(self, shape: object) -> str | None:
        try:
            return self.label_of(shape)
        except (ValueError, TypeError, KeyError):
            return None  # the drawing of its image counts it

    @abstractmethod
    def fits(self, values: object) -> bool:
        """Whether the values of a file are of this format."""

    @abstractmethod
    def entry_of(self, values: dict[str, Any], name: str) -> Entry:
        """The image that a file describes."""

    @abstractmethod
    def label_of(self, shape: object) -> str:
        """The class of a shape. Raises ValueError, TypeError or KeyError for a shape without one."""


class LabelmeReader(_PerImage):
    """labelme: shapes in drawing order, each with a label, a kind and points."""

    format_key = "labelme"
    shapes_key = "shapes"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        found = [values for values in source.samples if _is_labelme(values)]
        return bool(found) and not any(_is_any_labeling(values) for values in found)

    def fits(self, values: object) -> bool:
        return _is_labelme(values)

    def label_of(self, shape: Any) -> str:
        return text_of(shape["label"])

    def entry_of(self, values: dict[str, Any], name: str) -> Entry:
        size = size_of(values.get("imageWidth"), values.get("imageHeight"))
        data = values.get("imageData")
        holds_image = isinstance(data, str) and bool(data)
        if size is None and isinstance(data, str) and holds_image:
            size = _size_of_bytes(_decoded(data, message("imageData")), self.source.shown(name))
        path = values.get("imagePath")
        stem = name.removesuffix(".json")
        names = image_names(path if isinstance(path, str) else None)
        beside = tuple(folder_of(name) + one for one in names if "/" not in one)
        return Entry(names=(*beside, *names, stem), file=name, size=size, embedded=holds_image)

    def embedded(self, entry: Entry) -> bytes | None:
        values = self.read_json(entry.file)
        data = values.get("imageData") if isinstance(values, dict) else None
        return _decoded(data, message("imageData")) if isinstance(data, str) and data else None

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        values = self.read_json(entry.file)
        pen = Pen(canvas.width, canvas.height)
        for number, shape in enumerate(values["shapes"]):
            with canvas.drawing("a shape"):
                label = self.label_of(shape)
                patch = _shape_patch(shape, pen, canvas)
                if patch is not None:
                    group = shape.get("group_id")
                    instance = (label, number) if group is None else (label, "group", str(group))
                    canvas.paint(label, patch.mask, top=patch.top, left=patch.left, instance=instance)


class AnyLabelingReader(LabelmeReader):
    """X-AnyLabeling: labelme's files with further keys and turned rectangles."""

    format_key = "xanylabeling"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_is_any_labeling(values) for values in source.samples)


class IsatReader(_PerImage):
    """ISAT with Segment Anything: objects with a category, a layer and one polygon."""

    format_key = "isat"
    shapes_key = "objects"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_is_isat(values) for values in source.samples)

    def fits(self, values: object) -> bool:
        return _is_isat(values)

    def label_of(self, shape: Any) -> str:
        return text_of(shape["category"])

    def entry_of(self, values: dict[str, Any], name: str) -> Entry:
        info = values["info"]
        names = image_names(info.get("name"))
        beside = tuple(folder_of(name) + one for one in names if "/" not in one)
        size = size_of(info.get("width"), info.get("height"))
        return Entry(names=(*beside, *names, name.removesuffix(".json")), file=name, size=size)

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        values = self.read_json(entry.file)
        pen = Pen(canvas.width, canvas.height)
        for number, shape in sorted(enumerate(values["objects"]), key=lambda pair: _layer(pair[1])):
            with canvas.drawing("an object"):
                label = self.label_of(shape)
                kind = shape.get("shape_type", "polygon")
                if kind != "polygon":
                    canvas.skip(f"a shape of the kind {shorten(kind)}", "It has no area in this format")
                    continue
                # ISAT draws with whole numbers, cut off.
                points = np.trunc(pen.points(shape["segmentation"], least=3))
                patch = pen.closed_polygon(points)
                canvas.paint(label, patch.mask, top=patch.top, left=patch.left, instance=(label, number))


READERS: dict[str, type[Reader]] = {
    "labelme": LabelmeReader, "xanylabeling": AnyLabelingReader, "isat": IsatReader,
}  # fmt: skip


def _is_labelme(values: object) -> bool:
    return isinstance(values, dict) and isinstance(values.get("shapes"), list) and "imagePath" in values


def _is_any_labeling(values: Any) -> bool:
    return _is_labelme(values) and any(isinstance(shape, dict) and _ANY_KEYS & shape.keys() for shape in values["shapes"])


def _is_isat(values: object) -> bool:
    if not isinstance(values, dict) or not isinstance(values.get("objects"), list):
        return False
    info = values.get("info")
    return isinstance(info, dict) and info.get("description") == "ISAT"


def _layer(shape: object) -> float:
    layer = shape.get("layer", 2.0) if isinstance(shape, dict) else 2.0
    return float(layer) if isinstance(layer, int | float) and not isinstance(layer, bool) and math.isfinite(layer) else 2.0


def _shape_patch(shape: dict[str, Any], pen: Pen, canvas: Canvas) -> Patch | None:
    """The pixels of a shape by labelme's rule; None for a kind that labelme gives no area, which is counted."""
    kind = shape.get("shape_type") or "polygon"
    points = pen.points(shape["points"])
    if kind == "mask":
        return _mask_patch(shape, points)
    if kind in ("polygon", "rotation", "oriented_rectangle") or (kind == "rectangle" and len(points) == 4):
        if len(points) < 3:
            raise ValueError(f"it has {len(points)} of at least 3 points")
        return pen.pillow_polygon(points)
    if kind == "rectangle":
        return pen.pillow_rectangle(*_exactly(points, 2))
    if kind == "circle":
        center, rim = _exactly(points, 2)
        return pen.pillow_circle(center, float(np.hypot(*(center - rim))))
    if kind == "point":
        (center,) = _exactly(points, 1)
        return pen.pillow_circle(center, POINT_RADIUS)
    if kind in ("line", "linestrip"):
        if kind == "line":
            _exactly(points, 2)
        return pen.pillow_line(points, LINE_WIDTH)
    canvas.skip(f"a shape of the kind {shorten(kind)}", "labelme gives it no area")
    return None


def _exactly(points: NDArray[np.float64], count: int) -> Iterator[NDArray[np.float64]]:
    if len(points) != count:
        raise ValueError(f"it has {len(points)} points instead of {count}")
    return iter(points)


def _mask_patch(shape: dict[str, Any], points: NDArray[np.float64]) -> Patch:
    """A shape of the kind ``mask``: a PNG for the box between two corners, both included."""
    (left, top), (right, bottom) = _exactly(points, 2)
    stored = shape.get("mask")
    if not isinstance(stored, str):
        raise ValueError("it holds no mask")
    mask = decode_bitmap(_decoded(stored, message("mask")))
    first, last = np.rint([left, top]).astype(int), np.rint([right, bottom]).astype(int)
    if np.array_equal(points, np.trunc(points)):
        # Whole corners cut the mask; others were rounded apart and do not.
        width, height = int(last[0] - first[0] + 1), int(last[1] - first[1] + 1)
        mask = mask[: max(height, 0), : max(width, 0)]
    return Patch(mask, top=int(first[1]), left=int(first[0]))


def decode_bitmap(data: bytes) -> NDArray[np.bool_]:
    """A picture that marks the pixels inside: its alpha channel if it has one, else its values other than 0.

    Args:
        data: a PNG file.

    Returns:
        (H, W) bool.

    Raises:
        LabelSourceError: damaged, too large, or of colours without alpha.
    """
    place = Path("mask.png")
    with decoder_guard(LabelSourceError, "its mask is damaged", place), Image.open(io.BytesIO(data)) as picture:
        check_size(*picture.size, place)
        picture.load()
        if picture.mode in ("RGBA", "LA", "PA"):
            values = np.asarray(picture.getchannel("A"))
        elif picture.mode in ("1", "L", "P") or picture.mode.startswith("I"):
            values = np.asarray(picture)
        else:
            raise ValueError(f"A picture of the kind {picture.mode} does not say which pixels are inside")
    return np.asarray(values != 0)


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as problem:
        raise LabelSourceError(
            message("its {what} is not base64", what=what), why=str(problem), remedy=message("Write the file again")
        ) from problem


def _size_of_bytes(data: bytes, shown: Path) -> tuple[int, int] | None:
    """(width, height) of an image in memory as it is displayed."""
    from deeplab_core.images.probe import probe_stream

    try:
        info = probe_stream(io.BytesIO(data), shown, len(data))
    except AtrousError:
        return None
    return info.size
