"""PyTorch ports of TensorFlow's graph: nyoki-mtl/pytorch-segmentation (MIT) and LikeLy-Journey/SegmenTron (Apache-2.0)."""

from __future__ import annotations

import re
from typing import Any

from deeplab_core.weights.families.base import IMAGENET, INCEPTION, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule, named, resnet_name

_PARTS = {
    "depthwise.conv": "depthwise",
    "depthwise.norm": "bn_depth",
    "pointwise.conv": "pointwise",
    "pointwise.norm": "bn_point",
    "depthwise_norm": "bn_depth",
    "pointwise_norm": "bn_point",
    "depthwise": "depthwise",
    "pointwise": "pointwise",
}


def _separable(ours: str, theirs: str) -> Rule:
    return (
        rf"{ours}\.((?:depthwise|pointwise)\.(?:conv|norm))\.(\w+)",
        lambda m: f"{m.expand(theirs)}.block.{_PARTS[m[m.re.groups - 1]]}.{m[m.re.groups]}",
    )


def _xception(last: int) -> list[Rule]:
    """Blocks are numbered from 1; block ``last`` is the one without a shortcut."""

    def unit(match: re.Match[str]) -> str:
        return f"encoder.block{int(match[1]) + 1}.sep_conv{int(match[2]) + 1}.block.{_PARTS[match[3]]}.{match[4]}"

    def final(match: re.Match[str]) -> str:
        return f"encoder.block{last}.sep_conv{int(match[1]) + 1}.block.{_PARTS[match[2]]}.{match[3]}"

    def shortcut(match: re.Match[str]) -> str:
        return f"encoder.block{int(match[1]) + 1}.{'conv' if match[2] == 'conv' else 'bn'}.{match[3]}"

    return [
        (rf"encoder\.stem(\d)\.{PAIR}", named(r"encoder.conv\1", r"encoder.bn\1")),
        (rf"encoder\.blocks\.(\d+)\.shortcut\.{PAIR}", shortcut),
        (r"encoder\.blocks\.(\d+)\.units\.(\d+)\.(\w+)\.(\w+)", unit),
        (r"encoder\.final\.(\d+)\.(\w+)\.(\w+)", final),
    ]


def _pyramid(prefix: str) -> list[Rule]:
    return [
        (rf"aspp\.branches\.0\.{PAIR}", named(f"{prefix}.aspp0.conv", f"{prefix}.aspp0.bn")),
        _separable(r"aspp\.branches\.(\d)", rf"{prefix}.aspp\1"),
        (rf"aspp\.pooling\.{PAIR}", named(f"{prefix}.image_pooling.conv", f"{prefix}.image_pooling.bn")),
        (rf"aspp\.project\.{PAIR}", named(f"{prefix}.conv", f"{prefix}.bn")),
    ]


def _blocks(shapes: Shapes) -> int:
    return max(int(match[1]) for key in shapes if (match := re.match(r"encoder\.block(\d+)\.", key)))


#: The graph itself, as ``DeepLabOptions``.
_GRAPH: dict[str, Any] = {"separable": True, "branch_order": "pool_first", "align_corners": True, "norm_momentum": 3e-4}


class Nyoki(Family):
    """``encoder.blockN.sep_convM.block.*``, ``spp.*``, ``decoder.*``, ``logits``."""

    name = "nyoki"
    title = "nyoki-mtl/pytorch-segmentation"
    landmarks = (
        r"encoder\.block1\.(sep_conv1\.block|expand)\..+",
        r"spp\.aspp0\.conv\.weight",
        r"spp\.image_pooling\.conv\.weight",
        r"logits\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """DeepLabv3+ Xception, or DeepLabv3 MobileNetV2 with the 1x1 and the pooling branch only."""
        classes = rows(shapes, "logits.weight")
        options = {**_GRAPH, "native_output": "coarse"}
        if "encoder.block0.depthwise.conv.weight" in shapes:
            name, backbone, stride = "deeplabv3", "mobilenet_v2", 8
            encoder_options: dict[str, Any] = {"norm_eps": 1e-3}
            if "spp.aspp1.block.depthwise.weight" not in shapes:
                options["atrous_rates"] = []
            encoder: list[Rule] = [
                (rf"encoder\.stem\.{PAIR}", named("encoder.conv", "encoder.bn")),
                (rf"encoder\.blocks\.(\d+)\.(\w+)\.{PAIR}", named(r"encoder.block\1.\2.conv", r"encoder.block\1.\2.bn")),
            ]
        else:
            last = _blocks(shapes)
            name, backbone, stride = "deeplabv3plus", {13: "xception41", 21: "xception65", 23: "xception71"}[last], 16
            encoder_options = {}
            encoder = _xception(last)
        rules = [
            *encoder,
            *_pyramid("spp"),
            (rf"decoder\.reduce\.{PAIR}", named("decoder.conv", "decoder.bn")),
            _separable(r"decoder\.convs\.0", "decoder.sep1"),
            _separable(r"decoder\.convs\.1", "decoder.sep2"),
            (r"classifier\.(\w+)", r"logits.\1"),
        ]
        return Variant(
            architecture={
                "name": name,
                "backbone": backbone,
                "num_classes": classes,
                "output_stride": stride,
                "backbone_options": encoder_options,
                **options,
            },
            rules=KeyRules(*rules),
            title=f"{'DeepLabv3+' if name == 'deeplabv3plus' else 'DeepLabv3'} {backbone} (nyoki-mtl)",
            catalog={19: "cityscapes19", 21: "voc21"}.get(classes),
            preprocessing=INCEPTION,
            output_stride=stride,
            source="https://github.com/nyoki-mtl/pytorch-segmentation",
            licence="MIT (code); weights converted from TensorFlow's (Apache-2.0)",
        )


def _segmentron_mobilenet(match: re.Match[str]) -> str:
    # Units of one Sequential per stride: 1, 2, 3, then 64 and 96 channels, then 160 and 320.
    index, part, kind, leaf = int(match[1]), match[2], match[3], match[4]
    starts = (0, 1, 3, 6, 13)
    stage = max(number for number, start in enumerate(starts) if index >= start)
    place = ("expand", "depthwise", "project").index(part) - (1 if index == 0 else 0)
    head = f"encoder.block{stage + 1}.{index - starts[stage]}.conv"
    if part == "project":
        return f"{head}.{place + (kind == 'norm')}.{leaf}"
    return f"{head}.{place}.{'conv' if kind == 'conv' else 'bn'}.{leaf}"


class SegmenTron(Family):
    """``encoder.*``, ``head.{aspp,c1_block,block}.*``."""

    name = "segmentron"
    title = "LikeLy-Journey/SegmenTron"
    landmarks = (
        r"encoder\.conv1\.(conv\.)?weight",
        r"head\.block\.0\.block\.depthwise\.weight",
        r"head\.block\.1\.block\.pointwise\.weight",
        r"head\.block\.2\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """DeepLabv3+ by its encoder, with or without pyramid and decoder."""
        classes = rows(shapes, "head.block.2.weight")
        options = {**_GRAPH, "norm_momentum": 0.1}
        preprocessing = INCEPTION
        if "encoder.conv1.conv.weight" in shapes:
            backbone = "mobilenet_v2"
            encoder_options: dict[str, Any] = {"rate_onset": "first_unit_only"}
            encoder: list[Rule] = [
                (rf"encoder\.stem\.{PAIR}", named("encoder.conv1.conv", "encoder.conv1.bn")),
                (rf"encoder\.blocks\.(\d+)\.(\w+)\.{PAIR}", _segmentron_mobilenet),
            ]
        elif "encoder.block1.sep_conv1.block.depthwise.weight" in shapes:
            last = _blocks(shapes)
            backbone = {13: "xception41", 21: "xception65", 23: "xception71"}[last]
            # The configurations of its published weights set BN_EPS_FOR_ENCODER to TensorFlow's 1e-3.
            encoder_options = {}
            encoder = _xception(last)
        else:
            backbone = resnet_name(shapes, "encoder.")
            encoder_options, encoder, preprocessing = {}, [(r"encoder\.(.+)", r"encoder.\1")], IMAGENET
        if "head.aspp.aspp0.conv.weight" not in shapes:
            options["pyramid"] = False
        if "head.c1_block.conv.weight" not in shapes:
            options["decoder"] = "convs"
        rules = [
            *encoder,
            *_pyramid("head.aspp"),
            (rf"decoder\.reduce\.{PAIR}", named("head.c1_block.conv", "head.c1_block.bn")),
            _separable(r"decoder\.convs\.(\d)", r"head.block.\1"),
            (r"classifier\.(\w+)", r"head.block.2.\1"),
        ]
        return Variant(
            architecture={
                "name": "deeplabv3plus",
                "backbone": backbone,
                "num_classes": classes,
                "output_stride": 16,
                "backbone_options": encoder_options,
                **options,
            },
            rules=KeyRules(*rules),
            ignored=r"(auxlayer|encoder\.fc)\..+",
            title=f"DeepLabv3+ {backbone} (SegmenTron)",
            catalog={19: "cityscapes19", 21: "voc21"}.get(classes),
            preprocessing=preprocessing,
            source="https://github.com/LikeLy-Journey/SegmenTron",
            licence="Apache-2.0 (code); weights trained on Cityscapes or VOC",
        )
