"""fyu/drn (BSD-3-Clause): dilated residual networks for segmentation and for ImageNet."""

from __future__ import annotations

import re
from typing import Any

from deeplab_core.nn.backbones.drn import DRNS
from deeplab_core.records import Preprocessing
from deeplab_core.weights.families.base import IMAGENET, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.jfzhang95 import drn_rules
from deeplab_core.weights.families.naming import PAIR, Rule, named, resnet_name

#: Cityscapes statistics of the repository's ``info.json``, on the 0..255 scale.
_CITYSCAPES = Preprocessing(
    mean=(73.97576, 83.66066, 73.17643), std=(46.65327, 47.57433, 47.04113), pad_value=(73.97576, 83.66066, 73.17643)
)

#: Rates of DRN-A: a ResNet at stride 8 with first units of stages that do not dilate.
_TYPE_A: dict[str, Any] = {"rate_onset": "not_first_unit"}


def _depth(shapes: Shapes, prefix: str) -> tuple[int, ...]:
    """Units of layers 3 to 8 behind ``prefix`` (a format string of the layer's number)."""
    counts = []
    for number in range(3, 9):
        head = re.escape(prefix.format(number))
        units = {int(match[1]) for key in shapes if (match := re.match(rf"{head}\.(\d+)\.", key))}
        counts.append(len(units))
    return tuple(counts)


def _which(shapes: Shapes, kind: str, prefix: str) -> str:
    """Name of the DRN with this type and these depths."""
    depths = _depth(shapes, prefix)
    bottleneck = f"{prefix.format(3)}.0.conv3.weight" in shapes
    for name, layout in DRNS.items():
        if layout.kind != kind or (layout.block == "bottleneck") != bottleneck:
            continue
        plain = layout.kind == "D"
        # Plain layers are one Sequential of convolution, norm and ReLU: two keyed members per unit.
        wanted = tuple(depth * 2 if plain and number >= 7 else depth for number, depth in enumerate(layout.depths[2:], start=3))
        if wanted == depths:
            return name
    raise KeyError(prefix.format(3) + ".*")


class FyuDRN(Family):
    """Segmentation: ``base.N.*``, ``seg.*``, ``up.weight``; classification: ``layerN.*`` and ``fc.*``."""

    name = "fyu_drn"
    title = "fyu/drn"
    landmarks = (
        r"base\.0\.(0\.)?weight|conv1\.weight|layer0\.0\.weight",
        r"base\.(3|4)\.0\.(conv1|bn1)\.weight|layer3\.0\.conv1\.weight",
        r"seg\.weight|fc\.weight",
        r"seg\.bias|fc\.bias",
    )

    def score(self, shapes: Shapes) -> float:
        """A plain ResNet's ImageNet weights look like DRN-A's; a classifier that is not a segmentation must be a DRN."""
        present = super().score(shapes)
        return present if "seg.weight" in shapes or "fc.weight" in shapes else present / 2

    def describe(self, shapes: Shapes) -> Variant:
        """Type A, C or D, its depth, and which head."""
        dense = "seg.weight" in shapes
        classes = rows(shapes, "seg.weight" if dense else "fc.weight")
        backbone, rules = self._encoder(shapes, dense)
        options: dict[str, Any] = {} if dense else {"head": "classification"}
        if dense and "up.weight" not in shapes:
            options["upsampling"] = "bilinear"
        encoder_options = _TYPE_A if backbone.startswith("resnet") else {}
        classifier = "seg" if dense else "fc"
        return Variant(
            architecture={
                "name": "drn",
                "backbone": backbone,
                "num_classes": classes,
                "backbone_options": encoder_options,
                **options,
            },
            rules=KeyRules(*rules, (r"classifier\.(\w+)", rf"{classifier}.\1"), (r"upsampling\.weight", "up.weight")),
            adapt=lambda key, tensor: tensor[:, :, None, None] if key == "classifier.weight" and tensor.ndim == 2 else tensor,
            title=f"{backbone.replace('_', '-').upper()}{'' if dense else ' ImageNet classifier'} (fyu/drn)",
            catalog="cityscapes19" if classes == 19 else None,
            preprocessing=_CITYSCAPES if dense else IMAGENET,
            output_stride=8,
            source="https://github.com/fyu/drn",
            licence="BSD-3-Clause (code); weights trained on Cityscapes or ImageNet",
        )

    @staticmethod
    def _encoder(shapes: Shapes, dense: bool) -> tuple[str, list[Rule]]:
        if not dense:
            if "layer0.0.weight" in shapes:
                return _which(shapes, "D", "layer{}"), drn_rules("")
            if "layer5.0.conv1.weight" in shapes:
                stem: Rule = (rf"encoder\.stem\.{PAIR}", named("conv1", "bn1"))
                return _which(shapes, "C", "layer{}"), [stem, (r"encoder\.(layer.+)", r"\1")]
            return resnet_name(shapes, ""), [(r"encoder\.(.+)", r"\1")]
        if "base.0.0.weight" in shapes:
            # DRN-D: layer k is child k.
            inner = KeyRules(*drn_rules(""))
            rename = (r"encoder\.(.+)", lambda m: re.sub(r"^layer(\d)", r"base.\1", inner(m[0])))
            return _which(_renamed(shapes, 0), "D", "layer{}"), [rename]
        if "base.10.0.conv1.weight" in shapes:
            # DRN-C: convolution, norm and ReLU are children 0 to 2, layer k is child k + 2.
            stem = (rf"encoder\.stem\.{PAIR}", named("base.0", "base.1"))
            rename = (r"encoder\.layer(\d)\.(.+)", lambda m: f"base.{int(m[1]) + 2}.{m[2]}")
            return _which(_renamed(shapes, 2), "C", "layer{}"), [stem, rename]
        # DRN-A: convolution, norm, ReLU, pooling, then the four stages.
        rules: list[Rule] = [
            (r"encoder\.conv1\.(\w+)", r"base.0.\1"),
            (r"encoder\.bn1\.(\w+)", r"base.1.\1"),
            (r"encoder\.layer(\d)\.(.+)", lambda m: f"base.{int(m[1]) + 3}.{m[2]}"),
        ]
        return resnet_name(_renamed(shapes, 3), ""), rules


def _renamed(shapes: Shapes, shift: int) -> dict[str, tuple[int, ...]]:
    """``base.N.*`` as ``layer(N - shift).*``."""
    out = {}
    for key, shape in shapes.items():
        match = re.match(r"base\.(\d+)\.(.+)", key)
        out[f"layer{int(match[1]) - shift}.{match[2]}" if match else key] = shape
    return out
