"""The layout of a project's directory, and what may not be in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from app.state.careful import COMPANIONS
from app.state.filesystem import refuse_link
from deeplab_core.atomic import make_folder, storage_error

DIRECTORY_NAME = ".atrous"
DATABASE = "project.db"
LOCK = "lock"
MASKS = "masks"
PREDICTIONS = "predictions"
#: Folder of the models that have learned from the project's corrections.
MODELS = "models"
_WAITING = "models/waiting"
BACKUPS = "backups"

_IGNORE = ".gitignore"
_BACKUP = re.compile(r"project-\d{4}-\d\d-\d\d\.db")

#: Names of our temporary files (:mod:`deeplab_core.atomic`), and the age from which no program writes one any more.
_TEMPORARY = re.compile(r"\.atrous-[0-9a-f]+\.tmp")
_DAY_S = 86_400


def create_directory(directory: Path) -> None:
    """Make the directory of a project. Raises StorageError."""
    make_folder(directory)
    ignore = directory / _IGNORE
    # The user wants masks in exports, not by accident in the repository of the photographs. Exclusive creation follows no link.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(ignore, flags, 0o666)
    except FileExistsError:
        return
    except OSError as error:
        raise storage_error(error, ignore) from error
    try:
        os.write(descriptor, b"*\n")
    except OSError as error:
        raise storage_error(error, ignore) from error
    finally:
        os.close(descriptor)


def remove_new_directory(directory: Path) -> None:
    """Take back what :func:`create_directory` and the database made of a directory that did not exist before."""
    for name in (LOCK, _IGNORE, DATABASE, *(DATABASE + suffix for suffix in COMPANIONS)):
        with contextlib.suppress(OSError):
            (directory / name).unlink()
    with contextlib.suppress(OSError):
        directory.rmdir()


def refuse_links(directory: Path, *, chosen: bool) -> None:
    """Raise ProjectError if a part of a project's directory is a link or a thing that is not a plain file or folder.

    Args:
        chosen: whether the user named the directory, which may then be a link itself.
    """
    if not chosen:
        refuse_link(directory, folder=True)
    for name in (MASKS, PREDICTIONS, BACKUPS, MODELS, _WAITING):
        refuse_link(directory / name, folder=True)
    for name in (LOCK, DATABASE, *(DATABASE + suffix for suffix in COMPANIONS)):
        refuse_link(directory / name)


def sweep(directory: Path, now: float | None = None) -> int:
    """Delete temporary files that a killed program left in the project's own folders more than a day ago; returns how many."""
    now = time.time() if now is None else now
    removed = 0
    places = [directory]
    for name in (MASKS, PREDICTIONS, MODELS, BACKUPS):
        if not (directory / name).is_symlink():
            places += [Path(place) for place, _, _ in os.walk(directory / name)]
    for place in places:
        with contextlib.suppress(OSError):
            for entry in os.scandir(place):
                if not _TEMPORARY.fullmatch(entry.name):
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and now - status.st_mtime > _DAY_S:
                    with contextlib.suppress(OSError):
                        Path(entry.path).unlink()
                        removed += 1
    return removed


def backup_names(directory: Path) -> list[str]:
    """File names of a project's daily copies, newest first."""
    try:
        found = [path.name for path in (directory / BACKUPS).iterdir() if _BACKUP.fullmatch(path.name) and not path.is_symlink()]
    except OSError:
        return []
    return sorted(found, reverse=True)


#: A mask's name is cut to this many bytes, so that there is room for what is added when the file is set aside.
_LONGEST_NAME = 180


def mask_names(relative_path: str) -> Iterable[str]:
    """Names for an image's mask, the plain one first; long ones are cut and told apart by a checksum."""
    plain = PurePosixPath(MASKS) / f"{relative_path}.png"
    stem = plain.stem
    if len(os.fsencode(plain.name)) > _LONGEST_NAME:
        digest = hashlib.sha256(relative_path.encode(errors="surrogateescape")).hexdigest()[:10]
        while len(os.fsencode(stem)) > _LONGEST_NAME - 20:
            stem = stem[:-1]
        stem = f"{stem}-{digest}"
    yield str(plain.with_name(f"{stem}.png"))
    for number in range(2, 1000):
        yield str(plain.with_name(f"{stem}~{number}.png"))
