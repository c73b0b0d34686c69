"""A light installation: processes in which importing torch fails predict, refine, evaluate, export, and open the window."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.paths import FIRST_MODEL, SAMPLE_PROJECT

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.e2e

#: Read by every Python that is started with the folder of this file on its path, the compute process included.
_BLOCK = """\
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
"""
_NAMES = ("room_00000", "room_00007")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of processes without torch, with settings and caches of their own."""
    folder = tmp_path_factory.mktemp("no torch")
    (folder / "sitecustomize.py").write_text(_BLOCK, encoding="utf-8")
    home = folder / "home"
    home.mkdir()
    own = {name: str(home / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    path = os.pathsep.join((str(folder), str(ROOT)))
    return {**os.environ, **own, "HOME": str(home), "PYTHONPATH": path, "QT_QPA_PLATFORM": "offscreen"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms") / "images"
    folder.mkdir()
    for name in _NAMES:
        shutil.copy(SAMPLE_PROJECT / "images" / f"{name}.jpg", folder)
    return folder


def run(environment: dict[str, str], *arguments: object, status: int = 0) -> str:
    """Both streams of one command."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=840, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def labels(path: Path) -> np.ndarray:
    """Ids of an indexed mask."""
    with Image.open(path) as mask:
        return np.asarray(mask)


def test_torch_is_not_there(environment: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


def test_a_folder_is_predicted_refined_and_evaluated(environment: dict[str, str], images: Path, tmp_path: Path) -> None:
    """The masks are those of torch but for ties."""
    masks, refined = tmp_path / "masks", tmp_path / "refined"
    run(environment, "predict", images, "--model", "rooms-voc", "-o", masks)
    run(environment, "refine", images, "--model", "rooms-voc", "-o", refined)
    assert all((refined / f"{name}.png").is_file() for name in _NAMES)
    assert "mIoU" in run(environment, "evaluate", "--prediction", masks, "--truth", SAMPLE_PROJECT / "truth")
    from deeplab_core.images import read_image
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    predictor = Predictor(*load_model(FIRST_MODEL), device="cpu")
    for name in _NAMES:
        expected = predictor(read_image(images / f"{name}.jpg").rgb).labels
        assert float((labels(masks / f"{name}.png") == expected).mean()) > 0.9999


def test_the_window_opens_and_predicts_and_its_project_is_exported(
    environment: dict[str, str], images: Path, tmp_path: Path
) -> None:
    picture, project, exported = tmp_path / "window.png", tmp_path / "project", tmp_path / "exported"
    run(environment, "open", images, "--smoke", picture, "--project", project)
    assert picture.is_file()
    run(environment, "export", images, "--project", project, "--format", "indexed", "--scope", "all", "-o", exported)
    assert labels(next(exported.rglob("room_*.png"))).any()


def test_images_are_listed_by_likeness(environment: dict[str, str], images: Path, tmp_path: Path) -> None:
    """The graphs give the encoder's features."""
    found = tmp_path / "alike.json"
    first, other = (f"{name}.jpg" for name in _NAMES)
    for _once_more_from_the_cache in range(2):
        run(environment, "similar", images, "--to", images / first, "--model", "rooms-voc", "--json", found, "--overwrite")
        (row,) = json.loads(found.read_text())["images"]
        assert row["image"] == other
        assert 0.2 < row["similarity"] < 1


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("adapt", SAMPLE_PROJECT, "--model", "rooms-voc", "-o", "learned.safetensors"), "Learning from corrections"),
        (("models", "export", "rooms-voc", "-o", "rooms.onnx"), "Writing ONNX"),
    ],
    ids=["adapt", "export"],
)
def test_what_needs_torch_says_so_and_how_to_add_it(
    arguments: tuple[object, ...], what: str, environment: dict[str, str]
) -> None:
    text = " ".join(run(environment, *arguments, status=1).split())
    assert what in text
    assert "needs PyTorch" in text
    assert "-m pip install torch" in text


def test_a_checkpoint_of_another_program_says_that_it_needs_torch(
    environment: dict[str, str], images: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "net.pth"
    foreign.write_bytes(b"PK\x03\x04" + bytes(100))
    text = " ".join(run(environment, "predict", images, "--model", foreign, "-o", tmp_path / "masks", status=1).split())
    assert "Reading this checkpoint needs PyTorch" in text


@pytest.mark.parametrize(
    ("probe", "words"), [("onnx", "ran rooms-voc"), ("engines", "runs the graphs"), ("worker", "started in")]
)
def test_doctor_tries_the_parts_that_are_there(probe: str, words: str, environment: dict[str, str]) -> None:
    answer = run(environment, "doctor", "--probe", probe)
    assert '"state": "ok"' in answer or '"state":"ok"' in answer
    assert words in answer
