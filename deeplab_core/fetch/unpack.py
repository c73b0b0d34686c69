"""Taking one file out of a ``.tar.gz``. Names in the archive decide nothing: the one wanted goes where the caller says."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from deeplab_core.atomic import replace_file, storage_error
from deeplab_core.errors import Cancelled, DownloadError

#: Bytes that an archive may unpack to while its member is looked for; the largest official release has 0.9 GB.
LARGEST = 4 * 2**30
_CHUNK = 1 << 20


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


def take_member(archive: Path, name: str, target: Path, cancel: Callable[[], bool] | None = None) -> None:
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
        with gzip.open(archive) as stream, tarfile.open(fileobj=_Bounded(stream, LARGEST), mode="r|") as packed:
            for member in packed:
                seen.append(member.name)
                if PurePosixPath(member.name).name != name or not member.isreg() or member.issparse():
                    continue
                content = packed.extractfile(member)
                if content is not None:
                    _write(content.read, temporary, cancel)
                    replace_file(temporary, target)
                    return
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DownloadError(
            "the archive is damaged", why=str(error), remedy="Delete it and fetch it again", path=archive
        ) from error
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)
    inside = ", ".join(PurePosixPath(one).name for one in seen[:6]) or "nothing"
    raise DownloadError(
        f"the archive holds no {name}",
        why=f"it holds {inside}",
        remedy="Unpack it by hand and choose the checkpoint's .index file",
        path=archive,
    )


def _write(read: Callable[[int], bytes], path: Path, cancel: Callable[[], bool] | None) -> None:
    path.unlink(missing_ok=True)  # never written through a link that has this name
    with path.open("xb") as out:
        while block := read(_CHUNK):
            if cancel is not None and cancel():
                raise Cancelled()
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
