"""Reads that a store refuses for a moment are tried again, within bounds; what stays wrong is not."""

from __future__ import annotations

import errno
import gzip
import io
import logging
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from deeplab_core.errors import StorageError
from deeplab_core.shards import (
    BrokenSample,
    Fields,
    ResultFolder,
    ShardSample,
    list_shards,
    read_shard,
    retries,
    shard_version,
)
from deeplab_core.shards.places import opened, read_range, version_of
from deeplab_core.shards.retries import SteadyStream, again, is_missing, is_passing
from tests.fakes.shards import write_tar
from tests.file_server import FileServer, serving


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were made; none takes time."""
    made: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", made.append)
    return made


def read(server: FileServer, name: str) -> list[ShardSample | BrokenSample]:
    return [each for shard in list_shards([server.url(name)]) for each in read_shard(shard, Fields(), ("image",))]


def tar(folder: Path, size: int = 30_000) -> bytes:
    return write_tar(folder / "s.tar", {f"{number}.jpg": bytes([number]) * size for number in range(5)}).read_bytes()


def test_a_server_that_is_busy_is_asked_again(
    tmp_path: Path, waited: list[float], caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    with serving() as server, caplog.at_level(logging.WARNING, "deeplab_core.shards.retries"):
        server.files["/s.tar"] = tar(tmp_path)
        server.status = [503, 429]
        assert version_of(server.url("/s.tar"))
        assert waited == [1.0, 4.0]
        assert "trying again in 4 s" in caplog.text
        assert server.url("/s.tar") in caplog.text
        server.status = [500]
        assert read_range(server.url("/s.tar"), 0, 4) == b"0.jp"


def test_the_number_of_tries_is_bounded(waited: list[float]) -> None:
    with serving() as server:
        server.status = [503] * 50
        with pytest.raises(StorageError, match=r"cannot be read.*503"):
            version_of(server.url("/s.tar"))
        assert waited == [1.0, 4.0, 15.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_a_refusal_that_stays_is_not_tried_again(status: int, waited: list[float]) -> None:
    with serving() as server:
        server.status = [status] * 50
        with pytest.raises(StorageError):
            version_of(server.url("/s.tar"))
        assert waited == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_costs_no_sample(tmp_path: Path, waited: list[float], ranges: bool) -> None:
    with serving() as server:
        server.ranges = ranges
        server.files["/s.tar"] = tar(tmp_path)
        whole = read(server, "/s.tar")
        server.stop_after = [1 << 30, 70_000, 1 << 30, 100_000] if ranges else [1 << 30, 70_000]
        found = read(server, "/s.tar")
        assert waited
        assert all(isinstance(each, ShardSample) for each in found), found
        assert [(each.key, each.files) for each in found if isinstance(each, ShardSample)] == [
            (each.key, each.files) for each in whole if isinstance(each, ShardSample)
        ]
        assert len(found) == 5


def test_tables_too(tmp_path: Path, waited: list[float]) -> None:
    parquet.write_table(pa.table({"image": [bytes([number]) * 1000 for number in range(5)]}), tmp_path / "t.parquet")
    with serving() as server:
        server.files["/t.parquet"] = (tmp_path / "t.parquet").read_bytes()
        shard = list_shards([server.url("/t.parquet")])[0]
        server.status = [0, 503, 503]
        assert shard_version(shard, Fields(), ("image",)) == version_of(shard.url)
        server.status = [0, 502]
        found = read(server, "/t.parquet")
        assert [each.files["image"][:1] for each in found if isinstance(each, ShardSample)] == [bytes([n]) for n in range(5)]
        assert len(waited) == 3


def test_a_stream_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    data, opened_at = bytes(range(200)), []

    class Failing(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            type(self).reads += 1
            if self.reads % 3 == 0:
                raise OSError(errno.ESTALE, "Stale file handle")
            return super().read(size)

    def make() -> io.BytesIO:
        opened_at.append(Failing.reads)
        return Failing(data)

    stream = SteadyStream("x", 5, make)
    assert b"".join(iter(lambda: stream.read(20), b"")) == data[5:]
    assert stream.tell() == 200
    assert stream.seek(-3, io.SEEK_END) == 197
    assert stream.read() == data[-3:]
    assert len(opened_at) == 1 + len(waited)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (TimeoutError(), True), (ConnectionResetError(errno.ECONNRESET, "reset"), True), (OSError(errno.EIO, "disk"), True),
        (OSError("no number"), True), (RuntimeError("of a store"), True), (FileNotFoundError("x"), False),
        (PermissionError(errno.EACCES, "no"), False), (OSError(errno.ENAMETOOLONG, "long"), False), (ValueError("x"), False),
        (NotImplementedError(), False), (EOFError(), False), (zlib.error("invalid distance"), False),
    ],
)  # fmt: skip
def test_which_errors_pass(error: Exception, passes: bool) -> None:
    assert is_passing(error) == passes


class Answer(Exception):
    """Of a server, as a client library raises it."""

    def __init__(self, **places: Any) -> None:
        super().__init__("answer")
        for name, value in places.items():
            setattr(self, name, value)


@pytest.mark.parametrize("status", [404, 410, 403, 503])
@pytest.mark.parametrize("library", ["aiohttp", "azure", "botocore"])
def test_a_store_says_in_its_own_way_that_a_file_is_missing(library: str, status: int, waited: list[float]) -> None:
    """A missing object of S3 or Azure was tried four times, and then it could 'not be read'."""
    places = {
        "aiohttp": {"status": status}, "azure": {"status_code": status, "response": object()},
        "botocore": {"response": {"ResponseMetadata": {"HTTPStatusCode": status}}},
    }  # fmt: skip
    error = FileNotFoundError("bucket/key")
    error.__cause__ = Answer(**places[library])

    def work() -> None:
        raise error

    assert is_missing(error) == (status in (404, 410))
    with pytest.raises(FileNotFoundError):
        again("s3://bucket/key", work)
    assert bool(waited) == (status == 503)


def test_a_key_that_is_not_there_is_a_missing_file() -> None:
    with pytest.raises(StorageError, match="there is no such file"):
        read_range("memory://bucket/missing")


def test_damaged_compression_is_not_tried_again(tmp_path: Path, waited: list[float]) -> None:
    data = bytearray(gzip.compress(tar(tmp_path), 6))
    data[40:80] = bytes(40)
    (tmp_path / "s.tar.gz").write_bytes(bytes(data))
    found = [each for shard in list_shards([str(tmp_path / "s.tar.gz")]) for each in read_shard(shard, Fields(), ("image",))]
    assert isinstance(found[-1], BrokenSample)
    assert not found[-1].transient
    assert waited == []


@pytest.mark.parametrize("name", ["s.tgz", "s.tar.gz", "s.tar.gz?token=1"])
def test_compressed_archives_are_read_by_any_of_their_names(tmp_path: Path, name: str) -> None:
    with serving() as server:
        server.files["/" + name] = gzip.compress(tar(tmp_path))
        assert [each.key for each in read(server, "/" + name)] == ["0", "1", "2", "3", "4"]


def test_whether_a_result_is_there_is_not_guessed_while_its_store_is_away() -> None:
    """Results that were there were made again, or replaced."""
    with serving() as server:
        results = ResultFolder(server.url("/out"))
        server.files["/out/s.tar"] = b"masks"
        assert results.exists("s.tar")
        assert not results.exists("other.tar")
        server.status = [503] * 50
        with pytest.raises(StorageError, match="cannot be read"):
            results.exists("s.tar")


def test_what_a_user_ends_is_over_at_once(waited: list[float]) -> None:
    def work() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again("x", work)
    assert waited == []


def test_a_local_file_is_opened_where_reading_begins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with opened(str(tmp_path / "a"), 4) as stream:
        assert (stream.tell(), stream.read(3), stream.read(), stream.read(1)) == (4, b"456", b"789", b"")
