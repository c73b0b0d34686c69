"""Writing a file so that a reader sees the old content or the new one, never a part; and never over a photograph.

Every file that this program replaces or renames goes through :func:`atomic_write`, :func:`replace_file` or
:func:`rename_file`, and all of them ask :func:`refuse_photograph` first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deeplab_core.errors import ProtectedFile, StorageError, message
from deeplab_core.pictures import Picture, is_written_mask, picture_kind

Buffer = bytes | bytearray | memoryview

_NOT_WRITTEN = message("the file cannot be written")
_REMEDIES = {
    errno.ENOSPC: (message("The disk is full"), message("Free some space, then save again")),
    errno.EDQUOT: (message("Your disk quota is used up"), message("Free some space, then save again")),
    errno.EROFS: (message("The disk is read-only"), message("Choose a folder that can be written")),
    errno.EACCES: (
        message("The folder or file may not be written"),
        message("Choose another folder or ask for the right to write here"),
    ),
    errno.EPERM: (
        message("The folder or file may not be written"),
        message("Choose another folder or ask for the right to write here"),
    ),
    errno.ENOENT: (message("The folder does not exist"), message("Create the folder or choose another")),
    errno.ENOTDIR: (message("The folder does not exist"), message("Create the folder or choose another")),
    errno.EEXIST: (message("A file of this name is already there"), message("Move that file away, then try again")),
    errno.EISDIR: (message("There is a folder of this name"), message("Choose another name")),
    errno.ENAMETOOLONG: (message("The file name is too long for this disk"), message("Choose a shorter name")),
    errno.EIO: (message("The disk reports an error"), message("Save to another disk and check this one")),
}


#: Names of the files that :func:`atomic_write` has not finished; a process that is killed leaves its own behind.
UNFINISHED = ".atrous-????????????????.tmp"

#: What systems say of a disk that has no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})

#: Images of the folders that are open, by the folder's real path: names relative to it, with ``/``.
_OPEN_IMAGES: dict[str, frozenset[str]] = {}


def protect_images(folder: str | Path, images: Iterable[str]) -> None:
    """Name the images of a folder that is open: from now on none of them is replaced or renamed by this process.

    Args:
        folder: the opened folder.
        images: paths relative to it, with ``/``; they take the place of those that were named for this folder before.
    """
    _OPEN_IMAGES[os.path.realpath(folder)] = frozenset(images)


def release_images(folder: str | Path) -> None:
    """Undo :func:`protect_images` for a folder. Photographs are still known by their content."""
    _OPEN_IMAGES.pop(os.path.realpath(folder), None)


def refuse_photograph(path: str | Path, *, follow_links: bool = False) -> None:
    """Raise unless an existing file may be replaced or renamed. A name that is free may always be taken.

    Refused, whatever option was given: a link; a photograph, judged by its content; an image of an open folder (see
    :func:`protect_images`). Masks, and pictures that this program wrote, are not photographs.

    Args:
        path: the file that would be replaced or renamed.
        follow_links: look at the file that a link points to instead of refusing the link.

    Raises:
        ProtectedFile: with the reason, and what can be done.
    """
    path = Path(path)
    if not follow_links and os.path.islink(path):  # noqa: PTH114 -- never raises, even for a name that no disk can hold
        raise ProtectedFile(
            message("this is a link, and links are not written through"),
            why=message("It points to {target}", target=os.path.realpath(path)),
            remedy=message("Choose another name, or remove the link"),
            path=path,
        )
    kind = picture_kind(path)
    if kind is None or kind is Picture.OURS:
        return
    if kind is Picture.PHOTOGRAPH:
        raise ProtectedFile(
            message("a photograph is never replaced"),
            why=message("Its content is that of a photograph, not of a mask"),
            remedy=message("Choose another name or folder, or move this file away yourself"),
            path=path,
        )
    refuse_open_image(path)


def refuse_picture(path: str | Path, *, masks_only: bool = False) -> None:
    """Raise unless a report or plot may take this name: no picture is replaced by one, be it photograph or mask.

    Args:
        path: the file that would be replaced.
        masks_only: replace other pictures that this program wrote, such as an older plot.

    Raises:
        ProtectedFile: as :func:`refuse_photograph`, and for a mask.
    """
    refuse_photograph(path)
    kind = picture_kind(path)
    if kind is None or (masks_only and kind is Picture.OURS and not is_written_mask(path)):
        return
    raise ProtectedFile(
        message("a picture is never replaced by a report"),
        why=message("It holds labels") if kind is Picture.LABELS else message("Atrous wrote it"),
        remedy=message("Choose another name, or move this file away yourself"),
        path=Path(path),
    )


def refuse_open_image(path: str | Path) -> None:
    """Raise ProtectedFile if a file is an image of an open folder (see :func:`protect_images`), whatever it holds."""
    path = Path(path)
    for folder, listed in _containing(path):
        if listed:
            raise ProtectedFile(
                message("this is one of the images of the open folder, and they are never replaced"),
                why=message("{folder} lists it as an image", folder=folder),
                remedy=message("Choose another name or folder"),
                path=path,
            )


def _containing(path: Path) -> Iterator[tuple[str, bool]]:
    """The open folders that hold a file, and whether they list it as an image."""
    real = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
    for folder, images in list(_OPEN_IMAGES.items()):
        if real.startswith(folder + os.sep):
            yield folder, real[len(folder) + 1 :].replace(os.sep, "/") in images


def rename_file(path: str | Path, target: str | Path) -> None:
    """Rename a file, or move it within its disk, unless it or the file at ``target`` is protected.

    Raises:
        ProtectedFile: see :func:`refuse_photograph`.
        StorageError: the system does not allow it.
    """
    refuse_photograph(path)
    replace_file(path, target)


def replace_file(temporary: str | Path, target: str | Path) -> None:
    """Give a file that this program has just written its final name, replacing what is there unless that is protected.

    Raises:
        ProtectedFile: see :func:`refuse_photograph`.
        StorageError: the system does not allow it.
    """
    refuse_photograph(target)
    try:
        Path(temporary).replace(target)
    except OSError as error:
        raise storage_error(error, target) from error


def atomic_write(
    path: str | Path,
    data: Buffer | Iterable[Buffer],
    *,
    check: Callable[[Path], None] | None = None,
    follow_links: bool = False,
    temporary: Path | None = None,
) -> int:
    """Write ``data`` to ``path`` through a temporary file in the same folder, flushed to disk and renamed over the target.

    A failure at any point leaves an existing file byte for byte as it was and no temporary file behind. Permissions of an
    existing file are kept; a write-protected file, a link and a photograph are not replaced (:func:`refuse_photograph`).

    Args:
        path: the target; its folder must exist.
        data: the content, or its parts in order.
        check: called with the complete temporary file before it takes the target's place; what it raises ends the write.
        follow_links: replace the file that a link points to; for files of the user's own configuration, which may be linked.
        temporary: the temporary file, which is not there yet, in the same folder; None gives it a name.

    Returns:
        Number of bytes written.

    Raises:
        ProtectedFile: a photograph, an image of an open folder or a link is there.
        StorageError: full disk, read-only folder, missing rights and the like.
    """
    refuse_photograph(path, follow_links=follow_links)
    target = Path(os.path.realpath(path) if follow_links else os.path.abspath(path))  # noqa: PTH100 -- resolve() follows links
    mode = _existing_mode(target)
    parts = (data,) if isinstance(data, bytes | bytearray | memoryview) else data
    # The temporary name does not repeat the target's, which may already be as long as the disk allows.
    temporary = temporary or target.with_name(f".atrous-{secrets.token_hex(8)}.tmp")
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
        refuse_photograph(target)  # again: writing may have taken minutes, in which another program put a file here
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise
    flush_folder(target.parent)
    return written


def create_file(path: str | Path, data: Buffer, *, temporary: Path) -> bool:
    """Write a file that is not there yet, whole or not at all; of several processes that do so at the same time one succeeds.

    On disks without hard links (FAT, some network drives) a reader may see the file before all of it is written.

    Args:
        path: the target; its folder must exist.
        data: the content.
        temporary: as for :func:`atomic_write`.

    Returns:
        False where something of this name is there already, which stays.

    Raises:
        StorageError: it cannot be written.
    """
    atomic_write(temporary, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise storage_error(error, path) from error
        try:
            with Path(path).open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except FileExistsError:
            return False
        except OSError as problem:
            raise storage_error(problem, path) from problem
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(Path(path).parent)
    return True


def link_file(source: str | Path, link: str | Path) -> None:
    """Make a link to a file, under a name that is free.

    Raises:
        ProtectedFile: something is there already.
        StorageError: the system does not allow it.
    """
    link = Path(link)
    if os.path.lexists(link):
        raise ProtectedFile(
            message("a file of this name is already there, and a link replaces none"),
            remedy=message("Choose another folder, or move that file away"), path=link,
        )  # fmt: skip
    try:
        link.symlink_to(os.path.abspath(source))  # noqa: PTH100 -- resolve() follows links
    except OSError as error:
        raise storage_error(error, link, what=message("the link cannot be made")) from error


def make_folder(path: str | Path) -> None:
    """Create a folder and its parents, so that they survive a power cut; an existing one is fine. Raises StorageError."""
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path, what=message("the folder cannot be created")) from error
    for folder in missing:
        flush_folder(folder.parent)


def storage_error(error: OSError, path: str | Path, what: str = _NOT_WRITTEN) -> StorageError:
    """The StorageError that explains an OSError of a write and names a remedy."""
    said = error.strerror or str(error)
    unknown = said[:1].upper() + said[1:], message("Choose another folder or disk, then save again")
    why, remedy = _REMEDIES.get(error.errno or 0, unknown)
    return StorageError(what, why=why, remedy=remedy, path=path)


def _existing_mode(target: Path) -> int | None:
    try:
        status = target.stat()
    except OSError:
        return None
    if not status.st_mode & stat.S_IWUSR or not os.access(target, os.W_OK):
        raise StorageError(
            message("the file is write-protected"), remedy=message("Remove the protection or choose another name"), path=target
        )
    return stat.S_IMODE(status.st_mode)


def flush_folder(folder: Path) -> None:
    """Make renames within a folder durable. Not every system can; the content of the files is safe either way."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
