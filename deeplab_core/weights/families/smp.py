"""qubvel-org/segmentation_models.pytorch (MIT): DeepLabV3Plus, DeepLabV3 and Unet."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeplab_core.errors import WeightsError, message
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
from deeplab_core.weights.settings import StoredSettings

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


#: Encoders that are built here, as the package calls them.
SUPPORTED = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenet_v2", "tu-resnet18 to tu-resnet152", "tu-xception41",
    "tu-xception65", "tu-xception71",
)  # fmt: skip
_NETWORKS = ("DeepLabV3", "DeepLabV3Plus", "Unet")
#: Other encoders of the package by a key that only they have; names if no settings file gives the exact one.
_OTHER_ENCODERS = (
    (r"encoder\._conv_stem\.weight", "an EfficientNet"),
    (r"encoder\.features\.(conv0|denseblock1)\..*", "a DenseNet"),
    (r"encoder\.features\.0\.weight", "a VGG"),
    (r"encoder\.patch_embed1\.proj\.weight", "a Mix Transformer"),
    (r"encoder\.layer0\.conv1\.weight", "a squeeze-and-excitation network"),
    (r"encoder\.features\.conv1_1\..*", "a dual path network"),
    (r"encoder\.(conv2d_1a|features\.0)\.conv\.weight", "an Inception network"),
    (r"encoder\.stage1\..*rbr.*", "a MobileOne"),
    (r"encoder\.model\.(conv_stem|stem|stages|patch_embed).*", "a network of timm"),
)
#: Other networks of the package by a key that only they have.
_OTHER_NETWORKS = (
    (r"decoder\.blocks\.x_0_0\..*", "UnetPlusPlus"),
    (r"decoder\.blocks\.\d+\.hl_conv\..*", "MAnet"),
    (r"decoder\.blocks\.\d+\.block\..*", "Linknet"),
    (r"decoder\.seg_blocks\..*", "FPN"),
    (r"decoder\.fpa\..*", "PAN"),
    (r"decoder\.mlp_stage\..*", "Segformer"),
    (r"decoder\.(fpn_lateral_blocks|lateral_convs|fpn_bottleneck)\..*", "UPerNet"),
    (r"decoder\.psp\..*", "PSPNet"),
    (r"decoder\.(projection_blocks|reassemble_blocks)\..*", "DPT"),
)


def _named_by(patterns: tuple[tuple[str, str], ...], shapes: Shapes) -> str:
    return next((name for pattern, name in patterns if any(re.fullmatch(pattern, key) for key in shapes)), "")


def _plain_resnet(shapes: Shapes, prefix: str) -> bool:
    """Whether it is a ResNet without groups, wider units or gates: ResNeXt, SE-ResNet and others have its keys too."""
    if not {f"{prefix}conv1.weight", f"{prefix}layer1.0.conv1.weight", f"{prefix}layer4.0.conv1.weight"} <= set(shapes):
        return False
    inside = shapes.get(f"{prefix}layer1.0.conv2.weight", ())
    gates = any(re.match(rf"{re.escape(prefix)}layer1\.0\.(se|conv4|attn|sk)", key) for key in shapes)
    return len(inside) == 4 and inside[:2] == (64, 64) and shapes[f"{prefix}layer1.0.conv1.weight"][0] == 64 and not gates


def _cut_short(shapes: Shapes) -> bool:
    """Whether the pyramid reads another level of a ResNet than its last (``encoder_depth`` below 5)."""
    read = [shapes[key][1] for key in shapes if re.fullmatch(r"decoder\.(aspp\.)?(0\.)?convs\.0\.0\.weight", key)]
    last = [shapes[key][0] for key in shapes if re.fullmatch(r"encoder\.(model\.)?layer4\.0\.conv[23]\.weight", key)]
    return bool(read and last) and read[0] != max(last)


def _encoder(shapes: Shapes) -> tuple[str, dict[str, Any], list[Rule]] | None:
    """Name, options and key rules of the encoder; None if it is none of :data:`SUPPORTED`."""
    if {"encoder.features.0.0.weight", "encoder.features.18.0.weight"} <= set(shapes):
        last = shapes["encoder.features.18.0.weight"][0]
        options: dict[str, Any] = {"rate_onset": "whole_stage", "last_channels": last}
        return "mobilenet_v2", options, mobilenet_v2_rules(lambda _: "encoder.features.", nested=True)
    if "encoder.model.stem_0.conv.weight" in shapes:
        numbers = {int(match[1]) for key in shapes if (match := re.match(r"encoder\.model\.blocks_(\d+)\.", key))}
        last = max(numbers, default=0)
        name = {12: "xception41", 20: "xception65", 22: "xception71"}.get(last)
        return None if name is None else (name, {"low_level_relu": True}, timm_xception_rules("encoder.model.", last))
    if _plain_resnet(shapes, "encoder.model."):
        # timm gives a dilated stage's first unit the rate before it; the package's own ResNets do not.
        return (
            resnet_name(shapes, "encoder.model."),
            {"rate_onset": "after_first_unit"},
            [(r"encoder\.(.+)", r"encoder.model.\1")],
        )
    if _plain_resnet(shapes, "encoder."):
        return resnet_name(shapes, "encoder."), {"rate_onset": "whole_stage"}, [(r"encoder\.(.+)", r"encoder.\1")]
    return None


def _widths(shapes: Shapes, pyramid: str) -> dict[str, Any]:
    """Channels of the head where they are not the usual 256 (``decoder_channels``)."""
    width = rows(shapes, f"{pyramid}.convs.0.0.weight")
    return {} if width == 256 else {"aspp_channels": width, "decoder_channels": width}


def _unsupported(what: str, supported: str, path: Path) -> WeightsError:
    return WeightsError(
        message("{what} is not supported", what=what),
        why=message("supported: {supported}", supported=supported),
        remedy=message("Export the network to ONNX in the program that it comes from, and open that file"),
        path=path,
    )


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

    def check(self, shapes: Shapes, settings: StoredSettings, path: Path) -> None:
        """Name a network, an encoder or an option of the package that is not built here.

        Raises:
            WeightsError: with what is supported.
        """
        network = _named_by(_OTHER_NETWORKS, shapes)
        if network:
            raise _unsupported(
                message("the network '{network}' of {library}", network=network, library=self.title), ", ".join(_NETWORKS), path
            )
        if _encoder(shapes) is None:
            given = settings.get("encoder")
            kind = _named_by(_OTHER_ENCODERS, shapes) or "its keys are of no encoder that is known here"
            if "encoder.layer1.0.conv1.weight" in shapes or "encoder.model.layer1.0.conv1.weight" in shapes:
                kind = "a ResNet with groups, gates or other widths"
            name = (
                message("encoder '{given}'", given=given)
                if isinstance(given, str)
                else message("the encoder ({kind})", kind=kind)
            )
            raise _unsupported(name, ", ".join(SUPPORTED), path)
        if any(".attention1." in key for key in shapes):
            given = settings.get("attention") or "scse"
            raise _unsupported(message("decoder_attention_type '{given}'", given=given), "none", path)
        blocks = sum(re.fullmatch(r"decoder\.blocks\.\d+\.conv1\.0\.weight", key) is not None for key in shapes)
        if 0 < blocks < 5 or _cut_short(shapes):
            depth = blocks or settings.get("depth") or "below 5"
            raise _unsupported(message("encoder_depth {depth}", depth=depth), "5", path)

    def describe(self, shapes: Shapes) -> Variant:
        """Architecture and encoder."""
        classes = rows(shapes, "segmentation_head.0.weight")
        found = _encoder(shapes)
        assert found is not None  # check() has refused it
        backbone, encoder_options, encoder_rules = found
        head: list[Rule] = [(r"classifier\.(\w+)", r"segmentation_head.0.\1")]
        options: dict[str, Any] = {"align_corners": True, "atrous_rates": [12, 24, 36], "scale_rates": False, "aspp_dropout": 0.5}
        multiple, stride = 16, 16
        if "decoder.blocks.0.conv1.0.weight" in shapes:
            name, multiple, stride = "unet", 32, 32
            channels = [rows(shapes, f"decoder.blocks.{number}.conv1.0.weight") for number in range(5)]
            options = {"interpolation": "nearest"}
            if channels != [256, 128, 64, 32, 16]:
                options["decoder_channels"] = channels
            rules: list[Rule] = [
                (rf"blocks\.(\d+)\.0\.{PAIR}", numbered(r"decoder.blocks.\1.conv1")),
                (rf"blocks\.(\d+)\.1\.{PAIR}", numbered(r"decoder.blocks.\1.conv2")),
            ]
        elif "decoder.block1.0.weight" in shapes:
            name = "deeplabv3plus"
            options |= _widths(shapes, "decoder.aspp.0")
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
            options |= _widths(shapes, pyramid)
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
            # A Unet's encoder is never dilated.
            guessed=("catalog", "preprocessing") if name == "unet" else ("catalog", "preprocessing", "output_stride"),
            source="https://github.com/qubvel-org/segmentation_models.pytorch",
            licence="MIT (code); weights as their trainer says",
            summary="Classes and training data are the trainer's own: check the catalog",
        )
