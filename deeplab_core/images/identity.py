"""Content keys: the same picture is recognised wherever it was moved to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deeplab_core.images.probe import check_file, unreadable


def content_key(path: str | Path) -> str:
    """SHA-256 of the file's bytes, 64 lower-case hex digits. Raises ImageReadError where the file cannot be read."""
    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(error, path) from error


def key_of(data: bytes) -> str:
    """:func:`content_key` of a file that is in memory already."""
    return hashlib.sha256(data).hexdigest()
