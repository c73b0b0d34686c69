"""Where shards lie and results go: patterns, lists, stores."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from deeplab_core.atomic import UNFINISHED
from deeplab_core.errors import AtrousError, ProtectedFile, StorageError
from deeplab_core.shards import Fields, ResultFolder, finished, list_shards, mark_finished, shard_version, writing_shard
from deeplab_core.shards.places import version_of
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
def results(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultFolder:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
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

    def kept(settings: str) -> dict[str, Any] | None:
        return finished(results, shard, settings, shard_version(shard, Fields(), ("image",)))

    assert kept("one") is None
    mark_finished(results, shard, "one", shard_version(shard, Fields(), ("image",)), images=1)
    found = kept("one")
    assert found is not None
    assert found["images"] == 1
    assert kept("two") is None
    with pytest.raises(KeyboardInterrupt), writing_shard(results, shard, "two"):
        raise KeyboardInterrupt
    assert kept("one") is not None
    with writing_shard(results, shard, "two"):
        pass
    assert kept("one") is None  # a run that ends here must not leave its masks with the marker of the earlier one
    mark_finished(results, shard, "one", shard_version(shard, Fields(), ("image",)))
    write_tar(path, {"0.jpg": b"i" * 20_000})
    assert kept("one") is None
    results.write("s.json", b'{"format": "atr')
    assert kept("one") is None


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_files_of_a_manifest_belong_to_its_version(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    lines = ["image,truth", "a.png,t.png", "b.png,"] if kind == "csv" else ['{"image": "a.png", "truth": "t.png"}', "broken"]
    (tmp_path / f"m.{kind}").write_text("\n".join(lines))
    shard = list_shards([str(tmp_path / f"m.{kind}")])[0]
    images, both = (
        (lambda: shard_version(shard, Fields(), ("image",))),
        (lambda: shard_version(shard, Fields(), ("image", "truth"))),
    )
    before = images(), both()
    assert (images(), both()) == before
    (tmp_path / "t.png").write_bytes(b"now it is there")
    assert images() == before[0]
    assert both() != before[1]
    (tmp_path / "a.png").write_bytes(b"another")
    assert images() != before[0]


@pytest.mark.parametrize("kind", ["text", "struct", "mixed", "no statistics"])
def test_files_that_a_table_names_belong_to_its_version(tmp_path: Path, kind: str) -> None:
    """As those of a manifest; images with their bytes in the table are no such files."""
    for name in "abt":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    images: list[Any] = ["a.png", "b.png", None]
    if kind != "text":
        inside = b"here" if kind != "struct" else None
        images = [{"bytes": None, "path": "a.png"}, {"bytes": inside, "path": "b.png"}, None]
    values = {"image": images, "truth": ["t.png", None, "missing.png"]}
    parquet.write_table(
        pa.table(values), tmp_path / "t.parquet", row_group_size=2, write_statistics=kind != "no statistics"
    )  # fmt: skip
    shard = list_shards([str(tmp_path / "t.parquet")])[0]

    def both() -> tuple[str, str]:
        return shard_version(shard, Fields(), ("image",)), shard_version(shard, Fields(), ("image", "truth"))

    before = both()
    assert both() == before
    (tmp_path / "t.png").write_bytes(b"another")
    assert both()[0] == before[0]
    assert both()[1] != before[1]
    (tmp_path / "b.png").write_bytes(b"another")
    assert (both()[0] == before[0]) == (kind in ("mixed", "no statistics"))
    (tmp_path / "a.png").write_bytes(b"another")
    assert both()[0] != before[0]


def test_of_a_table_with_contents_only_its_end_is_read(tmp_path: Path) -> None:
    rows = [{"bytes": bytes([number]) * 300_000, "path": f"{number}.jpg"} for number in range(24)]
    parquet.write_table(pa.table({"image": rows}), tmp_path / "t.parquet", row_group_size=4, compression="none")
    with serving() as server:
        server.files["/t.parquet"] = (tmp_path / "t.parquet").read_bytes()
        shard = list_shards([server.url("/t.parquet")])[0]
        assert shard_version(shard, Fields(), ("image",)) == version_of(shard.url)
        assert not [path for path, _range, _if in server.seen if path != "/t.parquet"]
        asked = [found for _path, found, _if in server.seen if found]
        assert all(int(found.removeprefix("bytes=").partition("-")[0]) > 3_000_000 for found in asked), asked


def test_a_damaged_table_has_the_version_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing of the kind PAR1")
    shard = list_shards([str(tmp_path / "t.parquet")])[0]
    assert shard_version(shard, Fields(), ("image",)) == version_of(shard.url)


def test_what_a_killed_run_left_of_a_shard_is_removed_and_nothing_else(results: ResultFolder, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_arguments, **_more: None)  # a killed process tidies nothing up
        patch.setattr("deeplab_core.shards.places.replace_file", lambda *_arguments: None)
        for name in ("s.tar", "other.tar"):
            with results.replacing(name) as temporary:
                temporary.write_bytes(b"half")
    folder = temporary.parent
    left = {path.name for path in folder.glob(UNFINISHED) if path.read_bytes() == b"half"}
    ResultFolder(results.place).remove_unfinished("s.tar", "s.json")
    kept = {path.name for path in folder.glob(UNFINISHED)} & left
    assert len(left - kept) == 1
    assert temporary.name in kept
    ResultFolder(results.place).remove_unfinished("other.tar")
    assert not {path.name for path in folder.glob(UNFINISHED)} & left


def test_one_of_several_creates_a_file(results: ResultFolder) -> None:
    assert results.create("run.json", b"one")
    assert not results.create("run.json", b"two")
    assert results.read("run.json") == b"one"
    assert not results.local or [path.name for path in Path(results.place).iterdir()] == ["run.json"]


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was called a folder that may not be written."""

    def no_links(*_arguments: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    results = ResultFolder(tmp_path / "out")
    assert results.create("run.json", b"one")
    assert not results.create("run.json", b"two")
    assert results.read("run.json") == b"one"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


def test_a_full_disk_ends_a_shard_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the run with a traceback, and not each of its images."""
    shard = list_shards([str(write_tar(tmp_path / "s.tar", {"0.jpg": b"i"}))])[0]

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tarfile.TarFile.addfile", full)
    with pytest.raises(StorageError, match="disk is full"), writing_shard(ResultFolder(tmp_path / "out"), shard) as writer:
        writer.add("0", {"seg.png": b"x"})
    assert not list((tmp_path / "out").iterdir())


def test_a_photograph_is_never_replaced(tmp_path: Path) -> None:
    shard = list_shards([str(tmp_path / "s.tar")])[0]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "s.tar").write_bytes(picture(1, kind="JPEG"))
    with pytest.raises(ProtectedFile), writing_shard(ResultFolder(tmp_path / "out"), shard):
        pass


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with serving() as server, pytest.raises(StorageError, match="cannot be written"):
        ResultFolder(server.url("/out")).write("s.json", b"{}")
