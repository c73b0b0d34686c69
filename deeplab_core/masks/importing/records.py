"""What an import is made of: formats, the classes and images of a source, and what came in of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog, Color
from deeplab_core.labels import LabelMap
from deeplab_core.notes import Note

#: Which frame of a photograph with an EXIF orientation a format's coordinates are in; ``"size"``: its size tells, or the user.
FormatFrame = Literal["displayed", "stored", "size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of labels that can be read.

    Attributes:
        key: what the command line calls it.
        title: what the user reads.
        module: module of :mod:`deeplab_core.masks.importing` with the ``Reader`` that reads it.
        lossless: whether every pixel of a source becomes exactly one class, without drawing outlines.
        lost: what a source can hold that a label map cannot, in words.
        rule: how its regions become pixels, in words.
        layout: the files that it is recognised by.
        extra: optional extra of the package that it needs, or empty.
        frame: frame of the photograph that coordinates are in where both frames have the same size.
        recognised: whether a source is recognised as this format; others have to be named.
    """

    key: str
    title: str
    module: str
    lossless: bool
    lost: tuple[str, ...]
    rule: str
    layout: str
    extra: str = ""
    frame: FormatFrame = "size"
    recognised: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClass:
    """A class as a source names it.

    Attributes:
        name: its name there.
        aliases: further names that the source itself gives it.
        color: its colour there, None if the source has none.
        regions: how many regions of it the source holds; None for masks; their pixels are counted as they are read.
        ignored: the format excludes the class from evaluation, so that it becomes void if no class has its name.
        background: whether it is the format's class for everything else.
        id: the number that stands for it where the source has numbers and no names; the project's class of this id is meant.
        undeclared: regions have a number to which the source's list gives no name: the user decides what they are.
    """

    name: str
    aliases: tuple[str, ...] = ()
    color: Color | None = None
    regions: int | None = None
    ignored: bool = False
    background: bool = False
    id: int | None = None
    undeclared: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that is not read.

    Attributes:
        name: a file, or what it is within a file.
        why: the reason, a sentence without a full stop.
        count: how many of the same kind.
        image: the image that the first of them belongs to, empty for a file.
        damaged: whether it should have been read: it is of the format's own kind, and has wrong values or fits several images.
    """

    name: str
    why: str
    count: int = 1
    image: str = ""
    damaged: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {"name": self.name, "why": self.why, "count": self.count, "damaged": self.damaged}
        return {**found, "image": self.image} if self.image else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The labels of one image in a source.

    Attributes:
        names: of the image, as the source says and with ``/``; the first that exactly one image has is taken.
        file: the file that holds the labels, relative to the source.
        size: (width, height) in px as the source says, or None.
        data: what its reader needs to read it.
        embedded: whether the source holds the image itself.
    """

    names: tuple[str, ...]
    file: str
    size: tuple[int, int] | None = None
    data: Any = field(default=None, compare=False, hash=False)
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class ImportItem:
    """The labels of a source for one image of the folder.

    Attributes:
        name: path of the image below its folder, with ``/``.
        entry: where its labels are.
    """

    name: str
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedImage:
    """What came in for one image.

    Attributes:
        name: path of the image below its folder, with ``/``.
        labels: (H, W) label map of ``catalog`` in the oriented frame, C-contiguous, writable.
        catalog: the classes that the labels are in.
        px: (C + 1,) int64 pixels by class, void last.
        regions: how many regions were drawn; 0 for masks.
        labelled: px that the source gives a class or void.
        unlabelled: px of which the source says nothing.
        silent: (H, W) bool these px in the oriented frame; None if there are none.
        overlaps: px that regions of different classes claim; the format's order decides.
        instances: how many objects the source tells apart that the label map does not.
        skipped: what was not read, and why.
        notes: what was read in an unusual way.
        provenance: (H, W) uint8 who set each pixel, see :data:`deeplab_core.masks.confirmed.CODES`; None unless an export
            of Atrous has it beside the mask.
        reviewed: whether that export marks the whole mask as confirmed by a user.
    """

    name: str
    labels: LabelMap
    catalog: ClassCatalog
    px: NDArray[np.int64]
    regions: int = 0
    labelled: int = 0
    unlabelled: int = 0
    silent: NDArray[np.bool_] | None = None
    overlaps: int = 0
    instances: int = 0
    skipped: tuple[Unread, ...] = ()
    notes: tuple[Note, ...] = ()
    provenance: NDArray[np.uint8] | None = None
    reviewed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain values for JSON."""
        names = (*self.catalog.names, "void")
        classes: Mapping[str, int] = {name: int(count) for name, count in zip(names, self.px, strict=True) if count}
        return {
            "image": self.name,
            "regions": self.regions,
            "labelled_px": self.labelled,
            "unlabelled_px": self.unlabelled,
            "overlap_px": self.overlaps,
            "instances": self.instances,
            "provenance": self.provenance is not None,
            "reviewed": self.reviewed,
            "pixels": classes,
            "not_read": [entry.to_dict() for entry in self.skipped],
            "notes": [note.to_dict() for note in self.notes],
        }
