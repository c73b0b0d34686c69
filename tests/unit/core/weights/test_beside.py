"""What is stored beside the tensors: settings, arguments, file names, averages, heads that only training runs, several parts."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deeplab_core.errors import UnknownCheckpoint, UnsafeCheckpoint, WeightsError
from deeplab_core.model_cards import write_card_file
from deeplab_core.model_files import MODEL_SUFFIXES, find_models, is_model_file
from deeplab_core.nn import SegmentationModel
from deeplab_core.weights import list_models, load_model, read_card, save_model
from deeplab_core.weights.families.base import Variant
from deeplab_core.weights.families.smp import SegmentationModelsPytorch
from deeplab_core.weights.reading import Checkpoint
from deeplab_core.weights.settings import gather_settings

State = dict[str, Tensor]


def smp(kind: str = "deeplabv3plus", classes: int = 3, **architecture: Any) -> tuple[SegmentationModel, State]:
    """A network as segmentation_models.pytorch builds it over ResNet-18, and its state dict under the package's keys."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (64, 3, 7, 7), "encoder.layer1.0.conv1.weight": (64, 64, 3, 3),
        "encoder.layer1.0.conv2.weight": (64, 64, 3, 3), "encoder.layer4.0.conv1.weight": (512, 256, 3, 3),
        "segmentation_head.0.weight": (classes, 16, 1, 1),
    }  # fmt: skip
    if kind == "unet":
        shapes |= {f"decoder.blocks.{n}.conv1.0.weight": (width, 1, 3, 3) for n, width in enumerate((64, 32, 16, 16, 8))}
    elif kind == "deeplabv3plus":
        shapes |= {"decoder.block1.0.weight": (48, 64, 1, 1), "decoder.aspp.0.convs.0.0.weight": (16, 512, 1, 1)}
        shapes |= {"decoder.aspp.0.convs.1.0.0.weight": (512, 1, 3, 3)}
    else:
        shapes |= {"decoder.aspp.convs.0.0.weight": (16, 512, 1, 1)}
    variant = SegmentationModelsPytorch().describe(shapes)
    torch.manual_seed(3)
    model = replace(variant, architecture={**variant.architecture, **architecture}).build()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif key.endswith("running_mean"):
                value.normal_(0, 0.1)
    return model.eval(), {variant.rules(key): value.clone() for key, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def plain() -> tuple[SegmentationModel, State]:
    return smp()


def same(one: SegmentationModel, other: SegmentationModel) -> bool:
    x = torch.randn(1, 3, 128, 320, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.allclose(one(x), other(x), rtol=1e-4, atol=1e-4)


def save_folder(folder: Path, state: State, config: Any) -> Path:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({key: value.contiguous() for key, value in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


# -- settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "architecture", "config"),
    [
        ("deeplabv3plus", {"output_stride": 8}, {"encoder_output_stride": 8}),
        ("deeplabv3plus", {"atrous_rates": [6, 12, 18]}, {"decoder_atrous_rates": [6, 12, 18]}),
        ("deeplabv3", {"output_stride": 16}, {"encoder_output_stride": 16, "decoder_atrous_rates": [12, 24, 36]}),
        ("unet", {"interpolation": "bilinear"}, {"decoder_interpolation": "bilinear"}),
        ("unet", {"interpolation": "bicubic"}, {"decoder_interpolation": "bicubic"}),
    ],
)
def test_a_settings_file_beside_the_weights_decides(kind: str, architecture: Any, config: Any, tmp_path: Path) -> None:
    network, state = smp(kind, **architecture)
    folder = save_folder(
        tmp_path / "net", state, {"_model_class": "Unet", "encoder_name": "resnet18", "activation": None, **config}
    )
    for source in (folder, folder / "model.safetensors"):
        model, card = load_model(source)
        assert same(model, network)
        assert not set(architecture) & set(card.guessed)
        assert card.extra["known_from"].items() >= dict.fromkeys(architecture, "config.json").items()
    (folder / "config.json").unlink()
    model, card = load_model(folder)
    assert not same(model, network)
    assert set(architecture) <= set(card.guessed)
    assert read_card(folder) == card
    # Without the file the user can say it, once or for good.
    asked = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in architecture.items()}
    usual = card.id
    model, card = load_model(folder, options=asked)
    assert card.id != usual  # its predictions are others
    assert card.id.startswith(usual)
    assert same(model, network)
    assert not set(architecture) & set(card.guessed)
    write_card_file(folder / "model.safetensors", card)
    model, card = load_model(folder)
    assert same(model, network)
    assert not set(architecture) & set(card.guessed)
    assert read_card(folder) == card


ARGUMENTS = {
    "namespace": lambda values: {"args": argparse.Namespace(out=Path("runs"), **values)},
    "hyper parameters": lambda values: {"hyper_parameters": values},
    "nested": lambda values: {"config": {"model": {"decoder": values}}},
    "at the top": lambda values: values,
}


@pytest.mark.parametrize("where", ARGUMENTS)
def test_arguments_inside_the_file_decide(where: str, tmp_path: Path) -> None:
    network, state = smp(output_stride=8)
    extra = ARGUMENTS[where]({"output_stride": 8, "lr": 0.1, "class_names": ["a", "b", "c"]})
    torch.save({"state_dict": state, **extra}, tmp_path / "net.pth")
    model, card = load_model(tmp_path / "net.pth")
    assert model.output_stride == card.output_stride == 8
    assert same(model, network)
    assert card.catalog.names == ("a", "b", "c")
    assert not {"catalog", "output_stride"} & set(card.guessed)


@pytest.mark.parametrize(
    ("name", "stride"), [("best_deeplabv3plus_resnet_voc_os8.pth", 8), ("net-os16-v2.pth", 16), ("photos8.pth", 16)]
)
def test_the_name_of_the_file_says_the_stride(
    name: str, stride: int, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    torch.save(plain[1], tmp_path / name)
    _, card = load_model(tmp_path / name)
    assert card.output_stride == stride
    assert ("output_stride" in card.guessed) is (name == "photos8.pth")


def test_a_settings_file_that_cannot_be_is_noted_and_does_not_stop_the_weights(
    plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    for number, config in enumerate(
        (
            "{ no json",
            "[]",
            {"encoder_output_stride": 7},
            {"decoder_atrous_rates": "x"},
            {"mean": [1, 2], "std": [1, 2]},
            {"mean": [0.5, 0.5, 0.5]},
            {"std": [0.5, 0.5, 0.5]},
            {"mean": [0.5, 0.5, 0.5], "std": [0, 0.5, 0.5]},
            {"class_names": ["cat", "dog"]},
            {"class_names": ["cat"] * 5},
        )
    ):
        folder = save_folder(tmp_path / str(number), plain[1], config)
        model, card = load_model(folder)
        assert same(model, plain[0])
        assert {"output_stride", "atrous_rates", "preprocessing"} <= set(card.guessed)
        assert "catalog" in card.guessed
        assert len(card.extra["notes"]) == 1 + (number == 4), card.extra["notes"]


@pytest.mark.parametrize(("encoder", "used"), [("resnet18", True), ("resnet-18", True), ("resnet", True), ("tu-resnet18", True),
                                               ("resnet50", False), ("mobilenet_v2", False), ("my_own", True)])  # fmt: skip
def test_settings_of_another_network_in_the_folder_are_not_used(
    encoder: str, used: bool, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    folder = save_folder(tmp_path / "net", plain[1], {"encoder_name": encoder, "encoder_output_stride": 8})
    card = load_model(folder)[1]
    assert (card.output_stride == 8) is used
    assert ("output_stride" in card.guessed) is not used
    assert any("speaks of the encoder" in note for note in card.extra.get("notes", ())) is not used


def test_mean_and_deviation_of_a_settings_file(plain: tuple[SegmentationModel, State], tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "net", plain[1], {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]})
    card = load_model(folder)[1]
    assert card.preprocessing.mean == (127.5, 127.5, 127.5)
    assert card.preprocessing.std == (63.75, 63.75, 63.75)
    assert "preprocessing" not in card.guessed


@pytest.mark.parametrize(
    "options",
    [
        {"output_stride": 7}, {"output_stride": "fine"}, {"atrous_rates": "6,12"}, {"align_corners": "perhaps"},
        {"interpolation": "bilinear"}, {"mean": "1,2"}, {"std": "0,0,0"}, {"resize": "short_side:0"}, {"channel_order": "HSV"},
        {"weights": "teacher"}, {"catalog": "voc21"},
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_named_with_what_can(
    options: dict[str, Any], plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    torch.save(plain[1], tmp_path / "net.pth")
    with pytest.raises(WeightsError) as caught:
        load_model(tmp_path / "net.pth", options=options)
    assert caught.value.remedy
    assert next(iter(options)) in str(caught.value)


# -- which weights ------------------------------------------------------------------------------------------------------


def other(state: State) -> State:
    return {key: value * 0 + 1 if value.is_floating_point() else value for key, value in state.items()}


PAIRS = {
    "averaged model": lambda s, e: (
        {"state_dict": {**named("model", s), **named("ema_model.module", e), "ema_model.n_averaged": torch.tensor(1)}},
        "ema_model",
    ),
    "average first": lambda s, e: ({"state_dict": {**named("ema_model.module", e), **named("model", s)}}, "ema_model"),
    "copy": lambda s, e: ({"state_dict": {**named("model", s), **named("ema", e)}}, "ema"),
    "student": lambda s, e: ({**named("teacher", e), **named("student", s)}, "teacher"),
    "entries": lambda s, e: ({"model_ema": named("module", e), "model": s}, "model_ema"),
    "beside": lambda s, e: ({"state_dict_ema": e, "state_dict": named("net", s)}, "state_dict_ema"),
}  # fmt: skip


def named(prefix: str, state: State) -> State:
    return {f"{prefix}.{key}": value for key, value in state.items()}


@pytest.mark.parametrize("name", PAIRS)
def test_trained_weights_come_before_averages_and_the_other_can_be_chosen(
    name: str, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    network, state = plain
    content, average = PAIRS[name](state, other(state))
    torch.save(content, tmp_path / "net.pth")
    model, card = load_model(tmp_path / "net.pth")
    assert same(model, network)
    assert average in ".".join(card.extra["other_weights"]).split(".")
    model, card = load_model(tmp_path / "net.pth", options={"weights": average})
    assert float(model.state_dict()["classifier.weight"].std()) == 0.0
    assert average in card.extra["weights"].split(".")
    write_card_file(tmp_path / "net.pth", card)
    assert float(load_model(tmp_path / "net.pth")[0].state_dict()["classifier.weight"].std()) == 0.0


NAMES = {
    "none": lambda key: key,
    "data parallel": lambda key: f"module.{key}",
    "lightning": lambda key: f"model.{key}",
    "compiled": lambda key: f"_orig_mod.{key}",
    "deep": lambda key: f"trainer.stage2.my_net.{key}",
    "inside": lambda key: key.replace("encoder.", "encoder.module.").replace("decoder.", "decoder._orig_mod."),
    "words inside": lambda key: key.replace("decoder.", "decoder.net.").replace("encoder.", "encoder.model."),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("memory", [True, False], ids=["in memory", "file"])
def test_whatever_stands_before_or_inside_the_keys(
    name: str, memory: bool, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    network, state = plain
    content = {"state_dict": {NAMES[name](key): value for key, value in state.items()}, "epoch": 3}
    if memory:
        model, card = load_model(content)
        assert card.sha256 == ""
        assert card.id
        assert load_model(content["state_dict"])[1].id == card.id  # the values decide
    else:
        torch.save(content, tmp_path / "net.pth")
        model, card = load_model(tmp_path / "net.pth")
    assert same(model, network)
    assert card.extra["family"] == "smp"


def test_a_state_dict_in_memory_is_copied_never_changed(plain: tuple[SegmentationModel, State]) -> None:
    state = {key: value.clone() for key, value in plain[1].items()}
    load_model(state)[0].state_dict()["classifier.weight"].zero_()
    assert torch.equal(state["segmentation_head.0.weight"], plain[1]["segmentation_head.0.weight"])
    with pytest.raises(UnknownCheckpoint):
        load_model({"a.b": torch.ones(2)})
    with pytest.raises(WeightsError, match="no state dict"):
        load_model({})


SPARE = {
    "classification_head.3.weight": torch.ones(2, 512), "classification_head.3.bias": torch.full((2,), float("nan")),
    "encoder.fc.weight": torch.ones(1000, 512), "aux_head.0.conv.weight": torch.ones(3), "loss_fn.weight": torch.ones(3),
    "train_iou.confmat": torch.ones(3, 3), "total_ops": torch.zeros(1), "encoder.layer1.total_params": torch.zeros(1),
    "mean": torch.ones(1, 3, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("key", SPARE)
def test_heads_and_counters_that_prediction_never_runs_do_not_decide(
    key: str, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    torch.save({**plain[1], key: SPARE[key]}, tmp_path / "net.pth")
    model, card = load_model(tmp_path / "net.pth")
    assert same(model, plain[0])
    assert card.extra["unused_heads"]
    torch.save({**plain[1], "decoder.more.weight": torch.ones(3)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"left over: decoder\.more\.weight"):
        load_model(tmp_path / "net.pth")


@pytest.mark.parametrize("names", [("mean", "std"), ("pixel_mean", "pixel_std"), ("norm.mean", "norm.std")])
def test_buffers_that_normalise_the_input_are_noted(
    names: tuple[str, str], plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    around = {names[0]: torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1), names[1]: torch.full((1, 3, 1, 1), 0.25)}
    state = {f"model.{key}": value for key, value in plain[1].items()} | around
    torch.save({"state_dict": state}, tmp_path / "net.ckpt")
    for card in (load_model(tmp_path / "net.ckpt")[1], read_card(tmp_path / "net.ckpt")):
        (note,) = card.extra["notes"]
        assert "mean 0.485, 0.456, 0.406 and std 0.25, 0.25, 0.25" in note
        assert "preprocessing" in card.guessed
    asked = {"mean": "123.675,116.28,103.53", "std": "58,57,57"}
    assert "notes" not in load_model(tmp_path / "net.ckpt", options=asked)[1].extra


@pytest.mark.parametrize("damage", ["other classes", "missing", "not a number", "gone"])
def test_an_auxiliary_head_never_decides(damage: str, tmp_path: Path) -> None:
    from deeplab_core.nn import create_model

    network = create_model("fcn", backbone="resnet18", num_classes=3, auxiliary=64).eval()
    parts = {"head.conv.conv": "classifier.0", "head.conv.norm": "classifier.1", "head.classifier": "classifier.4"}
    parts |= {f"auxiliary.{key.removeprefix('head.')}": f"aux_{name}" for key, name in list(parts.items())}
    state: State = {}
    for key, value in network.state_dict().items():
        old = next((old for old in parts if key.startswith(old)), "")
        state[key.replace(old, parts[old]) if old else "backbone." + key.removeprefix("encoder.")] = value
    if damage == "other classes":
        state["aux_classifier.4.weight"], state["aux_classifier.4.bias"] = torch.ones(21, 64, 1, 1), torch.ones(21)
    elif damage == "missing":
        del state["aux_classifier.1.weight"]
    elif damage == "not a number":
        state["aux_classifier.0.weight"] = state["aux_classifier.0.weight"] * float("nan")
    else:
        state = {key: value for key, value in state.items() if not key.startswith("aux_")}
    torch.save(state, tmp_path / "net.pth")
    model, _ = load_model(tmp_path / "net.pth")
    assert same(model, network)


# -- files of other forms -----------------------------------------------------------------------------------------------


def shards(folder: Path, state: State) -> Path:
    from safetensors.torch import save_file

    keys = list(state)
    half = len(keys) // 2
    for number, part in enumerate((keys[:half], keys[half:]), start=1):
        save_file({key: state[key].contiguous() for key in part}, folder / f"model-0000{number}-of-00002.safetensors")
    where = {key: f"model-0000{1 + (place >= half)}-of-00002.safetensors" for place, key in enumerate(keys)}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return index


def test_weights_in_several_parts(plain: tuple[SegmentationModel, State], tmp_path: Path) -> None:
    index = shards(tmp_path, plain[1])
    cards = [load_model(source)[1] for source in (tmp_path, index, tmp_path / "model-00001-of-00002.safetensors")]
    assert same(load_model(tmp_path)[0], plain[0])
    assert len({card.id for card in cards}) == 1
    assert [entry.path for entry in list_models([tmp_path])] == [index]
    assert [entry.path for entry in list_models([tmp_path.parent])] == [tmp_path]
    second = tmp_path / "model-00002-of-00002.safetensors"
    data = second.read_bytes()
    second.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(second, ns=(1, 1))
    assert load_model(tmp_path)[1].sha256 != cards[0].sha256
    second.unlink()
    with pytest.raises(WeightsError, match=r"00002-of-00002.*is missing"):
        load_model(tmp_path)
    for name in ("../secret.safetensors", "/etc/passwd", "a\\b", ".."):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(UnsafeCheckpoint, match="outside its folder"):
            load_model(tmp_path)
    for text in ("{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "nothing"):
        index.write_text(text)
        with pytest.raises(WeightsError):
            load_model(index)


@pytest.mark.parametrize(
    ("head", "name", "says"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "k.h5", "Keras"),
        (b"GGUF" + bytes(99), "k.gguf", "GGUF"),
        (bytes(257) + b"ustar" + bytes(300), "k.tar", "tar archive"),
        (b"\x93NUMPY" + bytes(99), "k.npy", "numpy"),
        (b"\x0a\x04abcd" + bytes(99), "k.caffemodel", "Caffe"),
    ],
)
def test_files_of_other_programs_are_named(head: bytes, name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(head)
    with pytest.raises(WeightsError, match=says):
        load_model(tmp_path / name)


def test_archives_of_other_programs_are_named(tmp_path: Path) -> None:
    import zipfile

    for name, entries, says in (
        ("net.keras", ("metadata.json", "config.json", "model.weights.h5"), "Keras"),
        ("net.npz", ("a.npy", "b.npy"), "numpy"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry in entries:
                archive.writestr(entry, "x")
        with pytest.raises(WeightsError, match=says):
            load_model(tmp_path / name)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_a_quantised_network_is_named(tmp_path: Path) -> None:
    scale, zero = torch.tensor(0.1), torch.tensor(0)
    packed = torch.quantize_per_tensor(torch.ones(4, 4), float(scale), int(zero), torch.qint8)
    torch.save({"fc.scale": scale, "fc.zero_point": zero, "fc._packed_params._packed_params": packed}, tmp_path / "q.pth")
    with pytest.raises(WeightsError, match="quantised"):
        load_model(tmp_path / "q.pth")


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="pipe"):
        load_model(tmp_path / "net.pth")


def test_a_network_of_others_is_called_by_its_name(tmp_path: Path) -> None:
    state = {f"segformer.encoder.{n}.weight": torch.ones(2, 2) for n in range(9)}
    folder = save_folder(
        tmp_path / "net", state, {"architectures": ["SegformerForSemanticSegmentation"], "model_type": "segformer"}
    )
    with pytest.raises(UnknownCheckpoint, match=r"SegformerForSemanticSegmentation, as config\.json calls it"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder.conv1.weight": None, "encoder._conv_stem.weight": torch.ones(32, 3, 3, 3)}, "encoder 'efficientnet-b3'"),
        ({"encoder.layer1.0.conv2.weight": torch.ones(64, 4, 3, 3)}, "encoder 'efficientnet-b3'"),
        ({"decoder.p5.weight": torch.ones(3), "decoder.seg_blocks.0.block.0.weight": torch.ones(3)}, "network 'FPN'"),
    ],
)
def test_encoders_and_networks_that_are_not_built_are_named(
    change: dict[str, Any], says: str, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    state = {key: value for key, value in {**plain[1], **change}.items() if value is not None}
    folder = save_folder(tmp_path / "net", state, {"encoder_name": "efficientnet-b3"})
    with pytest.raises(WeightsError, match=f"{says}.* is not supported.*supported: "):
        load_model(folder)


def test_one_list_of_endings_for_dialogs_drops_and_lists(tmp_path: Path) -> None:
    names = [f"net{ending}" for ending in MODEL_SUFFIXES] + [
        "NET.PTH",
        "model-00001-of-00002.safetensors",
        "a.png",
        "b.card.json",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.pth").mkdir()
    found = find_models([tmp_path, tmp_path / "absent", tmp_path])
    assert len(found) == len(MODEL_SUFFIXES) + 1
    assert all(is_model_file(path) for path in found)


def test_state_dicts_of_arrays(plain: tuple[SegmentationModel, State], tmp_path: Path) -> None:
    state = {key: value.numpy() for key, value in plain[1].items()}
    torch.save(state, tmp_path / "net.pth")
    assert same(load_model(tmp_path / "net.pth")[0], plain[0])
    # Arrays beside tensors are figures of the training.
    torch.save({**plain[1], "class_weights": np.ones(3), "confusion": np.eye(3)}, tmp_path / "net.pth")
    assert same(load_model(tmp_path / "net.pth")[0], plain[0])


def test_the_helper_covers_every_key() -> None:
    variant: Variant = SegmentationModelsPytorch().describe({key: tuple(value.shape) for key, value in smp("unet")[1].items()})
    assert variant.architecture["decoder_channels"] == [64, 32, 16, 16, 8]


@pytest.mark.parametrize("names", [("zeta", "alpha"), ("alpha", "zeta"), ("netA", "netB"), ("net_b", "net_a")])
def test_of_equal_weights_the_first_of_the_file_is_taken(names: tuple[str, str], plain: tuple[SegmentationModel, State]) -> None:
    model, state = plain
    both = {names[0]: state, names[1]: other(state)}
    for seed in range(3):  # whatever else the process did before
        set(map(str, range(seed * 100)))
        loaded, card = load_model(both)
        assert card.extra["weights"] == names[0]
        assert same(loaded, model)


def test_the_choice_among_equal_weights_is_the_same_in_every_process() -> None:
    keys = [f"{head}.{part}.weight" for head in ("b", "a", "d", "c") for part in ("one", "two")]
    marks = [["one.weight", "two.weight"]]
    script = f"from deeplab_core.weights.unwrapping import prefixes; print(list(prefixes({keys}, {marks})))"
    answers = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True, text=True)
        answers.add(run.stdout)
    assert answers == {"['', 'b', 'a', 'd', 'c']\n"}


def test_settings_that_hold_each_other_in_a_circle(plain: tuple[SegmentationModel, State]) -> None:
    circle: dict[str, Any] = {f"k{number}": None for number in range(3000)}
    circle = {**{f"a{number}": {} for number in range(50)}, **circle}
    for number in range(50):
        circle[f"a{number}"] = circle
    facts = gather_settings(Checkpoint(Path("a.pth"), plain[1], extras={"args": circle, "config": {"output_stride": 8}}))
    assert facts.get("output_stride") == 8


@pytest.mark.parametrize("kind", ["pipe", "list", "nested"])
def test_a_settings_file_that_is_none_is_named(kind: str, plain: tuple[SegmentationModel, State], tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "net", plain[1], {})
    (folder / "config.json").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "config.json")
    else:
        (folder / "config.json").write_text("[1, 2]" if kind == "list" else "[" * 2000)
    _, card = load_model(folder)
    assert [note for note in card.extra["notes"] if note.startswith("config.json beside the weights was not read: ")]


@pytest.mark.parametrize("source", [None, 3, torch.nn.Conv2d(3, 4, 1)], ids=["none", "number", "network"])
def test_what_is_neither_a_path_nor_a_state_dict_is_named(source: Any) -> None:
    with pytest.raises(WeightsError, match="a path or a state dict"):
        load_model(source)


def test_an_unknown_option_is_refused_in_memory_too(plain: tuple[SegmentationModel, State]) -> None:
    with pytest.raises(WeightsError, match="no option of a model: 'stride'"):
        load_model(plain[1], options={"stride": 8})


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("form", ["quantised", "sparse"])
def test_a_first_layer_that_was_not_read_is_not_called_another_network(
    form: str, plain: tuple[SegmentationModel, State], tmp_path: Path
) -> None:
    first = plain[1]["encoder.conv1.weight"]
    changed = torch.quantize_per_tensor(first, 0.1, 0, torch.qint8) if form == "quantised" else first.to_sparse()
    torch.save({**plain[1], "encoder.conv1.weight": changed}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=f"a {form} tensor"):
        load_model(tmp_path / "a.pth")


def test_a_card_that_says_what_cannot_be_is_noted_for_our_own_files_too(tmp_path: Path) -> None:
    model, card = load_model(smp()[1])
    save_model(tmp_path / "a.safetensors", model, card)
    write_card_file(tmp_path / "a.safetensors", replace(card, output_stride=7))
    _, loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.output_stride == 16
    assert [note for note in loaded.extra["notes"] if note.startswith("the card says output_stride 7, which")]


def test_a_card_that_is_no_file_is_never_passed_over(plain: tuple[SegmentationModel, State], tmp_path: Path) -> None:
    torch.save(plain[1], tmp_path / "a.pth")
    os.mkfifo(tmp_path / "a.pth.card.json")
    with pytest.raises(WeightsError, match="pipe or device"):
        load_model(tmp_path / "a.pth")
