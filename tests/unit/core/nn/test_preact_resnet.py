"""Pre-activation residual networks against timm's, and their place among the encoders."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from deeplab_core.nn import create_model
from deeplab_core.nn.backbones import build_backbone
from deeplab_core.nn.backbones.preact_resnet import PREACT_RESNETS, PreActResNet

timm = pytest.importorskip("timm")


def timm_key(key: str) -> str:
    """Our key as timm's ``resnetv2`` calls it."""
    key = re.sub(r"^conv1\.", "stem.conv.", key)
    key = re.sub(r"^bn\.", "norm.", key)
    key = re.sub(r"^layer(\d)\.(\d+)\.", lambda m: f"stages.{int(m[1]) - 1}.blocks.{m[2]}.", key)
    key = key.replace(".downsample.", ".downsample.conv.")
    return re.sub(r"\.bn(\d)\.", r".norm\1.", key)


def randomised(model: torch.nn.Module) -> None:
    """Statistics and scales that differ between channels, so that a norm in the wrong place shows."""
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith(("running_mean", "bias")):
                value.normal_(std=0.1)
            elif key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
                value.uniform_(0.5, 1.5)


@pytest.mark.parametrize(
    ("name", "peer"), [("preact_resnet50", "resnetv2_50"), ("preact_resnet18", "resnetv2_18"), ("preact_resnet34", "resnetv2_34")]
)
def test_features_equal_timms(name: str, peer: str) -> None:
    torch.manual_seed(0)
    reference = timm.create_model(peer, pretrained=False).eval()
    randomised(reference)
    ours = build_backbone(name).eval()
    ours.set_output_stride(32)
    theirs: dict[str, Tensor] = reference.state_dict()
    ours.load_state_dict({key: theirs[timm_key(key)] for key in ours.state_dict()})
    x = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        want = reference.forward_features(x)
        got = ours.levels(x)[-1]
    assert got.shape == want.shape
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["preact_resnet18", "preact_resnet50"])
def test_every_stride_gives_the_undecimated_features(name: str) -> None:
    torch.manual_seed(1)
    encoder = build_backbone(name).eval()
    x = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        encoder.set_output_stride(32)
        coarse = encoder.levels(x)[-1]
        for stride in (16, 8, 4):
            encoder.set_output_stride(stride)
            levels = encoder.levels(x)
            assert [level.shape[1] for level in levels] == list(encoder.level_channels)
            fine = levels[-1]
            assert fine.shape[-2:] == (-(-65 // stride),) * 2
            # The coarse network is the fine one read at every (32 / stride)-th place (DeepLab v1, section 3.1).
            torch.testing.assert_close(fine[..., :: 32 // stride, :: 32 // stride], coarse, rtol=1e-4, atol=1e-4)


def test_multi_grid_multiplies_the_rates_of_the_last_stage() -> None:
    encoder = build_backbone("preact_resnet50", {"multi_grid": [1, 2, 4]})
    assert isinstance(encoder, PreActResNet)
    rates = {}
    for stride in (16, 8):
        encoder.set_output_stride(stride)
        rates[stride] = [unit.conv2.dilation[0] for unit in encoder._stage(4)]
    assert rates == {16: [2, 4, 8], 8: [4, 8, 16]}


@pytest.mark.parametrize("name", PREACT_RESNETS)
def test_deeplab_is_built_over_every_depth(name: str) -> None:
    with torch.device("meta"):
        model = create_model("deeplabv3plus", backbone=name, num_classes=3)
    assert model.output_stride == 16
    assert model.architecture["backbone"] == name
