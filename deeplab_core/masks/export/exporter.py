"""What every exporter is: labels in, files out, each read back and compared before it takes its place."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, MaskFormatError, MessageText, join_messages, message, plural_message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.output_marker import Untouched
from deeplab_core.masks.read import interpret
from deeplab_core.masks.stored import read_stored
from deeplab_core.notes import Note

#: What happens to the photographs of a layout that has a place for them.
Pictures = Literal["none", "copy", "link"]
#: The part of a data set that an image without a split belongs to.
DEFAULT_SPLIT = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a format cannot carry of one label map, or of several together.

    Attributes:
        pixels: pixels that come back as another class after the written shapes are rasterised again.
        void: void pixels that come back as unlabelled or background, because the format has no value for them.
        holes: holes of regions that are filled in the file.
        regions: connected regions that are left out, because they have too few pixels for a shape.
        region_pixels: pixels of these regions.
        unmatched: pixels of classes that the format does not have, written as void on request.
    """

    pixels: int = 0
    void: int = 0
    holes: int = 0
    regions: int = 0
    region_pixels: int = 0
    unmatched: int = 0

    def __add__(self, other: Loss) -> Loss:
        return Loss(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    def __bool__(self) -> bool:
        return any(astuple(self))

    def text(self) -> MessageText:
        """The loss in one clause, empty if nothing is lost."""
        parts = []
        if self.pixels:
            parts.append(plural_message("{n} pixel with another class", "{n} pixels with another class", self.pixels))
        if self.void:
            parts.append(plural_message("{n} void pixel as background", "{n} void pixels as background", self.void))
        if self.holes:
            parts.append(plural_message("{n} hole filled", "{n} holes filled", self.holes))
        if self.regions:
            pixels = plural_message("{n} pixel", "{n} pixels", self.region_pixels)
            parts.append(
                plural_message(
                    "{n} tiny region left out ({pixels})", "{n} tiny regions left out ({pixels})", self.regions, pixels=pixels
                )
            )
        if self.unmatched:
            parts.append(
                plural_message(
                    "{n} pixel of classes without a partner as void",
                    "{n} pixels of classes without a partner as void",
                    self.unmatched,
                )
            )
        return join_messages(parts, ", ")

    def to_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


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
        split: part of the data set, ``"train"`` or ``"val"``; empty where the export has no splits.
        provenance: called after ``labels``; (H, W) uint8 codes of who set each pixel, in the oriented frame, None where unknown.
        reviewed: whether a user confirmed the whole mask.
        models: called after ``labels``; ids of the models with predictions in the labels.
        loss: called after ``labels``; what the labels lost on their way into the classes of the files.
    """

    name: str
    catalog: ClassCatalog
    labels: Callable[[], LabelMap | None]
    image_path: Path | None = None
    untouched: Callable[[], Untouched | None] | None = None
    notes: Callable[[], tuple[Note, ...]] | None = None
    keep_suffix: bool = False
    split: str = ""
    provenance: Callable[[], NDArray[np.uint8] | None] | None = None
    reviewed: bool = False
    models: Callable[[], tuple[str, ...]] | None = None
    loss: Callable[[], Loss] | None = None

    @property
    def part(self) -> str:
        """The split, or :data:`DEFAULT_SPLIT` where the export has none."""
        return self.split or DEFAULT_SPLIT

    @property
    def stem(self) -> str:
        """What the output's name begins with: ``name`` without its ending, unless that is kept."""
        return self.name if self.keep_suffix else str(PurePosixPath(self.name).with_suffix(""))


class Exporter(ABC):
    """A way to write masks. Subclasses are either :class:`LayoutExporter` or :class:`CollectionExporter`.

    Attributes:
        name: what the command line and settings call it; :data:`deeplab_core.masks.export.FORMATS` has the rest of its facts.
        follows_frame: whether the choice between stored and oriented frame applies; pictures to look at, and formats with their
            readers apply the EXIF orientation themselves, are always oriented.
        renames: whether outputs have other names than their images, so that the folder's marker has to name the image of each.
        images: whether photographs are copied to their places in the layout, linked there, or left out.
    """

    name: ClassVar[str]
    follows_frame: ClassVar[bool] = True
    renames: ClassVar[bool] = False
    images: Pictures = "none"

    def written_catalog(self, catalog: ClassCatalog) -> ClassCatalog:
        """Classes and values of the files for labels of ``catalog``: formats with values of their own change them."""
        return catalog

    def picture_name(self, item: ExportItem) -> str | None:
        """Where the layout has the photograph, relative to the target folder; None for formats of masks alone."""
        del item
        return None


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an export.

    Attributes:
        name: path relative to the target folder, with ``/``.
        data: its content, in parts.
        check: reads the written file and raises ExportError unless it holds what it should.
        merge: called where the files of an earlier export are kept, with the earlier content; gives what both say together.
    """

    name: str
    data: Sequence[bytes]
    check: Callable[[Path], None]
    merge: Callable[[bytes], list[bytes]] | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """One image in a layout: its files, the one with the labels last, and what they cannot carry."""

    parts: tuple[Part, ...]
    loss: Loss = Loss()
    notes: tuple[Note, ...] = ()


class LayoutSession(ABC):
    """One run of a :class:`LayoutExporter`."""

    @abstractmethod
    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        """The files of one image. ``labels`` are in the frame to be written. Raises ExportError or MaskFormatError."""

    def finish(self, items: Sequence[ExportItem]) -> tuple[Part, ...]:
        """The files that all images share. ``items``: those that are in the target now, written or kept."""
        del items
        return ()


class LayoutExporter(Exporter):
    """Writes some files per image, and some that all images share."""

    @abstractmethod
    def files(self, item: ExportItem) -> tuple[str, ...]:
        """Paths of the files of one image relative to the target folder, with ``/``; the one with the labels last."""

    def shared(self, items: Sequence[ExportItem]) -> tuple[str, ...]:
        """Paths of the files that all images share."""
        del items
        return ()

    @abstractmethod
    def session(self, catalog: ClassCatalog) -> LayoutSession:
        """Start an export with labels that all belong to ``catalog``.

        Raises:
            ExportError: the format cannot hold these classes. Nothing is written then.
        """


class FileExporter(LayoutExporter):
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

    def loss(self, item: ExportItem, labels: LabelMap) -> Loss:
        """What the file cannot carry of the labels."""
        del item, labels
        return Loss()

    def notes(self, item: ExportItem) -> tuple[Note, ...]:
        """What was scaled or left out of the photograph of the item that was encoded last; none for masks alone."""
        del item
        return ()

    def files(self, item: ExportItem) -> tuple[str, ...]:
        return (self.output_name(item),)

    def session(self, catalog: ClassCatalog) -> LayoutSession:
        del catalog
        return _FileSession(self)


class _FileSession(LayoutSession):
    def __init__(self, exporter: FileExporter) -> None:
        self._exporter = exporter

    def encode(self, item: ExportItem, labels: LabelMap) -> Encoded:
        exporter = self._exporter
        data = exporter.encode(item, labels)
        part = Part(exporter.output_name(item), data, lambda path: exporter.check(item, labels, path))
        return Encoded((part,), exporter.loss(item, labels), exporter.notes(item))


class CollectionSession(ABC):
    """One file of a :class:`CollectionExporter`: its parts in order, and the final comparison.

    Attributes:
        loss: what the file cannot carry of the image that was encoded last.
    """

    loss: Loss = Loss()

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

    def close(self) -> None:  # noqa: B027 -- most have nothing to release
        """Called in the end, whatever happened."""


class CollectionExporter(Exporter):
    """Writes one file for all images, or one for each split."""

    file_name: ClassVar[str]

    def output_of(self, item: ExportItem) -> str:
        """Path of the file that an image goes to: ``annotations.json``, or ``annotations_val.json`` in the split ``val``."""
        if not item.split:
            return self.file_name
        path = PurePosixPath(self.file_name)
        return str(path.with_name(f"{path.stem}_{item.split}{path.suffix}"))

    @abstractmethod
    def session(self, catalog: ClassCatalog) -> CollectionSession:
        """Start a file with labels that all belong to ``catalog``."""


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
        raise ExportError(message("the exported file does not read back"), why=str(error), remedy=REMEDY, path=name) from error
    if found.shape != expected.shape:
        raise ExportError(message("the exported file has another size than the mask"), remedy=REMEDY, path=name)
    different = int(np.count_nonzero(found != expected))
    if different:
        raise ExportError(
            message("the exported file differs from the mask in {pixels:,} px", pixels=different), remedy=REMEDY, path=name
        )


def holds(data: Sequence[bytes]) -> Callable[[Path], None]:
    """A check that a written file holds exactly these bytes."""

    def check(path: Path) -> None:
        if path.read_bytes() != b"".join(data):
            raise ExportError(message("the exported file does not read back equal"), remedy=REMEDY, path=path)

    return check


def picture_suffix(item: ExportItem) -> str:
    """Ending of the photograph's file name, as it is written there."""
    return PurePosixPath(item.name).suffix


def check_catalog(item: ExportItem, catalog: ClassCatalog) -> None:
    """Raise ExportError unless the labels of an item belong to the catalog of the whole export."""
    if item.catalog != catalog:
        raise ExportError(message("the labels belong to another catalog than the rest of the export"), path=item.name)


def safe_names(catalog: ClassCatalog) -> dict[int, str]:
    """A name for each class id that is a file or folder name on every system; names that would be equal get their id."""
    plain = {info.id: re.sub(r"[^\w.+-]+", "_", info.name).strip("._") for info in catalog.classes}
    often = Counter(name.casefold() for name in plain.values())
    return {number: f"{number}_{name}" if not name or often[name.casefold()] > 1 else name for number, name in plain.items()}


def text_part(name: str, text: str, merge: Callable[[bytes], list[bytes]] | None = None) -> Part:
    """A text file. Names that are not UTF-8 keep their bytes."""
    data = [text.encode("utf-8", "surrogateescape")]
    return Part(name, data, holds(data), merge)


def lines_part(name: str, lines: Sequence[str]) -> Part:
    """A list, one entry a line; where an earlier list is kept, its entries come first."""

    def merge(earlier: bytes) -> list[bytes]:
        kept = earlier.decode("utf-8", "surrogateescape").splitlines()
        return ["".join(f"{line}\n" for line in dict.fromkeys([*kept, *lines])).encode("utf-8", "surrogateescape")]

    return text_part(name, "".join(f"{line}\n" for line in lines), merge)


#: What to do when a file does not hold what was written into it.
REMEDY = message("Check the disk, then export again; the mask itself is safe in the project")
