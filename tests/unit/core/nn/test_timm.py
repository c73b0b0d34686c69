"""Networks of timm as encoders: at every stride the features of timm's own build, on one set of weights."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from deeplab_core.errors import AtrousError
from deeplab_core.inference.prepare import prepare_for_inference
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.nn import create_model
from deeplab_core.nn.backbones import build_backbone
from deeplab_core.nn.backbones.timm import TimmEncoder
from deeplab_core.records import ModelCard
from deeplab_core.weights import load_model, save_model

SMALL = "timm:lcnet_050"

#: Plain strides; a shortcut's pooling that vanishes; 'SAME' padding as a class of its own; a stem of stride 4; six levels;
#: squeeze and excitation.
NETWORKS = (
    "resnet10t",
    "mobilenetv4_conv_small",
    "tf_mobilenetv3_small_minimal_100",
    "convnextv2_atto",
    "darknet17",
    "regnety_002",
)


@pytest.fixture(scope="module")
def timm() -> Any:
    return pytest.importorskip("timm", reason="the timm extra is not installed")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_stride_has_the_features_of_timms_own_build(timm: Any, name: str) -> None:
    torch.manual_seed(0)
    encoder = build_backbone(f"timm:{name}").eval()
    assert isinstance(encoder, TimmEncoder)
    assert encoder.output_strides == (8, 16, 32)
    x = torch.randn(1, 3, 65, 97)
    weights = {key: value.clone() for key, value in encoder.state_dict().items()}
    for stride in (8, 32, 16, 8):
        encoder.set_output_stride(stride)
        reference = timm.create_model(name, features_only=True, output_stride=stride, pretrained=False).eval()
        reference.load_state_dict(encoder.network.state_dict())
        with torch.no_grad():
            levels, expected = encoder.levels(x), reference(x)
        assert len(levels) == 5
        assert [level.shape[1] for level in levels] == list(encoder.level_channels)
        strides = reference.feature_info.reduction()
        wanted = dict(zip(timm.create_model(name, features_only=True).feature_info.reduction(), expected, strict=True))
        assert strides[-1] == stride
        for nominal, level in zip((2, 4, 8, 16, 32), levels, strict=True):
            assert torch.equal(level, wanted.get(nominal, wanted[4]))
    assert all(torch.equal(value, weights[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus"])
def test_deeplabs_over_timm_train_switch_and_come_back_from_a_file(timm: Any, name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model(name, backbone=SMALL, num_classes=4, aspp_channels=16, backbone_options={"drop_path_rate": 0.1})
    assert model.output_stride == 16
    loss = model.train()(torch.randn(2, 3, 64, 64)).square().mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.eval()
    x = torch.randn(1, 3, 70, 50)
    twin = copy.deepcopy(model)
    outputs = {}
    for stride in (16, 8, 32):
        model.output_stride = stride
        with torch.no_grad():
            outputs[stride] = model(x)
        assert outputs[stride].shape == (1, 4, 70, 50)
    assert not torch.equal(outputs[8], outputs[16])
    with torch.no_grad():
        assert torch.equal(twin(x), outputs[16])
    assert model.receptive_radius() > 100
    save_model(tmp_path / "net.safetensors", model, ModelCard(id="", name="n", architecture={}, catalog=numbered_catalog(4)))
    again, card = load_model(tmp_path / "net.safetensors", output_stride=16)
    assert card.architecture["backbone"] == SMALL
    with torch.no_grad():
        assert torch.allclose(again(x), outputs[16], rtol=1e-5, atol=1e-30)


def test_kernels_that_no_file_stores_are_there_after_loading(timm: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"decoder_channels": 8, "low_level_channels": 8, "aspp_channels": 8, "atrous_rates": []}
    model = create_model("deeplabv3plus", backbone="timm:resnetblur18", num_classes=3, **options).eval()
    path = tmp_path / "net.safetensors"
    save_model(path, model, ModelCard(id="", name="n", architecture={}, catalog=numbered_catalog(3)))
    again, _ = load_model(path)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(x)
        assert torch.allclose(again(x), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_a_network_prepared_for_inference_switches_too(timm: Any) -> None:
    torch.manual_seed(0)
    model = create_model("deeplabv3plus", backbone="timm:resnet10t", num_classes=3, aspp_channels=8, decoder_channels=8).eval()
    prepared = prepare_for_inference(model)
    x = torch.randn(1, 3, 65, 65)
    for stride in (8, 16):
        model.output_stride = prepared.output_stride = stride
        with torch.no_grad():
            expected = model(x)
            assert (prepared(x) - expected).abs().max() < 1e-4 * (expected.max() - expected.min())


def test_strides_that_change_the_weights_are_left_out(timm: Any) -> None:
    # At stride 8 timm drops a convolutional shortcut of Xception-71.
    with torch.device("meta"):
        model = create_model("deeplabv3", backbone="timm:xception71")
    assert model.output_strides == (16, 32)
    with pytest.raises(AtrousError, match="16, 32"):
        model.output_stride = 8


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("densenet121", "cannot change its output stride"),
        ("hrnet_w18_small", "cannot change its output stride"),
        ("ghostnet_050", "dilation not supported"),
        ("vit_tiny_patch16_224", "cannot change its output stride"),
        ("resnet1000", "near are"),
        ("hf-hub:someone/net", "never downloaded"),
        ("hf_hub:someone/net", "never downloaded"),
    ],
)
def test_networks_that_do_not_serve_say_why(timm: Any, name: str, says: str) -> None:
    with pytest.raises(AtrousError) as caught:
        create_model("deeplabv3", backbone=f"timm:{name}")
    assert says in str(caught.value)
    assert caught.value.remedy


def test_a_pretrained_tag_names_the_network_and_loads_nothing(timm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    with torch.device("meta"):
        assert build_backbone("timm:resnet18.a1_in1k").level_channels == (64, 64, 128, 256, 512)


def test_without_timm_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(AtrousError) as caught:
        create_model("deeplabv3plus", backbone="timm:resnet18")
    assert "atrous[timm]" in caught.value.remedy
