"""Samples out of Parquet files and manifests, whose columns are named."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from deeplab_core.errors import AtrousError, DataFileError, StorageError, message
from deeplab_core.flavour import install_command
from deeplab_core.reading import parse_json, shorten
from deeplab_core.shards.places import Shard, is_safe_key, opened, reaching, read_range
from deeplab_core.shards.retries import SteadyStream
from deeplab_core.shards.samples import COPY, IDS, BrokenSample, Fields, ShardSample, member_path

#: Longest line of a manifest.
_LONGEST_LINE = 64 << 10
#: How Parquet files are opened: in this thread, with checksums where there are some, and with small headers.
_CAREFUL = {
    "pre_buffer": False, "thrift_string_size_limit": 16 << 20, "thrift_container_size_limit": 1 << 20,
    "page_checksum_verification": True,
}  # fmt: skip


class _Seekable:
    """A file as pyarrow reads it; errors of the store name the shard, and are not taken for damage."""

    def __init__(self, stream: SteadyStream, url: str) -> None:
        self._stream, self._url, self.closed = stream, url, False

    def read(self, size: int = -1) -> bytes:
        with reaching(self._url):
            return self._stream.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        with reaching(self._url):
            return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self.closed = True


def parquet_samples(
    shard: Shard, names: Fields, roles: tuple[str, ...], start: int, first: int
) -> Iterator[ShardSample | BrokenSample]:
    """Rows of a Parquet file; see :func:`deeplab_core.shards.read_shard`. Raises what its readers raise."""
    with _table(shard) as table:
        there = table.schema_arrow.names
        columns = {role: _column(names.names(role, shard), there) for role in roles}
        identity = names.id if names.id in there else _column(IDS, there) if not names.id else None
        wanted = [name for name in (*columns.values(), identity) if name is not None]
        row = 0
        for group in range(table.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            if row + count <= start:
                row += count
                continue
            done = row
            try:
                for batch in table.iter_batches(batch_size=16, row_groups=[group], columns=wanted, use_threads=False):
                    for values in batch.to_pylist():
                        if done >= start:
                            yield _row_sample(shard, values, columns, identity, done)
                        done += 1
            except AtrousError:
                raise
            except Exception as error:  # one damaged group; the next may be whole
                for lost in range(max(done, start), row + count):
                    yield BrokenSample(f"{shard.name}-{lost:06d}", _damaged_group(shard, group, error), lost)
            row += count
    del first  # rows are numbered from the beginning of the file


@contextmanager
def _table(shard: Shard) -> Iterator[Any]:
    """A Parquet file. Raises AtrousError, and what pyarrow raises."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise AtrousError(
            message("pyarrow is not installed"), remedy=message("Install it: {command}", command=install_command("shards"))
        ) from error
    with opened(shard.url) as stream:
        yield parquet.ParquetFile(_Seekable(stream, shard.url), **_CAREFUL)


def _damaged_group(shard: Shard, group: int, error: Exception) -> AtrousError:
    return DataFileError(
        message("row group {group} is damaged", group=group),
        why=message("{kind}: {text}", kind=type(error).__name__, text=str(error)[:300]),
        remedy=COPY,
        path=member_path(shard, ""),
    )


def _column(names: tuple[str, ...], there: list[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _row_sample(
    shard: Shard, values: Mapping[str, Any], columns: Mapping[str, str | None], identity: str | None, number: int
) -> ShardSample | BrokenSample:
    key = str(values[identity]) if identity is not None and values.get(identity) is not None else ""
    if not key:
        image = values.get(columns.get("image") or "")
        path = image.get("path") if isinstance(image, dict) else None
        key = _stem(str(path)) if path else f"{PurePosixPath(shard.name).name}-{number:06d}"
    found: dict[str, bytes] = {}
    paths: dict[str, Path] = {}
    try:
        if not is_safe_key(key):
            raise DataFileError(message("the name '{key}' leads out of its folder", key=shorten(key)))
        for role, column in columns.items():
            value = values.get(column) if column is not None else None
            paths[role] = member_path(shard, key)
            data = value.get("bytes") if isinstance(value, dict) else value
            if data is None and isinstance(value, dict):
                data = value.get("path")
            if isinstance(data, str):
                data = _fetched(data, shard)
            if isinstance(data, bytes):
                found[role] = data
    except AtrousError as error:
        error.path = error.path or member_path(shard, f"row {number}")
        return BrokenSample(key, error, number, transient=isinstance(error, StorageError))
    return ShardSample(key, number, number, found, paths)


def _stem(path: str) -> str:
    """A path or address as a name: relative, and without its ending."""
    plain = path.split("?", 1)[0]
    inside = plain.partition("://")[2].partition("/")[2] if "://" in plain else plain
    parts = [part for part in inside.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    name = "/".join(parts)
    last = parts[-1] if parts else ""
    dot = last.rfind(".")
    return name[: len(name) - len(last) + dot] if dot > 0 else name


def _fetched(place: str, shard: Shard) -> bytes:
    """The content of a file that a manifest or table names; relative paths start at its folder."""
    return read_range(_placed(place, shard))


def _placed(place: str, shard: Shard) -> str:
    if "://" not in place and not place.startswith("/"):
        folder = shard.url.split("?", 1)[0].rpartition("/")[0]
        return f"{folder}/{place}" if folder else place
    return place


# Files by name


def named_files(shard: Shard, names: Fields, roles: tuple[str, ...]) -> Iterator[str]:
    """Addresses of the files that a table or a part of a manifest names for these roles, in its order.

    Of a table that holds contents nothing but its footer is read. What is damaged ends the list: reading the shard says so.

    Raises:
        AtrousError: pyarrow is missing, or the store was not reached.
    """
    if shard.kind != "parquet":
        yield from _named_by_lines(shard, names, roles)
        return
    try:
        with _table(shard) as table:
            for role in roles:
                column = _column(names.names(role, shard), table.schema_arrow.names)
                for place in () if column is None else _paths(table, column):
                    yield _placed(place, shard)
    except AtrousError:
        raise
    except Exception:  # pyarrow raises many kinds
        return


def _paths(table: Any, column: str) -> Iterator[str]:
    """Texts of a column, or paths of its structures without bytes."""
    from pyarrow import types

    kind = table.schema_arrow.field(column).type
    if not types.is_struct(kind):
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if types.is_string(kind) or types.is_large_string(kind):
            for row in _values(table, [column]):
                if row[column]:
                    yield row[column]
        return
    parts = {kind.field(number).name for number in range(kind.num_fields)}
    for group in range(table.num_row_groups if "path" in parts else 0):
        there = _filled(table.metadata.row_group(group), f"{column}.bytes") if "bytes" in parts else 0
        if there == table.metadata.row_group(group).num_rows:
            continue
        wanted = [f"{column}.path"] if there == 0 else [f"{column}.path", f"{column}.bytes"]
        for row in _values(table, wanted, [group]):
            value = row[column]
            if value and value.get("bytes") is None and isinstance(value["path"], str) and value["path"]:
                yield value["path"]


def _filled(group: Any, leaf: str) -> int | None:
    """How many values of a leaf column are there, by the statistics of a row group; None where it has none."""
    for number in range(group.num_columns):
        found = group.column(number)
        if found.path_in_schema == leaf:
            statistics = found.statistics
            return group.num_rows - statistics.null_count if statistics is not None and statistics.has_null_count else None
    return None


def _values(table: Any, columns: list[str], groups: list[int] | None = None) -> Iterator[Any]:
    for batch in table.iter_batches(batch_size=16, row_groups=groups, columns=columns, use_threads=False):
        yield from batch.to_pylist()


# Manifests


def _named_by_lines(shard: Shard, names: Fields, roles: tuple[str, ...]) -> Iterator[str]:
    for _place, values in _rows(shard, 0):
        if isinstance(values, AtrousError):
            continue
        for role in roles:
            column = _column(names.names(role, shard), list(values))
            value = values[column] if column is not None else None
            value = value.get("path") if isinstance(value, dict) else value
            if isinstance(value, str) and value:
                yield _placed(value, shard)


def _rows(shard: Shard, start: int) -> Iterator[tuple[int, dict[str, Any] | AtrousError]]:
    """First byte and values of each line, or what is wrong with it."""
    head = _head(shard) if shard.kind == "csv" else None
    for place, line in _lines(shard, start):
        if head is not None and place == 0:
            continue
        try:
            yield place, _csv_row(line, head, shard) if head is not None else _json_row(line, shard)
        except AtrousError as error:
            error.path = error.path or member_path(shard, f"byte {place}")
            yield place, error


def manifest_samples(
    shard: Shard, names: Fields, roles: tuple[str, ...], start: int, first: int
) -> Iterator[ShardSample | BrokenSample]:
    """Lines of a part of a manifest; see :func:`deeplab_core.shards.read_shard`. Raises AtrousError."""
    for number, (place, values) in enumerate(_rows(shard, start), start=first):
        if isinstance(values, AtrousError):
            yield BrokenSample(f"{shard.name}-{place}", values, number)
            continue
        columns = {role: _column(names.names(role, shard), list(values)) for role in roles}
        identity = names.id or _column(IDS, list(values))
        key = str(values.get(identity or "") or "") or _stem(str(values.get(columns.get("image") or "", "")))
        if not key:
            key = _stem(str(next((values[name] for name in columns.values() if name is not None), ""))) or f"line-{place}"
        sample = _row_sample(shard, {**values, "\0id": key}, columns, "\0id", number)
        if isinstance(sample, ShardSample):
            sample.position = place
            sample.paths = {
                role: Path(str(values[name])) for role, name in columns.items() if name is not None and role in sample.files
            }
        yield sample


def _head(shard: Shard) -> list[str]:
    line = read_range(shard.url, 0, _LONGEST_LINE).split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf")
    return next(csv.reader([line.decode("utf-8", "surrogateescape").rstrip("\r")]), [])


def _lines(shard: Shard, start: int) -> Iterator[tuple[int, bytes]]:
    """(first byte, line) of the lines that begin in the shard's part of a manifest, from byte ``start`` of the file on."""
    low, high = shard.part if shard.part is not None else (0, None)
    place = max(low, start)
    begin = max(0, place - 1)
    data = read_range(shard.url, begin, None if high is None else high + _LONGEST_LINE)
    at = 0
    if begin < place and start <= low:  # the line that was begun before belongs to the part before
        at = data.find(b"\n") + 1
        if not at:
            return
    elif begin < place:
        at = 1
    while at < len(data) and (high is None or begin + at < high):
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end
        line = data[at:stop].rstrip(b"\r")
        if line.strip():
            yield begin + at, line
        at = stop + 1


def _csv_row(line: bytes, head: list[str], shard: Shard) -> dict[str, str]:
    values = next(csv.reader([line.decode("utf-8", "surrogateescape")]), [])
    if len(values) != len(head):
        raise DataFileError(
            message("the line has {values} columns, the first line of the file names {columns}",
                    values=len(values), columns=len(head)),
            remedy=message("Write one line for each image; texts hold no line breaks"), path=member_path(shard, ""),
        )  # fmt: skip
    return dict(zip(head, values, strict=True))


def _json_row(line: bytes, shard: Shard) -> dict[str, Any]:
    values = parse_json(line, path=member_path(shard, ""), limit=_LONGEST_LINE, what="the line")
    if not isinstance(values, dict):
        raise DataFileError(
            message("the line is not an object"),
            remedy=message('Write lines like {"image": "a.jpg"}'),
            path=member_path(shard, ""),
        )
    return {name: value for name, value in values.items() if value is not None}
