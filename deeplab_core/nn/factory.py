"""``create_model``: every network of the package by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deeplab_core.errors import AtrousError
from deeplab_core.nn.backbones import build_backbone, build_options
from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.models.deeplab import DeepLab, DeepLabOptions


def _deeplab(defaults: Mapping[str, Any]) -> Callable[..., SegmentationModel]:
    def build(
        *, backbone: str, num_classes: int, output_stride: int, backbone_options: Mapping[str, Any], options: Mapping[str, Any]
    ) -> SegmentationModel:
        filled = build_options(DeepLabOptions, {**defaults, **options}, "the DeepLab head")
        encoder = build_backbone(backbone, backbone_options)
        return DeepLab(encoder, num_classes=num_classes, output_stride=output_stride, options=filled)

    return build


_MODELS: dict[str, Callable[..., SegmentationModel]] = {
    "deeplabv3": _deeplab({"decoder": "bilinear"}),
    "deeplabv3plus": _deeplab({}),
}


def model_names() -> tuple[str, ...]:
    """Names that :func:`create_model` knows."""
    return tuple(_MODELS)


def create_model(
    name: str,
    *,
    backbone: str = "resnet50",
    num_classes: int = 21,
    output_stride: int = 16,
    backbone_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> SegmentationModel:
    """Build a network with fresh weights.

    Args:
        name: one of :func:`model_names`.
        backbone: one of :func:`deeplab_core.nn.backbones.backbone_names`.
        num_classes: channels of the logits.
        output_stride: 8, 16 or 32; can be changed later through ``model.output_stride``.
        backbone_options: fields of the backbone's options record (``ResNetOptions``, ``XceptionOptions``, ...).
        options: fields of the head's options record (:class:`deeplab_core.nn.models.deeplab.DeepLabOptions`).

    Returns:
        A :class:`SegmentationModel` whose ``architecture`` holds these arguments as JSON values.

    Raises:
        AtrousError: an unknown name, backbone, option or stride, with the choices.
    """
    if name not in _MODELS:
        raise AtrousError(
            f"unknown network '{name}'", why=f"known are {', '.join(sorted(_MODELS))}", remedy="Choose one of these"
        )
    if num_classes < 1:
        raise AtrousError(f"a network cannot have {num_classes} classes", remedy="Give at least one class")
    model = _MODELS[name](
        backbone=backbone,
        num_classes=num_classes,
        output_stride=output_stride,
        backbone_options=backbone_options or {},
        options=options,
    )
    model.architecture = _plain(
        {
            "name": name,
            "backbone": backbone,
            "num_classes": num_classes,
            "output_stride": output_stride,
            "backbone_options": dict(backbone_options or {}),
            **options,
        }
    )
    return model


def _plain(value: Any) -> Any:
    """JSON values: tuples become lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (tuple, list)) else value
