"""TensorFlow files that are broken or lie: a clear message, bounded memory, and never half a network."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from deeplab_core.errors import WeightsError
from deeplab_core.protobuf import Malformed, fields, varint
from deeplab_core.weights import load_model
from deeplab_core.weights.tensorflow import files
from deeplab_core.weights.tensorflow.bundle import read_bundle
from deeplab_core.weights.tensorflow.graph import read_graph
from tests.unit.core.weights import tensorflow_writer as writer
from tests.unit.core.weights.test_hostile import damaged

ONES = np.ones((1, 1, 2, 3), np.float32)
SMALL = {
    "net/weights": ONES,
    "net/BatchNorm/gamma": np.arange(3, dtype=np.float32),
    "net/BatchNorm/beta": np.zeros(3, np.float32),
    **{f"net/block_{n}/biases": np.full(5, n, np.float32) for n in range(60)},
}


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert caught.value.remedy
    assert caught.value.path == path
    return str(caught.value)


@pytest.mark.parametrize("data", [b"\x80", b"\xff" * 10 + b"\x01", b"\x0a\xff\x01", b"\x00\x01", b"\x0b", b"\x09\x00"])
def test_fields_that_run_over_or_do_not_exist(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(fields(memoryview(data)))


def test_numbers_are_read_up_to_64_bits() -> None:
    for number in (0, 127, 128, 2**32, 2**64 - 1):
        assert varint(memoryview(writer.varint(number)), 0) == (number, len(writer.varint(number)))


def tensor(shape: tuple[int, ...], content: bytes, kind: int = 1) -> bytes:
    value = writer.attribute(
        "value", writer.message(8, writer.number(1, kind) + writer.message(2, writer.shape(shape)) + content)
    )
    return writer.node("net/weights", "Const", (), value)


GRAPHS: dict[str, tuple[bytes, str]] = {
    "not_frozen": (writer.node("net/weights", "VariableV2"), "not frozen"),
    "no_network": (writer.constant("shape", np.arange(4, dtype=np.int32)), "none of its 1 constants"),
    "twice": (writer.constant("net/weights", ONES) * 2, "two nodes"),
    "short": (tensor((4, 4), writer.message(4, bytes(8))), "8 bytes where"),
    "bomb": (tensor((1 << 15, 1 << 15), writer.message(5, bytes(4))), "claims"),
    "endless": (tensor((1 << 40, 1 << 40), b""), "size"),
    "negative": (tensor((-1, 3), b""), "size"),
    "axes": (tensor((1,) * 40, b""), "axes"),
    "wide": (tensor((1,), writer.message(5, bytes(8))), "more values"),
    "torn": (tensor((4,), writer.message(5, bytes(7))), "cut off"),
    "nameless": (writer.node("net", "Const") + writer.message(1, b""), "no name"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_lie(case: str, tmp_path: Path) -> None:
    content, says = GRAPHS[case]
    path = tmp_path / "frozen_inference_graph.pb"
    path.write_bytes(content)
    assert says in refusal(path)


def test_identities_in_a_circle_end() -> None:
    loop = writer.node("a", "Identity", ("b",)) + writer.node("b", "Identity", ("a",))
    content = read_graph(memoryview(writer.graph(SMALL, loop + writer.node("c", "Conv2D", ("a", "b")))))
    assert content["tensorflow"]["stride"] == {}
    assert torch.equal(content["net/weights"], torch.ones(3, 2, 1, 1))


def rewritten(prefix: Path, change: Callable[[list[tuple[bytes, bytes]]], None], compression: int = 0) -> Path:
    """A checkpoint with its index changed and sealed again, so that only the change itself can be noticed."""
    index = writer.checkpoint(prefix, {"net/weights": ONES})
    entries = [writer.HEADER, (b"net/weights", writer.entry(ONES, 0))]
    change(entries)
    index.write_bytes(writer.table(entries, compression))
    return index


def entry(**changed: int | bytes) -> bytes:
    """The entry of ``net/weights`` with fields changed."""
    parts = {"type": writer.number(1, 1), "shape": writer.message(2, writer.shape(ONES.shape)), "rest": b"",
             "offset": writer.number(4, 0), "size": writer.number(5, 24)}  # fmt: skip
    return b"".join(value if isinstance(value, bytes) else bytes(value) for value in (parts | changed).values())


INDICES: dict[str, tuple[bytes, bytes, str]] = {
    "beyond": (b"net/weights", entry(offset=writer.number(4, 10)), "beyond the end"),
    "before": (b"net/weights", entry(offset=writer.number(4, -8)), "beyond the end"),
    "other_shape": (b"net/weights", entry(shape=writer.message(2, writer.shape((2, 2)))), "do not fill"),
    "slices": (b"net/weights", entry(rest=writer.message(7, b"")), "slices"),
    "shard": (b"net/weights", entry(rest=writer.number(3, 4)), "data file 4 of 1"),
    "no_checksum": (b"net/weights", entry(), "does not match its checksum"),
    "text": (b"net/weights", entry(type=writer.number(1, 7)), "none of its 1 entries"),
    "name": (b"\xff\xfe", entry(), "not UTF-8"),
    "big_endian": (b"", writer.number(1, 1) + writer.number(2, 1), "big-endian"),
    "many_files": (b"", writer.number(1, 10**6), "1000000 data files"),
}


@pytest.mark.parametrize("case", INDICES)
def test_indices_that_lie(case: str, tmp_path: Path) -> None:
    key, content, says = INDICES[case]

    def change(entries: list[tuple[bytes, bytes]]) -> None:
        entries[0 if not key else 1] = (key, content)

    assert says in refusal(rewritten(tmp_path / "net.ckpt", change))


def test_variables_that_share_bytes_and_compressed_blocks(tmp_path: Path) -> None:
    def share(entries: list[tuple[bytes, bytes]]) -> None:
        entries.extend((f"net/{n}/weights".encode(), writer.entry(ONES, 0)) for n in range(1000))

    assert "share bytes" in refusal(rewritten(tmp_path / "shared.ckpt", share))
    assert "compressed" in refusal(rewritten(tmp_path / "snappy.ckpt", lambda _: None, compression=1))


def test_data_that_is_missing_or_changed(tmp_path: Path) -> None:
    index = writer.checkpoint(tmp_path / "net.ckpt", SMALL)
    data = tmp_path / "net.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:30] + b"\x55" + whole[31:])
    assert "does not match its checksum" in refusal(index)
    data.write_bytes(whole[:-10])
    assert "cut off" in refusal(index)
    data.unlink()
    assert "net.ckpt.data-00000-of-00001 is not beside" in refusal(index)


def test_saved_models_and_archives_without_a_graph_say_what_to_choose(tmp_path: Path) -> None:
    saved = tmp_path / "saved_model.pb"
    saved.write_bytes(b"\x08\x01" + writer.message(2, b"xx"))
    assert "variables/variables.index" in refusal(saved)
    packed = tmp_path / "xception_65_imagenet.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.ckpt.index"))
        link = tarfile.TarInfo("frozen_inference_graph.pb")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert "Unpack it" in refusal(packed)
    packed.write_bytes(packed.read_bytes()[:60])
    assert "gzip" in refusal(packed)


def test_an_archive_that_unpacks_without_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_RELEASE", 2**20)
    packed = tmp_path / "bomb.tar.gz"
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(8 * 2**20))
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(zeros, "zeros")
    assert "far more than a release" in refusal(packed)


def test_eight_hundred_damaged_files_are_refused_or_read_whole(tmp_path: Path) -> None:
    rng = random.Random(3)
    index = writer.checkpoint(tmp_path / "net.ckpt", SMALL)
    data = tmp_path / "net.ckpt.data-00000-of-00001"
    expected = read_bundle(index).tensors
    parts = {path: path.read_bytes() for path in (index, data)}
    refused = 0
    for number in range(400):
        path = (index, data)[number % 2]
        path.write_bytes(damaged(parts[path], rng))
        try:
            found = read_bundle(index).tensors
        except Malformed:
            refused += 1
        else:
            # Checksums cover everything that is read: what passes is what was written.
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[name], expected[name]) for name in expected)
        path.write_bytes(parts[path])
    assert refused >= 350
    whole = writer.graph(SMALL)
    refused = 0
    for _ in range(400):
        try:
            content = read_graph(memoryview(damaged(whole, rng)))
        except Malformed:
            refused += 1
        else:
            assert all(isinstance(value, torch.Tensor) for name, value in content.items() if name != "tensorflow")
    assert refused >= 200


def test_two_hundred_damaged_graphs_never_load(tmp_path: Path) -> None:
    rng = random.Random(5)
    whole = writer.graph(SMALL)
    path = tmp_path / "net.pb"
    for _ in range(200):
        path.write_bytes(damaged(whole, rng))
        with pytest.raises(WeightsError):
            load_model(path)
