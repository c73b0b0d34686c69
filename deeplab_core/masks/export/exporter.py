"""What every exporter is: labels in, one file per image or one for all, read back and compared before it takes its place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, MaskFormatError
from deeplab_core.labels import LabelMap
from deeplab_core.masks.output_marker import Untouched
from deeplab_core.masks.read import interpret
from deeplab_core.masks.stored import read_stored
from deeplab_core.notes import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One mask to export.

    Attributes:
        name: path of the image relative to its project, with ``/``; the output keeps its folders and stem.
        catalog: of the labels.
        labels: called when the item's turn comes; gives the (H, W) label map in the oriented frame, or None where the image
            has no mask.
        untouched: called after ``labels``; says how much of the labels no user set, None where unknown. It is counted in the
            marker of the target folder.
        notes: called after ``labels``; what was unusual about them.
        image_path: the photograph; gives the orientation and the size that the labels must have. None for labels alone.
        keep_suffix: name the output after the whole image name, ``a.jpg.png`` for ``a.jpg``, so that ``a.png`` has another.
    """

    name: str
    catalog: ClassCatalog
    labels: Callable[[], LabelMap | None]
    image_path: Path | None = None
    untouched: Callable[[], Untouched | None] | None = None
    notes: Callable[[], tuple[Note, ...]] | None = None
    keep_suffix: bool = False

    @property
    def stem(self) -> str:
        """What the output's name begins with: ``name`` without its ending, unless that is kept."""
        return self.name if self.keep_suffix else str(PurePosixPath(self.name).with_suffix(""))


class Exporter(ABC):
    """A way to write masks. Subclasses are either :class:`FileExporter` or :class:`CollectionExporter`.

    Attributes:
        name: what the command line and settings call it.
        title: what a person reads.
        follows_frame: whether the choice between stored and oriented frame applies; pictures to look at are always oriented.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    follows_frame: ClassVar[bool] = True


class FileExporter(Exporter):
    """Writes one file per image."""

    suffix: ClassVar[str] = ".png"

    def output_name(self, item: ExportItem) -> str:
        """Path of the output relative to the target folder, with ``/``."""
        return item.stem + self.suffix

    @abstractmethod
    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        """The file's content. ``labels`` are in the frame to be written. Raises ExportError or MaskFormatError."""

    @abstractmethod
    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        """Read the written file and raise ExportError unless it holds exactly what ``labels`` say."""

    def notes(self, item: ExportItem) -> tuple[Note, ...]:
        """What was scaled or left out of the photograph of the item that was encoded last; none for masks alone."""
        del item
        return ()


class CollectionSession(ABC):
    """One run of a :class:`CollectionExporter`: parts of the file in order, and the final comparison."""

    @abstractmethod
    def begin(self) -> bytes:
        """What the file starts with."""

    @abstractmethod
    def encode(self, item: ExportItem, labels: LabelMap) -> bytes:
        """One image's part; state changes only if it succeeds."""

    @abstractmethod
    def finish(self) -> bytes:
        """What the file ends with."""

    @abstractmethod
    def check(self, path: Path) -> None:
        """Read the complete file and raise ExportError unless it holds exactly the labels of every image."""


class CollectionExporter(Exporter):
    """Writes one file for all images."""

    file_name: ClassVar[str]

    @abstractmethod
    def session(self, catalog: ClassCatalog) -> CollectionSession:
        """Start a file whose labels all belong to ``catalog``."""


def check_labels_equal(path: Path, name: str, catalog: ClassCatalog, expected: LabelMap) -> None:
    """Raise ExportError unless the file at ``path`` reads back as ``expected``.

    Args:
        path: the file that was written (it may still have a temporary name).
        name: the name it will have, which some layouts interpret.
        catalog: of ``expected``.
        expected: (H, W) label map in the frame that was written.
    """
    try:
        found = interpret(read_stored(path), catalog, Path(name))
    except MaskFormatError as error:
        raise ExportError("the exported file does not read back", why=str(error), remedy=REMEDY, path=name) from error
    if found.shape != expected.shape:
        raise ExportError("the exported file has another size than the mask", remedy=REMEDY, path=name)
    different = int(np.count_nonzero(found != expected))
    if different:
        raise ExportError(f"the exported file differs from the mask in {different:,} px", remedy=REMEDY, path=name)


#: What to do when a file does not hold what was written into it.
REMEDY = "Check the disk, then export again; the mask itself is safe in the project"
