"""What came so far of a file: ``<file>.part``, and beside it what the server said of it, so that the rest can be asked for."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from deeplab_core.atomic import atomic_write, make_folder, replace_file, storage_error
from deeplab_core.errors import AtrousError, DownloadError, message
from deeplab_core.reading import read_json

#: The locked byte lies far behind any content: Windows forbids others to read what is locked.
_LOCKED_BYTE = 1 << 60
_CHUNK = 1 << 20
#: A link of this name is not followed.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes come from.

    Attributes:
        url: the address that was asked for.
        validator: strong ETag, else Last-Modified; what ``If-Range`` takes. Empty where the server gave neither.
        total: bytes of the whole file; None where the server did not say.
    """

    url: str
    validator: str = ""
    total: int | None = None


class PartFile:
    """The unfinished file, held by one downloader at a time. A context manager.

    Attributes:
        size: bytes on disk and in the digest.
        origin: where they come from; None for a fresh file.

    Raises:
        DownloadError: another process or thread is fetching the same file.
        StorageError: the folder cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._notes = target.with_name(target.name + ".part.json")
        self._stream: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.size = 0
        self.origin: Origin | None = None

    def __enter__(self) -> Self:
        make_folder(self.target.parent)
        try:
            descriptor = os.open(self.path, _FLAGS, 0o666)
        except OSError as error:
            raise storage_error(error, self.path) from error
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise DownloadError(
                message("the file is being fetched already"),
                remedy=message("Wait for the other download, or stop it first"),
                path=self.target,
            ) from None
        self._stream = os.fdopen(descriptor, "r+b", buffering=0)
        self.origin = self._read_notes()
        if self.origin is None:
            self.restart()
        else:
            self._take_stock()
        return self

    def __exit__(self, *_exception: object) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if self.size == 0:  # nothing worth keeping
            self.discard()

    @property
    def digest(self) -> str:
        """sha256 of all bytes so far, lower-case hex."""
        return self._digest.hexdigest()

    def begin(self, origin: Origin) -> None:
        """Note where the following bytes come from."""
        self.origin = origin
        atomic_write(self._notes, (json.dumps(asdict(origin)) + "\n").encode())

    def write(self, data: bytes) -> None:
        """Append. Raises StorageError where the disk is full; what was written stays."""
        assert self._stream is not None
        view = memoryview(data)
        try:
            while view:
                count = self._stream.write(view)
                self._digest.update(view[:count])
                self.size += count or 0
                view = view[count:]
        except OSError as error:
            raise self._full(error) from error

    def restart(self) -> None:
        """Forget every byte."""
        assert self._stream is not None
        self._stream.seek(0)
        self._stream.truncate(0)
        self.size, self.origin, self._digest = 0, None, hashlib.sha256()
        self._notes.unlink(missing_ok=True)

    def finish(self) -> None:
        """Flush the file to the disk and give it its name."""
        assert self._stream is not None
        try:
            os.fsync(self._stream.fileno())
            self._stream.close()  # Windows renames no open file
            self._stream = None
            replace_file(self.path, self.target)
        except OSError as error:
            raise storage_error(error, self.target) from error
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the unfinished file and its notes."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        for path in (self.path, self._notes):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _take_stock(self) -> None:
        assert self._stream is not None
        self._stream.seek(0)
        while block := self._stream.read(_CHUNK):
            self._digest.update(block)
            self.size += len(block)

    def _read_notes(self) -> Origin | None:
        try:
            found: dict[str, Any] = read_json(self._notes)
            return Origin(str(found["url"]), str(found["validator"]), None if found["total"] is None else int(found["total"]))
        except (AtrousError, ValueError, KeyError, TypeError, OverflowError):  # damaged notes: the bytes are of unknown origin
            return None

    def _full(self, error: OSError) -> Exception:
        failure = storage_error(error, self.path)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            failure.remedy = "Free some space or choose another folder, then fetch it again: it goes on from here"
        return failure


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
