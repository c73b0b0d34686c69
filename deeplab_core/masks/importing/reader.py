"""What a reader of a format is, and what all of them share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, ClassVar

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, LabelSourceError, message
from deeplab_core.images.probe import ImageInfo
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import Canvas
from deeplab_core.masks.importing.records import Entry, SourceClass, Unread
from deeplab_core.masks.importing.source import Source
from deeplab_core.reading import shorten


class Reader(ABC):
    """Reads the labels of one source. A source is read in two passes: its classes and images, then the regions of an image.

    Attributes:
        format_key: key of the format.
        source: the files.
        classes: what the source calls classes; filled by :meth:`scan`.
        entries: the images that have labels; filled by :meth:`scan`.
        unread: files, or parts of them, that are not read; filled by :meth:`scan`.
        given: classes that the caller names, for files that do not name theirs.
        rest: name of the class of pixels that no region covers, None if the format does not say.
        declared: the classes with their ids, where the source has both; filled by :meth:`scan`.
        parallel: whether several threads may draw at a time; else they take turns.
    """

    format_key: ClassVar[str]
    parallel: ClassVar[bool] = False

    def __init__(self, source: Source) -> None:
        self.source = source
        self.classes: list[SourceClass] = []
        self.entries: list[Entry] = []
        self.unread: list[Unread] = []
        self.given: ClassCatalog | None = None
        self.rest: str | None = None
        self.declared: ClassCatalog | None = None
        self._regions: Counter[str] = Counter()
        self._turns = threading.Lock()

    def turn(self) -> AbstractContextManager[object]:
        """What a thread holds while it reads the labels of an image."""
        return nullcontext() if self.parallel else self._turns

    @classmethod
    @abstractmethod
    def recognises(cls, source: Source) -> bool:
        """Whether the source is certainly of this format. Reads little; raises nothing for other formats."""

    @abstractmethod
    def scan(self) -> None:
        """Find classes and images. Raises LabelSourceError where the source as a whole cannot be read."""

    @abstractmethod
    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        """Draw the regions of an image.

        Args:
            canvas: as large as ``entry.size`` says, else as the image is displayed.
            info: header facts of the image.
            frame: frame of the photograph that ``canvas`` is in: ``"stored"`` or ``"oriented"``.

        Raises:
            AtrousError: nothing of this image can be read. A single region that cannot is counted on the canvas.
        """

    def size(self, entry: Entry) -> tuple[int, int] | None:
        """(width, height) of the labels in px; None for outlines that are given in parts of the image's sides."""
        return entry.size

    def embedded(self, entry: Entry) -> bytes | None:
        """The image's own file where the source holds it, else None. Raises AtrousError."""
        del entry
        return None

    # -- shared by readers ---------------------------------------------------------------------------------------------

    def count(self, name: str) -> None:
        """Count a region of a class, which is listed in the order of its first region."""
        self._regions[name] += 1

    def list_counted(self, declared: Iterable[SourceClass] = ()) -> None:
        """Set :attr:`classes` to what was declared, with counts, and what was counted without being declared."""
        listed = [replace(one, regions=self._regions.pop(one.name, one.regions)) for one in declared]
        self.classes = listed + [SourceClass(name=name, regions=count) for name, count in self._regions.items()]

    def marked(self, default: ClassCatalog) -> ClassCatalog:
        """Classes of masks that do not name theirs: those that Atrous recorded beside them come before the format's own."""
        marker = self.source.marker
        return default if marker is None or marker.catalog is None else marker.catalog

    def leave_out(self, name: str, problem: AtrousError | str) -> None:
        """Note a file that is not read: because of an error, or because the format has it and a label map does not."""
        why = problem if isinstance(problem, str) else ". ".join(part for part in (problem.what, problem.why) if part)
        self.unread.append(Unread(name, why, damaged=not isinstance(problem, str)))

    def read_json(self, name: str, **options: Any) -> Any:
        """As :meth:`Source.read_json`."""
        return self.source.read_json(name, **options)


def text_of(value: object) -> str:
    """A class name out of a file: text, or a number as text.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shorten(value)} is not a class name")
    if isinstance(value, str) and not value.strip():
        raise ValueError("the name of its class is empty")
    return str(value)


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """A size out of a file, None where it gives none."""
    if isinstance(width, int) and isinstance(height, int) and not isinstance(width, bool) and width > 0 and height > 0:
        return width, height
    return None


def image_names(name: object, *beside: str) -> tuple[str, ...]:
    """Names that an image may have: as a file says, whatever separators it uses, and by the names of files ``beside`` it."""
    found = [name.replace("\\", "/")] if isinstance(name, str) and name.strip() else []
    return tuple(dict.fromkeys([*found, *beside]))


def names_below(name: str, folder: str, parts: int = 0) -> tuple[str, ...]:
    """Names of the image of a file in a layout: the path without its ending, and what of it is below the layout's own folders.

    Args:
        name: the file, with ``/``.
        folder: name of the layout's folder that the path is looked for in, the last one counts; or that folder's whole path.
        parts: so many folders below it belong to the layout, too, such as those of splits. Without them is a name of its own.
    """
    path = PurePosixPath(name).with_suffix("")
    own = PurePosixPath(folder).parts
    starts = [end + len(own) for end in range(len(path.parts) - len(own)) if path.parts[end : end + len(own)] == own]
    below = path.parts[starts[-1] :] if starts else path.parts
    ends = [below[cut:] for cut in range(parts + 1) if cut < len(below)]
    return tuple(dict.fromkeys((str(path), *("/".join(end) for end in ends))))


def folder_of(name: str) -> str:
    """Folder of a relative name with a trailing ``/``; empty at the top."""
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else f"{parent}/"


def expect_table(value: object, what: str, source: Source, name: str) -> dict[str, Any]:
    """A JSON object. Raises LabelSourceError for anything else."""
    if isinstance(value, dict):
        return value
    raise LabelSourceError(
        message("not {what}", what=what),
        why=message("It is not a JSON object"),
        remedy=message("Choose the right file"),
        path=source.shown(name),
    )
