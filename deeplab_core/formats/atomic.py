"""Writing a file so that a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from deeplab_core.errors import StorageError

Buffer = bytes | bytearray | memoryview

_REMEDIES = {
    errno.ENOSPC: ("the disk is full", "Free some space, then save again"),
    errno.EDQUOT: ("your disk quota is used up", "Free some space, then save again"),
    errno.EROFS: ("the disk is read-only", "Choose a folder that can be written"),
    errno.EACCES: ("the folder or file may not be written", "Choose another folder or ask for the right to write here"),
    errno.EPERM: ("the folder or file may not be written", "Choose another folder or ask for the right to write here"),
    errno.ENOENT: ("the folder does not exist", "Create the folder or choose another"),
    errno.ENOTDIR: ("the folder does not exist", "Create the folder or choose another"),
    errno.EISDIR: ("there is a folder of this name", "Choose another name"),
    errno.ENAMETOOLONG: ("the file name is too long for this disk", "Choose a shorter name"),
    errno.EIO: ("the disk reports an error", "Save to another disk and check this one"),
}


def atomic_write(path: str | Path, data: Buffer | Iterable[Buffer], *, check: Callable[[Path], None] | None = None) -> int:
    """Write ``data`` to ``path`` through a temporary file in the same folder, flushed to disk and renamed over the target.

    A failure at any point leaves an existing file byte for byte as it was and no temporary file behind. A symbolic link is
    followed, so that the file it points to is replaced; permissions of an existing file are kept; a write-protected file is
    not replaced.

    Args:
        path: the target; its folder must exist.
        data: the content, or its parts in order.
        check: called with the complete temporary file before it takes the target's place; what it raises ends the write.

    Returns:
        Number of bytes written.

    Raises:
        StorageError: full disk, read-only folder, missing rights and the like.
    """
    target = Path(os.path.realpath(path))
    mode = _existing_mode(target)
    parts = (data,) if isinstance(data, bytes | bytearray | memoryview) else data
    # The temporary name does not repeat the target's, which may already be as long as the disk allows.
    temporary = target.with_name(f".atrous-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    written = 0
    try:
        descriptor = os.open(temporary, flags, 0o666)
        try:
            for part in parts:
                view = memoryview(part).cast("B")
                while view:
                    count = os.write(descriptor, view)
                    written += count
                    view = view[count:]
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if check is not None:
            check(temporary)
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise
    _flush_folder(target.parent)
    return written


def make_folder(path: str | Path) -> None:
    """Create a folder and its parents; an existing one is fine. Raises StorageError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path, what="the folder cannot be created") from error


def storage_error(error: OSError, path: str | Path, what: str = "the file cannot be written") -> StorageError:
    """The StorageError that says what an OSError of a write means and what to do."""
    why, remedy = _REMEDIES.get(
        error.errno or 0, (error.strerror or str(error), "Choose another folder or disk, then save again")
    )
    return StorageError(what, why=why[0].upper() + why[1:], remedy=remedy, path=path)


def _existing_mode(target: Path) -> int | None:
    try:
        status = target.stat()
    except OSError:
        return None
    if not status.st_mode & stat.S_IWUSR or not os.access(target, os.W_OK):
        raise StorageError("the file is write-protected", remedy="Remove the protection or choose another name", path=target)
    return stat.S_IMODE(status.st_mode)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable. Not every system can; the file's content is safe either way."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
