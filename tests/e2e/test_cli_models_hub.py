"""``atrous models get hf://owner/name`` against a server of our own that answers as the Hugging Face Hub does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import run
from app.services.folders import settings_file
from deeplab_core.errors import DownloadError
from deeplab_core.hub import find_from_hub, find_installed, find_on_hub, hub_address, install
from deeplab_core.weights import read_card
from tests.file_server import COMMIT, FileServer, publish, serving


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(tmp_path / "models"))
    settings_file().unlink(missing_ok=True)
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def test_the_weights_come_checked_with_their_licence_and_are_found_by_their_address(
    server: FileServer, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = model_file.read_bytes()
    publish(server, "lab/net", {"README.md": b"about", "net.safetensors": weights, "notes.json": b"{}"}, licence="apache-2.0")
    assert run(["models", "get", "hf://lab/net"]) == 0
    shown = capsys.readouterr()
    assert "Licence: apache-2.0." in shown.err
    path = tmp_path / "models" / "lab--net--net.safetensors"
    assert path.read_bytes() == weights
    assert "fits the published sha256" in shown.out
    card = read_card(path)
    assert card.licence.startswith("apache-2.0")
    assert card.source == server.url(f"/lab/net/resolve/{COMMIT}/net.safetensors")
    asked = len(server.seen)
    assert run(["models", "show", "hf://lab/net"]) == 0
    assert run(["models", "show", "hf://lab/other"]) == 2
    assert "atrous models get hf://lab/other" in capsys.readouterr().err
    assert len(server.seen) == asked, "nothing but 'get' asks the server"


def test_other_bytes_than_the_stated_ones_are_refused(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(server, "lab/net", {"net.safetensors": b"weights" * 99}, sha256="0" * 64)
    assert run(["models", "get", "hf://lab/net"]) == 1
    assert "what came is not the published file" in capsys.readouterr().err
    assert not list((tmp_path / "models").rglob("*.safetensors"))


def test_of_weights_in_parts_all_come(server: FileServer) -> None:
    files = {"config.json": b"{}", "model-00001-of-00002.safetensors": b"a", "model-00002-of-00002.safetensors": b"b"}
    publish(server, "lab/parts", {**files, "model.safetensors.index.json": b"{}", "other/config.json": b"{}"})
    found = find_on_hub(hub_address("hf://lab/parts"))
    assert (found.folder, found.file, found.sha256_prefix) == ("lab--parts", "model.safetensors.index.json", "")
    assert [(part.file, bool(part.sha256_prefix)) for part in found.beside] == [
        ("model-00001-of-00002.safetensors", True), ("model-00002-of-00002.safetensors", True), ("config.json", False),
    ]  # fmt: skip


def test_of_a_saved_folder_weights_and_configuration_come_into_a_folder(server: FileServer, tmp_path: Path) -> None:
    publish(server, "lab/saved", {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"pickle"})
    model = find_on_hub(hub_address("hf://lab/saved"))
    models = tmp_path / "models"
    assert find_installed(model, [models]) is None
    install(model, models)
    assert sorted(path.name for path in (models / "lab--saved").glob("*") if "origin" not in path.name) == [
        "config.json", "model.safetensors",
    ]  # fmt: skip
    assert find_from_hub(hub_address("hf://lab/saved"), [tmp_path, models]) == find_installed(model, [models])
    asked = len(server.seen)
    assert install(model, models).already
    assert len(server.seen) == asked


@pytest.mark.parametrize(
    ("files", "file", "why"),
    [
        (["a.pth", "b.pth"], "", "holds several models"),
        (["a.txt"], "", "no file of weights"),
        (["a.pth"], "/b.pth", "has no file"),
        (["../a.pth"], "/../a.pth", "not a name of a file"),
        (["sub/con.pth"], "", "not a name of a file"),
    ],
)
def test_it_is_said_which_weights_cannot_be_meant(server: FileServer, files: list[str], file: str, why: str) -> None:
    publish(server, "lab/net", dict.fromkeys(files, b"x"))
    with pytest.raises(DownloadError, match=why):
        find_on_hub(hub_address(f"hf://lab/net{file}"))


def test_a_safetensors_file_comes_before_others_and_one_may_be_named(server: FileServer) -> None:
    publish(server, "lab/net", dict.fromkeys(("a.pth", "b.safetensors", "sub/c.pth"), b"x"))
    assert find_on_hub(hub_address("hf://lab/net")).file == "lab--net--b.safetensors"
    assert find_on_hub(hub_address("hf://lab/net@main/sub/c.pth")).id == "hf://lab/net/sub/c.pth"


def test_what_cannot_be_reached_is_explained(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DownloadError, match="no public repository"):
        find_on_hub(hub_address("hf://lab/absent"))
    publish(server, "lab/odd", {"a.pth": b"x"})
    for place in [place for place in server.files if place.startswith("/api")]:
        server.files[place] = b"no json"
    with pytest.raises(DownloadError, match="cannot be fetched"):
        find_on_hub(hub_address("hf://lab/odd"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot be fetched"):
        find_on_hub(hub_address("hf://lab/net"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DownloadError, match="cannot be looked up"):
        find_on_hub(hub_address("hf://lab/net"))


@pytest.mark.parametrize("text", ["hf://lab", "hf://lab/../x", "hf://la b/net", "hf:///net", "hf://lab/n..t"])
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(DownloadError, match="not an address of a repository"):
        hub_address(text)
    assert hub_address("lab/net") is None
