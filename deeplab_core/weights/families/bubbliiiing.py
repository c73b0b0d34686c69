"""bubbliiiing/deeplabv3-plus-pytorch (MIT)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deeplab_core.records import Preprocessing
from deeplab_core.weights.families.base import Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule, mobilenet_v2_rules, named, numbered

#: The repository's aligned Xception; see ``XceptionOptions`` for the meaning of each entry.
XCEPTION_OPTIONS: dict[str, Any] = {"shortcut_input": "identity_rectified", "final_rate": 0.5, "norm_eps": 1e-5}

#: Letterboxed to 512 px on grey, scaled to 0..1, no mean.
_LETTERBOX = replace(
    Preprocessing(), mean=(0.0,) * 3, std=(255.0,) * 3, resize="long_side:512", padding="canvas:512", pad_value=(128.0,) * 3
)

_PARTS = {"depthwise": "depthwise", "depthwise_norm": "bn1", "pointwise": "pointwise", "pointwise_norm": "bn2"}


def _xception_rules() -> list[Rule]:
    def unit(match: re.Match[str]) -> str:
        return f"backbone.block{int(match[1]) + 1}.sepconv{int(match[2]) + 1}.{_PARTS[match[3]]}.{match[4]}"

    def shortcut(match: re.Match[str]) -> str:
        return f"backbone.block{int(match[1]) + 1}.{'skip' if match[2] == 'conv' else 'skipbn'}.{match[3]}"

    return [
        (rf"encoder\.stem(\d)\.{PAIR}", named(r"backbone.conv\1", r"backbone.bn\1")),
        (rf"encoder\.blocks\.(\d+)\.shortcut\.{PAIR}", shortcut),
        (r"encoder\.blocks\.(\d+)\.units\.(\d+)\.(\w+)\.(\w+)", unit),
        (r"encoder\.final\.(\d+)\.(\w+)\.(\w+)", lambda m: f"backbone.conv{int(m[1]) + 3}.{_PARTS[m[2]]}.{m[3]}"),
    ]


class Bubbliiiing(Family):
    """``backbone.*``, ``aspp.branchN.*``, ``shortcut_conv``, ``cat_conv``, ``cls_conv``; biases before norms."""

    name = "bubbliiiing"
    title = "bubbliiiing/deeplabv3-plus-pytorch"
    landmarks = (r"aspp\.branch1\.0\.weight", r"aspp\.branch5_conv\.weight", r"shortcut_conv\.0\.weight", r"cls_conv\.weight")

    def describe(self, shapes: Shapes) -> Variant:
        """DeepLabv3+ over MobileNetV2 or Xception."""
        classes = rows(shapes, "cls_conv.weight")
        mobile = "backbone.features.0.0.weight" in shapes
        backbone = "mobilenet_v2" if mobile else "xception65"
        encoder = mobilenet_v2_rules(lambda _: "backbone.features.", nested=False) if mobile else _xception_rules()
        rules = [
            *encoder,
            (rf"aspp\.branches\.(\d)\.{PAIR}", lambda m: f"aspp.branch{int(m[1]) + 1}.{0 if m[2] == 'conv' else 1}.{m[3]}"),
            (rf"aspp\.pooling\.{PAIR}", named("aspp.branch5_conv", "aspp.branch5_bn")),
            (rf"aspp\.project\.{PAIR}", numbered("aspp.conv_cat")),
            (rf"decoder\.reduce\.{PAIR}", numbered("shortcut_conv")),
            (rf"decoder\.convs\.0\.{PAIR}", numbered("cat_conv", 0, 1)),
            (rf"decoder\.convs\.1\.{PAIR}", numbered("cat_conv", 4, 5)),
            (r"classifier\.(\w+)", r"cls_conv.\1"),
        ]
        return Variant(
            architecture={
                "name": "deeplabv3plus",
                "backbone": backbone,
                "num_classes": classes,
                "output_stride": 16,
                "backbone_options": {} if mobile else XCEPTION_OPTIONS,
                "align_corners": True,
                "head_bias": True,
                "aspp_dropout": 0.0,
            },
            rules=KeyRules(*rules),
            title=f"DeepLabv3+ {backbone} (bubbliiiing)",
            catalog="voc21" if classes == 21 else None,
            preprocessing=_LETTERBOX,
            source="https://github.com/bubbliiiing/deeplabv3-plus-pytorch",
            licence="MIT (code); weights trained on PASCAL VOC and SBD",
            summary="Letterboxed to 512 px on grey by its authors, who centre the image",
        )
