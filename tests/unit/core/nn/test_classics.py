"""Layer facts, sizes and parameter counts of the classic networks (figures of the papers and official prototxts)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.nn import SegmentationModel, count_parameters, create_model, model_names
from deeplab_core.nn.layers import bilinear_kernel
from deeplab_core.nn.models.dilatednet import DilatedNet
from deeplab_core.nn.receptive import on_meta

PARAMETERS: list[tuple[str, int, dict[str, Any]]] = [
    ("DeepLabv1 LargeFOV, 20.5 M", 20_505_429, {"name": "deeplabv1"}),
    ("DeepLabv1 7x7, 134.3 M", 134_346_581, {"name": "deeplabv1", "kernel": 7, "rate": 4, "channels": 4096}),
    ("FCN-32s", 136_152_917, {"name": "fcn", "variant": "32s"}),
    ("FCN-16s", 134_815_994, {"name": "fcn", "variant": "16s"}),
    ("FCN-8s, 134.5 M", 134_489_759, {"name": "fcn"}),
    ("DilatedNet front end", 134_346_581, {"name": "dilatednet", "context": None}),
    ("Dilation8 large", 141_149_720, {"name": "dilatednet", "context": "large"}),
    ("Dilation8 basic, CamVid", 134_313_443, {"name": "dilatednet", "num_classes": 11}),
    ("Dilation7, KITTI", 134_312_343, {"name": "dilatednet", "num_classes": 11, "rates": [1, 1, 2, 4, 8, 1]}),
    (
        "Dilation10, Cityscapes",
        134_373_043,
        {"name": "dilatednet", "num_classes": 19, "rates": [1, 1, 2, 4, 8, 16, 32, 64, 1], "upsampling": True},
    ),
    ("DeconvNet, 252 M", 251_805_653, {"name": "deconvnet"}),
    ("SegNet, 29.5 M", 29_449_355, {"name": "segnet", "num_classes": 11}),
    ("SegNet-Basic, 1.4 M", 1_416_587, {"name": "segnet", "backbone": "basic", "num_classes": 11}),
    ("FC-DenseNet-56", 1_376_988, {"name": "fc_densenet", "backbone": "fc_densenet56", "num_classes": 12}),
    ("FC-DenseNet-56 by its own name", 1_376_988, {"name": "fc_densenet56", "num_classes": 12}),
    ("FC-DenseNet-67, 3.5 M", 3_463_532, {"name": "fc_densenet67", "num_classes": 12}),
    ("FC-DenseNet-103 by its own name", 9_322_348, {"name": "fc_densenet103", "num_classes": 12}),
    ("FC-DenseNet-103, 9.4 M", 9_322_348, {"name": "fc_densenet", "num_classes": 12}),
    ("U-Net bilinear", 17_264_277, {"name": "unet", "upsampling": "bilinear"}),
]


@pytest.mark.parametrize(("title", "wanted", "arguments"), PARAMETERS, ids=[row[0] for row in PARAMETERS])
def test_parameters(title: str, wanted: int, arguments: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = create_model(**arguments)
    assert count_parameters(model) == wanted


def output_size(model: SegmentationModel, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes of coarse logits and of the output, on shapes alone."""
    shapes, x = on_meta(model), torch.empty(1, 3, height, width, device="meta")
    coarse, full = shapes.coarse_logits(x), shapes(x)
    return (coarse.shape[-2], coarse.shape[-1]), (full.shape[-2], full.shape[-1])


@pytest.fixture(scope="module")
def classics() -> dict[str, SegmentationModel]:
    with torch.device("meta"):
        return {name: create_model(name, num_classes=4) for name in model_names()}


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(model_names()), height=st.integers(1, 90), width=st.integers(1, 90))
def test_output_has_the_size_of_the_input(classics: dict[str, SegmentationModel], name: str, height: int, width: int) -> None:
    model = classics[name]
    height, width = max(height, model.minimum_side), max(width, model.minimum_side)
    coarse, full = output_size(model, height, width)
    assert full == (height, width)
    assert coarse <= (height, width)


@pytest.mark.parametrize("side", [1, 13])
def test_networks_with_a_smallest_size_continue_smaller_images(classics: dict[str, SegmentationModel], side: int) -> None:
    for model in (*classics.values(), _vainf_xception()):
        found = on_meta(model)(torch.empty(1, 3, side, 2 * side, device="meta"))
        assert tuple(found.shape[-2:]) == (side, 2 * side)


def _vainf_xception() -> SegmentationModel:
    from deeplab_core.weights.families.vainf import XCEPTION_OPTIONS

    with torch.device("meta"):
        return create_model("deeplabv3", backbone="xception", output_stride=8, backbone_options=XCEPTION_OPTIONS)


def test_the_smallest_size_of_an_unpadded_xception_is_exact() -> None:
    model = _vainf_xception()
    side = model.minimum_side
    assert output_size(model, side, side)[1] == (side, side)
    with pytest.raises(RuntimeError):
        on_meta(model).coarse_logits(torch.empty(1, 3, side - 1, side - 1, device="meta"))


def test_large_fov_keeps_an_eighth_of_32_k_plus_1_inputs() -> None:
    """321 to 41, and 513 to 65 (section 3 of the paper)."""
    with torch.device("meta"):
        model = create_model("deeplabv1")
    assert output_size(model, 321, 513)[0] == (41, 65)


def test_large_fov_looks_224_px_behind_pool4() -> None:
    """Table 2: fc6 3x3 at rate 12 sees 224 px of input stride 8 features: 2 x 12 x 8 = 192 px beyond one 32 px feature."""
    with torch.device("meta"):
        wide, narrow = create_model("deeplabv1"), create_model("deeplabv1", rate=1)
    assert wide.receptive_radius() - narrow.receptive_radius() == 11 * 8


def test_the_front_end_consumes_372_pixels_and_strides_by_8() -> None:
    with torch.device("meta"):
        model = create_model("dilatednet", context=None)
    assert isinstance(model, DilatedNet)
    found = on_meta(model).front_end(torch.empty(1, 3, 900, 1396, device="meta"))
    assert tuple(found.shape[-2:]) == (66, 128)


@pytest.mark.parametrize(("context", "radius"), [("basic", 33), ("large", 33)])
def test_the_context_module_sees_67_features(context: str, radius: int) -> None:
    """Table 1 of the paper: receptive field 67 x 67 at the last layer."""
    with torch.device("meta"):
        plain = create_model("dilatednet", context=None)
        model = create_model("dilatednet", context=context)
    assert model.receptive_radius() - plain.receptive_radius() == radius * 8


@pytest.mark.parametrize("context", ["basic", "large"])
def test_a_fresh_context_module_passes_scores_through(context: str) -> None:
    from deeplab_core.nn.models.dilatednet import identity_init

    torch.manual_seed(0)
    classes = 3
    widths = [1, 1, 1] if context == "basic" else [2, 4, 1]
    x = torch.rand(1, classes, 9, 9)
    channels, out = classes, x
    for width in widths:
        conv = torch.nn.Conv2d(channels, width * classes, 3, padding=1)
        identity_init(conv, classes, noise=1e-4)
        out, channels = conv(out).relu(), width * classes
    torch.testing.assert_close(out, x, atol=0.02, rtol=0.0)


def test_bilinear_kernels_interpolate() -> None:
    assert torch.equal(bilinear_kernel(4)[0], torch.tensor([0.25, 0.75, 0.75, 0.25]) * 0.25)
    layer = torch.nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    layer.weight.data[0, 0] = bilinear_kernel(4)
    ramp = torch.arange(6.0).expand(1, 1, 6, 6).contiguous()
    up = layer(ramp)[0, 0, 6, 2:-2]
    torch.testing.assert_close(up, torch.nn.functional.interpolate(ramp, scale_factor=2, mode="bilinear")[0, 0, 6, 2:-2])


def test_unpooling_puts_values_back_where_they_came_from() -> None:
    torch.manual_seed(0)
    model = create_model("segnet", backbone="basic", num_classes=2).eval()
    x = torch.randn(1, 3, 45, 61)
    with torch.no_grad():
        assert model(x).shape == (1, 2, 45, 61)
        # Shifting the input by one pooling period of 16 px shifts the scores with it, away from the border.
        wide = torch.randn(1, 3, 256, 256)
        first = model(wide)[..., 112:128, 112:128]
        second = model(torch.roll(wide, (16, 16), (2, 3)))[..., 128:144, 128:144]
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["deeplabv1", "fc_densenet", "segnet", "unet", "lraspp", "drn"])
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    small: dict[str, Any] = {
        "deeplabv1": {"channels": 8},
        "fc_densenet": {"backbone": "fc_densenet56"},
        "segnet": {"backbone": "basic"},
        "unet": {"width": 4},
    }.get(name, {})
    model = create_model(name, num_classes=3, **small).train()
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
