"""The official TensorFlow releases (tensorflow/models, research/deeplab): checkpoints and frozen graphs with their own names.

Variables are ``<scope>/weights``, ``<scope>/depthwise_weights``, ``<scope>/biases`` and ``<scope>/BatchNorm/{gamma,beta,
moving_mean,moving_variance}``. A frozen graph also tells its strides, rates, epsilons and crop; what a checkpoint leaves open
takes the default of the model zoo.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.nn.backbones.xception import XCEPTIONS
from deeplab_core.records import Preprocessing
from deeplab_core.weights.families.base import INCEPTION, Family, KeyRules, Shapes, Variant, rows
from deeplab_core.weights.families.naming import PAIR, Rule
from deeplab_core.weights.reading import Checkpoint

_LEAVES = {
    "conv.weight": "weights",
    "conv.bias": "biases",
    "norm.weight": "BatchNorm/gamma",
    "norm.bias": "BatchNorm/beta",
    "norm.running_mean": "BatchNorm/moving_mean",
    "norm.running_var": "BatchNorm/moving_variance",
}

#: The paper's pyramid at output stride 16.
_RATES = (6, 12, 18)
_LEAF = {"weight": "weights", "bias": "biases"}


def _variable(scope: str, kind: str, leaf: str, *, depthwise: bool = False) -> str:
    name = _LEAVES[f"{kind}.{leaf}"]
    return f"{scope}/{'depthwise_weights' if depthwise and name == 'weights' else name}"


def _layer(ours: str, theirs: str) -> Rule:
    """A convolution with its norm under one scope."""
    return rf"{ours}\.{PAIR}", lambda m: _variable(m.expand(theirs), *m.groups()[-2:])


def _separable(ours: str, theirs: str) -> Rule:
    """A separable convolution: scopes ``<theirs>_depthwise`` and ``<theirs>_pointwise``."""

    def name(match: re.Match[str]) -> str:
        half, kind, leaf = match.groups()[-3:]
        return _variable(f"{match.expand(theirs)}_{half}", kind, leaf, depthwise=half == "depthwise")

    return rf"{ours}\.(depthwise|pointwise)\.{PAIR}", name


def _xception(root: str) -> list[Rule]:
    layout = XCEPTIONS[root.replace("_", "")]
    entry, middle = len(layout.entry), layout.middle

    def block(number: int) -> str:
        if number < entry:
            place = f"entry_flow/block{number + 1}/unit_1"
        elif number < entry + middle:
            place = f"middle_flow/block1/unit_{number - entry + 1}"
        else:
            place = f"exit_flow/block{number - entry - middle + 1}/unit_1"
        return f"{root}/{place}/xception_module"

    def half(scope: str, part: str, leaf: str) -> str:
        which, _, norm = part.partition("_")
        return _variable(f"{scope}_{which}", norm or "conv", leaf, depthwise=which == "depthwise")

    return [
        _layer(r"encoder\.stem(\d)", rf"{root}/entry_flow/conv1_\1"),
        (rf"encoder\.blocks\.(\d+)\.shortcut\.{PAIR}", lambda m: _variable(f"{block(int(m[1]))}/shortcut", m[2], m[3])),
        (
            r"encoder\.blocks\.(\d+)\.units\.(\d+)\.(\w+)\.(\w+)",
            lambda m: half(f"{block(int(m[1]))}/separable_conv{int(m[2]) + 1}", m[3], m[4]),
        ),
        (
            r"encoder\.final\.(\d+)\.(\w+)\.(\w+)",
            lambda m: half(f"{block(entry + middle + 1)}/separable_conv{int(m[1]) + 1}", m[2], m[3]),
        ),
    ]


def _mobilenet() -> list[Rule]:
    def unit(match: re.Match[str]) -> str:
        number, part, kind, leaf = int(match[1]), match[2], match[3], match[4]
        scope = f"MobilenetV2/expanded_conv{f'_{number}' if number else ''}/{part}"
        return _variable(scope, kind, leaf, depthwise=part == "depthwise")

    return [
        _layer(r"encoder\.stem", "MobilenetV2/Conv"),
        (rf"encoder\.blocks\.(\d+)\.(expand|depthwise|project)\.{PAIR}", unit),
    ]


def _head(cell: bool) -> list[Rule]:
    scope = "meta_architecture/" if cell else ""
    branch = rf"{scope}{'branch' if cell else 'aspp'}\1"
    return [
        _separable(r"aspp\.branches\.(\d)", branch),
        _layer(r"aspp\.branches\.(\d)", branch),
        _layer(r"aspp\.pooling", "image_pooling"),
        _layer(r"aspp\.project", f"{scope}concat_projection"),
        _layer(r"decoder\.reduce", "decoder/feature_projection0"),
        _separable(r"decoder\.convs\.(\d)", r"decoder/decoder_conv\1"),
        (
            rf"decoder\.convs\.(\d)\.{PAIR}",
            lambda m: _variable(f"decoder/decoder_conv0/decoder_conv0_{int(m[1]) + 1}", m[2], m[3]),
        ),
        (r"classifier\.(\w+)", lambda m: _variable("logits/semantic", "conv", m[1])),
    ]


def _head_options(shapes: Shapes) -> dict[str, Any]:
    """Options of the head that the variables' presence decides."""
    options: dict[str, Any] = {
        "branch_order": "pool_first",
        "align_corners": True,
        "norm_momentum": 3e-4,
        "native_output": "coarse",
    }
    branches = {int(m[1]) for key in shapes if (m := re.fullmatch(r"aspp(\d)(?:_depthwise|_pointwise)?/\w+", key))}
    if any(key.startswith("meta_architecture/") for key in shapes):
        options["dense_prediction_cell"] = "cityscapes_top1"
    elif "aspp0/weights" not in shapes:
        options["pyramid"] = False
    else:
        options["atrous_rates"] = list(_RATES[: max(branches)])
        options["image_pooling"] = "image_pooling/weights" in shapes
    options["separable"] = "aspp1/weights" not in shapes
    options["decoder_separable"] = "decoder/decoder_conv0/decoder_conv0_1/weights" not in shapes
    return options


def _ade151() -> ClassCatalog:
    """The releases' own numbering of ADE20K: channel 0, "other", is void in the training masks and never learnt."""
    ade = get_catalog("ade20k150")
    other = ClassInfo(0, "other", (0, 0, 0))
    return ClassCatalog(name="ade20k151", title="ADE20K (150 classes and other)", classes=(other, *ade.classes))


def _catalog(classes: int) -> str | ClassCatalog | None:
    return _ade151() if classes == 151 else {19: "cityscapes19", 21: "voc21", 150: "ade20k150"}.get(classes)


def _preprocessing(crop: tuple[int, int]) -> Preprocessing:
    """The input side as the releases' own demonstration has it: long side to the crop where that is square, padded to it."""
    if crop[0] == crop[1]:
        return replace(INCEPTION, resize=f"long_side:{crop[0]}", padding=f"canvas:{crop[0]}")
    return replace(INCEPTION, resize="native", padding="grid:16")


class TensorFlowRelease(Family):
    """``<backbone>/...``, ``aspp0..3``, ``image_pooling``, ``concat_projection``, ``decoder/...``, ``logits/semantic``."""

    name = "tensorflow"
    title = "TensorFlow DeepLab (tensorflow/models)"
    landmarks = (
        r"(xception_\d+/entry_flow/conv1_1|MobilenetV2/Conv)/weights",
        r"(xception_\d+/entry_flow/conv1_1|MobilenetV2/Conv)/BatchNorm/gamma",
        r"(xception_\d+/exit_flow/block2/unit_1/xception_module/separable_conv3_pointwise|"
        r"MobilenetV2/expanded_conv_16/project)/BatchNorm/moving_variance",
        r"logits/semantic/(weights|biases)",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """DeepLabv3+ over Xception-41/65/71, DeepLabv3 over MobileNetV2 of any width, with or without pyramid and decoder."""
        classes = shapes["logits/semantic/weights"][0]
        options = _head_options(shapes)
        root = next((key.split("/")[0] for key in shapes if re.match(r"xception_(41|65|71)/", key)), "")
        if root:
            backbone = root.replace("_", "")
            encoder_options: dict[str, Any] = {}
            encoder = _xception(root)
        else:
            backbone = "mobilenet_v2"
            width = shapes["MobilenetV2/Conv/weights"][0] / 32
            encoder_options = {"norm_eps": 1e-3, "norm_momentum": 3e-4}
            if width != 1:
                encoder_options["width"] = width
            encoder = _mobilenet()
        projection = shapes.get("decoder/feature_projection0/weights")
        options["decoder"] = "bilinear" if projection is None else "deeplabv3plus"
        if projection is not None and not root and projection[1] != round(24 * encoder_options.get("width", 1)):
            encoder_options["level_tap"] = "depthwise"
        name = "deeplabv3" if projection is None else "deeplabv3plus"
        crop = (1025, 2049) if classes == 19 else (513, 513)
        return Variant(
            architecture={
                "name": name,
                "backbone": backbone,
                "num_classes": classes,
                "output_stride": 16,
                "backbone_options": encoder_options,
                **options,
            },
            rules=KeyRules(*encoder, *_head("dense_prediction_cell" in options)),
            # The ImageNet classifier of a checkpoint that was fine-tuned elsewhere, and a fine-tuning run's own step counters.
            ignored=r"(xception_\d+|MobilenetV2)/(logits|Logits|Conv_1)/.+|(global_step|.*/ExponentialMovingAverage)",
            title=f"{'DeepLabv3' if projection is None else 'DeepLabv3+'} {_BACKBONES[backbone]} (TensorFlow)",
            catalog=_catalog(classes),
            preprocessing=_preprocessing(crop),
            source="https://github.com/tensorflow/models/tree/master/research/deeplab",
            licence="Apache-2.0",
            summary="Google's release, from the authors of DeepLab",
        )

    def refine(self, variant: Variant, checkpoint: Checkpoint) -> Variant:
        """Strides, rates, epsilons and crop as a frozen graph's operations have them."""
        operations = checkpoint.extras.get("tensorflow")
        if not isinstance(operations, Mapping) or not operations.get("stride"):
            return variant
        architecture = dict(variant.architecture)
        encoder_options = dict(architecture["backbone_options"])
        guessed = set(variant.guessed)
        trunk = ("xception_", "MobilenetV2/")
        stride = math.prod(
            s[0] for scope, s in operations["stride"].items() if scope.startswith(trunk) and "/shortcut" not in scope
        )
        if stride in (8, 16, 32):
            architecture["output_stride"] = stride
            guessed.discard("output_stride")
            rates = [operations["rate"].get(f"aspp{n}_depthwise", operations["rate"].get(f"aspp{n}")) for n in (1, 2, 3)]
            if "atrous_rates" in architecture:
                known = [rate[0] * stride // 16 for rate in rates if rate is not None]
                architecture["atrous_rates"] = known or architecture["atrous_rates"]
        epsilons = operations["epsilon"]
        for inside, target, key in ((True, encoder_options, "norm_eps"), (False, architecture, "norm_eps")):
            found = {epsilon for scope, epsilon in epsilons.items() if scope.startswith(trunk) is inside}
            if len(found) == 1:
                target[key] = found.pop()
        architecture["backbone_options"] = encoder_options
        preprocessing = variant.preprocessing
        pool = operations["pool"].get("image_pooling")
        if pool and stride:
            # The pooling covers the crop's features: (crop - 1) / stride + 1 of them.
            preprocessing = _preprocessing(((pool[0] - 1) * stride + 1, (pool[1] - 1) * stride + 1))
        return replace(
            variant,
            architecture=architecture,
            output_stride=int(architecture["output_stride"]),
            preprocessing=preprocessing,
            guessed=tuple(name for name in variant.guessed if name in guessed),
        )


_BACKBONES = {
    "xception41": "Xception-41", "xception65": "Xception-65", "xception71": "Xception-71", "mobilenet_v2": "MobileNetV2",
}  # fmt: skip


def _block(match: re.Match[str]) -> str:
    index, part, leaf = int(match[1]), match[2], match[3]
    scope = "expanded_conv" if index == 0 else f"expanded_conv_{index}"
    name = "depthwise_weights" if (part, leaf) == ("depthwise", "weight") else _LEAF[leaf]
    return f"MobilenetV2/{scope}/{part}/{name}"


_SCOPES = {"aspp.branches.0.conv": "aspp0", "aspp.pooling.conv": "image_pooling", "aspp.project.conv": "concat_projection",
           "classifier": "logits/semantic", "encoder.stem.conv": "MobilenetV2/Conv"}  # fmt: skip

_RULES = KeyRules(
    (r"encoder\.blocks\.(\d+)\.(expand|depthwise|project)\.conv\.(weight|bias)", _block),
    (r"(.+)\.(weight|bias)", lambda match: f"{_SCOPES[match[1]]}/{_LEAF[match[2]]}"),
)


class FoldedMobileNet(Family):
    """MobileNetV2 with batch norm folded into the biases, the form of deployed networks: ``<scope>/weights``, ``<scope>/biases``.

    The head has neither atrous branches nor a decoder.
    """

    name = "tensorflow_folded"
    title = "TensorFlow DeepLab, MobileNetV2 with folded batch norm"
    landmarks = (
        "MobilenetV2/Conv/weights",
        "MobilenetV2/Conv/biases",
        "aspp0/biases",
        "concat_projection/biases",
        "logits/semantic/weights",
    )

    def describe(self, shapes: Shapes) -> Variant:
        """MobileNetV2 at stride 16, image pooling first, logits stretched corner to corner."""
        classes = rows(shapes, "logits/semantic/weights")
        return Variant(
            architecture={
                "name": "deeplabv3", "backbone": "mobilenet_v2", "num_classes": classes, "output_stride": 16,
                "backbone_options": {"folded_norm": True}, "atrous_rates": [], "branch_order": "pool_first",
                "folded_norm": True, "align_corners": True,
            },
            rules=_RULES,
            title="DeepLabv3 MobileNetV2 (TensorFlow)",
            catalog="voc21" if classes == 21 else None,
            preprocessing=Preprocessing(
                mean=(127.5,) * 3, std=(127.5,) * 3, pad_value=(127.5,) * 3, resize="long_side:513", padding="canvas:513"
            ),
            source="https://github.com/tensorflow/models/tree/master/research/deeplab",
            licence="Apache-2.0",
            summary="Google's MobileNetV2 release without atrous branches or decoder; fast, coarse at edges",
            guessed=("catalog", "preprocessing"),
        )  # fmt: skip
