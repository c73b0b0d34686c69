"""Sizes of networks against figures measured on the peers of the same layout (513 x 513 px, batch norm statistics excluded)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deeplab_core.nn import SegmentationModel, count_multiply_adds, count_parameters, create_model

VAINF: dict[str, Any] = {"decoder_convs": 1, "decoder_order": "low_level_first", "align_corners": False}
LAYOUTS: list[tuple[str, int, dict[int, float], dict[str, Any]]] = [
    # peer of the same layout, parameters, multiply-adds in G by output stride, arguments
    ("VainF DeepLabv3+ ResNet-50", 39_761_845, {16: 62.38, 8: 178.09}, {"backbone": "resnet50", **VAINF}),
    ("VainF DeepLabv3+ ResNet-101", 58_753_973, {16: 83.00, 8: 258.11}, {"backbone": "resnet101", **VAINF}),
    (
        "VainF DeepLabv3 ResNet-50",
        39_638_869,
        {16: 51.08, 8: 168.65},
        {"name": "deeplabv3", "backbone": "resnet50", "after_aspp": "conv"},
    ),
    (
        "jfzhang95 DeepLabv3+ ResNet-101",
        59_344_309,
        {16: 92.82, 8: 267.92},
        {"backbone": "resnet101", "backbone_options": {"multi_grid": (1, 2, 4)}},
    ),
    (
        "jfzhang95 DeepLabv3+ Xception-65",
        54_705_317,
        {16: 86.58, 8: 248.68},
        {"backbone": "xception65", "backbone_options": {"low_level": "block_output"}},
    ),
    (
        "TensorFlow (nyoki) DeepLabv3+ Xception-65",
        41_055_413,
        {16: 54.03, 8: 176.85},
        {"backbone": "xception65", "separable": True},
    ),
    (
        "segmentation_models.pytorch DeepLabv3+ Xception-65",
        41_042_005,
        {16: 50.24},
        {"backbone": "xception65", "separable": True, "separable_inner": "none", "after_aspp": "separable", "decoder_convs": 1},
    ),
    (
        "SegmenTron DeepLabv3+ ResNet-101",
        47_736_747 - 2_049_000,
        {16: 60.17},
        {"backbone": "resnet101", "separable": True, "num_classes": 19},
    ),
    ("jfzhang95 DeepLabv3+ MobileNetV2", 5_816_053, {}, {"backbone": "mobilenet_v2"}),
    ("VainF DeepLabv3+ MobileNetV2", 5_225_717, {}, {"backbone": "mobilenet_v2", **VAINF}),
    ("torchvision LR-ASPP", 3_221_538, {16: 2.08}, {"name": "lraspp", "backbone": "mobilenet_v3_large"}),
    ("kazuto1011 DeepLabv2 ResNet-101", 44_048_532, {8: 188.89}, {"name": "deeplabv2", "backbone": "resnet101"}),
    ("fyu DRN-D-54", 35_310_787, {8: 153.47}, {"name": "drn", "backbone": "drn_d_54", "num_classes": 19}),
    ("milesial U-Net", 31_037_698, {1: 192.84}, {"name": "unet", "num_classes": 2}),
]


def build(arguments: dict[str, Any]) -> SegmentationModel:
    with torch.device("meta"):
        return create_model(**{"name": "deeplabv3plus", **arguments})


@pytest.mark.parametrize(("peer", "parameters", "giga", "arguments"), LAYOUTS, ids=[row[0] for row in LAYOUTS])
def test_size_equals_the_peer_of_the_same_layout(
    peer: str, parameters: int, giga: dict[int, float], arguments: dict[str, Any]
) -> None:
    model = build(arguments)
    assert count_parameters(model) == parameters
    for stride, wanted in giga.items():
        model.output_stride = stride
        # segmentation_models.pytorch takes multiples of the stride only.
        side = 512 if peer.startswith("segmentation_models") else 513
        assert count_multiply_adds(model, (side, side)) / 1e9 == pytest.approx(wanted, rel=0.01)


def test_paper_parameter_counts_of_the_encoders() -> None:
    """ResNet (table 1 of torchvision's documentation), less the classifier of 2048 x 1000 + 1000."""
    for name, published in (("resnet50", 25_557_032), ("resnet101", 44_549_160), ("resnet152", 60_192_808)):
        model = build({"name": "deeplabv3", "backbone": name})
        assert count_parameters(model.encoder) == published - 2_049_000  # type: ignore[arg-type]


def test_counting_needs_no_memory_and_leaves_the_model_alone() -> None:
    model = create_model("deeplabv3", backbone="resnet18").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert count_multiply_adds(model, (2001, 3001)) > 1e11
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
