"""Inputs made after public reports about networks: one class, 0/255 masks, other input channels, tiny images."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import run
from deeplab_core.images import probe_image
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, PredictOptions
from deeplab_core.weights import load_model, save_model

ROOT = Path(__file__).resolve().parents[4]
CASES = ROOT.parent / "shared" / "cases"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the files of ../shared/cases are not there")
needs_smp = pytest.mark.skipif(
    importlib.util.find_spec("segmentation_models_pytorch") is None, reason="segmentation-models-pytorch is not installed"
)


def made(case: str, out: Path) -> str:
    """What the ``make.py`` of a case says."""
    paths = [str(ROOT), str(CASES), *filter(None, sys.path)]
    surroundings = os.environ | {"BUGS_OUT": str(out), "PYTHONPATH": os.pathsep.join(paths)}
    script = str(CASES / "models" / case / "make.py")
    return subprocess.run([sys.executable, script], env=surroundings, capture_output=True, text=True, check=True).stdout


# -- 01: networks of one class -------------------------------------------------------------------------------------------


def torchvision_like_state() -> dict[str, torch.Tensor]:
    """The keys of torchvision's dilated FCN with one class."""
    torch.manual_seed(3)
    model = create_model("fcn", backbone="resnet18", num_classes=1).eval()
    names = {"head.conv.conv": "classifier.0", "head.conv.norm": "classifier.1", "head.classifier": "classifier.4"}
    state = {}
    for key, value in model.state_dict().items():
        found = next((old for old in names if key.startswith(old)), None)
        state["backbone." + key.removeprefix("encoder.") if found is None else key.replace(found, names[found])] = value
    return state


def test_a_strangers_network_of_one_class_is_not_all_background(tmp_path: Path) -> None:
    state, bias = torchvision_like_state(), "classifier.4.bias"
    rgb = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    torch.save(state, tmp_path / "one.pth")
    model, card = load_model(tmp_path / "one.pth")
    pre = card.preprocessing
    x = torch.from_numpy(((rgb - np.float32(pre.mean)) / np.float32(pre.std)).transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():  # put the boundary into the middle of the scores
        torch.save(state | {bias: state[bias] - model(x).median()}, tmp_path / "one.pth")
        model, card = load_model(tmp_path / "one.pth")
        logits = model(x)[0, 0].numpy()
    assert card.catalog.names == ("background", "object")
    found = Predictor(model, card, device="cpu")(rgb, options=PredictOptions(resize="native"))
    clear = np.abs(logits) > 0.02 * logits.std()
    np.testing.assert_array_equal(found.labels[clear] == 1, logits[clear] > 0)
    assert 0.4 < (found.labels == 1).mean() < 0.6
    assert len(np.unique(found.confidence)) > 5


@needs_cases
@needs_smp
def test_the_genuine_networks_of_case_01_and_10(tmp_path: Path) -> None:
    line = re.search(r"peer's foreground (\S+) Atrous's (\S+)", made("01_one_class_sigmoid", tmp_path))
    assert line is not None
    assert float(line[2]) == pytest.approx(float(line[1]), abs=2e-3)
    said = made("10_input_channels", tmp_path)
    assert said.count("loaded:") == 2
    for channels in (1, 4):
        model, card = load_model(tmp_path / "10" / f"in{channels}.pth")
        assert (model.in_channels, card.preprocessing.channels) == (channels, channels)


# -- 08: masks of 0 and 255 ----------------------------------------------------------------------------------------------


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """Images, masks of 0 and 1, the same masks of 0 and 255, and a catalog of two classes in which 255 is void."""
    rng = np.random.default_rng(1)
    for name in ("img", "m01", "m0255"):
        (tmp_path / name).mkdir()
    for number in range(6):
        image, mask = rng.integers(60, 90, (80, 100, 3), dtype=np.uint8), np.zeros((80, 100), np.uint8)
        top, left = rng.integers(5, 40, 2)
        mask[top : top + 30, left : left + 35] = 1
        image[mask > 0] += np.uint8(120)
        for name, pixels in (("img", image), ("m01", mask), ("m0255", mask * 255)):
            Image.fromarray(pixels).save(tmp_path / name / f"a{number}.png")
    classes = [{"id": 0, "name": "background", "color": [0, 0, 0]}, {"id": 1, "name": "square", "color": [255, 0, 0]}]
    (tmp_path / "two.json").write_text(json.dumps({"name": "two", "classes": classes, "background": 0}))
    return tmp_path


def test_evaluating_masks_of_0_and_255_says_what_is_lost(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = ["--prediction", str(binary / "m01"), "--truth", str(binary / "m0255"), "--catalog", str(binary / "two.json")]
    assert run(["evaluate", *masks, "--no-boundary", "--resamples", "0"]) == 0
    said = capsys.readouterr().err
    assert "13 %" in said
    assert "'square' never occurs" in said
    assert "as binary masks do; 255 is void" in said


def test_training_on_masks_of_0_and_255_says_what_is_lost(binary: Path) -> None:
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.training.dataset import SegmentationDataset
    from deeplab_core.training.samples import Sample

    samples = [Sample(path, binary / "m0255" / path.name) for path in sorted((binary / "img").iterdir())]
    remarks = "\n".join(SegmentationDataset(samples, get_catalog(binary / "two.json")).remarks())
    assert "13 %" in remarks
    assert "'square' never occurs" in remarks


def test_ranking_and_refining_masks_of_0_and_255_say_it_too(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = create_model("unet", num_classes=2, width=2)
    card = ModelCard(id="", name="two", architecture={}, catalog=numbered_catalog(2), output_stride=1)
    from deeplab_core.catalogs import get_catalog

    save_model(binary / "two.safetensors", model, ModelCard(**{**_plain(card), "catalog": get_catalog(binary / "two.json")}))
    images, two = str(binary / "img"), str(binary / "two.json")
    truth = ["--truth", str(binary / "m0255"), "--catalog", two]
    assert run(["rank", images, "--model", str(binary / "two.safetensors"), "--device", "cpu", *truth]) == 0
    assert "'square' never occurs" in capsys.readouterr().err
    assert run(["refine", images, "--masks", str(binary / "m0255"), "-o", str(binary / "out"), "--catalog", two]) == 0
    assert "'square' never occurs" in capsys.readouterr().err


def _plain(card: ModelCard) -> dict[str, object]:
    return {name: getattr(card, name) for name in card.__dataclass_fields__}


# -- 13: tiny images -----------------------------------------------------------------------------------------------------


def test_a_folder_of_tiny_images_is_written_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=8, backbone_options={"stem_padding": 0}).eval()
    assert model.minimum_side == 3
    card = ModelCard(id="", name="VainF's", architecture={}, catalog=numbered_catalog(8))
    save_model(tmp_path / "net.safetensors", model, card)
    (tmp_path / "img").mkdir()
    sizes = ((1, 1), (2, 3), (1, 40), (3, 3), (7, 5), (33, 31))
    for height, width in sizes:
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "img" / f"t{height}x{width}.png")
    arguments = ["predict", str(tmp_path / "img"), "--model", str(tmp_path / "net.safetensors"), "-o", str(tmp_path / "out")]
    for more in ([], ["--scales", "0.5,1", "--flip", "--overwrite"]):
        assert run([*arguments, "--device", "cpu", *more]) == 0
        found = {path.stem: probe_image(path).size for path in (tmp_path / "out").glob("*.png")}
        assert found == {f"t{height}x{width}": (width, height) for height, width in sizes}
    assert "failed" not in capsys.readouterr().err


@needs_cases
def test_the_networks_of_case_13(tmp_path: Path) -> None:
    paths = [str(ROOT), str(CASES), *filter(None, sys.path)]
    script = str(CASES / "models" / "13_tiny_images" / "t3.py")
    surroundings = os.environ | {"BUGS_OUT": str(tmp_path), "PYTHONPATH": os.pathsep.join(paths)}
    said = subprocess.run([sys.executable, script], env=surroundings, capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) == 6
    assert all("Predictor ok" in line for line in said.splitlines())
