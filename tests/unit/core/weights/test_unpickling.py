"""Pickles are read as data: nothing that a file names is imported, called or changed; foreign objects do not keep it closed."""

from __future__ import annotations

import argparse
import collections
import contextlib
import copyreg
import datetime as dt
import importlib
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplab_core.errors import UnsafeCheckpoint, WeightsError
from deeplab_core.weights.pickled_values import DamagedPickle, Global, StandIn, UnreadTensor
from deeplab_core.weights.reading import read_file
from deeplab_core.weights.unpickling import read_pickle
from deeplab_core.weights.unwrapping import collect


def read(data: bytes) -> Any:
    return read_pickle(io.BytesIO(data))


class Foreign:
    """A class that a training script might save an object of."""

    def __init__(self) -> None:
        self.rate = 0.1

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("the state of a foreign object was set")


# -- what is read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_tensors_of_every_type_and_form_come_out_as_they_went_in(protocol: int, zipped: bool, tmp_path: Path) -> None:
    wide = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "float": torch.randn(3, 4), "half": torch.ones(5).half(), "bfloat": torch.ones(3).bfloat16(), "counter": torch.tensor(3),
        "turned": wide.t(), "part": wide[1:3, ::2], "empty": torch.empty(0, 3), "flag": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(2)), "eight": torch.ones(3).to(torch.float8_e4m3fn), "wide": wide,
    }  # fmt: skip
    torch.save(tensors, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    content, _ = read_file(tmp_path / "a.pth")
    for key, tensor in tensors.items():
        assert content[key].dtype == tensor.dtype
        assert content[key].stride() == tensor.stride()
        assert torch.equal(content[key].float(), tensor.float())
    # Views of one storage stay views of one.
    assert content["part"].untyped_storage().data_ptr() == content["wide"].untyped_storage().data_ptr()


def test_archives_without_checksums_and_packed_ones(tmp_path: Path) -> None:
    import zipfile

    state = {"conv.weight": torch.randn(40, 50), "none": torch.empty(0)}
    torch.save(state, tmp_path / "a.pth")
    data = bytearray((tmp_path / "a.pth").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.pth") as archive, zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
            if "/data/" in entry.filename:
                # As torch.serialization.set_crc32_options(False) leaves it.
                sum_of = struct.pack("<I", entry.CRC)
                while entry.CRC and sum_of in data:
                    place = data.find(sum_of)
                    data[place : place + 4] = b"\x01\x02\x03\x04"
    (tmp_path / "c.pth").write_bytes(data)
    for name in ("b.pth", "c.pth"):
        content, _ = read_file(tmp_path / name)
        assert torch.equal(content["conv.weight"], state["conv.weight"])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_and_numbers_of_numpy(protocol: int) -> None:
    arrays = [
        np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(4, dtype=">i4"),
        np.array([True, False]), np.array(2.5), np.zeros((0, 2), np.int8),
    ]  # fmt: skip
    found = read(pickle.dumps([*arrays, np.float64(0.5), np.int64(7)], protocol=protocol))
    for array, again in zip(arrays, found, strict=False):
        np.testing.assert_array_equal(again, array)
    assert found[-2:] == [0.5, 7]


EXTRAS: dict[str, Any] = {
    "array": np.eye(3), "namespace": argparse.Namespace(out=Path("runs"), lr=0.1),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "date": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "zone": dt.timezone(dt.timedelta(hours=1)),
    "counter": collections.Counter("abc"), "set": {1, 2}, "frozen": frozenset("a"), "deque": collections.deque([1, 2]),
    "path": Path("a/b"), "object array": np.array([None, "a"], dtype=object), "structured": np.zeros(2, dtype=[("a", "i4")]),
    "foreign": Foreign(), "class": Foreign, "function": argparse.ArgumentParser, "complex": 1 + 2j, "slice": slice(1, 2),
    "range": range(3), "bytes": bytearray(b"x"), "exception": ValueError("no"), "size": torch.Size([1, 2]),
    "device": torch.device("cpu"), "type": torch.float32, "random": np.random.default_rng(0), "method": Foreign().__init__,
    "class as key": {Foreign: {"best": 1.0}},
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", EXTRAS)
def test_an_object_beside_the_weights_does_not_keep_the_file_closed(name: str, protocol: int, tmp_path: Path) -> None:
    state = {"conv.weight": torch.ones(2, 2)}
    torch.save({"state_dict": state, "extra": EXTRAS[name]}, tmp_path / "a.pth", pickle_protocol=protocol)
    content, _ = read_file(tmp_path / "a.pth")
    assert torch.equal(content["state_dict"]["conv.weight"], state["conv.weight"])
    assert not isinstance(content["extra"], Foreign)
    assert torch.equal(collect(content, tmp_path).tensors["state_dict.conv.weight"], state["conv.weight"])


def test_what_a_stand_in_stands_for_can_be_looked_at() -> None:
    found = read(pickle.dumps(argparse.Namespace(output_stride=8, rates=[1, 2])))
    assert isinstance(found, StandIn)
    assert found.of == "argparse.Namespace"
    assert found.state == {"output_stride": 8, "rates": [1, 2]}


def test_a_network_that_was_saved_whole_gives_its_tensors(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    torch.save(network, tmp_path / "whole.pth")
    content, _ = read_file(tmp_path / "whole.pth")
    found = collect(content, tmp_path).tensors
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


def test_tensors_of_a_foreign_class_are_named_and_not_built(tmp_path: Path) -> None:
    class Packed(torch.Tensor):
        pass

    Packed.__qualname__ = "Packed"
    Packed.__module__ = __name__
    setattr(sys.modules[__name__], "Packed", Packed)  # noqa: B010  (pickle looks the class up there)
    torch.save({"conv.weight": torch.ones(2, 2).as_subclass(Packed), "conv.bias": torch.ones(2)}, tmp_path / "a.pth")
    content, _ = read_file(tmp_path / "a.pth")
    assert isinstance(content["conv.weight"], UnreadTensor)
    with pytest.raises(UnsafeCheckpoint, match=r"conv\.weight.*Packed"):
        collect({"conv.weight": content["conv.weight"]}, tmp_path)


# -- what is never run --------------------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments, *(() if state is None else (state,)))

    def __reduce__(self) -> Any:
        return self.reduced

    def __call__(self) -> None:
        """Only what can be called may stand first in what ``__reduce__`` gives."""


def attacks(marker: Path) -> dict[str, Any]:
    """What would leave ``marker`` behind under ``pickle.load``."""
    command = f"touch {marker}"
    return {
        "system": Calls(os.system, command),
        "popen": Calls(subprocess.Popen, ["touch", str(marker)]),
        "eval": Calls(eval, f"open({str(marker)!r}, 'w')"),
        "exec": Calls(exec, f"open({str(marker)!r}, 'w')"),
        "open": Calls(open, str(marker), "w"),
        "getattr of a module": Calls(getattr, Calls(importlib.import_module, "os"), "system"),
        "nested getattr": Calls(Calls(getattr, Calls(getattr, Foreign, "__init__"), "__globals__"), command),
        "a call of a call": Calls(Calls(getattr, "os", "system"), command),
        "state of a stand-in": Calls(copyreg._reconstructor, Foreign, object, None, state={"__class__": os.system}),  # type: ignore[attr-defined]
        "a path's method": Calls(Path.touch, Path(marker)),
        "numpy": Calls(np.ndarray.tofile, np.zeros(1), str(marker)),
        "torch": Calls(torch.save, 1, str(marker)),
        "shutil": Calls(__import__("shutil").copy, "/etc/hostname", str(marker)),
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", list(attacks(Path("x"))))
def test_no_call_of_a_file_is_made(name: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = pickle.dumps({"state_dict": {"a": 1}, "x": attacks(marker)[name]}, protocol=protocol)
    with contextlib.suppress(UnsafeCheckpoint):
        assert isinstance(read(data)["x"], (StandIn, dict, str))
    assert not marker.exists()


def _text(word: str) -> bytes:
    data = word.encode()
    return b"\x8c" + bytes([len(data)]) + data


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"\x80\x04" + _text("os") + _text("system") + b"\x93" + _text("id") + b"\x85R.", True),
        (b"\x80\x04" + _text("posix") + b"\x94" + _text("system") + b"\x94" + b"h\x00h\x01\x93.", True),
        (b"\x80\x04" + _text("torch.serialization") + _text("os.system") + b"\x93" + _text("id") + b"\x85R.", True),
        (b"\x80\x04" + _text("collections") + _text("_sys.modules") + b"\x93.", False),
        (b"cos\nsystem\n(S'id'\ntR.", True),
        (b"(S'id'\nios\nsystem\n.", True),
        (b"(cos\nsystem\nS'id'\no.", True),
        (b"\x80\x02cnt\nsystem\nX\x02\x00\x00\x00id\x85R.", True),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", True),
        (b"\x80\x02cfoo\nbar\nX\x02\x00\x00\x00id\x85R.", False),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__Ns\x86b.", False),
        (b"\x80\x02cfoo\nbar\n\x81.", None),
        (b"\x80\x02\x82\x01.", False),
        (b"\x80\x02N)R.", False),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", False),
        (b"\x80\x02Pos.system\n.", False),
    ],
)  # fmt: skip
def test_hand_written_operations_stay_inert(data: bytes, refused: bool | None) -> None:
    """``refused``: True where the name only runs code, False where a stand-in comes out, None for bytes that are not a pickle."""
    if refused:
        with pytest.raises(UnsafeCheckpoint):
            read(data)
    elif refused is None:
        with pytest.raises(DamagedPickle):
            read(data)
    else:
        assert isinstance(read(data), (StandIn, Global))


def test_the_functions_that_build_are_left_as_they_are() -> None:
    before = torch._utils._rebuild_tensor_v2.__defaults__
    read(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__X\x01\x00\x00\x00xs\x86b.")
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before


# -- files made to cost a lot -------------------------------------------------------------------------------------------


def bombs() -> dict[str, Callable[[], bytes]]:
    def nested_lists() -> bytes:
        # Ten references to ten references to ten ...: 10**30 elements for code that follows them all.
        data = b"\x80\x04]\x94"
        for place in range(30):
            data += b"]\x94(" + (b"h" + bytes([place])) * 10 + b"e"
        return data + b"."

    def nested_dicts() -> bytes:
        inner: dict[str, Any] = {"x": 1}
        for _ in range(30):
            inner = {str(number): inner for number in range(10)}
        return pickle.dumps(inner, protocol=4)

    def nested_key() -> bytes:
        # A pair of the pair before, thirty times: its hash visits 2**30 values.
        data = b"\x80\x04})\x94"
        for place in range(60):
            data += b"h" + bytes([place]) + b"\x86\x94"
        return data + b"Ns."

    return {
        "lists": nested_lists,
        "dicts": nested_dicts,
        "tuple as key": nested_key,
        "deep": lambda: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "memory": lambda: b"\x80\x02cbuiltins\nbytearray\n\x8a\x08" + struct.pack("<q", 2**60) + b"\x85R.",
        "text": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**50) + b"x.",
        "array": lambda: (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01\x8a\x06" + bytes(5) + b"\x40\x85"
            b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R\x89C\x00tb."
        ),
        "endless": lambda: b"\x80\x02" + b"N0" * 3_000_000 + b"N.",
    }


@pytest.mark.parametrize("name", bombs())
def test_small_files_cost_little(name: str, tmp_path: Path) -> None:
    data = bombs()[name]()
    begun = time.process_time()
    try:
        found = read(data)
    except (DamagedPickle, UnsafeCheckpoint):
        found = None
    if isinstance(found, dict):
        with pytest.raises(WeightsError, match="no state dict"):
            collect(found, tmp_path)
    assert time.process_time() - begun < 60  # following a bomb would take longer than the age of the world


def seeds() -> list[bytes]:
    out = [pickle.dumps(value, protocol=protocol) for value in EXTRAS.values() for protocol in (0, 2, 4, 5)]
    return [*out, *(pickle.dumps(attack, protocol=4) for attack in attacks(Path("ran")).values())]


def test_two_thousand_damaged_pickles_end_in_a_value_or_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(5)
    corpus = seeds()
    read_values = 0
    for _ in range(2000):
        data = bytearray(rng.choice(corpus))
        for _ in range(rng.randrange(1, 6)):
            kind = rng.randrange(4)
            at = rng.randrange(len(data))
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randrange(1, 9)]
            elif kind == 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 5))
            else:
                other = rng.choice(corpus)
                cut = rng.randrange(len(other))
                data[at:at] = other[cut : cut + rng.randrange(1, 40)]
            data = data or bytearray(b".")
        try:
            read(bytes(data))
            read_values += 1
        except (DamagedPickle, UnsafeCheckpoint):
            pass
    assert list(tmp_path.iterdir()) == []
    assert read_values > 100


# -- work that a small file can ask for ------------------------------------------------------------------------------------

#: Keys of which a dict of Python compares each with all others: numbers, and tuples of -1 and -2, of one hash.
SAME_HASH: dict[str, list[Any]] = {
    "whole numbers": [(2**61 - 1) * number for number in range(1, 40)],
    "tuples": [tuple(-1 if number >> bit & 1 else -2 for bit in range(6)) for number in range(40)],
}


@pytest.mark.parametrize("kind", sorted(SAME_HASH))
def test_keys_of_one_hash_become_text(kind: str) -> None:
    keys = SAME_HASH[kind]
    assert len({hash(key) for key in keys}) == 1
    found = read(pickle.dumps(dict.fromkeys(keys, 1.5), protocol=2))
    assert len(found) == len(keys)
    assert all(isinstance(key, str) for key in found)


def test_small_numbers_stay_keys() -> None:
    assert read(pickle.dumps({0: "a", -7: "b", 2.5: "c", True: "d"})) == {0: "a", -7: "b", 2.5: "c", True: "d"}


@pytest.mark.parametrize("argument", [dict.fromkeys(range(900)), "x" * 900_000, [("a", 1)] * 900], ids=["dict", "text", "list"])
def test_one_object_is_not_copied_without_end(argument: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplab_core.weights.unpickling.MOST_COPIED", 3_000_000)
    name = b"c_codecs\nencode\n" if isinstance(argument, str) else b"ccollections\nOrderedDict\n"
    body = pickle.dumps(argument, protocol=2)[:-1] + b"p99999\n0"
    call = name + b"g99999\n\x85R0"
    read(body + call + b"N.")
    with pytest.raises(DamagedPickle, match="copy more"):
        read(body + call * 20 + b"N.")
