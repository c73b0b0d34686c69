from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.errors import AtrousError
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.models.deeplab import DeepLab

BACKBONES = ("resnet18", "resnet50", "xception41", "mobilenet_v2", "mobilenet_v3_large")


@pytest.fixture(scope="module")
def models() -> dict[str, SegmentationModel]:
    torch.manual_seed(0)
    return {name: create_model("deeplabv3plus", backbone=name, num_classes=5).eval() for name in BACKBONES}


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(BACKBONES),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    stride=st.sampled_from([4, 8, 16, 32]),
)
def test_any_size_at_any_stride(models: dict[str, SegmentationModel], name: str, height: int, width: int, stride: int) -> None:
    model = models[name]
    model.output_stride = stride
    with torch.no_grad():
        logits = model(torch.randn(1, 3, height, width))
    assert logits.shape == (1, 5, height, width)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", BACKBONES)
def test_coarse_logits_and_features_have_the_promised_sizes(models: dict[str, SegmentationModel], name: str) -> None:
    model = models[name]
    assert isinstance(model, DeepLab)
    x = torch.randn(1, 3, 65, 97)
    for stride in (4, 8, 16, 32):
        model.output_stride = stride
        with torch.no_grad():
            assert model.coarse_logits(x).shape[-2:] == (17, 25)
            levels = model.encoder.levels(x)
        assert [level.shape[1] for level in levels] == list(model.encoder.level_channels)
        assert levels[-1].shape[-2:] == (-(-65 // stride), -(-97 // stride))


def test_changing_the_stride_changes_no_weight_and_can_be_undone(models: dict[str, SegmentationModel]) -> None:
    model = models["mobilenet_v2"]
    x = torch.randn(1, 3, 33, 33)
    model.output_stride = 16
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        before = model(x)
        model.output_stride = 8
        other = model(x)
        model.output_stride = 16
        again = model(x)
    assert not torch.equal(before, other)
    assert torch.equal(before, again)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_rates_of_the_pyramid_follow_the_stride() -> None:
    model = create_model("deeplabv3", backbone="resnet18")
    assert isinstance(model, DeepLab)
    assert model.aspp is not None
    rates = {}
    for stride in (4, 8, 16, 32):
        model.output_stride = stride
        rates[stride] = [branch.conv.dilation[0] for branch in list(model.aspp.branches)[1:]]
    assert rates == {4: [24, 48, 72], 8: [12, 24, 36], 16: [6, 12, 18], 32: [3, 6, 9]}


def test_multi_grid_multiplies_the_rate_of_the_last_stage() -> None:
    model = create_model("deeplabv3", backbone="resnet50", backbone_options={"multi_grid": [1, 2, 4]})
    rates = {}
    for stride in (16, 8):
        model.output_stride = stride
        rates[stride] = [unit.conv2.dilation[0] for unit in model.encoder.layer4]
    assert rates == {16: [2, 4, 8], 8: [4, 8, 16]}


def test_parts_of_an_image_share_one_pooled_context(models: dict[str, SegmentationModel]) -> None:
    model = models["resnet18"]
    model.output_stride = 16
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        whole = model.pooled_context(x)
        assert whole is not None
        parts = [model.pooled_context(x, (0, 0, 64, 32)), model.pooled_context(x, (0, 32, 64, 96))]
        assert parts[0] is not None
        assert parts[1] is not None
        torch.testing.assert_close((parts[0] + 2 * parts[1]) / 3, whole, rtol=1e-5, atol=1e-5)
        assert torch.equal(model.coarse_logits(x, whole), model.coarse_logits(x))
        assert not torch.equal(model.coarse_logits(x, whole + 1), model.coarse_logits(x))


def test_a_model_without_image_pooling_has_no_context() -> None:
    model = create_model("deeplabv3plus", backbone="resnet18", image_pooling=False).eval()
    assert model.pooled_context(torch.randn(1, 3, 32, 32)) is None


def test_the_naive_decoder_is_deeplabv3() -> None:
    torch.manual_seed(3)
    naive = create_model("deeplabv3plus", backbone="resnet18", decoder="bilinear").eval()
    v3 = create_model("deeplabv3", backbone="resnet18").eval()
    v3.load_state_dict(naive.state_dict())
    x = torch.randn(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(naive(x), v3(x))


def test_architecture_is_json_and_builds_the_same_network() -> None:
    model = create_model(
        "deeplabv3plus",
        backbone="resnet50",
        num_classes=7,
        output_stride=8,
        backbone_options={"multi_grid": (1, 2, 4)},
        separable=True,
    )
    again = create_model(**json.loads(json.dumps(model.architecture)))
    assert again.architecture == model.architecture
    assert [(k, v.shape) for k, v in again.state_dict().items()] == [(k, v.shape) for k, v in model.state_dict().items()]
    assert again.output_stride == 8


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: create_model("deeplabv9"), "deeplabv3plus"),
        (lambda: create_model("deeplabv3", backbone="alexnet"), "resnet101"),
        (lambda: create_model("deeplabv3", rates=(1, 2)), "atrous_rates"),
        (lambda: create_model("deeplabv3", backbone="resnet18", output_stride=2), "4, 8, 16, 32"),
        (lambda: create_model("deeplabv3", num_classes=0), "at least one"),
        (lambda: create_model("deeplabv3", backbone="mobilenet_v2", backbone_options={"depth": 2}), "pad_before"),
    ],
)
def test_wrong_names_list_the_choices(call: object, says: str) -> None:
    with pytest.raises(AtrousError) as caught:
        call()  # type: ignore[operator]
    assert says in str(caught.value)


def test_gradients_reach_every_parameter_through_both_heads() -> None:
    model = create_model("deeplabv3plus", backbone="resnet18", num_classes=3, auxiliary=16)
    assert isinstance(model, DeepLab)
    logits, auxiliary = model.logits_with_auxiliary(torch.randn(2, 3, 48, 48))
    assert auxiliary is not None
    assert logits.shape == auxiliary.shape == (2, 3, 48, 48)
    (logits.square().mean() + auxiliary.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_several_scales_join_by_the_maximum() -> None:
    torch.manual_seed(0)
    model = create_model("deeplabv2", backbone="resnet18", num_classes=4, multi_scale=[0.5]).eval()
    single = create_model("deeplabv2", backbone="resnet18", num_classes=4).eval()
    single.load_state_dict({key.removeprefix("base."): value for key, value in model.state_dict().items()})
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert (model.coarse_logits(x) >= single.coarse_logits(x)).all()
    assert create_model(**model.architecture).state_dict().keys() == model.state_dict().keys()
