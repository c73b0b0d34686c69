"""VainF/DeepLabV3Plus-Pytorch (MIT)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deeplab_core.weights.families.base import IMAGENET, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import (
    PAIR,
    Rule,
    aspp_rules,
    mobilenet_v2_rules,
    named,
    numbered,
    resnet_name,
    separable_rules,
    xception_rules,
)

#: The Keras-like Xception of the repository, see ``XceptionOptions`` for the meaning of each entry.
XCEPTION_OPTIONS: dict[str, Any] = {
    "rate_onset": "whole_stage", "depthwise_norm": False, "low_level": "block_output", "final_depthwise_relu": False,
    "final_norm": False, "final_padding": "one", "stem_padding": 0, "norm_eps": 1e-5, "norm_momentum": 0.01,
}  # fmt: skip


def _fusion(match: re.Match[str]) -> str:
    stage, module, target, source, step, kind, leaf = match.groups()
    place = "0" if kind == "conv" else "1"
    head = f"backbone.stage{int(stage) + 2}.{module}.fuse_layers.{target}.{source}"
    # Coarser sources are one flat Sequential, finer ones a Sequential of Sequentials.
    return f"{head}.{place}.{leaf}" if int(source) > int(target) else f"{head}.{step}.{place}.{leaf}"


def _transition(match: re.Match[str]) -> str:
    number, kind, leaf = int(match[1]), match[2], match[3]
    head = ("transition1.0", "transition1.1.0", "transition2", "transition3")[number]
    return f"backbone.{head}.{0 if kind == 'conv' else 1}.{leaf}"


_HRNET: list[Rule] = [
    (rf"encoder\.stem(\d)\.{PAIR}", named(r"backbone.conv\1", r"backbone.bn\1")),
    (r"encoder\.(layer1\..+)", r"backbone.\1"),
    (rf"encoder\.transitions\.(\d)\.{PAIR}", _transition),
    (r"encoder\.stages\.(\d)\.(\d)\.branches\.(.+)", lambda m: f"backbone.stage{int(m[1]) + 2}.{m[2]}.branches.{m[3]}"),
    (rf"encoder\.stages\.(\d)\.(\d)\.fuse\.(\d)\.(\d)\.(\d)\.{PAIR}", _fusion),
]


def _feature(number: int) -> str:
    return "backbone.low_level_features." if number <= 3 else "backbone.high_level_features."


def _encoder(shapes: Shapes) -> tuple[str, dict[str, Any], list[Rule]]:
    if "backbone.low_level_features.0.0.weight" in shapes:
        options: dict[str, Any] = {"pad_before": "expansion", "stem_padding": 0, "norm_momentum": 0.01}
        return "mobilenet_v2", options, mobilenet_v2_rules(_feature, nested=True)
    if "backbone.block1.skip.weight" in shapes:
        return "xception", XCEPTION_OPTIONS, xception_rules("backbone", bare_blocks=(1,))
    if "backbone.stage4.0.branches.0.0.conv1.weight" in shapes:
        width = shapes["backbone.transition1.0.0.weight"][0]
        return f"hrnetv2_{width}", {"first_stem_relu": False, "norm_momentum": 0.01}, _HRNET
    return resnet_name(shapes, "backbone."), {"norm_momentum": 0.01}, [(r"encoder\.(.+)", r"backbone.\1")]


class VainF(Family):
    """``backbone.*`` and ``classifier.*``; DeepLabv3+ concatenates the low-level features first and has one 3x3 convolution."""

    name = "vainf"
    title = "VainF/DeepLabV3Plus-Pytorch"
    landmarks = (
        r"backbone\.(conv1|low_level_features\.0\.0)\.weight",
        r"classifier\.(aspp|classifier\.0)\.convs\.0\.0\.weight",
        r"classifier\.(aspp|classifier\.0)\.project\.0\.weight",
        r"classifier\.classifier\.[34]\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """DeepLabv3 or DeepLabv3+, by its encoder, plain or separable."""
        plus = "classifier.aspp.convs.0.0.weight" in shapes
        pyramid = "classifier.aspp" if plus else "classifier.classifier.0"
        separable = f"{pyramid}.convs.1.0.body.0.weight" in shapes
        classifier = "classifier.classifier.3" if plus else "classifier.classifier.4"
        backbone, options, encoder_rules = _encoder(shapes)
        classes = rows(shapes, f"{classifier}.weight")
        architecture: dict[str, Any] = {
            "name": "deeplabv3plus" if plus else "deeplabv3", "backbone": backbone, "num_classes": classes, "output_stride": 16,
            "backbone_options": options, "align_corners": False,
        }  # fmt: skip
        layer, place = (r"decoder\.convs\.0", 0) if plus else (r"after_aspp", 1)
        rules = [
            *encoder_rules,
            *aspp_rules(pyramid),
            (rf"decoder\.reduce\.{PAIR}", numbered("classifier.project")),
            (rf"{layer}\.{PAIR}", numbered("classifier.classifier", place, place + 1)),
            *separable_rules(layer, f"classifier.classifier.{place}.body", f"classifier.classifier.{place + 1}"),
            (r"classifier\.(\w+)", rf"{classifier}.\1"),
        ]
        if plus:
            architecture |= {"decoder_convs": 1, "decoder_order": "low_level_first", "decoder_dropout": 0.0}
        else:
            architecture |= {"after_aspp": "separable" if separable else "conv"}
        if backbone.startswith("hrnet"):
            architecture |= {"atrous_rates": [12, 24, 36], "scale_rates": False, "output_stride": 4}
        if separable:
            architecture |= {"separable": True, "separable_inner": "none"}
        return Variant(
            architecture=architecture,
            rules=KeyRules(*rules),
            title=f"{'DeepLabv3+' if plus else 'DeepLabv3'} {backbone} (VainF)",
            catalog={21: "voc21", 19: "cityscapes19"}.get(classes),
            preprocessing=replace(IMAGENET, padding="multiple:32") if backbone.startswith("hrnet") else IMAGENET,
            output_stride=int(architecture["output_stride"]),
            source="https://github.com/VainF/DeepLabV3Plus-Pytorch",
            licence="MIT (code); weights trained on PASCAL VOC or Cityscapes",
            summary="Evaluated on 513 px centre crops at stride 16 by its authors",
        )
