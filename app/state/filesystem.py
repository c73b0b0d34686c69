"""What a project has to know of the file system: whether a folder is on a network, whether a path is a link, which file it is."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from deeplab_core.errors import ProjectError, message

#: File systems that more than one computer may have mounted. SQLite's write-ahead log shares memory between its users and
#: must not be used there (sqlite.org/wal.html, "All processes using a database must be on the same host computer").
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "davfs"})


def on_network(folder: Path) -> bool:
    """Whether other computers may see the folder too. What cannot be found out counts as local."""
    path = os.path.realpath(folder)
    if sys.platform == "win32":
        import ctypes

        drive_remote = 4
        return path.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(os.path.splitdrive(path)[0] + "\\") == drive_remote
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    return _kind_of(path, lines) in _NETWORK


def _kind_of(path: str, mountinfo: list[str]) -> str:
    """File system type of the innermost mount point that holds ``path``; FUSE mounts are named by what they carry."""
    best, kind = "", ""
    for line in mountinfo:
        left, _, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if len(fields) < 5 or not rest[0]:
            continue
        point = fields[4].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest[0]
    if kind.startswith("fuse."):
        carried = kind.removeprefix("fuse.")
        return "davfs" if carried in {"sshfs", "rclone", "s3fs", "davfs2", "gcsfuse"} else carried
    return kind


@dataclass(frozen=True, slots=True)
class FileState:
    """Which file a path leads to, itself if it is a link.

    Attributes:
        number: (device, number on it).
        size: in bytes.
    """

    number: tuple[int, int]
    size: int


def file_state(path: Path) -> FileState | None:
    """The state of the file at a path; None if there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return FileState((found.st_dev, found.st_ino), found.st_size)


def refuse_link(path: Path, *, folder: bool = False) -> None:
    """Raise ProjectError if a path of a project is a link, or neither missing nor a plain file (a folder, if ``folder``).

    A project folder may come from a stranger: through a link it would write into files and folders elsewhere.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if stat.S_ISLNK(mode):
        raise ProjectError(
            message("{file} is a link, and a project never writes through links", file=path.name),
            why=message("It leads to {target}", target=_target(path)),
            remedy=message(
                "Put the real file or folder in its place, or keep the project elsewhere: atrous FOLDER --project DIR"
            ),
            path=path,
        )
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        raise ProjectError(
            message("{file} is not a {kind}", file=path.name, kind=message("folder") if folder else message("file")),
            remedy=message("Move it away, or keep the project elsewhere: atrous FOLDER --project DIR"),
            path=path,
        )


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return message("an unknown place")
