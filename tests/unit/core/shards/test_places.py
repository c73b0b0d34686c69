"""Where shards lie and results go: patterns, lists, stores."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from deeplab_core.errors import AtrousError, ProtectedFile, StorageError
from deeplab_core.shards import ResultFolder, finished, list_shards, mark_finished, version_of, writing_shard
from tests.fakes.shards import picture, read_tar, write_tar
from tests.file_server import serving


def names(*specs: str | Path) -> list[str]:
    return [shard.name for shard in list_shards([str(spec) for spec in specs])]


def test_braces_are_written_out_without_looking(tmp_path: Path) -> None:
    assert names(tmp_path / "p-{008..011}.tar") == ["p-008", "p-009", "p-010", "p-011"]
    assert names("https://nowhere.invalid/{a,b}/x.tar") == ["a/x", "b/x"]
    with serving() as server:
        assert names(server.url("/p-{0..99}.tar"))[-1] == "p-99"
        assert server.seen == []


def test_stars_folders_and_lists(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "c.parquet", "notes.txt"):
        (tmp_path / name).touch()
    assert names(tmp_path / "*.tar") == ["a", "b"]
    assert names(tmp_path) == ["a", "b", "c"]
    (tmp_path / "list.txt").write_text("# mine\nb.tar\nsub/d.tar\n")
    assert names(f"@{tmp_path}/list.txt") == ["b", "sub/d"]


def test_what_is_no_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AtrousError, match=r"photo\.jpg is not a shard"):
        names(tmp_path / "photo.jpg")
    with pytest.raises(AtrousError, match="there is no shard"):
        names(tmp_path / "*.tar")
    with pytest.raises(AtrousError, match="braces do not match"):
        names("p-{0..3.tar")
    with pytest.raises(AtrousError, match="would have the same results"):
        names("a.tar", "a.parquet")
    with pytest.raises(AtrousError, match="cannot be opened"):
        names("unknown-store://bucket/*.tar")


@pytest.fixture(params=["folder", "store"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> ResultFolder:
    if request.param == "store":
        fsspec.filesystem("memory").store.clear()
        return ResultFolder("memory://bucket/out")
    return ResultFolder(tmp_path / "out")


def test_results_are_there_whole_or_not_at_all(results: ResultFolder, tmp_path: Path) -> None:
    shard = list_shards([str(write_tar(tmp_path / "s.tar", {"0.jpg": b"i"}))])[0]
    with pytest.raises(TypeError), writing_shard(results, shard) as writer:
        writer.add("0", {"seg.png": b"half", "json": None})  # type: ignore[dict-item]
    assert not results.exists("s.tar")
    with writing_shard(results, shard) as writer:
        writer.add("0", {"seg.png": b"whole"})
    assert results.exists("s.tar")
    (tmp_path / "copy.tar").write_bytes(results.read("s.tar"))
    assert read_tar(tmp_path / "copy.tar") == {"0.seg.png": b"whole"}
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_shard_is_finished_for_its_settings_and_its_content(results: ResultFolder, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"0.jpg": b"i"})
    shard = list_shards([str(path)])[0]
    assert finished(results, shard, "one") is None
    mark_finished(results, shard, "one", version_of(shard.url), images=1)
    found = finished(results, shard, "one")
    assert found is not None
    assert found["images"] == 1
    assert finished(results, shard, "two") is None
    write_tar(path, {"0.jpg": b"i" * 20_000})
    assert finished(results, shard, "one") is None
    results.write("s.json", b'{"format": "atr')
    assert finished(results, shard, "one") is None


def test_a_photograph_is_never_replaced(tmp_path: Path) -> None:
    shard = list_shards([str(tmp_path / "s.tar")])[0]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "s.tar").write_bytes(picture(1, kind="JPEG"))
    with pytest.raises(ProtectedFile), writing_shard(ResultFolder(tmp_path / "out"), shard):
        pass


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with serving() as server, pytest.raises(StorageError, match="cannot be written"):
        ResultFolder(server.url("/out")).write("s.json", b"{}")
