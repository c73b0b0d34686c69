"""Samples out of tar files, Parquet files and manifests; damage is named, and what is whole is read."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from webdataset.tariterators import group_by_keys, tar_file_expander

from deeplab_core.errors import DataFileError, StorageError
from deeplab_core.shards import BrokenSample, Fields, ResultFolder, ShardSample, list_shards, read_shard, retries, writing_shard
from deeplab_core.shards import places as places_module
from deeplab_core.shards.places import MANIFEST_PART, version_of
from tests.fakes.shards import read_tar, write_tar
from tests.file_server import serving

BOTH = ("image", "truth")


def read(
    path: Path, fields: Fields | None = None, roles: tuple[str, ...] = BOTH, **more: int
) -> list[ShardSample | BrokenSample]:
    return [each for shard in list_shards([str(path)]) for each in read_shard(shard, fields or Fields(), roles, **more)]


def good(path: Path, fields: Fields | None = None, roles: tuple[str, ...] = BOTH, **more: int) -> list[ShardSample]:
    found = read(path, fields, roles, **more)
    assert all(isinstance(each, ShardSample) for each in found), found
    return [each for each in found if isinstance(each, ShardSample)]


def tar(path: Path, count: int = 3) -> Path:
    members = {}
    for number in range(count):
        members |= {f"a/{number}.jpg": b"i%d" % number, f"a/{number}.seg.png": b"t%d" % number, f"a/{number}.cls": b"7"}
    return write_tar(path, members)


def test_files_of_a_sample_belong_together_up_to_the_first_dot(tmp_path: Path) -> None:
    found = good(tar(tmp_path / "s.tar"))
    assert [(each.key, each.number, each.files) for each in found] == [
        (f"a/{number}", number, {"image": b"i%d" % number, "truth": b"t%d" % number}) for number in range(3)
    ]
    assert found[1].paths["truth"].as_posix() == "s.tar/a/1.seg.png"


def test_reading_begins_again_at_any_sample(tmp_path: Path) -> None:
    path = tar(tmp_path / "s.tar")
    for sample in good(path):
        again = good(path, start=sample.position, first=sample.number)
        assert [each.key for each in again] == [f"a/{number}" for number in range(sample.number, 3)]
        assert again[0].number == sample.number
        assert again[0].position == sample.position


def test_webdataset_and_this_program_read_the_same_samples(tmp_path: Path) -> None:
    with writing_shard(ResultFolder(tmp_path), list_shards(["s.tar"])[0]) as writer:
        for number in range(3):
            writer.add(f"deep/{number}", {"jpg": b"i%d" % number, "seg.png": b"t%d" % number})
    with (tmp_path / "s.tar").open("rb") as stream:
        theirs = list(group_by_keys(tar_file_expander([{"url": "s.tar", "stream": stream}])))
    assert [(each["__key__"], each["jpg"], each["seg.png"]) for each in theirs] == [
        (each.key, each.files["image"], each.files["truth"]) for each in good(tmp_path / "s.tar")
    ]


def test_names_of_the_user_win_and_are_not_taken_for_another_role(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"0.jpg": b"i", "0.png": b"t"})
    (either,) = read(path)
    assert isinstance(either, BrokenSample)
    assert "two files that may be its image" in str(either.error)
    assert "--image-field" in str(either.error)
    (sample,) = good(path, Fields(truth="png"))
    assert sample.files == {"image": b"i", "truth": b"t"}


def test_a_missing_file_says_what_was_looked_for(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"0.jpg": b"i"})
    (sample,) = good(path)
    with pytest.raises(DataFileError, match=r"no truth of this sample.*seg\.png.*--truth-field"):
        sample.demand("truth", list_shards([str(path)])[0], Fields())


@pytest.mark.parametrize("end", [512 * 6 + 100, 512 * 6, 512 * 9], ids=["in a header", "before a header", "in a member"])
def test_a_shard_that_ends_too_early_gives_what_is_whole_and_says_so(tmp_path: Path, end: int) -> None:
    path = tar(tmp_path / "s.tar")
    path.write_bytes(path.read_bytes()[:end])
    *whole, last = read(path)
    assert isinstance(last, BrokenSample)
    assert last.whole_shard
    assert not last.transient
    assert "s.tar: the shard is damaged" in str(last.error)
    assert [each.key for each in whole if isinstance(each, ShardSample)] == ["a/0"][: len(whole)]
    assert len(whole) == 1


def test_a_damaged_header_is_not_the_end_of_the_shard(tmp_path: Path) -> None:
    """tarfile takes it for the end and says nothing."""
    path = tar(tmp_path / "s.tar")
    data = bytearray(path.read_bytes())
    data[512 * 6 + 5] ^= 255
    path.write_bytes(data)
    with tarfile.open(path) as archive:
        assert len(archive.getmembers()) == 3
    assert [type(each) for each in read(path)] == [ShardSample, BrokenSample]


def test_a_compressed_shard_is_read_and_its_damage_named(tmp_path: Path) -> None:
    data = tar(tmp_path / "s.tar").read_bytes()
    path = tmp_path / "z.tar.gz"
    path.write_bytes(gzip.compress(data))
    assert len(good(path)) == 3
    path.write_bytes(gzip.compress(data)[:90])
    assert "compression is damaged" in str(read(path)[-1].error)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path / "s.tar", {f"{name}.jpg": b"i", "good.jpg": b"i"})
    bad, fine = read(path)
    assert isinstance(bad, BrokenSample)
    assert isinstance(fine, ShardSample)


def test_a_name_that_occurs_twice_fails_alone(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"0.jpg": b"i", "1.jpg": b"i"})
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("0.jpg")
        archive.addfile(member, io.BytesIO())
    found = read(path)
    assert [type(each) for each in found] == [ShardSample, ShardSample, BrokenSample]


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('a pickle was run')",))


def test_pickles_links_and_devices_of_a_shard_do_nothing(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"0.jpg": b"i", "0.pyd": pickle.dumps(Bomb()), "0.pth": pickle.dumps(Bomb())})
    with tarfile.open(path, "a") as archive:
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "0.jpg"), (tarfile.CHRTYPE, "")):
            member = tarfile.TarInfo("1.jpg")
            member.type, member.linkname = kind, target
            archive.addfile(member)
    whole, *links = read(path)
    assert isinstance(whole, ShardSample)
    assert whole.key == "0"
    assert [(type(each), each.key) for each in links] == [(BrokenSample, "1")]  # not passed over in silence
    assert "s.tar/1.jpg: this member is a link to '0.jpg', which is not followed" in str(links[0].error)  # type: ignore[union-attr]


def test_an_image_that_tar_wrote_as_a_link_fails_alone(tmp_path: Path) -> None:
    """GNU tar writes the second name of a file as a link to the first."""
    path = write_tar(tmp_path / "s.tar", {"0.jpg": b"i"})
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("1.jpg")
        member.type, member.linkname = tarfile.LNKTYPE, "0.jpg"
        archive.addfile(member)
        archive.addfile(tarfile.TarInfo("2.jpg"), io.BytesIO())
    assert [(type(each), each.key) for each in read(path)] == [(ShardSample, "0"), (BrokenSample, "1"), (ShardSample, "2")]


def test_a_server_that_is_away_is_no_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAUSES", ())
    with serving() as server:
        server.files = {}
        with pytest.raises(StorageError, match="there is no such file"):
            version_of(server.url("/s.tar"))
        assert version_of(server.url("/s.tar"), missing="-") == "-"
        gone = server.url("/s.tar")
    for missing in (None, "-"):
        with pytest.raises(StorageError, match=r"cannot be read.*Connect"):
            version_of(gone, missing=missing)


def test_a_missing_shard_may_be_tried_again(tmp_path: Path) -> None:
    (lost,) = read(tmp_path / "none.tar")
    assert isinstance(lost, BrokenSample)
    assert lost.transient
    assert isinstance(lost.error, StorageError)


# Parquet


def table(path: Path, rows: int = 5) -> Path:
    values = {
        "image": [{"bytes": b"i%d" % number, "path": f"z/{number}.jpg"} for number in range(rows)],
        "mask": [b"t%d" % number for number in range(rows)],
    }
    parquet.write_table(pa.table(values), path, row_group_size=2, compression="none")
    return path


def test_rows_of_parquet_files(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet")
    assert [(each.key, each.number, each.files) for each in good(path)] == [
        (f"z/{number}", number, {"image": b"i%d" % number, "truth": b"t%d" % number}) for number in range(5)
    ]
    assert [each.number for each in good(path, start=3)] == [3, 4]


def test_a_damaged_row_group_costs_its_rows(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet")
    found = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    data[found.data_page_offset : found.data_page_offset + 12] = bytes(12)
    path.write_bytes(data)
    assert [type(each) for each in read(path)] == [ShardSample, ShardSample, BrokenSample, BrokenSample, ShardSample]


def test_a_table_without_a_footer_is_a_damaged_shard(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    (lost,) = read(path)
    assert isinstance(lost, BrokenSample)
    assert lost.whole_shard
    assert "t.parquet" in str(lost.error)


# Manifests


def test_lines_of_a_manifest_name_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"i")
    (tmp_path / "b.png").write_bytes(b"t")
    (tmp_path / "m.csv").write_text('image,truth,id\na.jpg,b.png,"x"\ngone.jpg,b.png,y\na.jpg,b.png\n')
    first, second, third = read(tmp_path / "m.csv")
    assert isinstance(first, ShardSample)
    assert (first.key, first.files) == ("x", {"image": b"i", "truth": b"t"})
    assert isinstance(second, BrokenSample)
    assert "gone.jpg" in str(second.error)
    assert isinstance(third, BrokenSample)
    assert "2 columns" in str(third.error)
    (tmp_path / "m.jsonl").write_text('{"image": "a.jpg"}\nnonsense\n[1]\n')
    assert [type(each) for each in read(tmp_path / "m.jsonl", roles=("image",))] == [ShardSample, BrokenSample, BrokenSample]


@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=60), part=st.integers(1, 400), head=st.booleans())
def test_every_line_belongs_to_exactly_one_part(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], part: int, head: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / ("m.csv" if head else "m.jsonl")
    (path.parent / "a").write_bytes(b"i")
    rows = [f"a,{number},{'x' * length}" if head else f'{{"image": "a", "id": "{number}", "more": "{"x" * length}"}}'
            for number, length in enumerate(lengths)]  # fmt: skip
    path.write_text("\n".join(["image,id,more", *rows] if head else rows) + ("\n" if len(lengths) % 2 else ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places_module, "MANIFEST_PART", part)
        shards = list_shards([str(path)])
    assert len(shards) == max(1, -(-path.stat().st_size // part))
    keys = [each.key for shard in shards for each in read_shard(shard, Fields(), ("image",)) if isinstance(each, ShardSample)]
    assert keys == [str(number) for number in range(len(lengths))]


def test_a_manifest_of_a_thousand_lines_is_cut(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"image": "a"}\n' * 10_000)
    assert len(list_shards([str(tmp_path / "m.jsonl")])) == -(-150_000 // MANIFEST_PART)


def test_equal_results_have_equal_bytes(tmp_path: Path) -> None:
    shard = list_shards(["s.tar"])[0]
    for folder in ("one", "two"):
        with writing_shard(ResultFolder(tmp_path / folder), shard) as writer:
            writer.add("k", {"seg.png": b"x"})
    assert (tmp_path / "one" / "s.tar").read_bytes() == (tmp_path / "two" / "s.tar").read_bytes()
    assert read_tar(tmp_path / "one" / "s.tar") == {"k.seg.png": b"x"}
