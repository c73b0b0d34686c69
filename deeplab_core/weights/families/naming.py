"""Ways of naming that several peers share: from our keys to theirs."""

from __future__ import annotations

import re
from collections.abc import Callable

from deeplab_core.weights.families.base import Replacement

Rule = tuple[str, Replacement]

#: A convolution and its norm: ``conv.weight``, ``norm.running_var``.
PAIR = r"(conv|norm)\.(\w+)"


def numbered(prefix: str, conv: int = 0, norm: int = 1) -> Callable[[re.Match[str]], str]:
    """Convolution and norm as members of a numbered Sequential: ``prefix.0.weight`` and ``prefix.1.bias``.

    The match's last two groups are :data:`PAIR`'s; earlier ones may be referred to in ``prefix``.
    """

    def name(match: re.Match[str]) -> str:
        part, leaf = match.groups()[-2:]
        return f"{match.expand(prefix)}.{conv if part == 'conv' else norm}.{leaf}"

    return name


def named(conv: str, norm: str) -> Callable[[re.Match[str]], str]:
    """Convolution and norm under names of their own, e.g. ``aspp1.atrous_conv`` and ``aspp1.bn``."""

    def name(match: re.Match[str]) -> str:
        part, leaf = match.groups()[-2:]
        return f"{match.expand(conv if part == 'conv' else norm)}.{leaf}"

    return name


def aspp_rules(prefix: str, separable: str = "body.", branches: int = 4) -> list[Rule]:
    """Torchvision's pyramid, as VainF and segmentation_models.pytorch have it too.

    Args:
        prefix: of the pyramid, without its last dot.
        separable: what stands between a separable branch and its two convolutions 0 and 1.
        branches: number of branches before the pooling one.
    """
    return [
        (rf"aspp\.branches\.(\d+)\.{PAIR}", numbered(rf"{prefix}.convs.\1")),
        (r"aspp\.branches\.(\d+)\.depthwise\.conv\.weight", rf"{prefix}.convs.\1.0.{separable}0.weight"),
        (r"aspp\.branches\.(\d+)\.pointwise\.conv\.weight", rf"{prefix}.convs.\1.0.{separable}1.weight"),
        (r"aspp\.branches\.(\d+)\.pointwise\.norm\.(\w+)", rf"{prefix}.convs.\1.1.\2"),
        (rf"aspp\.pooling\.{PAIR}", numbered(f"{prefix}.convs.{branches}", 1, 2)),
        (rf"aspp\.project\.{PAIR}", numbered(f"{prefix}.project")),
    ]


def separable_rules(ours: str, conv: str, norm: str) -> list[Rule]:
    """A separable convolution without anything inside: ``conv.0``, ``conv.1`` and the norm behind.

    Args:
        ours: pattern of our layer's key.
        conv: the peer's pair of convolutions, without the last dot.
        norm: the peer's norm.
    """
    return [
        (rf"{ours}\.depthwise\.conv\.weight", rf"{conv}.0.weight"),
        (rf"{ours}\.pointwise\.conv\.weight", rf"{conv}.1.weight"),
        (rf"{ours}\.pointwise\.norm\.(\w+)", rf"{norm}.\1"),
    ]


def mobilenet_v2_rules(prefix: Callable[[int], str], *, nested: bool) -> list[Rule]:
    """MobileNetV2 with the stem as feature 0 and our unit ``i`` as feature ``i + 1``.

    Args:
        prefix: of a feature by its number, with the last dot, e.g. ``"backbone.features."``.
        nested: torchvision's form, with convolution, norm and ReLU as a Sequential of their own; else one flat Sequential
            (tonylins, jfzhang95, bubbliiiing).
    """

    def unit(match: re.Match[str]) -> str:
        number = int(match[1]) + 1
        part, kind, leaf = match[2], match[3], match[4]
        position = ("expand", "depthwise", "project").index(part) - (1 if number == 1 else 0)
        norm = kind == "norm"
        if not nested:
            place = str(3 * position + norm)
        elif part == "project":
            place = str(position + norm)
        else:
            place = f"{position}.{int(norm)}"
        return f"{prefix(number)}{number}.conv.{place}.{leaf}"

    return [
        (rf"encoder\.stem\.{PAIR}", numbered(f"{prefix(0)}0")),
        (rf"encoder\.blocks\.(\d+)\.(expand|depthwise|project)\.{PAIR}", unit),
        (rf"encoder\.last\.{PAIR}", numbered(f"{prefix(18)}18")),
    ]


def xception_rules(prefix: str, *, bare_blocks: tuple[int, ...], sequence: str = "rep") -> list[Rule]:
    """Cadene's Xception, with blocks of one Sequential of ReLU, separable convolution, norm (VainF, jfzhang95).

    Args:
        prefix: of the encoder, without the last dot.
        bare_blocks: numbers (from 1) of the blocks with a Sequential that begins without a ReLU.
        sequence: name of the Sequential.
    """

    def unit(match: re.Match[str]) -> str:
        block, index, part, leaf = int(match[1]) + 1, int(match[2]), match[3], match[4]
        place = 3 * index + (0 if block in bare_blocks else 1)
        head = f"{prefix}.block{block}.{sequence}"
        return {
            "depthwise": f"{head}.{place}.conv1.{leaf}",
            "depthwise_norm": f"{head}.{place}.bn.{leaf}",
            "pointwise": f"{head}.{place}.pointwise.{leaf}",
            "pointwise_norm": f"{head}.{place + 1}.{leaf}",
        }[part]

    def block_number(match: re.Match[str]) -> str:
        return f"{prefix}.block{int(match[1]) + 1}.{'skip' if match[2] == 'conv' else 'skipbn'}.{match[3]}"

    def final(match: re.Match[str]) -> str:
        number, part, leaf = int(match[1]) + 3, match[2], match[3]
        names = {
            "depthwise": "conv{}.conv1",
            "depthwise_norm": "conv{}.bn",
            "pointwise": "conv{}.pointwise",
            "pointwise_norm": "bn{}",
        }
        return f"{prefix}.{names[part].format(number)}.{leaf}"

    return [
        (rf"encoder\.stem(\d)\.{PAIR}", named(rf"{prefix}.conv\1", rf"{prefix}.bn\1")),
        (rf"encoder\.blocks\.(\d+)\.shortcut\.{PAIR}", block_number),
        (r"encoder\.blocks\.(\d+)\.units\.(\d+)\.(\w+)\.(\w+)", unit),
        (r"encoder\.final\.(\d+)\.(\w+)\.(\w+)", final),
    ]


def resnet_name(keys: object, prefix: str) -> str:
    """Which ResNet has these keys (torchvision's names behind ``prefix``)."""
    present = set(keys)  # type: ignore[call-overload]
    if f"{prefix}layer1.0.conv3.weight" not in present:
        return "resnet34" if f"{prefix}layer3.5.conv1.weight" in present else "resnet18"
    if f"{prefix}layer3.35.conv1.weight" in present:
        return "resnet152"
    return "resnet101" if f"{prefix}layer3.22.conv1.weight" in present else "resnet50"
