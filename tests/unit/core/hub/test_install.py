"""From the list to a file in a folder: archives, receipts, cards, and files that need a browser."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import Cancelled, DownloadError, StorageError
from deeplab_core.hub import (
    DownloadProgress,
    PublishedModel,
    PublishedPart,
    find_installed,
    install,
    read_receipt,
    write_published_card,
)
from deeplab_core.hub.install import take_member
from deeplab_core.records import ModelCard
from deeplab_core.weights import card_path
from tests.file_server import FileServer, serving

GRAPH = b"\x0a\x10graph" * 1000


def packed(*members: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def published(url: str, **rest: object) -> PublishedModel:
    fields = {
        "id": "some-net", "name": "DeepLabv3+", "publisher": "Example Lab", "family": "vainf", "file": "net.pth",
        "page": "https://models.example/page", "licence": "MIT", "data_licence": "VOC: Flickr's terms", "catalog": "voc21",
        "classes": 21, "miou": 71.0, "miou_on": "VOC 2012 val", "miou_source": "its README", "url": url,
    }  # fmt: skip
    return PublishedModel(**(fields | rest))  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        running.files["/net.pth"] = b"weights" * 1000
        running.files["/net.tar.gz"] = packed(("release/model.ckpt.index", b"x"), ("release/frozen_inference_graph.pb", GRAPH))
        yield running


def test_a_file_is_installed_with_a_receipt(server: FileServer, tmp_path: Path) -> None:
    model = published(server.url("/net.pth"))
    found = install(model, tmp_path)
    assert found.path.read_bytes() == server.files["/net.pth"]
    assert "states no checksum" in found.checksum
    receipt = read_receipt(found.path)
    assert receipt is not None
    assert (receipt.id, receipt.url, receipt.bytes) == (model.id, model.url, 7000)
    assert find_installed(model, [tmp_path / "elsewhere", tmp_path]) == found.path


def test_of_a_pair_both_files_are_fetched_and_checked(server: FileServer, tmp_path: Path) -> None:
    server.files["/encoder.onnx"], server.files["/decoder.onnx"] = b"encoder" * 900, b"decoder" * 900
    digest = hashlib.sha256(server.files["/decoder.onnx"]).hexdigest()
    part = PublishedPart(file="decoder.onnx", url=server.url("/decoder.onnx"), sha256_prefix=digest)
    unknown = {"catalog": "", "classes": 0, "miou": None, "miou_on": "", "miou_source": ""}
    pair = unknown | {"family": "clicks", "file": "encoder.onnx"}
    model = published(server.url("/encoder.onnx"), decoder=part, **pair)
    assert model.title == "DeepLabv3+ (Example Lab)"
    assert not model.has_checksum, "that of the encoder is not known"
    found = install(model, tmp_path)
    assert found.decoder == tmp_path / "decoder.onnx"
    assert "states no checksum" in found.checksum
    assert f"of the decoder, it fits the published sha256 prefix {digest}" in found.checksum
    assert find_installed(model, [tmp_path]) == found.path
    again = install(model, tmp_path)
    assert again.already
    found.decoder.unlink()
    assert find_installed(model, [tmp_path]) is None, "half a pair is not there"
    assert not install(model, tmp_path).already
    wrong = published(server.url("/encoder.onnx"), decoder=PublishedPart(file="d.onnx", url=part.url, sha256_prefix="00"), **pair)
    with pytest.raises(DownloadError):
        install(wrong, tmp_path)


def test_what_is_there_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    model = published(server.url("/net.pth"))
    install(model, tmp_path)
    server.seen.clear()
    assert install(model, tmp_path).already
    assert server.seen == []
    assert not install(model, tmp_path, again=True).already


def test_another_file_at_the_same_address_is_not_taken_for_the_first(server: FileServer, tmp_path: Path) -> None:
    model = published(server.url("/net.pth"))
    path = install(model, tmp_path).path
    server.files["/net.pth"], server.etag = b"other" * 1000, '"two"'
    with pytest.raises(DownloadError, match="not the file fetched on 20"):
        install(model, tmp_path, again=True)
    assert path.read_bytes() == b"weights" * 1000


def test_one_file_of_an_archive_is_kept_and_the_archive_is_not(server: FileServer, tmp_path: Path) -> None:
    model = published(server.url("/net.tar.gz"), file="net.tar.gz", member="frozen_inference_graph.pb")
    told: list[DownloadProgress] = []
    found = install(model, tmp_path, progress=told.append)
    assert found.path.name == "some-net.pb"
    assert found.path.read_bytes() == GRAPH
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some-net.pb", "some-net.pb.origin.json"]
    assert told[-1].text == "unpacking"


def test_an_archive_copied_by_hand_is_only_unpacked(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "net.tar.gz").write_bytes(server.files["/net.tar.gz"])
    model = published("", file="net.tar.gz", member="frozen_inference_graph.pb")
    assert install(model, tmp_path).path.read_bytes() == GRAPH
    assert server.seen == []
    assert not (tmp_path / "net.tar.gz").exists()


def test_a_model_for_browsers_names_its_page_and_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only be fetched with a browser") as caught:
        install(published(""), tmp_path)
    assert caught.value.remedy == f"Open https://models.example/page, download net.pth and copy it into {tmp_path}"
    (tmp_path / "net.pth").write_bytes(b"copied by hand")
    assert install(published(""), tmp_path).already


@pytest.mark.parametrize("name", ["../../escaped.pb", "/tmp/escaped.pb", "a/b/frozen_inference_graph.pb"])
def test_names_inside_an_archive_lead_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "inner").mkdir()
    archive = tmp_path / "inner" / "net.tar.gz"
    archive.write_bytes(packed((name, b"evil" if "escaped" in name else GRAPH)))
    target = tmp_path / "inner" / "net.pb"
    if "escaped" in name:
        with pytest.raises(DownloadError, match="holds no frozen_inference_graph"):
            take_member(archive, "frozen_inference_graph.pb", target)
    else:
        take_member(archive, "frozen_inference_graph.pb", target)
        assert target.read_bytes() == GRAPH
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"net.tar.gz", "net.pb"}


def test_a_link_of_the_wanted_name_is_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "net.tar.gz"
    archive.write_bytes(packed(("release/other", b""), links=(("frozen_inference_graph.pb", "/etc/passwd"),)))
    with pytest.raises(DownloadError, match="holds no"):
        take_member(archive, "frozen_inference_graph.pb", tmp_path / "net.pb")
    assert not (tmp_path / "net.pb").exists()


@pytest.mark.parametrize("damage", ["cut", "no tar", "no gzip"])
def test_a_damaged_archive_is_said(tmp_path: Path, damage: str) -> None:
    whole = packed(("frozen_inference_graph.pb", bytes(range(256)) * 4000))
    content = {"cut": whole[: len(whole) // 2], "no tar": gzip.compress(b"not a tar" * 100), "no gzip": b"plain"}[damage]
    (tmp_path / "net.tar.gz").write_bytes(content)
    with pytest.raises(DownloadError, match="archive is damaged"):
        take_member(tmp_path / "net.tar.gz", "frozen_inference_graph.pb", tmp_path / "net.pb")
    assert [path.name for path in tmp_path.iterdir()] == ["net.tar.gz"]


def test_an_archive_that_unpacks_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("deeplab_core.hub.install"), "LARGEST", 100_000)
    (tmp_path / "net.tar.gz").write_bytes(packed(("padding", b"\0" * 1_000_000), ("frozen_inference_graph.pb", GRAPH)))
    with pytest.raises(DownloadError, match="far more than a release"):
        take_member(tmp_path / "net.tar.gz", "frozen_inference_graph.pb", tmp_path / "net.pb")


def test_a_header_of_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    described = tarfile.TarInfo("x")
    described.type, described.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(archive, "wb", compresslevel=1) as out:
        out.write(described.tobuf(tarfile.USTAR_FORMAT))
        out.write(bytes(1 << 20))
    with pytest.raises(DownloadError, match=r"archive is damaged.*describes a file in 1,073,741,824 bytes"):
        take_member(archive, "net.pb", tmp_path / "net.pb")


def test_unpacking_can_be_cancelled_and_a_bad_target_is_said(tmp_path: Path) -> None:
    (tmp_path / "net.tar.gz").write_bytes(packed(("frozen_inference_graph.pb", GRAPH)))
    with pytest.raises(Cancelled):
        take_member(tmp_path / "net.tar.gz", "frozen_inference_graph.pb", tmp_path / "net.pb", lambda: True)
    with pytest.raises(StorageError):
        take_member(tmp_path / "net.tar.gz", "frozen_inference_graph.pb", tmp_path / "absent" / "net.pb")
    assert [path.name for path in tmp_path.iterdir()] == ["net.tar.gz"]


def test_the_card_says_what_is_published_and_a_person_s_card_stays(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    model = published("https://models.example/net.pth")
    card = ModelCard(id="", name="DeepLabv3+", architecture={}, catalog=get_catalog("voc21"), extra={"family": "vainf"})
    written = write_published_card(path, card, model)
    assert written == card_path(path)
    kept = ModelCard.from_dict(json.loads(written.read_text()))
    assert kept.name == "DeepLabv3+, VOC (Example Lab)"
    assert "Flickr" in kept.licence
    assert kept.extra["published"]["miou"] == "71.0"
    assert kept.extra["family"] == "vainf"
    written.write_text("mine")
    assert write_published_card(path, card, model) is None
    assert written.read_text() == "mine"


RECEIPT = {"id": "a", "url": "u", "fetched": "d", "bytes": 1, "sha256": "a" * 64, "checked": "", "installed_bytes": 1}


@pytest.mark.parametrize("change", [{key: value} for key in RECEIPT for value in (None, 1.5, [], {}, True)] + [{"sha256": "xyz"}])
def test_a_receipt_of_wrong_values_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    beside = tmp_path / "net.pth.origin.json"
    beside.write_text(json.dumps(RECEIPT))
    assert read_receipt(tmp_path / "net.pth") is not None
    beside.write_text(json.dumps(RECEIPT | change))
    assert read_receipt(tmp_path / "net.pth") is None


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"id": 1, "more": 2}'])
def test_a_damaged_receipt_is_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / "net.pth.origin.json").write_text(damage)
    assert read_receipt(tmp_path / "net.pth") is None
