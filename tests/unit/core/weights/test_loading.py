from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError, UnknownCheckpoint, WeightsError
from deeplab_core.model_cards import numbered_catalog, write_card_file
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.weights import card_path, list_models, load_model, read_card, save_model

SMALL: dict[str, Any] = {
    "name": "deeplabv3plus",
    "backbone": "resnet18",
    "num_classes": 21,
    "aspp_channels": 8,
    "decoder_channels": 8,
    "low_level_channels": 4,
}


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    torch.manual_seed(0)
    return create_model(**SMALL).eval()


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return ModelCard(
        id="x", name="Small one", architecture={}, catalog=get_catalog("voc21"), preprocessing=Preprocessing(mean=(1.0, 2.0, 3.0))
    )


@pytest.fixture(scope="module")
def torchvision_state() -> dict[str, Tensor]:
    """A small state dict with torchvision's keys: the dilated FCN over ResNet-18."""
    torch.manual_seed(1)
    ours = create_model("fcn", backbone="resnet18", num_classes=21).state_dict()
    names = {"head.conv.conv": "classifier.0", "head.conv.norm": "classifier.1", "head.classifier": "classifier.4"}
    state = {}
    for key, value in ours.items():
        new = "backbone." + key.removeprefix("encoder.")
        for old, name in names.items():
            if key.startswith(old):
                new = key.replace(old, name)
        state[new] = value
    return state


def test_saving_and_loading_keep_every_bit_and_the_card(model: SegmentationModel, card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    saved = save_model(path, model, card)
    again, loaded = load_model(path)
    assert loaded == saved
    assert loaded.name == "Small one"
    assert loaded.preprocessing.mean == (1.0, 2.0, 3.0)
    assert loaded.sha256
    assert loaded.id.startswith(loaded.sha256[:12])
    assert not again.training
    state = again.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    x = torch.randn(1, 3, 40, 30)
    with torch.no_grad():  # where the file puts a tensor in memory decides which kernel a convolution runs, and its last bit
        torch.testing.assert_close(again(x), model(x), rtol=1e-5, atol=1e-4)


def test_output_stride_of_the_card_and_of_the_caller(model: SegmentationModel, card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_model(path, model, replace(card, output_stride=8))
    assert load_model(path)[0].output_stride == 8
    assert load_model(path, output_stride=32)[0].output_stride == 32
    with pytest.raises(AtrousError, match="output stride 5"):
        load_model(path, output_stride=5)


def test_half_precision_halves_the_file_and_refuses_to_overflow(
    model: SegmentationModel, card: ModelCard, tmp_path: Path
) -> None:
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_model(full, model, card)
    save_model(half, model, card, half=True)
    assert half.stat().st_size < 0.55 * full.stat().st_size
    again, _ = load_model(half)
    assert next(again.parameters()).dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(again(torch.ones(1, 3, 33, 33)), model(torch.ones(1, 3, 33, 33)), rtol=0.05, atol=0.05)
    broken = create_model(**SMALL)
    with torch.no_grad():
        broken.state_dict()["classifier.bias"].fill_(1e6)
    with pytest.raises(WeightsError, match=r"classifier\.bias"):
        save_model(tmp_path / "lost.safetensors", broken, card, half=True)
    assert not (tmp_path / "lost.safetensors").exists()


def test_a_card_of_another_catalog_is_refused(model: SegmentationModel, card: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="19 classes, the network has 21"):
        save_model(tmp_path / "net.safetensors", model, replace(card, catalog=get_catalog("cityscapes19")))


def test_a_card_beside_the_file_wins(torchvision_state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(torchvision_state, path)
    _, guessed = load_model(path)
    assert guessed.preprocessing.resize == "short_side:520"
    assert guessed.catalog.name == "voc21"
    assert guessed.output_stride == 8
    edited = replace(guessed, name="My net", catalog=numbered_catalog(21), output_stride=16, guessed=())
    assert write_card_file(path, edited) == card_path(path) == tmp_path / "net.pth.card.json"
    model, card = load_model(path)
    assert card.name == "My net"
    assert card.catalog.name == "numbered21"
    assert model.output_stride == 16
    assert read_card(path) == card
    card_path(path).write_text("{ no card")
    with pytest.raises(WeightsError, match="card beside the weights is damaged"):
        load_model(path)


WRAPPERS = {
    "bare": lambda s: s,
    "state_dict": lambda s: {
        "state_dict": s,
        "epoch": 3,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(9, 9)}}, "param_groups": []},
    },
    "model_state": lambda s: {"model_state": s, "best_score": np.float64(0.71)},
    "model_state_dict": lambda s: {
        "model_state_dict": s,
        "optim_state_dict": {"state": {i: {"m": torch.ones(3)} for i in range(500)}},
    },
    "model": lambda s: {"model": s, "optimizer": {"state": {i: {"m": torch.ones(3)} for i in range(500)}}, "args": {"lr": 0.1}},
    "module": lambda s: {f"module.{k}": v for k, v in s.items()},
    "lightning": lambda s: {
        "state_dict": {**{f"model.{k}": v for k, v in s.items()}, "criterion.weight": torch.ones(21)},
        "pytorch-lightning_version": "2.4.0",
        "hyper_parameters": {"lr": 0.01},
        "optimizer_states": [{"state": {}}],
    },
    "compiled and parallel": lambda s: {"model": {f"_orig_mod.module.{k}": v for k, v in s.items()}},
    "average beside": lambda s: {"state_dict": s, "state_dict_ema": {k: v + 1 for k, v in s.items()}},
    "average alone": lambda s: {"ema": {**{f"module.{k}": v for k, v in s.items()}, "n_averaged": torch.tensor(9)}},
    "half": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    "without counters": lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    "with a list beside": lambda s: {**s, "mask_values": [0, 1, 2]},
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_wrappers_that_people_meet(name: str, legacy: bool, torchvision_state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "whatever.bin"
    torch.save(WRAPPERS[name](torchvision_state), path, _use_new_zipfile_serialization=not legacy)
    model, card = load_model(path)
    assert card.extra["family"] == "torchvision"
    tolerance = 1e-3 if name == "half" else 0.0
    torch.testing.assert_close(
        model.state_dict()["encoder.layer1.0.conv1.weight"],
        torchvision_state["backbone.layer1.0.conv1.weight"],
        rtol=tolerance,
        atol=tolerance,
    )


def test_safetensors_of_a_stranger_and_a_pretrained_folder(torchvision_state: dict[str, Tensor], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "pretrained"
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in torchvision_state.items()}, folder / "model.safetensors")
    assert load_model(folder / "model.safetensors")[1].extra["family"] == "torchvision"
    assert load_model(folder)[1].extra["family"] == "torchvision"
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights"):
        load_model(tmp_path / "empty")


def fails(state: Any, tmp_path: Path) -> AtrousError:
    path = tmp_path / "broken.pth"
    torch.save(state, path)
    with pytest.raises(AtrousError) as caught:
        load_model(path)
    assert caught.value.path == path
    return caught.value


def test_missing_left_over_and_misshapen_tensors_are_named(torchvision_state: dict[str, Tensor], tmp_path: Path) -> None:
    state = dict(torchvision_state)
    del state["backbone.layer2.0.conv1.weight"]
    state["backbone.layer9.surprise"] = torch.ones(3)
    state["classifier.0.weight"] = torch.ones(5, 512, 3, 3)
    error = str(fails(state, tmp_path))
    assert "1 keys missing: backbone.layer2.0.conv1.weight" in error
    assert "1 keys left over: backbone.layer9.surprise" in error
    assert "classifier.0.weight is 5x512x3x3, expected 128x512x3x3" in error
    assert "torchvision" in error


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value: float, torchvision_state: dict[str, Tensor], tmp_path: Path) -> None:
    state = dict(torchvision_state)
    state["classifier.1.bias"] = torch.full((128,), value)
    assert "classifier.1.bias" in str(fails(state, tmp_path))


def test_a_negative_variance_is_refused(torchvision_state: dict[str, Tensor], tmp_path: Path) -> None:
    state = dict(torchvision_state)
    state["backbone.bn1.running_var"] = torch.full((64,), -1.0)
    assert "negative: backbone.bn1.running_var" in str(fails(state, tmp_path))


def test_strangers_are_unknown_and_the_nearest_family_is_named(tmp_path: Path) -> None:
    error = fails({f"transformer.h.{i}.attn.weight": torch.ones(4, 4) for i in range(6)}, tmp_path)
    assert isinstance(error, UnknownCheckpoint)
    assert "transformer.h.0.attn.weight" in str(error)
    error = fails({"aspp.aspp1.atrous_conv.weight": torch.ones(256, 320, 1, 1), "x": torch.ones(1)}, tmp_path)
    assert isinstance(error, UnknownCheckpoint)
    assert "nearest is jfzhang95" in str(error)


def test_a_plain_imagenet_network_is_not_taken_for_a_segmentation(tmp_path: Path) -> None:
    encoder = create_model("fcn", backbone="resnet18").state_dict()
    state = {key.removeprefix("encoder."): value for key, value in encoder.items() if key.startswith("encoder.")}
    assert isinstance(fails(state, tmp_path), UnknownCheckpoint)


@pytest.mark.parametrize(
    "content", [[1, 2, 3], {"epoch": 3}, torch.ones(4), "weights", {}], ids=["list", "dict", "tensor", "text", "empty"]
)
def test_files_without_a_state_dict(content: Any, tmp_path: Path) -> None:
    assert "no state dict" in str(fails(content, tmp_path))


def test_a_folder_lists_good_and_bad_files(model: SegmentationModel, card: ModelCard, tmp_path: Path) -> None:
    save_model(tmp_path / "b.safetensors", model, card)
    (tmp_path / "A.pth").write_bytes(b"not weights")
    (tmp_path / "notes.txt").write_text("no model")
    entries = list_models([tmp_path, tmp_path / "absent", tmp_path])
    assert [entry.path.name for entry in entries] == ["A.pth", "b.safetensors"]
    assert isinstance(entries[0].error, WeightsError)
    assert entries[1].card is not None
    assert entries[1].card.name == "Small one"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are not files on Windows")
def test_pipes_and_devices_in_a_folder_are_named(model: SegmentationModel, card: ModelCard, tmp_path: Path) -> None:
    save_model(tmp_path / "b.safetensors", model, card)
    os.mkfifo(tmp_path / "a.pth")
    (tmp_path / "c.onnx").symlink_to("/dev/zero")
    (tmp_path / "d.pt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "b.json")  # where the card would be
    good, *odd = list_models([tmp_path])
    assert good.card is not None
    said = {entry.path.name: str(entry.error) for entry in odd}
    assert set(said) == {"a.pth", "c.onnx", "d.pt"}
    assert "pipe or device" in said["a.pth"]
    assert "pipe or device" in said["c.onnx"]
    assert "leads nowhere" in said["d.pt"]


def test_a_card_from_a_newer_version_says_so(model: SegmentationModel, card: ModelCard, tmp_path: Path) -> None:
    from safetensors.torch import save

    data = save_model(tmp_path / "net.safetensors", model, card).to_dict()
    data["architecture"]["name"] = "deeplabv7"
    path = tmp_path / "newer.safetensors"
    path.write_bytes(save(dict(model.state_dict()), {"atrous_card": json.dumps(data)}))
    with pytest.raises(WeightsError, match="newer version"):
        load_model(path)
