"""Taking one file out of a ``.tar.gz``. Names in the archive decide nothing: the one wanted goes where the caller says."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Self

from deeplab_core.atomic import replace_file, storage_error
from deeplab_core.errors import Cancelled, DownloadError, message
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import VALUE_ERRORS, reason

#: Bytes that an archive may unpack to while its member is looked for; the largest official release has 0.9 GB.
LARGEST = 4 * 2**30
_CHUNK = 1 << 20
#: Bytes of a member that only describes the next one: long names, extended headers. tarfile reads it in one piece.
_LARGEST_HEADER = 1 << 20
_DESCRIBING = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SHOWN = 6
#: What gzip and tarfile raise for damaged archives.
_DAMAGE: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, *VALUE_ERRORS)


class _Bounded(io.RawIOBase):
    """Decompressed bytes of a stream, no more than a limit: an archive may claim without end."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        data = self._stream.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("it unpacks to far more than a release")
        return data


class _Member(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As the base; refuses headers that would fill the memory."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _DESCRIBING and member.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"it describes a file in {member.size:,} bytes")
        return member


def take_member(archive: Path, name: str, target: Path, cancel: IsCancelled | None = None) -> None:
    """Write the archive's regular file called ``name`` (in whatever folder) to ``target``.

    Links, devices and sparse files are passed over; nothing else of the archive is written. ``target`` appears complete or not
    at all.

    Raises:
        DownloadError: damaged, far too large, or without such a file.
        StorageError: full disk and the like.
        Cancelled: ``cancel`` said so.
    """
    temporary = target.with_name(target.name + ".part")
    seen: list[str] = []
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=_Bounded(stream, LARGEST), mode="r|", tarinfo=_Member) as packed:
            for member in packed:
                packed.members = []  # type: ignore[attr-defined]  # a list of all members would grow with the archive
                if len(seen) < _SHOWN:
                    seen.append(member.name)
                if PurePosixPath(member.name).name != name or not member.isreg() or member.issparse():
                    continue
                content = packed.extractfile(member)
                if content is not None:
                    _write(content.read, temporary, cancel)
                    replace_file(temporary, target)
                    return
    except _DAMAGE as error:
        raise DownloadError(
            message("the archive is damaged"), why=reason(error), remedy=message("Delete it and fetch it again"), path=archive
        ) from error
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)
    inside = ", ".join(PurePosixPath(one).name for one in seen) or "nothing"
    raise DownloadError(
        message("the archive holds no {name}", name=name),
        why=message("it holds {inside}", inside=inside),
        remedy=message("Unpack it by hand and choose the checkpoint's .index file"),
        path=archive,
    )


def _write(read: Callable[[int], bytes], path: Path, cancel: IsCancelled | None) -> None:
    path.unlink(missing_ok=True)  # never written through a link that has this name
    with path.open("xb") as out:
        while block := read(_CHUNK):
            if cancel is not None and cancel():
                raise Cancelled()
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
