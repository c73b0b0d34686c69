"""What a project knows about one image without opening it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

from app.state.stored_text import read_text
from app.text import displayed
from deeplab_core.errors import join_messages, plural_message
from deeplab_core.images.file_names import name_key
from deeplab_core.wording import name_some


class ImageStatus(IntEnum):
    """How far the work on an image has come; it goes back by itself only where a prediction is lost."""

    NEW = 0
    PREDICTED = 1
    TOUCHED = 2
    REVIEWED = 3


class ImageFlag(IntFlag):
    """What the user should know about an image beside its status.

    Attributes:
        CHANGED: the file's content is another than the one that was worked on.
        MISSING: the file is gone; its mask is kept.
        FAILED: the last run or opening failed; the record's note says why.
        SUGGESTED: a newer prediction waits for the user's decision.
        DAMAGED: its mask file could not be read and was set aside; the note names it.
        REJECTED: the user has decided against the image or its labels; the project's reviews say why.
    """

    NONE = 0
    CHANGED = 1
    MISSING = 2
    FAILED = 4
    SUGGESTED = 8
    DAMAGED = 16
    REJECTED = 32

    def without(self, flag: ImageFlag) -> ImageFlag:
        """These flags less ``flag``. Flags of a later version stay set, which ``& ~flag`` would drop."""
        return ImageFlag(int(self) & ~int(flag))


class ImageRecord(NamedTuple):
    """One image of a project. Never holds pixels. A tuple, because a folder of 100,000 images makes as many of them.

    Attributes:
        id: number in the project's database; stays the same when the file is moved.
        relative_path: below the project's folder, with ``/`` as separator.
        size: of the file in bytes.
        mtime_ns: modification time of the file in ns.
        status: see :class:`ImageStatus`.
        flags: see :class:`ImageFlag`.
        note: why it failed or what was found; empty for most.
        content_key: sha256 of the file's bytes, hex; empty until it was needed.
        mask: mask file below the project directory; empty before the first save.
        prediction: ``"<card id> <options key>"`` of the newest prediction; empty before a model ran.
    """

    id: int
    relative_path: str
    size: int
    mtime_ns: int
    status: ImageStatus = ImageStatus.NEW
    flags: ImageFlag = ImageFlag.NONE
    note: str = ""
    content_key: str = ""
    mask: str = ""
    prediction: str = ""

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.relative_path.rpartition("/")[2]

    @property
    def shown(self) -> str:
        """``relative_path`` for the window's texts."""
        return displayed(self.relative_path)

    @property
    def touched(self) -> bool:
        """Whether the user (or an import) has changed its mask."""
        return self.status >= ImageStatus.TOUCHED

    @property
    def reviewed(self) -> bool:
        """Whether the user declared its mask good."""
        return self.status == ImageStatus.REVIEWED and not self.rejected

    @property
    def rejected(self) -> bool:
        """Whether the user has decided against the image or its labels."""
        return ImageFlag.REJECTED in self.flags

    @property
    def missing(self) -> bool:
        return ImageFlag.MISSING in self.flags

    @property
    def changed(self) -> bool:
        return ImageFlag.CHANGED in self.flags

    @property
    def to_check(self) -> bool:
        """Whether the user should look whether the mask still fits: its image or its mask file is not what it was."""
        return bool(self.flags & (ImageFlag.CHANGED | ImageFlag.DAMAGED))

    @property
    def suggested(self) -> bool:
        """Whether a newer prediction waits for the user's decision."""
        return ImageFlag.SUGGESTED in self.flags

    @property
    def failed(self) -> bool:
        return ImageFlag.FAILED in self.flags


#: Columns of the ``images`` table in the order of :func:`records_from_rows`.
RECORD_COLUMNS = "id, path, size, mtime_ns, status, flags, note, content_key, mask, prediction"

#: Python types of :data:`RECORD_COLUMNS`, for ``Store.rows``.
RECORD_KINDS = (int, str, int, int, int, int, str, str, str, str)

_STATUSES = {int(status): status for status in ImageStatus}
_FLAGS = {bits: ImageFlag(bits) for bits in range(64)}


def records_from_rows(rows: Iterable[tuple[Any, ...]]) -> list[ImageRecord]:
    """The records that rows of :data:`RECORD_COLUMNS` describe.

    A status or flag of a later version is not damage: the database keeps it. Here such a status counts as worked on, never as
    reviewed, and an unknown flag stays set beside the known ones.

    Raises:
        ValueError: a number is out of its range, or a path leads out of the folder.
    """
    # The constructor of the tuple, and a call for each row, would take twice the time.
    new, status_of, flags_of = tuple.__new__, _STATUSES, _FLAGS
    return [
        new(
            ImageRecord,
            (
                image, path if path and path[0] != "/" and ".." not in path and "\0" not in path else _checked_path(image, path),
                size, mtime_ns, status_of[status] if status in status_of else _later_status(image, status),
                flags_of[flags] if flags in flags_of else _later_flags(image, flags),
                read_text(note) if note else note, key, mask, prediction,
            ),
        )
        for image, path, size, mtime_ns, status, flags, note, key, mask, prediction in rows
    ]  # fmt: skip


def _checked_path(image: int, path: str) -> str:
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError(f"image {image} has the path {path!r}")
    return path


def _later_status(image: int, status: int) -> ImageStatus:
    if status < 0:
        raise ValueError(f"image {image} has status {status}")
    return ImageStatus.TOUCHED


def _later_flags(image: int, flags: int) -> ImageFlag:
    if flags < 0:
        raise ValueError(f"image {image} has flags {flags}")
    return ImageFlag(flags)


#: Rows that a later version wrote in a way that this one does not know.
LATER_ROWS = f"SELECT path, status FROM images WHERE status > {max(ImageStatus)} OR flags >= 64 ORDER BY path"


def later_notice(rows: list[tuple[str, int]]) -> tuple[str, ...]:
    """What to say of :data:`LATER_ROWS`, in a sentence; nothing without any."""
    if not rows:
        return ()
    named = name_some([displayed(path) for path, _ in rows], 3)
    statuses = sorted({status for _, status in rows if status not in _STATUSES})
    if statuses:
        text = plural_message(
            "{n} image has a status of a later version of Atrous ({numbers}). It is kept and shown as edited.",
            "{n} images have a status of a later version of Atrous ({numbers}). They are kept and shown as edited.",
            len(rows),
            numbers=", ".join(map(str, statuses[:3])),
        )
    else:
        text = plural_message(
            "{n} image has marks of a later version of Atrous. They are not shown, and kept until you change the image.",
            "{n} images have marks of a later version of Atrous. They are not shown, and kept until you change the images.",
            len(rows),
        )
    return (join_messages([text, named]),)


def twins(records: Iterable[ImageRecord]) -> frozenset[int]:
    """Ids of the images with names that differ from another's of the same folder only in the ending or the Unicode form."""
    known = list(records)
    stems = [name_key(record.relative_path.rpartition(".")[0]) for record in known]
    if len(set(stems)) == len(stems):
        return frozenset()
    often = {stem for stem, count in Counter(stems).items() if count > 1}
    return frozenset(record.id for record, stem in zip(known, stems, strict=True) if stem in often)
