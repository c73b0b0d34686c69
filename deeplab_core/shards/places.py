"""Where the shards of an image set lie: local files, http and object stores, through fsspec; and where a run leaves its files.

No shard is opened to list it. A pattern with braces (``train-{0000..0999}.tar``) is written out and asks nothing; a manifest is
cut into parts by its length; only ``*`` asks a file system for names.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from deeplab_core.atomic import (
    UNFINISHED,
    atomic_write,
    create_file,
    flush_folder,
    make_folder,
    refuse_photograph,
    replace_file,
    storage_error,
)
from deeplab_core.errors import AtrousError, DataFileError, StorageError, message
from deeplab_core.flavour import install_command
from deeplab_core.reading import json_text, parse_json
from deeplab_core.shards.retries import SteadyStream, again, cause_of, is_missing

ShardKind = Literal["tar", "parquet", "csv", "jsonl"]

_KINDS: dict[str, ShardKind] = {
    ".tar": "tar", ".tar.gz": "tar", ".tgz": "tar", ".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
#: Bytes of a manifest that are one unit of work: some 600 lines.
MANIFEST_PART = 64 << 10
#: Longest list of shards that is read, bytes; and the longest marker.
_MOST_LIST = 64 << 20
#: Where stores say that a file has changed.
_TAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "LastModified", "last_modified", "Last-Modified", "updated", "mtime")
_CHECK = message("Check the address, the rights and the connection")


@dataclass(frozen=True, slots=True)
class Shard:
    """One unit of work: a tar or Parquet file, or a part of a manifest.

    Attributes:
        url: path or address, as fsspec takes it.
        name: path of its results below the output folder, without an ending; no two shards of a set share one.
        kind: how it is read.
        part: (first, end) bytes of a manifest, whose lines begin there; None for a whole file.
    """

    url: str
    name: str
    kind: ShardKind
    part: tuple[int, int] | None = None


def fsspec_module() -> Any:
    """``fsspec``. Raises AtrousError, which says how to install it."""
    try:
        import fsspec
    except ImportError as error:
        raise AtrousError(
            message("fsspec is not installed"), remedy=message("Install it: {command}", command=install_command("shards"))
        ) from error
    return fsspec


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path within it.

    Raises:
        AtrousError: its protocol is unknown, or needs a package that is not installed.
    """
    fsspec = fsspec_module()
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise AtrousError(
            message("{url} cannot be opened", url=url),
            why=str(error),
            remedy=message("Install the package of this store for fsspec (s3fs, gcsfs, adlfs), or check the address"),
        ) from error
    return system, path


@contextmanager
def reaching(url: str, what: str = "it") -> Iterator[None]:
    """What a store raises inside becomes an error that names the address.

    Raises:
        StorageError: nothing is there, or it cannot be reached. Damaged contents are not its matter.
    """
    try:
        yield
    except AtrousError:
        raise
    except Exception as error:  # each store has errors of its own
        if is_missing(error):
            raise StorageError(message("{url}: there is no such file", url=url), remedy=_CHECK) from error
        cause = cause_of(error)
        why = f"{type(cause).__name__}: {cause}".strip(": ")[:300]
        raise StorageError(message("{url}: {what} cannot be read", url=url, what=what), why=why, remedy=_CHECK) from error


@contextmanager
def opened(url: str, start: int = 0) -> Iterator[SteadyStream]:
    """A file to read from byte ``start`` of its (decompressed) content on. Raises StorageError."""
    fsspec = fsspec_module()
    # fsspec looks at what follows the last dot: it knows neither .tgz nor an address that ends with a signature.
    packed = "gzip" if _ending(url) in (".tar.gz", ".tgz") else None
    with reaching(url):
        stream = SteadyStream(url, start, lambda: fsspec.open(url, "rb", compression=packed).open())
    try:
        yield stream
    finally:
        stream.close()


def read_range(url: str, start: int = 0, end: int | None = None) -> bytes:
    """Bytes ``start`` to ``end`` of a file, fewer where it is shorter. Raises StorageError."""
    system, path = file_system(url)
    with reaching(url):
        data: bytes = again(url, lambda: system.cat_file(path, start=start, end=end))
    return data


def size_of(url: str) -> int | None:
    """Bytes of a file; None where its store does not say. Raises StorageError."""
    system, path = file_system(url)
    with reaching(url):
        size = again(url, lambda: system.size(path))
    return None if size is None else int(size)


def version_of(url: str, *, missing: str | None = None) -> str:
    """What tells that a file was replaced: its size, with the tag or the time that its store gives.

    Args:
        url: path or address.
        missing: the answer if there is no such file; None raises.

    Raises:
        StorageError: there is no such file, or its store cannot be reached.
    """
    system, path = file_system(url)
    with reaching(url):
        try:
            facts = again(url, lambda: system.info(path))
        except FileNotFoundError as error:
            if missing is None or not is_missing(error):
                raise
            return missing
    tag = next((f" {facts[name]}" for name in _TAGS if facts.get(name)), "")
    return f"{facts.get('size')}{tag}"


def settled_place(url: str) -> str:
    """One spelling for all paths and addresses of a file, links followed."""
    plain = url.removeprefix("file://")
    return posixpath.normpath(plain.split("?", 1)[0]) if "://" in plain else os.path.realpath(plain)


def list_shards(specs: Sequence[str]) -> tuple[Shard, ...]:
    """The shards that a user names, in the order of the names.

    Args:
        specs: files and addresses: tar, Parquet, CSV or JSON lines; with braces (``part-{000..127}.tar``) or ``*``; a folder
            stands for its tar and Parquet files; ``@FILE`` for a text with one of them per line.

    Raises:
        AtrousError: nothing is found, an ending is unknown, or two shards would have results of one name.
        StorageError: a pattern, a folder or a manifest cannot be reached.
    """
    urls = [url for spec in specs for url in _urls(spec)]
    if not urls:
        raise AtrousError(
            message("{specs}: there is no shard", specs=", ".join(specs)),
            remedy=message("Name tar, Parquet, CSV or JSON lines files, e.g. 'part-{000..127}.tar'"),
        )
    common = _common_folder(urls)
    found: dict[str, Shard] = {}
    for url in urls:
        kind = _kind(url)
        bare = _bare(url, common)
        for name, part in [(bare, None)] if kind in ("tar", "parquet") else _parts(url, bare):
            other = found.get(name)
            if other is not None:
                raise AtrousError(
                    message("{one} and {other} would have the same results, {name}", one=other.url, other=url, name=name),
                    remedy=message("Name each shard once, and give shards of equal names outputs of their own"),
                )
            found[name] = Shard(url, name, kind, part)
    return tuple(found.values())


def _urls(spec: str) -> Iterator[str]:
    if spec.startswith("@"):
        for line in read_range(spec[1:], 0, _MOST_LIST).decode("utf-8", "surrogateescape").splitlines():
            if line.strip() and not line.startswith("#"):
                yield from _urls(_beside(line.strip(), spec[1:]))
        return
    for url in _braces(spec):
        if any(mark in url.rpartition("/")[2] for mark in "*?["):
            system, names = _found(url)
            yield from (system.unstrip_protocol(name) if "://" in url else name for name in names)
        elif "://" not in url and os.path.isdir(url):  # noqa: PTH112  (texts, as of the other stores)
            for name in sorted(os.listdir(url)):  # noqa: PTH208
                if _ending(name) and _KINDS[_ending(name)] in ("tar", "parquet"):
                    yield os.path.join(url, name)  # noqa: PTH118
        else:
            yield url


def _found(pattern: str) -> tuple[Any, list[str]]:
    """The file system of a pattern with ``*``, and the paths in it that fit."""
    system, path = file_system(pattern)
    with reaching(pattern, "the folder"):
        return system, sorted(again(pattern, lambda: system.glob(path)))


def _braces(spec: str) -> Iterator[str]:
    if "{" not in spec:
        yield spec
        return
    try:
        from braceexpand import braceexpand
    except ImportError as error:
        raise AtrousError(
            message("braceexpand is not installed"), remedy=message("Install it: {command}", command=install_command("shards"))
        ) from error
    try:
        yield from braceexpand(spec)
    except ValueError as error:
        raise AtrousError(
            message("{spec}: the braces do not match", spec=spec), why=str(error), remedy=message("Write a range as {000..127}")
        ) from error


def _beside(name: str, listing: str) -> str:
    """An address of a list; relative ones start at the folder of the list."""
    if "://" in name or name.startswith("/") or os.path.isabs(name):  # noqa: PTH117
        return name
    folder = listing.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name


def _ending(url: str) -> str:
    name = url.split("?", 1)[0].rpartition("/")[2].lower()
    return max((ending for ending in _KINDS if name.endswith(ending)), key=len, default="")


def _kind(url: str) -> ShardKind:
    ending = _ending(url)
    if not ending:
        raise AtrousError(
            message("{url} is not a shard", url=url), remedy=message("Shards end in {endings}", endings=", ".join(_KINDS))
        )
    return _KINDS[ending]


def _plain(url: str) -> str:
    return url.split("?", 1)[0].replace(os.sep, "/")


def _common_folder(urls: Sequence[str]) -> str:
    folders = {_plain(url).rpartition("/")[0] for url in urls}
    if len(folders) == 1:
        return folders.pop()
    split = [folder.split("/") for folder in folders]
    return "/".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*split, strict=False)))


def _bare(url: str, common: str) -> str:
    plain = _plain(url)
    inside = plain[len(common) :].lstrip("/") if common and plain.startswith(common) else plain.rpartition("/")[2]
    bare = inside[: len(inside) - len(_ending(url))]
    return "/".join(part for part in bare.split("/") if part not in ("", ".", "..")) or "shard"


def _parts(url: str, bare: str) -> Iterator[tuple[str, tuple[int, int] | None]]:
    size = size_of(url)
    if size is None or size <= MANIFEST_PART:
        yield bare, None
        return
    for number, start in enumerate(range(0, size, MANIFEST_PART)):
        yield f"{bare}-{number:05d}", (start, min(size, start + MANIFEST_PART))


def settings_hash(settings: object) -> str:
    """Sixteen hex digits that stand for the settings of a run: plain values of JSON."""
    return hashlib.sha256(json_text(settings, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]


class ResultFolder:
    """Where a run over shards puts its results: a folder, or an address that fsspec can write to.

    Args:
        place: path or address.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = str(place).rstrip("/") if "://" in str(place) else str(place)
        #: Whether it is a folder, not a store.
        self.local = "://" not in self.place
        self._left: dict[Path, list[Path]] = {}

    def address(self, name: str) -> str:
        """Path or address of a file of the run."""
        return str(Path(self.place) / name) if self.local else posixpath.join(self.place, name)

    def __str__(self) -> str:
        return self.place

    def exists(self, name: str) -> bool:
        """Whether a file of this name is there. Raises StorageError."""
        if self.local:
            return (Path(self.place) / name).is_file()
        return version_of(self.address(name), missing="") != ""  # fsspec's own answer is no while a store is away

    def read(self, name: str) -> bytes:
        """The content of a file. Raises StorageError."""
        return read_range(self.address(name))

    def marker(self, name: str) -> dict[str, Any] | None:
        """A JSON object of the run; None if it is missing or not one, as of a run that was cut off. Raises StorageError."""
        if not self.exists(name):
            return None
        try:
            found = parse_json(self.read(name), limit=_MOST_LIST, what="the marker of the shard")
        except DataFileError:
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, data: bytes) -> None:
        """Write a small file so that it is there whole or not at all. Raises StorageError."""
        if self.local:
            folder, begin = self._unfinished(name)
            make_folder(folder)
            atomic_write(Path(self.place) / name, data, temporary=folder / f"{begin}{secrets.token_hex(3)}.tmp")
            return
        with _writing(self.address(name)):
            again(self.address(name), lambda: self._sent(name, lambda system, path: system.pipe_file(path, data)))

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A temporary local file that takes this name when the block ends well. Raises StorageError."""
        folder, begin = self._unfinished(name)
        if self.local:
            make_folder(folder)
            refuse_photograph(folder / posixpath.basename(name))
        temporary = folder / f"{begin}{secrets.token_hex(3)}.tmp"
        try:
            yield temporary
            if self.local:
                target = folder / posixpath.basename(name)
                try:
                    with temporary.open("rb+") as stream:
                        os.fsync(stream.fileno())
                except OSError as error:
                    raise storage_error(error, target) from error
                replace_file(temporary, target)
                flush_folder(folder)
                return
            with _writing(self.address(name)):
                again(self.address(name), lambda: self._sent(name, lambda system, path: system.put_file(str(temporary), path)))
        finally:
            temporary.unlink(missing_ok=True)

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file unless one of this name is there already; whether it was written.

        Of processes that create one file in a folder at the same time one succeeds. Stores promise no such thing.

        Raises:
            StorageError: it cannot be written.
        """
        if not self.local:
            if self.exists(name):
                return False
            self.write(name, data)
            return True
        folder, begin = self._unfinished(name)
        make_folder(folder)
        return create_file(Path(self.place) / name, data, temporary=folder / f"{begin}{secrets.token_hex(3)}.tmp")

    def _sent(self, name: str, send: Callable[[Any, str], object]) -> None:
        """Write a file of a store, which shows an object when it is complete."""
        system, path = file_system(self.address(name))
        system.makedirs(posixpath.dirname(path), exist_ok=True)
        send(system, path)

    def _unfinished(self, name: str) -> tuple[Path, str]:
        """Where :meth:`replacing` writes a file, and how its temporary names begin: they tell which file was begun."""
        folder = (Path(self.place) / name).parent if self.local else Path(tempfile.gettempdir())
        digest = hashlib.sha256(settled_place(self.address(name)).encode("utf-8", "surrogateescape")).hexdigest()
        return folder, f".atrous-{digest[:10]}"

    def remove_unfinished(self, *names: str) -> None:
        """Remove what runs that were killed left of files of these names; those of other files may be of a run that goes on.

        Folders are listed once, at the first call.
        """
        for folder, begin in map(self._unfinished, names):
            if folder not in self._left:
                self._left[folder] = list(folder.glob(UNFINISHED))
            for path in self._left[folder]:
                if path.name.startswith(begin):
                    with suppress(OSError):
                        path.unlink()


@contextmanager
def _writing(url: str) -> Iterator[None]:
    try:
        yield
    except AtrousError:
        raise
    except Exception as error:  # each store has errors of its own
        why = f"{type(error).__name__}: {error}".strip(": ")[:300]
        raise StorageError(message("{url} cannot be written", url=url), why=why, remedy=_CHECK) from error


_SAFE = re.compile(r"(^/|^\.\.?(/|$)|/\.\.?(/|$)|\\|\x00|^$|/$|//)")


def is_safe_key(key: str) -> bool:
    """Whether a key may become a name within an archive: relative, and without parts that lead out of it."""
    return _SAFE.search(key) is None and len(key.encode("utf-8", "surrogateescape")) <= 1000
