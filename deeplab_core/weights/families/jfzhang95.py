"""jfzhang95/pytorch-deeplab-xception (MIT)."""

from __future__ import annotations

from typing import Any

from deeplab_core.weights.families.base import Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule, mobilenet_v2_rules, named, resnet_name, xception_rules

#: The repository's aligned Xception; see ``XceptionOptions`` for the meaning of each entry.
XCEPTION_OPTIONS: dict[str, Any] = {
    "shortcut_input": "rectified", "low_level": "block_output", "low_level_relu": True, "final_input_relu": True,
    "final_depthwise_relu": False, "exit_last_unit_dilates": False, "norm_eps": 1e-5, "norm_momentum": 0.1,
}  # fmt: skip


def _feature(number: int) -> str:
    # Every tensor is stored under "features" too; the later copy is what loading leaves in the network.
    return "backbone.low_level_features." if number <= 3 else "backbone.high_level_features."


def drn_rules(prefix: str) -> list[Rule]:
    """DRN-D with its plain layers as one Sequential of convolution, norm and ReLU.

    Args:
        prefix: of the encoder, with its last dot.
    """
    return [
        (r"encoder\.stem\.conv\.(\w+)", rf"{prefix}layer0.0.\1"),
        (r"encoder\.stem\.norm\.(\w+)", rf"{prefix}layer0.1.\1"),
        (r"encoder\.layer(\d)\.(\d+)\.conv\.(\w+)", lambda m: f"{prefix}layer{m[1]}.{3 * int(m[2])}.{m[3]}"),
        (r"encoder\.layer(\d)\.(\d+)\.norm\.(\w+)", lambda m: f"{prefix}layer{m[1]}.{3 * int(m[2]) + 1}.{m[3]}"),
        (r"encoder\.(layer.+)", rf"{prefix}\1"),
    ]


def _encoder(shapes: Shapes) -> tuple[str, dict[str, Any], list[Rule]]:
    if "backbone.low_level_features.0.0.weight" in shapes:
        options: dict[str, Any] = {"pad_before": "expansion", "rate_onset": "next_stage"}
        return "mobilenet_v2", options, mobilenet_v2_rules(_feature, nested=False)
    if "backbone.block1.skip.weight" in shapes:
        return "xception65", XCEPTION_OPTIONS, xception_rules("backbone", bare_blocks=(1, 2))
    if "backbone.layer0.0.weight" in shapes:
        return "drn_d_54", {}, drn_rules("backbone.")
    return resnet_name(shapes, "backbone."), {"multi_grid": [1, 2, 4]}, [(r"encoder\.(.+)", r"backbone.\1")]


class JfZhang95(Family):
    """``backbone.*``, ``aspp.*`` and ``decoder.*``; two 3x3 convolutions, corners aligned."""

    name = "jfzhang95"
    title = "jfzhang95/pytorch-deeplab-xception"
    landmarks = (
        r"backbone\.(conv1|layer0\.0|low_level_features\.0\.0)\.weight",
        r"aspp\.aspp1\.atrous_conv\.weight",
        r"aspp\.global_avg_pool\.1\.weight",
        r"decoder\.last_conv\.8\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """DeepLabv3+ by its encoder."""
        backbone, options, encoder_rules = _encoder(shapes)
        classes = rows(shapes, "decoder.last_conv.8.weight")
        rules = [
            *encoder_rules,
            (rf"aspp\.branches\.0\.{PAIR}", named("aspp.aspp1.atrous_conv", "aspp.aspp1.bn")),
            (rf"aspp\.branches\.1\.{PAIR}", named("aspp.aspp2.atrous_conv", "aspp.aspp2.bn")),
            (rf"aspp\.branches\.2\.{PAIR}", named("aspp.aspp3.atrous_conv", "aspp.aspp3.bn")),
            (rf"aspp\.branches\.3\.{PAIR}", named("aspp.aspp4.atrous_conv", "aspp.aspp4.bn")),
            (rf"aspp\.pooling\.{PAIR}", named("aspp.global_avg_pool.1", "aspp.global_avg_pool.2")),
            (rf"aspp\.project\.{PAIR}", named("aspp.conv1", "aspp.bn1")),
            (rf"decoder\.reduce\.{PAIR}", named("decoder.conv1", "decoder.bn1")),
            (rf"decoder\.convs\.0\.{PAIR}", named("decoder.last_conv.0", "decoder.last_conv.1")),
            (rf"decoder\.convs\.1\.{PAIR}", named("decoder.last_conv.4", "decoder.last_conv.5")),
            (r"classifier\.(\w+)", r"decoder.last_conv.8.\1"),
        ]
        drn = backbone.startswith("drn")
        return Variant(
            architecture={
                "name": "deeplabv3plus",
                "backbone": backbone,
                "num_classes": classes,
                "output_stride": 8 if drn else 16,
                "backbone_options": options,
                "align_corners": True,
                "aspp_dropout": 0.5,
            },
            rules=KeyRules(*rules),
            ignored=r"backbone\.features\..+",
            title=f"DeepLabv3+ {backbone} (jfzhang95)",
            catalog={21: "voc21", 19: "cityscapes19"}.get(classes),
            output_stride=8 if drn else 16,
            source="https://github.com/jfzhang95/pytorch-deeplab-xception",
            licence="MIT (code); weights trained on PASCAL VOC and SBD",
        )
