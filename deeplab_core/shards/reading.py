"""Images and masks out of a shard, one after the other: nothing is unpacked to disk, and nothing in a shard is ever run.

Tar files follow the convention of WebDataset: files of one sample stand together and have one name up to the first dot of their
last part; what follows the dot says what the file is (``0001.jpg``, ``0001.seg.png``). Parquet files and manifests name columns.
A member that cannot be read fails alone; a shard that breaks off fails at that place, after what came before it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeplab_core.errors import AtrousError, DataFileError, StorageError, message
from deeplab_core.reading import shorten
from deeplab_core.shards.places import Shard, is_safe_key, opened, reaching, version_of
from deeplab_core.shards.retries import SteadyStream
from deeplab_core.shards.samples import COPY, ROLES, BrokenSample, Fields, ShardSample, member_path
from deeplab_core.shards.tables import manifest_samples, named_files, parquet_samples

#: Largest member of a tar file that is read, bytes.
MOST_MEMBER = 1 << 30
_BASE = re.compile(r"^((?:.*/)?[^./][^./]*)\.([^/]*)$")


def read_shard(
    shard: Shard, names: Fields, roles: tuple[str, ...], *, start: int = 0, first: int = 0
) -> Iterator[ShardSample | BrokenSample]:
    """The samples of a shard, in order.

    Args:
        shard: what to read.
        names: what its members or columns are called.
        roles: which contents to read, of :data:`ROLES`; others are passed over.
        start: :attr:`ShardSample.position` of the sample to begin with.
        first: its number.

    Returns:
        An iterator that never raises: what is wrong comes as a :class:`BrokenSample`. Where one is of the whole shard it is last.
    """
    try:
        if shard.kind == "tar":
            yield from _unique(_tar_samples(shard, names, roles, start, first))
        elif shard.kind == "parquet":
            yield from _unique(parquet_samples(shard, names, roles, start, first))
        else:
            yield from _unique(manifest_samples(shard, names, roles, start, first))
    except AtrousError as error:
        yield BrokenSample(shard.name, error, transient=isinstance(error, StorageError))
    except Exception as error:  # a damaged file makes its reader raise anything
        yield BrokenSample(shard.name, _damaged(shard, error), transient=isinstance(error, OSError) and not _is_tar_error(error))


def shard_version(shard: Shard, names: Fields, roles: tuple[str, ...]) -> str:
    """What tells that a shard, or a file that its table or manifest names for one of these roles, was replaced.

    Raises:
        StorageError: the shard is not there, or its store was not reached.
    """
    version = version_of(shard.url)
    if shard.kind == "tar":
        return version
    digest = hashlib.sha256()
    named = 0
    for url in named_files(shard, names, roles):
        digest.update(f"{url} {version_of(url, missing='-')}\n".encode("utf-8", "surrogateescape"))
        named += 1
    return version if shard.kind == "parquet" and not named else f"{version} {digest.hexdigest()[:16]}"


def _unique(samples: Iterator[ShardSample | BrokenSample]) -> Iterator[ShardSample | BrokenSample]:
    seen: set[str] = set()
    for sample in samples:
        if isinstance(sample, ShardSample):
            if sample.key in seen:
                error = DataFileError(
                    message("the name '{key}' occurs twice in the shard", key=shorten(sample.key)),
                    why=message("Files of one sample stand together, and samples have different names"),
                    remedy=COPY,
                )
                yield BrokenSample(sample.key, error, sample.number)
                continue
            seen.add(sample.key)
        yield sample


def _damaged(shard: Shard, error: Exception) -> AtrousError:
    text = str(error).strip().split("\n")[0][:300]
    return DataFileError(
        message("{url}: the shard is damaged or cannot be read to its end", url=shard.url),
        why=message("{kind}: {text}", kind=type(error).__name__, text=text) if text else type(error).__name__,
        remedy=COPY,
    )


def _is_tar_error(error: Exception) -> bool:
    return isinstance(error, tarfile.TarError)


# Tar


class _StrictHeader(tarfile.TarInfo):
    """A header whose damage is an error wherever it stands: tarfile takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> tarfile.TarInfo:  # type: ignore[override]
        try:
            return super().fromtarfile(tarfile)
        except (_INVALID, _TRUNCATED) as error:
            raise _DamagedTar(f"byte {tarfile.offset:,}: {error}") from error
        except _EMPTY as error:
            raise _DamagedTar(f"byte {tarfile.offset:,}: the file ends without its end mark") from error


_INVALID = tarfile.InvalidHeaderError  # type: ignore[attr-defined]
_TRUNCATED = tarfile.TruncatedHeaderError  # type: ignore[attr-defined]
_EMPTY = tarfile.EmptyHeaderError  # type: ignore[attr-defined]


class _DamagedTar(Exception):
    """A header that is none. Not an OSError: trying again does not help."""


def _tar_samples(
    shard: Shard, names: Fields, roles: tuple[str, ...], start: int, first: int
) -> Iterator[ShardSample | BrokenSample]:
    wanted = _endings(names, shard, roles)
    number, current = first, _Gathered()
    with opened(shard.url, start) as stream:
        whole: Any = _Whole(stream, shard)
        archive = tarfile.open(fileobj=whole, mode="r|", tarinfo=_StrictHeader, errorlevel=1)  # noqa: SIM115
        while True:
            try:
                member = archive.next()
            except _DamagedTar:
                yield from current.done(shard, number)
                raise
            if member is None:
                break
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every header
            place = start + member.offset
            split = _BASE.match(member.name)
            if split is None or not (member.isfile() or member.islnk() or member.issym()):
                continue
            key, ending = split[1].removeprefix("./"), split[2].lower()
            if key != current.key:
                made = list(current.done(shard, number))
                number += len(made)
                yield from made
                current = _Gathered(key, place)
            role = next((role for role, endings in wanted.items() if ending in endings), None)
            if role is None:
                continue
            current.add(archive, member, role, shard)
        yield from current.done(shard, number)


def _endings(names: Fields, shard: Shard, roles: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Endings by role; what the user names for one role is not taken for another."""
    named = {ending for role in ROLES if getattr(names, role) for ending in names.names(role, shard)}
    return {
        role: tuple(ending for ending in names.names(role, shard) if getattr(names, role) or ending not in named)
        for role in roles
    }


@dataclass(slots=True)
class _Gathered:
    """The files of the sample that is being read."""

    key: str = ""
    position: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    error: AtrousError | None = None

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo, role: str, shard: Shard) -> None:
        path = member_path(shard, member.name)
        if not member.isfile():
            self.error = DataFileError(
                message("this member is a link to {target}, which is not followed", target=shorten(member.linkname)),
                remedy=message("Write the archive with the files themselves in place of links"), path=path,
            )  # fmt: skip
            return
        if role in self.files:
            self.error = DataFileError(
                message("the sample has two files that may be its {role}: {one} and {other}",
                        role=role, one=self.paths[role].name, other=path.name),
                remedy=message("Say which with --{role}-field", role=role), path=path,
            )  # fmt: skip
            return
        if member.size > MOST_MEMBER:
            self.error = DataFileError(
                message("this member is too large to be read"),
                why=message("It has {size:,} bytes; at most {limit:,} are read", size=member.size, limit=MOST_MEMBER), path=path,
            )  # fmt: skip
            return
        content = archive.extractfile(member)
        data = b"" if content is None else content.read()
        if len(data) != member.size:
            raise _DamagedTar(f"{member.name}: {len(data):,} of {member.size:,} bytes are there")
        self.files[role], self.paths[role] = data, path

    def done(self, shard: Shard, number: int) -> Iterator[ShardSample | BrokenSample]:
        if not self.key:
            return
        if self.error is None and not is_safe_key(self.key):
            self.error = DataFileError(
                message("the name '{key}' leads out of its folder", key=shorten(self.key)),
                remedy=message("Give samples relative names without '..'"), path=member_path(shard, "?"),
            )  # fmt: skip
        if self.error is not None:
            yield BrokenSample(self.key, self.error, number)
        else:
            yield ShardSample(self.key, number, self.position, self.files, self.paths)


class _Whole:
    """A stream whose reads give all that was asked for, unless it ends; errors of the store name the shard."""

    def __init__(self, stream: SteadyStream, shard: Shard) -> None:
        self._stream, self._url = stream, shard.url

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            with reaching(self._url):
                try:
                    part = self._stream.read(size)
                except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                    raise DataFileError(message("{url}: the compression is damaged", url=self._url), why=str(error)) from error
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
