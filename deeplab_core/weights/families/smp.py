"""qubvel-org/segmentation_models.pytorch (MIT): DeepLabV3Plus, DeepLabV3 and Unet."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deeplab_core.weights.families.base import IMAGENET, INCEPTION, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import (
    PAIR,
    Rule,
    aspp_rules,
    mobilenet_v2_rules,
    named,
    numbered,
    resnet_name,
    separable_rules,
)

#: timm's names of the parts of a separable unit.
_TIMM = {"depthwise": "conv_dw", "depthwise_norm": "bn_dw", "pointwise": "conv_pw", "pointwise_norm": "bn_pw"}


def timm_xception_rules(prefix: str, blocks: int, joint: str = "_") -> list[Rule]:
    """Timm's aligned Xception.

    Args:
        prefix: of the encoder, with its last dot.
        blocks: number of blocks with a shortcut; the last block follows them.
        joint: between ``blocks`` and the number: ``_`` where timm flattened the network to extract features.
    """

    def unit(match: re.Match[str]) -> str:
        return f"{prefix}blocks{joint}{match[1]}.stack.conv{int(match[2]) + 1}.{_TIMM[match[3]]}.{match[4]}"

    def final(match: re.Match[str]) -> str:
        return f"{prefix}blocks{joint}{blocks}.stack.conv{int(match[1]) + 1}.{_TIMM[match[2]]}.{match[3]}"

    def stem(match: re.Match[str]) -> str:
        return f"{prefix}stem{joint}{int(match[1]) - 1}.{'conv' if match[2] == 'conv' else 'bn'}.{match[3]}"

    shortcut = rf"{prefix}blocks{joint}\1.shortcut"
    return [
        (rf"encoder\.stem(\d)\.{PAIR}", stem),
        (rf"encoder\.blocks\.(\d+)\.shortcut\.{PAIR}", named(f"{shortcut}.conv", f"{shortcut}.bn")),
        (r"encoder\.blocks\.(\d+)\.units\.(\d+)\.(\w+)\.(\w+)", unit),
        (r"encoder\.final\.(\d+)\.(\w+)\.(\w+)", final),
    ]


def _encoder(shapes: Shapes) -> tuple[str, dict[str, Any], list[Rule]]:
    if "encoder.features.0.0.weight" in shapes:
        last = shapes["encoder.features.18.0.weight"][0]
        options: dict[str, Any] = {"rate_onset": "whole_stage", "last_channels": last}
        return "mobilenet_v2", options, mobilenet_v2_rules(lambda _: "encoder.features.", nested=True)
    if "encoder.model.stem_0.conv.weight" in shapes:
        numbers = {int(match[1]) for key in shapes if (match := re.match(r"encoder\.model\.blocks_(\d+)\.", key))}
        last = max(numbers)
        name = {12: "xception41", 20: "xception65", 22: "xception71"}.get(last, "xception65")
        return name, {"low_level_relu": True}, timm_xception_rules("encoder.model.", last)
    if "encoder.model.conv1.weight" in shapes:
        # timm gives a dilated stage's first unit the rate before it; the package's own ResNets do not.
        return (
            resnet_name(shapes, "encoder.model."),
            {"rate_onset": "after_first_unit"},
            [(r"encoder\.(.+)", r"encoder.model.\1")],
        )
    return resnet_name(shapes, "encoder."), {"rate_onset": "whole_stage"}, [(r"encoder\.(.+)", r"encoder.\1")]


class SegmentationModelsPytorch(Family):
    """``encoder.*``, ``decoder.*``, ``segmentation_head.0.*``."""

    name = "smp"
    title = "segmentation_models.pytorch"
    landmarks = (
        r"encoder\.(model\.)?(conv1|features\.0\.0|stem_0\.conv)\.weight",
        r"decoder\.(aspp\.(0\.)?|0\.|blocks\.0\.)(convs\.0\.0|conv1\.0)\.weight",
        r"segmentation_head\.0\.weight",
        r"segmentation_head\.0\.bias",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """Architecture and encoder."""
        classes = rows(shapes, "segmentation_head.0.weight")
        backbone, encoder_options, encoder_rules = _encoder(shapes)
        head: list[Rule] = [(r"classifier\.(\w+)", r"segmentation_head.0.\1")]
        options: dict[str, Any] = {"align_corners": True, "atrous_rates": [12, 24, 36], "scale_rates": False, "aspp_dropout": 0.5}
        multiple, stride = 16, 16
        if "decoder.blocks.0.conv1.0.weight" in shapes:
            name, multiple, stride = "unet", 32, 32
            options = {}
            rules: list[Rule] = [
                (rf"blocks\.(\d+)\.0\.{PAIR}", numbered(r"decoder.blocks.\1.conv1")),
                (rf"blocks\.(\d+)\.1\.{PAIR}", numbered(r"decoder.blocks.\1.conv2")),
            ]
        elif "decoder.block1.0.weight" in shapes:
            name = "deeplabv3plus"
            options |= {"after_aspp": "separable", "decoder_convs": 1, "decoder_dropout": 0.0, "separable_inner": "none"}
            options |= {"separable": "decoder.aspp.0.convs.1.0.0.weight" in shapes, "decoder_separable": True}
            rules = [
                *aspp_rules("decoder.aspp.0", separable=""),
                *separable_rules("after_aspp", "decoder.aspp.1", "decoder.aspp.2"),
                (rf"decoder\.reduce\.{PAIR}", numbered("decoder.block1")),
                *separable_rules(r"decoder\.convs\.0", "decoder.block2.0", "decoder.block2.1"),
            ]
        else:
            name, stride, multiple = "deeplabv3", 8, 8
            # Before version 0.5 the decoder was one Sequential of pyramid, convolution, norm.
            pyramid, conv, norm = "decoder.aspp", "decoder.conv", "decoder.bn"
            if "decoder.0.convs.0.0.weight" in shapes:
                pyramid, conv, norm = "decoder.0", "decoder.1", "decoder.2"
            options |= {"after_aspp": "conv", "separable": f"{pyramid}.convs.1.0.0.weight" in shapes, "separable_inner": "none"}
            rules = [*aspp_rules(pyramid, separable=""), (rf"after_aspp\.{PAIR}", named(conv, norm))]
        preprocessing = INCEPTION if backbone.startswith("xception") else IMAGENET
        return Variant(
            architecture={
                "name": name,
                "backbone": backbone,
                "num_classes": classes,
                "output_stride": stride,
                "backbone_options": encoder_options,
                **options,
            },
            rules=KeyRules(*encoder_rules, *rules, *head),
            title=f"{name} {backbone} (segmentation_models.pytorch)",
            catalog={21: "voc21", 19: "cityscapes19", 11: "camvid11"}.get(classes),
            preprocessing=replace(preprocessing, padding=f"multiple:{multiple}"),
            output_stride=stride,
            source="https://github.com/qubvel-org/segmentation_models.pytorch",
            licence="MIT (code); weights as their trainer says",
            summary="Classes and training data are the trainer's own: check the catalog",
        )
