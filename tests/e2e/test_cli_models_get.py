"""``atrous models get`` and ``list`` against a server of our own: real checkpoints come, are checked, loaded and described."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import run
from app.paths import download_folder, model_folders
from app.services.folders import settings_file
from deeplab_core.weights import load_model, read_card
from tests.file_server import FileServer, serving
from tests.published_list import use_published_list
from tests.unit.app.tiny_model import save_tiny_model
from tests.unit.core.weights import tensorflow_writer
from tests.unit.core.weights.test_tensorflow import variables


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_tiny_model(tmp_path_factory.mktemp("weights") / "tiny.safetensors").read_bytes()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(tmp_path / "models"))
    settings_file().unlink(missing_ok=True)
    return tmp_path / "models"


@pytest.fixture
def server(weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving() as running:
        running.files["/tiny-abc.safetensors"] = weights
        running.files["/release.tar.gz"] = release()
        running.files["/broken.pth"] = b"no checkpoint at all" * 100
        use_published_list(
            monkeypatch,
            tmp_path,
            {
                "id": "tiny", "file": "tiny-abc.safetensors", "url": running.url("/tiny-abc.safetensors"),
                "sha256_prefix": hashlib.sha256(weights).hexdigest()[:8], "approximate_bytes": len(weights),
            },
            {
                "id": "google", "name": "DeepLabv3, MobileNetV2", "file": "release.tar.gz", "url": running.url("/release.tar.gz"),
                "member": "frozen_inference_graph.pb",
            },
            {"id": "broken", "name": "Broken", "file": "broken.pth", "url": running.url("/broken.pth")},
            {"id": "by-hand", "name": "By hand", "file": "hand.pth", "page": "https://drive.example/hand"},
        )  # fmt: skip
        yield running


def release() -> bytes:
    """A release as Google packs it: half the width, random weights."""
    graph = tensorflow_writer.graph(variables("mnv2_dm05_os16"))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("deeplabv3_mnv2/frozen_inference_graph.pb")
        info.size = len(graph)
        archive.addfile(info, io.BytesIO(graph))
    return stream.getvalue()


def test_a_model_is_fetched_loaded_described_and_then_found_by_its_id(
    server: FileServer, folder: Path, weights: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "get", "tiny"]) == 0
    shown = capsys.readouterr()
    path = folder / "tiny-abc.safetensors"
    assert path.read_bytes() == weights
    assert f"Fetched: {path}" in shown.out
    assert "fits the published sha256" in shown.out
    assert "Licence: MIT. Trained on Photographs: CC0." in shown.err
    card = read_card(path)
    assert card.name == "DeepLabv3+, tiny, VOC (Example Lab)"
    assert card.source == server.url("/tiny-abc.safetensors")
    assert len(load_model(path)[1].catalog) == 5
    assert run(["models", "get", "TINY"]) == 0
    assert "there already" in capsys.readouterr().out
    assert len(server.seen) == 1
    assert run(["models", "show", "tiny"]) == 0
    assert "DeepLabv3+, tiny, VOC (Example Lab)" in capsys.readouterr().out


def test_the_list_shows_what_is_here_and_what_can_be_fetched(
    server: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "list"]) == 0
    before = capsys.readouterr().out
    assert f"into {folder}" in before
    assert "browser" in before
    assert run(["models", "get", "tiny"]) == 0
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert str(folder / "tiny-abc.safetensors") in [row["path"] for row in rows if row["event"] == "model"]
    published = {row["id"]: row for row in rows if row["event"] == "published"}
    assert published["tiny"]["installed"] == str(folder / "tiny-abc.safetensors")
    assert published["google"]["installed"] is None
    assert not published["by-hand"]["direct"]
    assert run(["models", "list", "--installed"]) == 0
    assert "To be fetched" not in capsys.readouterr().out


def test_a_packed_release_becomes_a_graph_that_loads(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "get", "google", "--to", str(tmp_path / "mine"), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["path"] == str(tmp_path / "mine" / "google.pb")
    assert "states no checksum" in events[-1]["checksum"]
    assert [event["text"] for event in events if event["event"] == "progress"][-1] == "unpacking"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "google.pb",
        "google.pb.card.json",
        "google.pb.origin.json",
    ]


def test_a_file_that_cannot_be_used_is_kept_and_said(
    server: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "get", "broken"]) == 1
    assert "is there, but cannot be used" in capsys.readouterr().err
    assert (folder / "broken.pth").is_file()


def test_a_model_for_browsers_says_which_page_and_where_to_put_it(
    server: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "get", "by-hand"]) == 1
    said = capsys.readouterr().err
    assert f"Open https://drive.example/hand, download hand.pth and copy it into {folder}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nothing"], "'atrous models list' shows them"), (["tinny"], "perhaps you mean tiny"), ([], "Missing argument 'ID'")],
)
def test_an_unknown_id_is_bad_usage(
    server: FileServer, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(["models", "get", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_offline_is_one_line_that_says_what_to_do(
    server: FileServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "tiny", "file": "tiny.safetensors", "url": "http://127.0.0.1:9/tiny.safetensors"}
    (tmp_path / "other").mkdir()
    use_published_list(monkeypatch, tmp_path / "other", row)
    assert run(["models", "get", "tiny"]) == 1
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith("atrous: 127.0.0.1 cannot be reached")
    assert f"copy it to {folder / 'tiny.safetensors'}" in complaint


def test_an_interrupted_download_says_that_it_can_go_on(
    server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.model_get.install", interrupted)
    assert run(["models", "get", "tiny"]) == 130
    assert "to resume it" in capsys.readouterr().err


def test_a_model_that_is_known_but_not_here_is_named_with_the_command(
    server: FileServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "show", "tiny"]) == 2
    assert "run: atrous models get tiny" in capsys.readouterr().err


def test_the_folder_of_the_settings_is_searched_and_fetched_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATROUS_MODEL_DIR", raising=False)
    chosen = tmp_path / "chosen"
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(f'version = 1\nmodel.folder = "{chosen.as_posix()}"\n')
    try:
        assert download_folder() == chosen
        chosen.mkdir()
        assert chosen in model_folders()
        settings_file().write_text("model = 3\n")
        assert download_folder().name == "models"
        monkeypatch.setenv("ATROUS_MODEL_DIR", str(tmp_path / "named"))
        assert download_folder() == tmp_path / "named"
        assert download_folder(str(chosen)) == chosen
    finally:
        settings_file().unlink()


def test_a_click_network_is_fetched_as_a_pair_opened_and_kept_apart(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.unit.core.backends.click_graphs import decoder, encoder

    first, second = encoder(tmp_path / "sam_encoder.onnx"), decoder(tmp_path / "sam_decoder.onnx")
    with serving() as running:
        running.files["/sam_encoder.onnx"], running.files["/sam_decoder.onnx"] = first.read_bytes(), second.read_bytes()
        part = {"file": "sam_decoder.onnx", "url": running.url("/sam_decoder.onnx"), "approximate_bytes": second.stat().st_size}
        use_published_list(
            monkeypatch, tmp_path,
            {"id": "sam", "name": "SAM", "family": "clicks", "file": "sam_encoder.onnx", "url": running.url("/sam_encoder.onnx"),
             "approximate_bytes": first.stat().st_size, "catalog": "", "classes": 0, "miou": None, "miou_on": "",
             "miou_source": "", "decoder": part},
        )  # fmt: skip
        assert run(["models", "list", "--available"]) == 0
        said = capsys.readouterr().out
        assert "Click networks" in said
        assert "no checksum" in said
        assert run(["models", "get", "sam"]) == 0
    said = capsys.readouterr().out
    assert "a click network" in said
    assert "states no checksum" in said
    assert sorted(path.name for path in (folder / "clicks").glob("*.onnx")) == ["sam_decoder.onnx", "sam_encoder.onnx"]
    assert run(["models", "list", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["installed"]).name for line in lines if line.get("id") == "sam"] == ["sam_encoder.onnx"]
    assert not [line for line in lines if line.get("name") == "sam_encoder"], "it is not a model to predict with"
