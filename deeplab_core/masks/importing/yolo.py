"""YOLO segmentation: one text file per image, a class number and an outline in parts of the image's sides on every line."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from deeplab_core.errors import AtrousError, LabelSourceError
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.raster import Patch, Pen
from deeplab_core.masks.importing.reader import Reader, names_below, text_of
from deeplab_core.masks.importing.records import Entry, SourceClass
from deeplab_core.masks.importing.source import SAMPLES, Source
from deeplab_core.reading import decode_text, expecting, whole

#: Text files that are lists of classes or of images.
_LISTS = frozenset({"classes.txt", "labels.txt", "names.txt", "train.txt", "val.txt", "test.txt", "readme.txt", "obj.names"})
_LARGEST = 64 << 20
#: How many label files are looked at for one with an object, to recognise the format.
_MOST_EMPTY = 2_000


class YoloReader(Reader):
    """YOLO segmentation, with its class names in a YAML file or in ``classes.txt``."""

    format_key = "yolo"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._names: dict[int, str] = {}

    @classmethod
    def recognises(cls, source: Source) -> bool:
        files = _label_files(source)
        if not files or _class_list(source) is None:
            return False
        # Images without an object have an empty file; a damaged line makes a data set no other format.
        filled = filter(None, (_sampled(source, name) for name in files[:_MOST_EMPTY]))
        lines = [line for sampled in islice(filled, SAMPLES) for line in sampled]
        return sum(_row(line) is not None for line in lines) * 2 > len(lines)

    def scan(self) -> None:
        listed = _class_list(self.source)
        if listed is not None:
            self._names = _class_names(self.source, listed)
        for name in _label_files(self.source):
            try:
                self._scan_file(name)
            except AtrousError as problem:
                self.leave_out(name, problem)
        titles = set(self._names.values())
        self.list_counted(SourceClass(name=title, regions=0) for title in dict.fromkeys(self._names.values()))
        if self._names:
            self.classes = [replace(one, undeclared=one.name not in titles) for one in self.classes]

    def _scan_file(self, name: str) -> None:
        for line in self._lines(name):
            row = _row(line)
            if row is not None and len(row[1]) >= 6:
                self.count(self._title(row[0]))
        path = PurePosixPath(name)
        parts = ["images" if part == "labels" else part for part in path.with_suffix("").parts]
        without = [part for part in parts if part != "images"]
        names = ("/".join(parts), "/".join(without), *names_below(name, "labels", 1)[1:])
        self.entries.append(Entry(names=tuple(dict.fromkeys(names)), file=name))

    def _title(self, number: int) -> str:
        title = self._names.get(number, str(number))
        # A name may be a number, too: that of another class.
        return title if number in self._names or title not in self._names.values() else f"number {number}"

    def _lines(self, name: str) -> list[str]:
        data = self.source.read(name, limit=_LARGEST)
        text = decode_text(data, path=self.source.shown(name), error=LabelSourceError)
        return [line for line in text.splitlines() if line.strip()]

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        pen = Pen(canvas.width, canvas.height)
        drawn: list[tuple[int, int, str, Patch]] = []
        for number, line in enumerate(self._lines(entry.file)):
            with canvas.drawing("a line"):
                row = _row(line)
                if row is None:
                    raise ValueError("it is not a class number and coordinates")
                if len(row[1]) < 6:
                    canvas.skip("a line", "It is a box, which has no outline")
                    continue
                points = pen.points(np.array(row[1]).reshape(-1, 2) * (canvas.width, canvas.height), least=3)
                patch = pen.opencv_polygon(points)
                drawn.append((-int(patch.mask.sum()), number, self._title(row[0]), patch))
        # The format has no order: as its own training does, small regions lie above large ones.
        for _, number, title, patch in sorted(drawn, key=lambda one: one[:2]):
            canvas.paint(title, patch.mask, top=patch.top, left=patch.left, instance=number)


READERS: dict[str, type[Reader]] = {"yolo": YoloReader}


def _label_files(source: Source) -> list[str]:
    """The text files in folders called ``labels``; without such a folder, every text file that is not a list."""
    files = source.with_ending(".txt")
    inside = [name for name in files if "labels" in PurePosixPath(name).parts[:-1]]
    return inside or [name for name in files if PurePosixPath(name).name.lower() not in _LISTS]


def _sampled(source: Source, name: str) -> list[str]:
    try:
        text = decode_text(source.read(name, limit=_LARGEST), error=LabelSourceError)
    except AtrousError:
        return ["?"]
    return [line for line in text.splitlines() if line.strip()][:SAMPLES]


def _row(line: str) -> tuple[int, list[float]] | None:
    """Class number and coordinates of a line; None for anything else."""
    number, *rest = line.split()
    try:
        values = [float(part) for part in rest]
        kind = int(number)
    except ValueError:
        return None
    if kind < 0 or kind > 1_000_000 or len(values) < 4 or len(values) % 2 or not all(-1 <= value <= 2 for value in values):
        return None
    return kind, values


def _class_list(source: Source) -> str | None:
    """The file that names the classes: a YAML file with ``names``, or ``classes.txt``."""
    listed = sorted(source.with_ending(".yaml", ".yml"), key=lambda one: (one.count("/"), one))
    for name in ([source.head] if source.head.lower().endswith((".yaml", ".yml")) else []) + listed:
        try:
            values: Any = source.read_yaml(name)
        except AtrousError:
            continue
        if isinstance(values, dict) and isinstance(values.get("names"), list | dict):
            return name
    found = [name for name in source.names if PurePosixPath(name).name.lower() in ("classes.txt", "obj.names")]
    return min(found, key=lambda one: (one.count("/"), one), default=None)


def _class_names(source: Source, name: str) -> dict[int, str]:
    with expecting("not a list of classes", path=source.shown(name), error=LabelSourceError):
        if PurePosixPath(name).suffix.lower() in (".yaml", ".yml"):
            values: Any = source.read_yaml(name)
            names = values["names"]
            rows = names.items() if isinstance(names, dict) else enumerate(names)
            return {whole(number, least=0): text_of(title) for number, title in rows}
        text = decode_text(source.read(name, limit=4 << 20), path=source.shown(name), error=LabelSourceError)
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
