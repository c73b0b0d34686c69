"""How much a project's database should hold: a small file beside it that notices a lost end of the write-ahead log.

With a write-ahead log the newest transactions are in ``project.db-wal`` only. If that file is deleted, cut or left behind by a
copy, SQLite opens the older state without a word. The database therefore counts its transactions, and ``project.db-mark`` holds
the count of the last one, with the images that it and those before changed since the log was last folded.
A count in the mark that is higher than the database's means that something is missing, and says how much and where.

Written before each commit, with the note that it is not confirmed yet, and after it, into the same 4096 bytes, never waited for.
So at no instant the log holds what the mark does not know. A mark that cannot be read says nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from deeplab_core.errors import DataFileError, MessageText, join_messages, message, plural_message
from deeplab_core.reading import VALUE_ERRORS, parse_json

_UNREADABLE: tuple[type[Exception], ...] = (OSError, DataFileError, *VALUE_ERRORS)

#: Length of the file in bytes: one block of nearly every file system, so that it is rarely torn.
_LENGTH = 4096

#: Advice after a loss.
COPY_WHOLE = message("Copy the folder .atrous as a whole, never project.db alone.")

#: Why something is missing: in general, and if it is the one transaction that was being committed.
LOG_LOST = message("The power failed before they reached the disk, or the log project.db-wal is missing or damaged.")
INTERRUPTED = message("The program ended while it was being saved, or the log project.db-wal is missing or damaged.")

#: The highest number of transactions that is counted; a mark with a higher one, or with a time after the year 2999, is damaged.
MOST_CHANGES = 10**9
_LATEST = 32_503_680_000.0

#: So many images are named at most; of the others only the number of changes is known.
_MOST_IMAGES = 12


@dataclass(frozen=True, slots=True)
class MarkNote:
    """What a mark says.

    Attributes:
        changes: number of transactions.
        when: Unix time of the last one in seconds.
        images: path of an image -> steps since the log was last folded; the most recent ones.
        damaged: whether the database turned out damaged while it was open.
        unconfirmed: whether the program ended between the announcement of the last transaction and its confirmation, so that
            it is unknown whether it was committed.
    """

    changes: int
    when: float
    images: dict[str, int] = field(default_factory=dict)
    damaged: bool = False
    unconfirmed: bool = False

    def behind(self, held: int) -> MarkNote:
        """What a database that holds ``held`` transactions lacks."""
        return replace(self, changes=self.changes - held, damaged=False)

    def sentence(self) -> MessageText:
        """A loss in words."""
        interrupted = self.unconfirmed and self.changes == 1
        named = [
            plural_message("{path} ({n} step)", "{path} ({n} steps)", steps, path=path) for path, steps in self.images.items()
        ]
        parts = [
            plural_message(
                "The last {n} change is not in the database; it was made on {when}.",
                "The last {n} changes are not in the database; the last one was made on {when}.",
                self.changes,
                when=time.strftime("%Y-%m-%d %H:%M", time.localtime(self.when)),
            ),
            INTERRUPTED if interrupted else LOG_LOST,
            message("They may concern {images}.", images=join_messages(named, ", ")) if named else "",
            message("Saved masks are kept. {copying}", copying=COPY_WHOLE),
        ]
        return join_messages(parts)


class LogMark:
    """The mark file of one database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._images: dict[str, int] = {}
        self._changes = 0
        self._damaged = False
        self._unconfirmed = False
        self._before: tuple[int, dict[str, int]] = 0, {}

    def read(self) -> MarkNote | None:
        """What the file says; None if there is no file or it cannot be read."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | _CAREFUL)
            try:
                data = os.read(descriptor, _LENGTH) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
            finally:
                os.close(descriptor)
            checksum, _, text = data.rstrip(b" \n").partition(b" ")
            if int(checksum, 16) != zlib.crc32(text):
                return None
            values = parse_json(text)
            images = {str(path): int(steps) for path, steps in dict(values["images"]).items()}
            damaged, unconfirmed = values.get("damaged") is True, values.get("unconfirmed") is True
            changes, when = int(values["changes"]), float(values["when"])
            numbers_hold = all(0 <= number <= MOST_CHANGES for number in (changes, *images.values()))
            return MarkNote(changes, when, images, damaged, unconfirmed) if numbers_hold and 0 <= when < _LATEST else None
        except _UNREADABLE:
            return None

    def open(self, changes: int) -> None:
        """Get ready to write; the database holds ``changes``.

        Without a mark the program works as well, so a disk that refuses is not an error.
        """
        self._changes = changes
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o666)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def announce(self, changes: int, image: str = "") -> None:
        """A transaction is about to be committed: ``changes`` in all, this one to an image, if any."""
        self._before = self._changes, dict(self._images)
        if image:
            self._images[image] = self._images.pop(image, 0) + 1
            while len(self._images) > _MOST_IMAGES:
                del self._images[next(iter(self._images))]
        self._changes, self._unconfirmed = changes, True
        self._write()

    def confirm(self) -> None:
        """The transaction that was announced is committed."""
        self._unconfirmed = False
        self._write()

    def take_back(self) -> None:
        """A transaction was not committed; nothing happens if it was not announced."""
        if not self._unconfirmed:
            return
        self._changes, self._images = self._before
        self._unconfirmed = False
        self._write()

    def damaged(self) -> None:
        """The database turned out damaged: the next opening must not go on with it."""
        self._damaged = True
        self._write()

    def _write(self) -> None:
        if self._descriptor is None:
            return
        images = dict(self._images)
        text = self._text(images)
        while len(text) > _LENGTH - 16 and images:
            del images[next(iter(images))]
            text = self._text(images)
        block = (b"%08x " % zlib.crc32(text)) + text
        with contextlib.suppress(OSError):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, block.ljust(_LENGTH - 1) + b"\n")

    def folded(self) -> None:
        """The database holds everything without its log."""
        self._images.clear()

    def sync(self) -> None:
        """Ask the disk to take it."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)

    def renew(self) -> None:
        """Begin a new file where the old one was removed."""
        self.close()
        self.open(self._changes)
        self._write()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _text(self, images: dict[str, int]) -> bytes:
        values: dict[str, object] = {"changes": self._changes, "when": time.time(), "images": images, "damaged": self._damaged}
        if self._unconfirmed:
            values["unconfirmed"] = True
        return json.dumps(values).encode("ascii")


#: No link is followed, and a pipe does not make the program wait.
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
