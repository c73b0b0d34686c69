"""The mask files of a project: labels any program can open, with provenance and the journal's place inside the same file.

An indexed PNG (16-bit grey for a wide catalog) with two chunks of its own. ``prOV`` is private, ancillary and *unsafe to copy*:
the provenance as runs; a program that changes the pixels has to drop it (PNG specification, section 14.2). A
``tEXt`` chunk with the keyword ``Atrous`` holds JSON: the last move of the journal that the labels contain, the image's path
and content key, and the classes, for a database that was lost or is older than the mask. One file, so that labels, provenance and
number are replaced together or not at all.

Values are the in-memory ones, void included (255 or 65535), whatever the catalog writes in its exports.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.own_files import read_plain
from app.state.patch import WrongSize
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, MaskFormatError, ProjectError, message
from deeplab_core.images.limits import MAX_PIXELS
from deeplab_core.labels import LabelMap, undeclared, value_counts
from deeplab_core.reading import VALUE_ERRORS, unpack
from deeplab_core.wording import name_some

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PROVENANCE = b"prOV"
_TEXT = b"tEXt"
_KEYWORD = b"Atrous"

#: No journal has so many moves; a larger number would leave no room for the next one.
_MOST_MOVES = 1 << 53

#: What values of the wrong form raise where classes are read.
STRANGE: tuple[type[Exception], ...] = (AtrousError, *VALUE_ERRORS)
#: Most bytes of the classes, unpacked.
_MOST_CLASSES = 32 << 20
#: Room for head, palette and note of a mask file.
_SPARE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MaskNote:
    """What a mask file says about itself.

    Attributes:
        move: number of the last journal move that the labels contain.
        image: path of the image below the project's folder when the mask was written.
        content_key: of the image, empty where it was not known.
        packed: the classes as the file has them; :attr:`catalog` reads them.
    """

    move: int
    image: str = ""
    content_key: str = ""
    packed: str = ""

    @property
    def catalog(self) -> ClassCatalog | None:
        """The classes that the mask was written in; None in files of older versions, and where they cannot be read."""
        try:
            data = unpack(base64.b64decode(self.packed, validate=True), _MOST_CLASSES) if self.packed else b""
            return ClassCatalog.from_dict(json.loads(data)) if data else None
        except STRANGE:
            return None


class UnknownClasses(ProjectError):
    """A mask holds ids that the project does not know, and names their classes: the database is older than the mask.

    Attributes:
        classes: these classes.
    """

    def __init__(self, classes: tuple[ClassInfo, ...], path: Path) -> None:
        names = name_some([f"{info.name} ({info.id})" for info in classes], 5)
        super().__init__(
            message("the mask has classes that the project does not know: {names}", names=names),
            why=message("The project's database is older than the mask"),
            remedy=message("Put the newer database back, or open the image in the window"), path=path,
        )  # fmt: skip
        self.classes = classes


@dataclass(frozen=True, slots=True)
class MaskContent:
    """A mask as read.

    Attributes:
        labels: (H, W) of the catalog's dtype, writable.
        provenance: (H, W) uint8, writable.
        note: see :class:`MaskNote`.
    """

    labels: LabelMap
    provenance: NDArray[np.uint8]
    note: MaskNote


def encode_mask(labels: LabelMap, provenance: NDArray[np.uint8], catalog: ClassCatalog, note: MaskNote) -> list[bytes]:
    """The parts of a mask file. Raises MaskFormatError where the labels are not valid in the catalog."""
    from deeplab_core.masks.png import encode_ids_png, encode_indexed_png

    plain = _in_memory_values(catalog)
    parts = encode_ids_png(labels, plain) if catalog.wide else encode_indexed_png(labels, plain)
    values = {"move": note.move, "image": note.image, "content_key": note.content_key, "classes": _packed(catalog)}
    text = _KEYWORD + b"\0" + json.dumps(values).encode("ascii")
    end = next(place for place in range(len(parts) - 1, -1, -1) if parts[place][4:8] == b"IEND")
    return [*parts[:end], _chunk(_TEXT, text), _chunk(_PROVENANCE, _pack_runs(provenance)), *parts[end:]]


def write_mask_file(path: Path, labels: LabelMap, provenance: NDArray[np.uint8], catalog: ClassCatalog, note: MaskNote) -> int:
    """Write a mask file through a temporary one; an older file stays untouched until the new one is on disk.

    Returns:
        Size of the file in bytes.

    Raises:
        StorageError: full disk, read-only folder and the like.
        MaskFormatError: the labels are not valid in the catalog.
    """
    from deeplab_core.atomic import atomic_write, make_folder

    parts = encode_mask(labels, provenance, catalog, note)
    make_folder(path.parent)
    return atomic_write(path, parts)


def read_mask_file(path: Path, catalog: ClassCatalog, shape: tuple[int, int] | None = None) -> MaskContent:
    """Read a mask file back and check every part of it.

    Args:
        shape: (H, W) that the mask must have; None takes any. A file of another size is refused before it is unpacked.

    Raises:
        WrongSize: the mask is sound as far as it was read, but of another size than ``shape``.
        ProjectError: the file is missing, cut short, has a wrong checksum, holds undeclared ids, or was changed by another
            program (which has dropped the provenance).
    """
    from deeplab_core.masks.stored import read_stored

    note, packed, size = _own_chunks(path)
    if shape is not None and size != shape:
        raise WrongSize(size, path)
    try:
        values = read_stored(path).values
        if values is None:
            raise _damaged(path, message("It holds colours, not ids"))
        labels = np.array(values, dtype=catalog.dtype, order="C")
        _check(labels, catalog, note, path)
    except MaskFormatError as error:
        raise _damaged(path, message("{what}. {why}", what=error.what, why=error.why) if error.why else error.what) from error
    try:
        provenance = _unpack_runs(packed, labels.size)
    except ValueError as error:
        raise _damaged(path, message("Provenance: {error}", error=error)) from error
    return MaskContent(labels, provenance.reshape(labels.shape), note)


def _check(labels: LabelMap, catalog: ClassCatalog, note: MaskNote, path: Path) -> None:
    """Raise UnknownClasses or MaskFormatError where labels have ids that the catalog lacks."""
    from deeplab_core.labels import check_labels

    try:
        check_labels(labels, catalog)
    except MaskFormatError:
        unknown = _unknown_classes(labels, catalog, note)
        if unknown:
            raise UnknownClasses(unknown, path) from None
        raise


@lru_cache(maxsize=4)
def _packed(catalog: ClassCatalog) -> str:
    # asked for with every mask of a folder
    return base64.b64encode(zlib.compress(json.dumps(catalog.to_dict()).encode(), 9)).decode("ascii")


def _unknown_classes(labels: LabelMap, catalog: ClassCatalog, note: MaskNote) -> tuple[ClassInfo, ...]:
    """Classes of ids that occur and that the catalog lacks, if the mask names all of them."""
    counts = value_counts(labels)
    strange = undeclared(counts, np.append(catalog.ids, catalog.ignore))
    own = note.catalog if strange else None
    if own is None or own.wide != catalog.wide:
        return ()
    named = {info.id: info for info in own.classes}
    return tuple(named[number] for number in strange) if set(strange) <= set(named) else ()


def read_note(path: Path) -> MaskNote:
    """What a mask file says about itself, without decoding its pixels. Raises ProjectError as :func:`read_mask_file`."""
    return _own_chunks(path)[0]


def _pack_runs(provenance: NDArray[np.uint8]) -> bytes:
    """Runs of equal values along the rows, zlib-packed: all values (uint8), then all lengths (little-endian uint32).

    A third of the time of packing the plain map, both ways: provenance is flat nearly everywhere.
    """
    flat = provenance.reshape(-1)
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    lengths = np.diff(starts, append=flat.size).astype("<u4")
    return zlib.compress(flat[starts].tobytes() + lengths.tobytes(), 1)


def _unpack_runs(packed: bytes, pixels: int) -> NDArray[np.uint8]:
    """Inverse of :func:`_pack_runs`; raises ValueError where it does not give so many pixels."""
    raw = unpack(packed, 5 * pixels)
    count, rest = divmod(len(raw), 5)
    lengths = np.frombuffer(raw, dtype="<u4", offset=count) if rest == 0 else np.zeros(0, np.uint32)
    if int(lengths.sum(dtype=np.uint64)) != pixels:
        raise ValueError(f"it does not cover {pixels} px")
    return np.repeat(np.frombuffer(raw, dtype=np.uint8, count=count), lengths)


def _largest(head: bytes) -> int:
    """Bytes of the largest mask file with this head: two for a label and a run of five for every pixel, none of them packed."""
    if len(head) < 24 or not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR":
        return _SPARE_BYTES
    width, height = (int(side) for side in struct.unpack_from(">II", head, 16))
    return 8 * min(width * height, MAX_PIXELS) + _SPARE_BYTES


def _own_chunks(path: Path) -> tuple[MaskNote, bytes, tuple[int, int]]:
    """The note, the packed provenance and (H, W) as the header has it."""
    try:
        data = read_plain(path, _largest)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    stored, packed, size = None, None, None
    for kind, content in _chunks(data, path):
        if kind == b"IHDR" and len(content) == 13:
            width, height = struct.unpack_from(">II", content)
            size = height, width
        elif kind == _PROVENANCE:
            packed = content
        elif kind == _TEXT and content.startswith(_KEYWORD + b"\0"):
            stored = content[len(_KEYWORD) + 1 :]
    if stored is None or packed is None or size is None:
        raise _damaged(path, message("Another program has changed it"))
    try:
        values: dict[str, Any] = json.loads(stored)
        classes = values.get("classes", "")
        packed_classes = classes if isinstance(classes, str) else ""
        note = MaskNote(int(values["move"]), str(values["image"]), str(values["content_key"]), packed_classes)
        if not 0 <= note.move < _MOST_MOVES:
            raise ValueError(f"move {note.move}")
        return note, packed, size
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise _damaged(path, message("Its note cannot be read: {error}", error=error)) from error


def _chunks(data: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, content) of every chunk up to the end mark, each with its checksum verified."""
    if not data.startswith(_SIGNATURE):
        raise _damaged(path, message("It is not a PNG file"))
    place = len(_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        end = place + 12 + length
        if end > len(data):
            break
        if struct.unpack_from(">I", data, end - 4)[0] != zlib.crc32(content, zlib.crc32(kind)):
            raise _damaged(path, message("The checksum of its {part} part is wrong", part=kind.decode("latin-1")))
        yield kind, content
        if kind == b"IEND":
            return
        place = end
    raise _damaged(path, message("It ends early"))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _in_memory_values(catalog: ClassCatalog) -> ClassCatalog:
    return replace(catalog, file_ignore=catalog.ignore)


def _damaged(path: Path, why: str) -> ProjectError:
    return ProjectError(
        message("the saved mask is damaged"), why=why, remedy=message("It is set aside; the journal is asked instead"), path=path
    )
