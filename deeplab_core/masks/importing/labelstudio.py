"""Label Studio: tasks in JSON (``JSON`` and ``JSON-MIN``), brush masks as packed run lengths, outlines in percent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, LabelSourceError
from deeplab_core.images.limits import MAX_PIXELS
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.raster import Patch, Pen
from deeplab_core.masks.importing.reader import Reader, image_names, size_of, text_of
from deeplab_core.masks.importing.records import Entry, Unread
from deeplab_core.masks.importing.source import MAX_SET_FILE, Source
from deeplab_core.reading import expecting, shorten

#: Kinds of results that are about an image as a whole.
_NO_PLACE = frozenset({"choices", "taxonomy", "textarea", "rating", "number", "datetime", "pairwise", "ranker", "relation"})
#: Kinds of results that have an area, by the key that holds their labels.
_AREAS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels")


class LabelStudioReader(Reader):
    """Label Studio's export; of several annotations of a task the last one that was not cancelled is read."""

    format_key = "labelstudio"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_is_export(values) for values in source.samples)

    def scan(self) -> None:
        files = self.source.with_ending(".json")
        for name in files:
            try:
                with expecting("not an export of Label Studio", path=self.source.shown(name), error=LabelSourceError):
                    values: Any = self.read_json(name, limit=MAX_SET_FILE)
                    if not _is_export(values):
                        self.leave_out(name, "It is not an export of Label Studio")
                        continue
                    for task in values:
                        self._scan_task(name, task)
            except AtrousError as problem:
                if len(files) == 1:
                    raise
                self.leave_out(name, problem)
        self.list_counted()

    def _scan_task(self, name: str, task: dict[str, Any]) -> None:
        results = self._results(name, task)
        for result in results:
            label = _label(result)
            if label is not None:
                self.count(label)
        image = _image_of(task)
        sizes = {size_of(result.get("original_width"), result.get("original_height")) for result in results} - {None}
        if len(sizes) > 1:
            self.unread.append(Unread(image or "a task", "Its results are for images of several sizes", damaged=True))
            return
        if results or image:
            size = next(iter(sizes), None)
            self.entries.append(Entry(names=image_names(image), file=name, size=size, data=results))

    def _results(self, name: str, task: dict[str, Any]) -> list[dict[str, Any]]:
        if "annotations" not in task:
            return [row for value in task.values() if isinstance(value, list) for row in value if _is_min_result(row)]
        kept = [one for one in task["annotations"] if not one.get("was_cancelled")]
        if len(kept) > 1:
            self.unread.append(Unread(f"{len(kept) - 1} earlier annotations of a task ({name})", "The last one is read"))
        return [row for row in kept[-1]["result"] if isinstance(row, dict)] if kept else []

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        pen = Pen(canvas.width, canvas.height)
        for number, result in enumerate(entry.data):
            with canvas.drawing("a result"):
                label = _label(result)
                if label is None:
                    kind = result.get("type", "?")
                    why = "It has several labels" if _labels(result) else "It has no area or no label"
                    canvas.skip(f"a result of the kind {shorten(kind, 40)}", why, area=kind not in _NO_PLACE)
                    continue
                value = result["value"] if isinstance(result.get("value"), dict) else result
                patch = _patch(value, pen)
                canvas.paint(label, patch.mask, top=patch.top, left=patch.left, instance=text_of(result.get("id", number)))


READERS: dict[str, type[Reader]] = {"labelstudio": LabelStudioReader}


def _is_export(values: object) -> bool:
    if not isinstance(values, list) or not values or not isinstance(values[0], dict):
        return False
    task = values[0]
    if isinstance(task.get("annotations"), list) and isinstance(task.get("data"), dict):
        return True
    return any(isinstance(value, list) and any(map(_is_min_result, value)) for value in task.values())


def _is_min_result(row: object) -> bool:
    return isinstance(row, dict) and "original_width" in row and any(key in row for key in _AREAS)


def _image_of(task: dict[str, Any]) -> str | None:
    """The image of a task: the only text of its data that looks like a file."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    for key in ("image", "img", "picture", "photo"):
        if key in texts:
            return texts[key]
    named = [value for value in texts.values() if "." in value.rsplit("/", 1)[-1]]
    return named[0] if len(named) == 1 else None


def _label(result: dict[str, Any]) -> str | None:
    """Name of the class of a result with an area and one label; None for any other."""
    labels = _labels(result)
    return labels[0] if len(labels) == 1 else None


def _labels(result: dict[str, Any]) -> list[str]:
    """Labels of a result with an area."""
    value = result["value"] if isinstance(result.get("value"), dict) else result
    found: list[Any] = next((value[key] for key in _AREAS if isinstance(value.get(key), list)), [])
    return [label for label in found if isinstance(label, str)]


def _patch(value: dict[str, Any], pen: Pen) -> Patch:
    if "rle" in value:
        return Patch(brush_mask(value["rle"], pen.width, pen.height))
    scale = np.array([pen.width, pen.height]) / 100
    if "points" in value:
        return pen.coco_polygons([pen.points(pen.points(value["points"], least=3) * scale)])
    corner = pen.points([[float(value["x"]), float(value["y"])]])[0] * scale
    turn = math.radians(float(value.get("rotation", 0)))
    if "radiusX" in value:
        radii = (float(value["radiusX"]) * scale[0], float(value["radiusY"]) * scale[1])
        return pen.opencv_ellipse(corner, radii, math.degrees(turn))
    width, height = float(value["width"]) * scale[0], float(value["height"]) * scale[1]
    sides = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    # Label Studio turns a rectangle around its first corner.
    turned = sides @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return pen.coco_polygons([pen.points(turned + corner)])


def brush_mask(packed: object, width: int, height: int) -> NDArray[np.bool_]:
    """Pixels of a brush mask, from Label Studio's run lengths of an RGBA picture; inside is where alpha is not 0.

    The packing is that of ``@thi.ng/rle-pack``: a bit stream with the number of words (32 bits), the bits of a word less one (5),
    four sizes of a length less one (4 bits each), then runs: one bit that says whether one word is repeated, two bits that choose
    the size of the length, the length less one, and one word or as many words as the length.

    Args:
        packed: bytes as whole numbers.
        width, height: of the image, px.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: it ends early, or holds another number of pixels.
    """
    data = np.asarray(packed)
    if data.ndim != 1 or data.dtype.kind not in "iu" or not data.size or data.min() < 0 or data.max() > 255:
        raise ValueError("its run lengths are not bytes")
    stream = _Bits(data.astype(np.uint8).tobytes())
    words = stream.take(32)
    if words != 4 * width * height or words > 4 * MAX_PIXELS:
        raise ValueError(f"its run lengths hold {words // 4:,} px instead of {width * height:,}")
    bits = stream.take(5) + 1
    sizes = [stream.take(4) + 1 for _ in range(4)]
    parts: list[NDArray[Any]] = []
    done = 0
    while done < words:
        repeated = stream.take(1)
        length = stream.take(sizes[stream.take(2)]) + 1
        if done + length > words:
            raise ValueError("a run is longer than the mask")
        if repeated:
            parts.append(np.full(length, stream.take(bits), np.uint32))
        else:
            parts.append(stream.words(length, bits))
        done += length
    return np.asarray(np.concatenate(parts).reshape(height, width, 4)[..., 3] != 0)


class _Bits:
    """A stream of bits, the highest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._place = 0

    def take(self, count: int) -> int:
        """The next bits as a number. Raises ValueError at the end."""
        end = self._place + count
        if end > self._bits.size:
            raise ValueError("its run lengths end too early")
        value = int.from_bytes(np.packbits(self._bits[self._place : end]).tobytes(), "big") >> (-count % 8)
        self._place = end
        return value

    def words(self, count: int, bits: int) -> NDArray[np.uint32]:
        """``count`` words of some bits. Raises ValueError at the end."""
        end = self._place + count * bits
        if end > self._bits.size:
            raise ValueError("its run lengths end too early")
        taken = self._bits[self._place : end].reshape(count, bits).astype(np.uint32)
        self._place = end
        shifts = np.arange(bits - 1, -1, -1, dtype=np.uint32)
        return np.asarray((taken << shifts).sum(axis=1, dtype=np.uint32))
