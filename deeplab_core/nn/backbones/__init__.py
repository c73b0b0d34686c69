"""Encoders by name. Every one returns five levels of features and switches its output stride at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deeplab_core.errors import AtrousError, message
from deeplab_core.nn.backbones.drn import DRN, DRNS, DRNOptions
from deeplab_core.nn.backbones.hrnet import HRNETS, HRNet, HRNetOptions
from deeplab_core.nn.backbones.mobilenet_v2 import MobileNetV2, MobileNetV2Options
from deeplab_core.nn.backbones.mobilenet_v3 import MobileNetV3Large, MobileNetV3Options
from deeplab_core.nn.backbones.preact_resnet import PREACT_RESNETS, PreActResNet, PreActResNetOptions
from deeplab_core.nn.backbones.resnet import RESNETS, ResNet, ResNetOptions
from deeplab_core.nn.backbones.timm import PREFIX as TIMM
from deeplab_core.nn.backbones.timm import TimmEncoder, TimmOptions
from deeplab_core.nn.backbones.xception import XCEPTIONS, Xception, XceptionOptions
from deeplab_core.nn.base import Encoder
from deeplab_core.nn.options import build_options

__all__ = ["backbone_names", "backbone_record", "build_backbone"]

_BUILDERS: dict[str, tuple[Callable[[str, Any], Encoder], type]] = {
    **dict.fromkeys(RESNETS, (ResNet, ResNetOptions)),
    **dict.fromkeys(PREACT_RESNETS, (PreActResNet, PreActResNetOptions)),
    **dict.fromkeys(DRNS, (DRN, DRNOptions)),
    **dict.fromkeys(HRNETS, (HRNet, HRNetOptions)),
    **dict.fromkeys(XCEPTIONS, (Xception, XceptionOptions)),
    "mobilenet_v3_large": (lambda _, options: MobileNetV3Large(options), MobileNetV3Options),
    "mobilenet_v2": (lambda _, options: MobileNetV2(options), MobileNetV2Options),
}


def backbone_names() -> tuple[str, ...]:
    """Names that :func:`build_backbone` knows."""
    return tuple(_BUILDERS)


def backbone_record(name: str) -> type[Any]:
    """Dataclass of an encoder's options. Raises AtrousError for an unknown name."""
    if name.startswith(TIMM):
        return TimmOptions
    if name not in _BUILDERS:
        raise _unknown(name)
    return _BUILDERS[name][1]


def build_backbone(name: str, options: Mapping[str, Any] | None = None) -> Encoder:
    """Build an encoder.

    Args:
        name: one of :func:`backbone_names`, or ``timm:NAME`` for a network of the timm library.
        options: fields of the backbone's options record, e.g. ``{"multi_grid": (1, 2, 4)}`` for a ResNet.

    Raises:
        AtrousError: unknown name or option, with the choices.
    """
    if name.startswith(TIMM):
        return TimmEncoder(name, build_options(TimmOptions, options or {}, f"backbone '{name}'"))
    if name not in _BUILDERS:
        raise _unknown(name)
    builder, record = _BUILDERS[name]
    return builder(name, build_options(record, options or {}, f"backbone '{name}'"))


def _unknown(name: str) -> AtrousError:
    return AtrousError(
        message("unknown backbone '{name}'", name=name),
        why=message(
            "known are {names}, and {prefix}NAME for the networks of timm", names=", ".join(sorted(_BUILDERS)), prefix=TIMM
        ),
        remedy=message("Choose one of these"),
    )
