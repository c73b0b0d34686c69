"""Files that want to do harm, and files that are broken: a clear message, never execution, never half a model."""

from __future__ import annotations

import collections
import io
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeplab_core.errors import UnsafeCheckpoint, WeightsError
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard
from deeplab_core.weights import load_model, save_model


class Payload:
    """Runs a command where a pickle is loaded without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", ["beside", "inside", "alone"])
def test_a_pickle_that_would_run_code_is_not_opened(legacy: bool, place: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    state = {"classifier.4.weight": torch.ones(3, 3)}
    content: Any = {
        "beside": {"state_dict": state, "note": Payload(marker)},
        "inside": {**state, "x": Payload(marker)},
        "alone": Payload(marker),
    }[place]
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeCheckpoint) as caught:
        load_model(path)
    assert not marker.exists()
    assert caught.value.path == path
    assert "system" in caught.value.why


def test_a_bare_pickle_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"state_dict": Payload(marker)}, protocol=4))
    with pytest.raises(WeightsError):
        load_model(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/cron.d/job", "C:\\Windows\\x", "a/../../b", "archive\\..\\..\\x"])
def test_an_archive_with_a_path_trick_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tricky.pth"
    torch.save({"a.weight": torch.ones(2)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(UnsafeCheckpoint, match="outside itself"):
        load_model(path)


def test_a_link_and_a_bomb_in_an_archive_are_refused(tmp_path: Path) -> None:
    link, bomb = tmp_path / "link.pth", tmp_path / "bomb.pth"
    for path in (link, bomb):
        torch.save({"a.weight": torch.ones(2)}, path)
    with zipfile.ZipFile(link, "a") as archive:
        info = zipfile.ZipInfo("archive/data/9")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, b"/etc/passwd")
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/9", bytes(50_000_000))
    for path in (link, bomb):
        with pytest.raises(UnsafeCheckpoint):
            load_model(path)


def test_torchscript_and_other_archives_are_named(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"x")
    with pytest.raises(WeightsError, match="not one that torch"):
        load_model(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data.pkl", b"x")
        archive.writestr("net/code/__torch__.py", b"x")
    with pytest.raises(UnsafeCheckpoint, match="TorchScript"):
        load_model(path)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"classifier.4.weight": torch.ones(1).expand(10**6, 10**4)}, path)
    with pytest.raises(UnsafeCheckpoint, match="more than the file stores"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\x1f\x8b\x08\x00" + bytes(40), "gzip"),
        (bytes(1000), "neither safetensors nor"),
        (struct.pack("<Q", 900) + b"{" + b" " * 991, "safetensors file is damaged"),
        (b"PK\x03\x04" + bytes(100), "truncated or damaged"),
        (b"\x80\x02}q\x00.", "truncated or damaged|no state dict"),
        (pickle.dumps({"a": [1.5]}, protocol=0), "protocol 0 or 1"),
        (pickle.dumps({"a": [1.5]}, protocol=1), "protocol 0 or 1"),
        (pickle.dumps([{"a": 1}], protocol=0), "protocol 0 or 1"),
        (pickle.dumps(collections.OrderedDict(a=np.ones(3)), protocol=1), "protocol 0 or 1"),
        (pickle.dumps(collections.OrderedDict(a=np.ones(3)), protocol=0), "protocol 0 or 1"),
        (pickle.dumps([{"a": np.ones(3)}, {"a": np.ones(3)}], protocol=4), "a list of 2 entries"),
    ],
    ids=[
        "empty",
        "html",
        "lfs",
        "gzip",
        "zeros",
        "safetensors",
        "zip",
        "pickle",
        "text",
        "binary",
        "list",
        "object",
        "text-object",
        "list-of-state-dicts",
    ],
)
def test_files_that_are_no_weights(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=says) as caught:
        load_model(path)
    assert caught.value.remedy
    assert caught.value.path == path


def test_missing_file_and_sparse_tensor(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(tmp_path / "absent.pth")
    torch.save({"a.weight": torch.ones(2, 2).to_sparse(), "b.weight": torch.ones(2)}, tmp_path / "sparse.pth")
    with pytest.raises(WeightsError, match=r"a\.weight.*not a plain tensor"):
        load_model(tmp_path / "sparse.pth")


def files() -> dict[str, bytes]:
    """A complete small network in the three containers."""
    torch.manual_seed(0)
    model = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=3, aspp_channels=4, atrous_rates=[])
    state = {key: value for key, value in model.state_dict().items() if value.numel() < 400}
    out: dict[str, bytes] = {}
    for name, zipped in (("zip", True), ("legacy", False)):
        stream = io.BytesIO()
        torch.save({"state_dict": state, "epoch": 3}, stream, _use_new_zipfile_serialization=zipped)
        out[name] = stream.getvalue()
    return out


def damaged(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    out = bytearray(data)
    if kind == 1:
        for _ in range(rng.randrange(1, 20)):
            out[rng.randrange(len(out))] = rng.randrange(256)
    elif kind == 2:
        at, length = rng.randrange(len(out)), rng.randrange(1, 300)
        out[at : at + length] = b""
    else:
        at = rng.randrange(min(len(out), 4000))
        out[at : at + 8] = rng.randbytes(8)
    return bytes(out)


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_three_hundred_damaged_archives_never_load_and_never_crash(name: str, tmp_path: Path) -> None:
    rng = random.Random(7)
    whole = files()[name]
    path = tmp_path / "net.pth"
    for _ in range(300):
        path.write_bytes(damaged(whole, rng))
        with pytest.raises(WeightsError):
            load_model(path)


def test_a_hundred_damaged_files_of_our_own_load_whole_or_not_at_all(tmp_path: Path) -> None:
    rng = random.Random(11)
    torch.manual_seed(0)
    model = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=3, aspp_channels=4, atrous_rates=[]).eval()
    path = tmp_path / "net.safetensors"
    save_model(path, model, ModelCard(id="", name="n", architecture={}, catalog=numbered_catalog(3)), half=True)
    whole = path.read_bytes()
    keys = model.state_dict().keys()
    refused = 0
    for _ in range(100):
        path.write_bytes(damaged(whole, rng))
        try:
            again, _ = load_model(path)
        except WeightsError:
            refused += 1
            continue
        # A flipped bit inside a tensor cannot be seen; everything else must be.
        state = again.state_dict()
        assert state.keys() == keys
        assert all(torch.isfinite(value).all() for value in state.values())
    assert refused >= 40
