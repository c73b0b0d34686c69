"""One binary mask per class and image: a folder per class."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from pathlib import PurePosixPath

import numpy as np

from deeplab_core.catalogs.catalog import is_background
from deeplab_core.errors import AtrousError, LabelSourceError, message
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import NOTHING, VOID, Canvas
from deeplab_core.masks.importing.reader import Reader
from deeplab_core.masks.importing.records import Entry, SourceClass
from deeplab_core.masks.importing.source import Source
from deeplab_core.masks.stored import read_stored

_MASKS = (".png", ".tif", ".tiff", ".bmp", ".pgm")
_LOOKED_AT = 6


class BinaryReader(Reader):
    """``CLASS/NAME.png``, 0 outside; later folders in the order of their names cover earlier ones.

    Where a folder is the background, pixels in no mask are void, as Atrous exports them. One folder of masks without folders for
    classes is recognised as plain masks; who names this format gets the folder's name as the class.
    """

    format_key = "binary"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        layers = _layers(source)
        counts = {name for files in layers.values() for name in files}
        if len(counts) < 2 or len(layers) < 1 or any(len(files) < 2 for files in layers.values()):
            return False
        sample = [path for files in islice(layers.values(), 3) for path in islice(files.values(), _LOOKED_AT)]
        try:
            return all(_is_binary(source, path) for path in sample)
        except AtrousError:
            return False

    def scan(self) -> None:
        layers = _layers(self.source, flat=True)
        names = sorted({name for files in layers.values() for name in files})
        for image, files in layers.items():
            first = next(iter(files.values()))
            self.entries.append(Entry(names=(image,), file=first, data=files))
        self.classes = [
            SourceClass(name=name, regions=sum(name in files for files in layers.values()), background=is_background(name))
            for name in names
        ]

    def size(self, entry: Entry) -> tuple[int, int] | None:
        return read_stored(self.source.local(entry.file)).size

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        for name, path in sorted(entry.data.items()):
            values = read_stored(self.source.local(path)).values
            if values is None or values.shape != canvas.values.shape:
                raise LabelSourceError(
                    message("the mask of '{name}' is not a binary mask of this image", name=name),
                    why=message("It holds colours, or has another size"),
                    remedy=message("Write the masks of all classes again"),
                    path=self.source.shown(path),
                )
            mask = values != 0
            if mask.any():
                canvas.paint(name, mask)
        if any(map(is_background, entry.data)):
            canvas.values[canvas.values == NOTHING] = VOID


READERS: dict[str, type[Reader]] = {"binary": BinaryReader}


def _layers(source: Source, *, flat: bool = False) -> dict[str, dict[str, str]]:
    """Image -> class -> file, of all masks in folders. One folder that holds all those of the classes counts for nothing.

    Args:
        flat: masks without any folder are those of one class, which is called as the source.
    """
    paths = {name: PurePosixPath(name).with_suffix("").parts for name in source.with_ending(*_MASKS)}
    while paths and len({parts[0] for parts in paths.values()}) == 1 and all(len(parts) > 2 for parts in paths.values()):
        paths = {name: parts[1:] for name, parts in paths.items()}
    if flat and all(len(parts) == 1 for parts in paths.values()):
        paths = {name: (source.path.absolute().stem, *parts) for name, parts in paths.items()}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, parts in paths.items():
        if len(parts) > 1:
            found["/".join(parts[1:])][parts[0]] = name
    return found


def _is_binary(source: Source, path: str) -> bool:
    values = read_stored(source.local(path)).values
    if values is None:
        return False
    present = np.unique(values)
    return len(present) <= 2 and (len(present) < 2 or present[0] == 0) and int(present[-1]) in (0, 1, 255)
