"""kazuto1011/deeplab-pytorch (MIT): Caffe-like ResNet-101 under DeepLab v1, v2, v3 and v3+, alone or with several scales."""

from __future__ import annotations

import re
from typing import Any

from deeplab_core.weights.families.base import CAFFE, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule, named

_PARTS = {"1": "reduce", "2": "conv3x3", "3": "increase"}


def _unit(match: re.Match[str]) -> str:
    stage, index, kind, number, leaf = match.groups()
    part = "conv" if kind == "conv" else "bn"
    return f"layer{int(stage) + 1}.block{int(index) + 1}.{_PARTS[number]}.{part}.{leaf}"


def _shortcut(match: re.Match[str]) -> str:
    stage, index, number, leaf = match.groups()
    return f"layer{int(stage) + 1}.block{int(index) + 1}.shortcut.{'conv' if number == '0' else 'bn'}.{leaf}"


_ENCODER: list[Rule] = [
    (r"encoder\.conv1\.(\w+)", r"layer1.conv1.conv.\1"),
    (r"encoder\.bn1\.(\w+)", r"layer1.conv1.bn.\1"),
    (r"encoder\.layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", _unit),
    (r"encoder\.layer(\d)\.(\d+)\.downsample\.(\d)\.(\w+)", _shortcut),
]
_PYRAMID: list[Rule] = [
    (rf"aspp\.branches\.(\d)\.{PAIR}", named(r"aspp.stages.c\1.conv", r"aspp.stages.c\1.bn")),
    (rf"aspp\.pooling\.{PAIR}", named("aspp.stages.imagepool.conv.conv", "aspp.stages.imagepool.conv.bn")),
    (rf"aspp\.project\.{PAIR}", named("fc1.conv", "fc1.bn")),
]


class Kazuto(Family):
    """``layer1..5.*``; every key behind ``base.`` where the file was saved from the multi-scale wrapper."""

    name = "kazuto"
    title = "kazuto1011/deeplab-pytorch"
    landmarks = (
        r"(base\.)?layer1\.conv1\.conv\.weight",
        r"(base\.)?layer2\.block1\.reduce\.conv\.weight",
        r"(base\.)?layer5\.block1\.increase\.bn\.weight",
        r"(base\.)?(fc|fc1\.conv|aspp\.c0)\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """Version 1 (1x1 classifier), 2 (sum of atrous classifiers), 3 or 3+; with several scales if wrapped."""
        wrapped = "base.layer1.conv1.conv.weight" in shapes
        head = "base." if wrapped else ""
        bare = {key.removeprefix(head): shape for key, shape in shapes.items()}
        caffe: dict[str, Any] = {"stride_in": "1x1", "pool_ceil": True, "rate_onset": "whole_stage", "norm_momentum": 0.001}
        options: dict[str, Any] = {"align_corners": False}
        stride = 8
        if "fc1.conv.weight" in bare:
            plus = "reduce.conv.weight" in bare
            name, version = ("deeplabv3plus", "v3+") if plus else ("deeplabv3", "v3")
            caffe |= {"multi_grid": [1, 2, 4]}
            options |= {"aspp_dropout": 0.0, "decoder_dropout": 0.0, "native_output": "input" if plus else "coarse"}
            classifier = "fc2.conv3" if plus else "fc2"
            rules = [
                *_PYRAMID,
                (rf"decoder\.reduce\.{PAIR}", named("reduce.conv", "reduce.bn")),
                (rf"decoder\.convs\.0\.{PAIR}", named("fc2.conv1.conv", "fc2.conv1.bn")),
                (rf"decoder\.convs\.1\.{PAIR}", named("fc2.conv2.conv", "fc2.conv2.bn")),
                (r"classifier\.(\w+)", rf"{classifier}.\1"),
            ]
            stride = 16
        elif "aspp.c0.weight" in bare:
            name, version, classifier = "deeplabv2", "v2", "aspp.c0"
            rules = [(r"classifiers\.(\d)\.(\w+)", r"aspp.c\1.\2")]
        else:
            name, version, classifier = "deeplabv2", "v1", "fc"
            options |= {"atrous_rates": []}
            rules = [(r"classifiers\.0\.(\w+)", r"fc.\1")]
        classes = rows(bare, f"{classifier}.weight")
        if wrapped:
            options |= {"multi_scale": [0.5, 0.75]}
        inner = KeyRules(*_ENCODER, *rules)
        return Variant(
            architecture={
                "name": name,
                "backbone": "resnet101",
                "num_classes": classes,
                "output_stride": stride,
                "backbone_options": caffe,
                **options,
            },
            rules=(lambda key: head + inner(key.removeprefix("base."))),
            title=f"DeepLab {version} ResNet-101{' multi-scale' if wrapped else ''} (kazuto1011)",
            catalog="voc21" if classes == 21 else None,
            preprocessing=CAFFE,
            output_stride=stride,
            source="https://github.com/kazuto1011/deeplab-pytorch",
            licence="MIT (code); weights converted from DeepLab v2's or trained on COCO-Stuff or VOC",
        )
