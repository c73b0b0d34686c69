"""One writer per project. The lock belongs to the operating system, so a killed process frees it by dying."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from app.state.filesystem import file_state
from deeplab_core.atomic import storage_error
from deeplab_core.errors import DataFileError, MessageText, ProjectLocked, StorageError, message
from deeplab_core.reading import VALUE_ERRORS, parse_json

#: The locked byte lies far behind the text that names the holder: Windows forbids others to read what is locked.
_LOCKED_BYTE = 1 << 20

#: How the text that names the holder begins, and a bound of its length in bytes.
_MARK_START, _MARK_BYTES = b'{"pid": ', 1000

_UNREADABLE: tuple[type[Exception], ...] = (OSError, DataFileError, *VALUE_ERRORS)

#: No link is followed, and a pipe does not make the program wait.
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a project.

    Attributes:
        pid: process id on ``host``; 0 if the file does not say.
        since: Unix time in seconds.
    """

    pid: int
    host: str
    since: float

    def text(self) -> MessageText:
        """Who holds it and since when."""
        if not self.pid:
            return message("Another process holds it")
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        where = message("this computer") if self.host == socket.gethostname() else self.host
        return message("Process {pid} on {where} has had it open since {when}", pid=self.pid, where=where, when=when)


class ProjectLock:
    """An exclusive lock on a file that also says who holds it.

    The file stays where it is when the lock is released; only the operating system's lock counts, never the file's presence,
    so nothing has to be cleaned up after a crash.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    @property
    def in_place(self) -> bool:
        """Whether it is held and its file is still the one that others would lock."""
        if self._descriptor is None:
            return False
        held = os.fstat(self._descriptor)
        found = file_state(self._path)
        return found is not None and found.number == (held.st_dev, held.st_ino)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ProjectLocked: another process holds it; ``why`` names it and since when.
            StorageError: the lock file cannot be written, or is a link or a thing that is not a file.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o666)
        except OSError as error:
            raise storage_error(error, self._path) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StorageError(message("the lock of the project is not a file"), remedy=message("Move it away"), path=self._path)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise ProjectLocked(
                message("another window has this project open"),
                why=self.holder().text(),
                remedy=message("Look and compare here, or close the other window and open the folder again to edit"),
                path=self._path.parent,
            ) from None
        self._descriptor = descriptor
        mark = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}).encode()
        # On a full disk the lock itself still holds; only the name of its holder is missing. A file that holds something else
        # than such a mark (a hard link to the user's work, in a project from elsewhere) is locked, never written.
        with contextlib.suppress(OSError):
            os.lseek(descriptor, 0, os.SEEK_SET)
            if os.read(descriptor, len(_MARK_START)) in (b"", _MARK_START) and os.fstat(descriptor).st_size < _MARK_BYTES:
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, mark)

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._descriptor is not None:
            _unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> LockHolder:
        """Who wrote the lock file last."""
        try:
            with self._path.open("rb") as stream:
                data = parse_json(stream.read(_MARK_BYTES))
            return LockHolder(int(data["pid"]), str(data["host"])[:80], float(data["since"]))
        except _UNREADABLE:
            return LockHolder(0, "", 0.0)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # flock, not lockf: it belongs to the open file, so a second window of the same process is refused too, and closing some
    # other descriptor of the file does not drop it.
    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
