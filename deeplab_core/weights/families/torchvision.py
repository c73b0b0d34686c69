"""pytorch/vision's segmentation models (BSD-3-Clause)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deeplab_core.nn.backbones.mobilenet_v3 import LARGE
from deeplab_core.weights.families.base import IMAGENET, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule, aspp_rules, named, numbered, resnet_name

#: The weights' own transform resizes the short side to 520.
_SHORT_520 = replace(IMAGENET, resize="short_side:520")


def _unit(match: re.Match[str]) -> str:
    index, part, rest = int(match[1]), match[2], match[3]
    plan = LARGE[index]
    before = 16 if index == 0 else LARGE[index - 1].out_channels
    parts = (["expand"] if plan.expanded != before else []) + ["depthwise"] + (["squeeze"] if plan.squeeze else []) + ["project"]
    place = f"backbone.{index + 1}.block.{parts.index(part)}"
    if part == "squeeze":
        return f"{place}.{rest}"
    kind, leaf = rest.split(".", 1)
    return f"{place}.{0 if kind == 'conv' else 1}.{leaf}"


_MOBILENET_V3: list[Rule] = [
    (rf"encoder\.stem\.{PAIR}", numbered("backbone.0")),
    (rf"encoder\.last\.{PAIR}", numbered(f"backbone.{len(LARGE) + 1}")),
    (r"encoder\.blocks\.(\d+)\.(\w+)\.(.+)", _unit),
]
_RESNET: list[Rule] = [(r"encoder\.(.+)", r"backbone.\1")]
_AUXILIARY: list[Rule] = [
    (rf"auxiliary\.conv\.{PAIR}", numbered("aux_classifier")),
    (r"auxiliary\.classifier\.(\w+)", r"aux_classifier.4.\1"),
]


class TorchvisionSegmentation(Family):
    """``backbone.*``, ``classifier.N.*``, ``aux_classifier.N.*``: deeplabv3, fcn and lraspp."""

    name = "torchvision"
    title = "torchvision segmentation"
    landmarks = (
        r"backbone\.(conv1|0\.0)\.weight",
        r"backbone\.(layer4\.0\.conv1|16\.0)\.weight",
        r"classifier\.(0\.convs\.0\.0|0|low_classifier)\.weight",
        r"classifier\.(0\.project\.0|1|high_classifier)\.weight",
        r"classifier\.(4|cbr\.0)\.weight",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """The builder that made the file, with or without its auxiliary head."""
        mobile = "backbone.0.0.weight" in shapes
        backbone = "mobilenet_v3_large" if mobile else resnet_name(shapes, "backbone.")
        encoder = _MOBILENET_V3 if mobile else _RESNET
        hidden = shapes["aux_classifier.0.weight"][0] if "aux_classifier.0.weight" in shapes else 0
        if "classifier.low_classifier.weight" in shapes:
            return self._variant(
                "lraspp", backbone, rows(shapes, "classifier.low_classifier.weight"), {}, [*encoder, *_LRASPP], 16
            )
        classes = rows(shapes, "classifier.4.weight")
        options: dict[str, Any] = {"auxiliary": hidden, "align_corners": False}
        if "classifier.0.convs.0.0.weight" not in shapes:
            rules = [
                *encoder,
                *_AUXILIARY,
                (rf"head\.conv\.{PAIR}", numbered("classifier")),
                (r"head\.classifier\.(\w+)", r"classifier.4.\1"),
            ]
            return self._variant("fcn", backbone, classes, options, rules, 8)
        options |= {"after_aspp": "conv", "aspp_dropout": 0.5}
        if mobile:
            options |= {"atrous_rates": [12, 24, 36], "auxiliary_level": 2}
        rules = [
            *encoder,
            *_AUXILIARY,
            *aspp_rules("classifier.0"),
            (rf"after_aspp\.{PAIR}", named("classifier.1", "classifier.2")),
            (r"classifier\.(\w+)", r"classifier.4.\1"),
        ]
        return self._variant("deeplabv3", backbone, classes, options, rules, 16 if mobile else 8)

    def _variant(
        self, name: str, backbone: str, classes: int, options: dict[str, Any], rules: list[Rule], stride: int
    ) -> Variant:
        return Variant(
            architecture={"name": name, "backbone": backbone, "num_classes": classes, "output_stride": stride, **options},
            rules=KeyRules(*rules),
            title=f"{name}_{backbone} (torchvision)",
            catalog="voc21" if classes == 21 else None,
            preprocessing=_SHORT_520,
            output_stride=stride,
            source="https://github.com/pytorch/vision",
            licence="BSD-3-Clause (code); weights trained on COCO with VOC's classes",
            summary="The VOC classes of COCO; resizes the short side to 520 px",
        )


_LRASPP: list[Rule] = [
    (rf"project\.{PAIR}", numbered("classifier.cbr")),
    (r"scale\.weight", "classifier.scale.1.weight"),
    (r"((?:low|high)_classifier\..+)", r"classifier.\1"),
]
