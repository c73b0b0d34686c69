"""A project's files as what they may be: data from a stranger.

Names stay inside the project, links are not followed, pipes are not waited for.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from deeplab_core.errors import ProjectError, message

_REMEDY = message("Remove the link, or keep the project elsewhere: atrous FOLDER --project DIR")


def contained(directory: Path, name: str, *, below: str) -> Path:
    """The path of a file that the database names, checked to lie inside the project.

    Args:
        directory: the project's directory.
        name: relative, with ``/`` as separator, as in the database.
        below: the folder of ``directory`` that all such names begin with.

    Returns:
        ``directory / name``; the file need not exist.

    Raises:
        ProjectError: the name is absolute, has ``..`` in it or leads elsewhere, or a part of it is a link or no plain file.
    """
    parts = name.split("/")
    foreign = sys.platform == "win32" and (bool(PureWindowsPath(name).anchor) or "\\" in name)
    if foreign or "\0" in name or len(parts) < 2 or parts[0] != below or any(part in ("", ".", "..") for part in parts):
        raise _refused(directory, message("'{name}' is not in its folder '{folder}'", name=name[:200], folder=below))
    path = directory
    for place, part in enumerate(parts, 1):
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as error:
            raise _refused(path, error.strerror or str(error)) from error
        if stat.S_ISLNK(mode):
            raise _refused(path, message("It is a link"))
        if place == len(parts) and not stat.S_ISREG(mode):
            raise _refused(path, message("It is not a plain file"))
    return directory.joinpath(*parts)


def read_plain(path: Path, most: Callable[[bytes], int] | int) -> bytes:
    """All bytes of a plain file; a link at its place is not followed and a pipe is not waited for.

    Args:
        most: the largest size in bytes that such a file can have, or a function that computes it from the file's first 64 bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a plain file, or larger than ``most``.
    """
    flags = (getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))
    with os.fdopen(os.open(path, sum(flags, os.O_RDONLY)), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a plain file")
        head = stream.read(64)
        bound = most if isinstance(most, int) else most(head)
        if status.st_size > bound:
            raise ValueError(f"it has {status.st_size} bytes, at most {bound} are expected")
        return head + stream.read(status.st_size)  # what has grown since is damaged anyhow


def _refused(path: Path, why: str) -> ProjectError:
    return ProjectError(message("the project names a file that does not belong to it"), why=why, remedy=_REMEDY, path=path)
