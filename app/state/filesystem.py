"""What kind of file system a folder lies on, as far as the project's database has to know."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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
