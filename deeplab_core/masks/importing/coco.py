"""COCO instances (polygons and run lengths) and COCO panoptic (one PNG per image)."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from deeplab_core.errors import AtrousError, LabelSourceError, message
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import NOTHING, VOID, Canvas
from deeplab_core.masks.importing.raster import Patch, Pen, coco_counts, runs_to_mask
from deeplab_core.masks.importing.reader import Reader, folder_of, image_names, size_of, text_of
from deeplab_core.masks.importing.records import Entry, SourceClass, Unread
from deeplab_core.masks.importing.source import MAX_SET_FILE, Source
from deeplab_core.masks.stored import read_stored
from deeplab_core.reading import expecting, shorten


class _CocoReader(Reader):
    """Reads every file of the format in the source; classes of several files are one class where their names are equal."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._names: dict[tuple[str, Any], str] = {}
        self._declared: dict[str, SourceClass] = {}
        self._things: set[str] = set()

    def scan(self) -> None:
        files = self.source.with_ending(".json")
        for name in files:
            try:
                with expecting("not a COCO file", path=self.source.shown(name), error=LabelSourceError):
                    values = self.read_json(name, limit=MAX_SET_FILE)
                    if self.fits(values):
                        self._scan_file(name, values)
                    elif len(files) == 1:
                        raise LabelSourceError(message("not a file of this format"))
                    else:
                        self.leave_out(name, "It is not of this format")
            except AtrousError as problem:
                if len(files) == 1:
                    raise
                self.leave_out(name, problem)
        self.list_counted(self._declared.values())

    @abstractmethod
    def fits(self, values: object) -> bool:
        """Whether the values of a file are of this format."""

    @abstractmethod
    def add_image(self, name: str, image: dict[str, Any], annotations: list[dict[str, Any]]) -> None:
        """Take an image of a file with its annotations."""

    def _scan_file(self, name: str, values: dict[str, Any]) -> None:
        for category in values["categories"]:
            title = text_of(category["name"])
            self._names[name, category["id"]] = title
            color = category.get("color")
            chosen = tuple(color) if _is_color(color) else None
            self._declared.setdefault(title, SourceClass(name=title, color=chosen, regions=0))
            if category.get("isthing", 1):
                self._things.add(title)
        grouped: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        images = {image["id"]: image for image in values["images"]}
        strangers = 0
        for annotation in values["annotations"]:
            if annotation["image_id"] in images:
                grouped[annotation["image_id"]].append(annotation)
            else:
                strangers += 1
        if strangers:
            self.unread.append(Unread("an annotation", f"{name} has no image with its image_id", strangers, damaged=True))
        for key, image in images.items():
            self.add_image(name, image, grouped[key])

    def title(self, name: str, category: object) -> str:
        """Name of a category. Raises ValueError for one that the file does not list."""
        title = self._names.get((name, category))
        if title is None:
            raise ValueError(f"the file has no category {shorten(category)}")
        return title


class CocoReader(_CocoReader):
    """COCO instances: annotations in the order of the file, crowds below everything else."""

    format_key = "coco"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_is_instances(values) for values in source.samples)

    def fits(self, values: object) -> bool:
        return _is_instances(values)

    def add_image(self, name: str, image: dict[str, Any], annotations: list[dict[str, Any]]) -> None:
        for annotation in annotations:
            title = self._names.get((name, annotation.get("category_id")))
            if title is not None:
                self.count(title)
        size = size_of(image.get("width"), image.get("height"))
        data = (annotations, image.get("void"))  # the run lengths of void, as our own export has them
        self.entries.append(Entry(names=image_names(image["file_name"]), file=name, size=size, data=data))

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        pen = Pen(canvas.width, canvas.height)
        # Crowds are drawn around the objects within them, coarsely, so they are below.
        annotations, void = entry.data
        for annotation in sorted(annotations, key=lambda row: not row.get("iscrowd")):
            with canvas.drawing("an annotation"):
                title = self.title(entry.file, annotation.get("category_id"))
                patch = _segmentation(annotation.get("segmentation"), pen)
                if patch is None:
                    canvas.skip("an annotation", "It has no outline, only a box or key points")
                    continue
                crowd = bool(annotation.get("iscrowd"))
                instance = None if crowd or title == "void" else (entry.file, annotation.get("id"))
                canvas.paint(title, patch.mask, top=patch.top, left=patch.left, instance=instance)
        with canvas.drawing("void"):
            patch = _segmentation(void, pen)
            if patch is not None:
                canvas.paint(None, patch.mask, top=patch.top, left=patch.left)


class PanopticReader(_CocoReader):
    """COCO panoptic: one PNG per image, with segment ids as colours (R + 256 G + 65536 B), and their categories in JSON."""

    format_key = "coco_panoptic"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_is_panoptic(values) for values in source.samples)

    def fits(self, values: object) -> bool:
        return _is_panoptic(values)

    def add_image(self, name: str, image: dict[str, Any], annotations: list[dict[str, Any]]) -> None:
        for annotation in annotations:
            for segment in annotation["segments_info"]:
                title = self._names.get((name, segment.get("category_id")))
                if title is not None:
                    self.count(title)
            size = size_of(image.get("width"), image.get("height"))
            data = (annotation["file_name"], annotation["segments_info"])
            self.entries.append(Entry(names=image_names(image["file_name"]), file=name, size=size, data=data))

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        file_name, segments = entry.data
        path = self._picture(entry.file, text_of(file_name))
        stored = read_stored(self.source.local(path))
        if stored.colors is None:
            raise LabelSourceError(
                message("a panoptic mask is a PNG of colours"), remedy=message("Bring the masks of the data set"), path=path
            )
        colors = stored.colors.astype(np.uint32)
        ids, places = np.unique(colors[..., 0] + 256 * colors[..., 1] + 65536 * colors[..., 2], return_inverse=True)
        titles: dict[int, str] = {}
        for segment in segments:
            with canvas.drawing("a segment"):
                titles[int(segment["id"])] = self.title(entry.file, segment.get("category_id"))
        codes = np.full(len(ids), NOTHING, np.uint16)
        for number, segment_id in enumerate(ids.tolist()):
            if segment_id == 0:
                codes[number] = VOID
            elif segment_id in titles:
                codes[number] = canvas.code(titles[segment_id])
                canvas.regions += 1
                if titles[segment_id] in self._things:
                    canvas.count_instances([segment_id])
            else:
                canvas.skip("a segment", "The JSON file does not say its class")
        canvas.fill(codes[places].reshape(colors.shape[:2]))

    def _picture(self, name: str, file_name: str) -> str:
        """Where the PNG of an annotation is: in the folder that is called as the JSON file, or beside it."""
        folder = folder_of(name)
        stem = PurePosixPath(name).stem
        places = [f"{folder}{stem}/{file_name}", f"{folder}{file_name}", file_name]
        found = next((place for place in places if self.source.has(place)), None)
        if found is None:
            ends = [one for one in self.source.names if PurePosixPath(one).name == file_name]
            found = ends[0] if len(ends) == 1 else places[0]
        return found


READERS: dict[str, type[Reader]] = {"coco": CocoReader, "coco_panoptic": PanopticReader}


def _is_coco(values: object) -> bool:
    return isinstance(values, dict) and all(isinstance(values.get(key), list) for key in ("images", "annotations", "categories"))


def _is_panoptic(values: Any) -> bool:
    return _is_coco(values) and any(isinstance(row, dict) and "segments_info" in row for row in values["annotations"][:10])


def _is_instances(values: object) -> bool:
    return _is_coco(values) and not _is_panoptic(values)


def _is_color(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in value)


def _segmentation(value: object, pen: Pen) -> Patch | None:
    """The pixels of an annotation; None without an outline."""
    if not value:
        return None
    if isinstance(value, dict):
        height, width = value["size"]
        if (width, height) != (pen.width, pen.height):
            raise ValueError(f"its run lengths are for {width} x {height} px")
        counts = value["counts"]
        lengths = coco_counts(counts) if isinstance(counts, str) else counts
        return Patch(runs_to_mask(lengths, pen.width, pen.height))
    if not isinstance(value, list):
        raise ValueError("its segmentation is neither polygons nor run lengths")
    parts = value if isinstance(value[0], list) else [value]
    return pen.coco_polygons([pen.points(part, least=3) for part in parts])
