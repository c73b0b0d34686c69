"""``create_model``: every network of the package by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from deeplab_core.errors import AtrousError, message
from deeplab_core.nn.backbones import backbone_record, build_backbone
from deeplab_core.nn.base import SegmentationModel
from deeplab_core.nn.models.deeplab import DeepLab, DeepLabOptions
from deeplab_core.nn.models.deeplab_v1 import LargeFOV, LargeFOVOptions
from deeplab_core.nn.models.deeplab_v2 import MultiScale, PyramidSum, PyramidSumOptions
from deeplab_core.nn.models.dilatednet import DilatedNet, DilatedNetOptions
from deeplab_core.nn.models.drn import DRNHeadOptions, DRNSegmenter
from deeplab_core.nn.models.fc_densenet import FC_DENSENETS, FCDenseNet, FCDenseNetOptions
from deeplab_core.nn.models.fcn import FCN, DilatedFCN, DilatedFCNOptions, FCNOptions
from deeplab_core.nn.models.lraspp import LRASPP, LRASPPOptions
from deeplab_core.nn.models.unet import EncoderUNet, EncoderUNetOptions, UNet, UNetOptions
from deeplab_core.nn.models.unpooling import DeconvNet, DeconvNetOptions, SegNet, SegNetOptions
from deeplab_core.nn.options import build_options, check_count, check_options, check_stride
from deeplab_core.reading import shorten


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """How a named network is built.

    Attributes:
        backbone: the usual encoder, or the name of a whole network in ``whole``.
        record: options dataclass of the head over an encoder; None without such a form.
        assemble: makes the network from an encoder and the filled record.
        defaults: options that the name stands for.
        stride: the usual output stride.
        whole: networks that are not an encoder with a head, by the name that takes the backbone's place: options record, class,
            and the options that the name stands for.
    """

    backbone: str
    record: type[Any] | None = None
    assemble: Callable[..., SegmentationModel] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    stride: int = 16
    whole: Mapping[str, tuple[type[Any], Callable[..., SegmentationModel], Mapping[str, Any]]] = field(default_factory=dict)

    def build(
        self,
        name: str,
        backbone: str,
        *,
        num_classes: int,
        output_stride: int | str | None,
        backbone_options: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> SegmentationModel:
        """Build the network with its options filled.

        Raises:
            AtrousError: unknown backbone, option or stride, with the choices.
        """
        owner = f"network '{name}'"
        if backbone in self.whole:
            record, make, defaults = self.whole[backbone]
            if backbone_options:
                raise AtrousError(
                    message("{owner} over '{backbone}' takes no backbone options", owner=owner, backbone=backbone),
                    remedy=message("Leave them out"),
                )
            model = make(num_classes=num_classes, options=build_options(record, {**defaults, **options}, owner))
            if output_stride is not None:
                model.output_stride = check_stride(output_stride, model.output_strides, "this network")
            return model
        if self.record is None or self.assemble is None:
            raise _no_form(name, backbone, self)
        encoder = build_backbone(backbone, backbone_options)
        strides = encoder.output_strides
        usual = self.stride if self.stride in strides else strides[0]
        stride = usual if output_stride is None else check_stride(output_stride, strides, "this network")
        filled = build_options(self.record, {**self.defaults, **options}, owner)
        return self.assemble(encoder, num_classes=num_classes, output_stride=stride, options=filled)


_MODELS: dict[str, ModelSpec] = {
    "deeplabv1": ModelSpec(backbone="vgg16", whole={"vgg16": (LargeFOVOptions, LargeFOV, {})}),
    "deeplabv2": ModelSpec(backbone="resnet101", record=PyramidSumOptions, assemble=PyramidSum, stride=8),
    "deeplabv3": ModelSpec(backbone="resnet50", record=DeepLabOptions, assemble=DeepLab, defaults={"decoder": "bilinear"}),
    "deeplabv3plus": ModelSpec(backbone="resnet50", record=DeepLabOptions, assemble=DeepLab),
    "dilatednet": ModelSpec(backbone="vgg16", whole={"vgg16": (DilatedNetOptions, DilatedNet, {})}),
    "drn": ModelSpec(backbone="drn_d_22", record=DRNHeadOptions, assemble=DRNSegmenter, stride=8),
    "deconvnet": ModelSpec(backbone="vgg16", whole={"vgg16": (DeconvNetOptions, DeconvNet, {})}),
    "segnet": ModelSpec(
        backbone="vgg16", whole={"vgg16": (SegNetOptions, SegNet, {}), "basic": (SegNetOptions, SegNet, {"form": "basic"})}
    ),
    "fcn": ModelSpec(
        backbone="vgg16", record=DilatedFCNOptions, assemble=DilatedFCN, stride=8, whole={"vgg16": (FCNOptions, FCN, {})}
    ),
    "unet": ModelSpec(
        backbone="classic", record=EncoderUNetOptions, assemble=EncoderUNet, stride=32, whole={"classic": (UNetOptions, UNet, {})}
    ),
    "fc_densenet": ModelSpec(
        backbone="fc_densenet103",
        whole={name: (FCDenseNetOptions, FCDenseNet, asdict(options)) for name, options in FC_DENSENETS.items()},
    ),
    **{
        name: ModelSpec(backbone=name, whole={name: (FCDenseNetOptions, FCDenseNet, asdict(o))})
        for name, o in FC_DENSENETS.items()
    },
    "lraspp": ModelSpec(backbone="mobilenet_v3_large", record=LRASPPOptions, assemble=LRASPP),
}


def model_names() -> tuple[str, ...]:
    """Names that :func:`create_model` knows."""
    return tuple(_MODELS)


def options_record(name: str, backbone: str) -> type[Any]:
    """Dataclass of the options of a network over a backbone (or of a whole network under that name).

    Raises:
        AtrousError: an unknown network, or one that has no such form.
    """
    spec = _spec(name)
    record = spec.whole[backbone][0] if backbone in spec.whole else spec.record
    if record is None:
        raise _no_form(name, backbone, spec)
    return record


def check_architecture(
    name: str, backbone: str | None, options: Mapping[str, Any], backbone_options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a network and its backbone in the form that they keep; nothing is built.

    Args:
        backbone: None or empty takes the network's usual one.

    Raises:
        AtrousError: as :func:`create_model`.
    """
    spec = _spec(name)
    backbone = backbone or spec.backbone
    whole = {"multi_scale", "in_channels"}
    inner = {key: value for key, value in options.items() if key not in whole}
    checked = check_options(options_record(name, backbone), inner, f"network '{name}'")
    if "in_channels" in options:
        checked["in_channels"] = _input_channels(options["in_channels"])
    if "multi_scale" in options:
        checked["multi_scale"] = _input_scales(options["multi_scale"], name)
    if backbone in spec.whole:
        return checked, dict(backbone_options)
    return checked, check_options(backbone_record(backbone), backbone_options, f"backbone '{backbone}'")


def _spec(name: str) -> ModelSpec:
    if name not in _MODELS:
        known = ", ".join(sorted(_MODELS))
        raise AtrousError(
            message("unknown network '{name}'", name=name),
            why=message("known are {known}", known=known),
            remedy=message("Choose one of these"),
        )
    return _MODELS[name]


def _no_form(name: str, backbone: str, spec: ModelSpec) -> AtrousError:
    known = ", ".join(sorted(spec.whole))
    return AtrousError(
        message("network '{name}' has no form over '{backbone}'", name=name, backbone=backbone),
        why=message("it is built over {known}", known=known),
        remedy=message("Choose one of these"),
    )


def _input_channels(value: object) -> int:
    return check_count(value, message("input channels"), message("Give 1, 3 or 4"))


def create_model(
    name: str,
    *,
    backbone: str | None = None,
    num_classes: int = 21,
    output_stride: int | str | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    in_channels: int = 3,
    **options: object,
) -> SegmentationModel:
    """Build a network with fresh weights.

    Args:
        name: one of :func:`model_names`.
        backbone: one of :func:`deeplab_core.nn.backbones.backbone_names`, or ``timm:NAME`` for a network of the timm library;
            None takes the network's usual one.
        num_classes: channels of the logits; 1 makes a two-class (sigmoid) network, see
            :func:`deeplab_core.nn.base.class_logits`.
        output_stride: 4, 8, 16 or 32, or ``"os16"``; can be changed later through ``model.output_stride``. None is 16, or the
            only one possible.
        backbone_options: fields of the backbone's options record (``ResNetOptions``, ``XceptionOptions``, ...). Values may be the
            papers' words: see :func:`deeplab_core.nn.options.build_options`.
        in_channels: channels of the input: 3, or any other number for the first convolution (1 for gray).
        options: fields of the head's options record (for the DeepLabs
            :class:`deeplab_core.nn.models.deeplab.DeepLabOptions`); and ``multi_scale``, further input scales with logits that
            are joined by the maximum (:class:`deeplab_core.nn.models.deeplab_v2.MultiScale`).

    Returns:
        A :class:`SegmentationModel` with ``architecture`` that holds these arguments as JSON values.

    Raises:
        AtrousError: an unknown name, backbone, option or stride, or a value that an option cannot take, with the choices.
    """
    spec = _spec(name)
    num_classes = check_count(num_classes, message("classes"), message("Give at least one class"))
    in_channels = _input_channels(in_channels)
    backbone = str(backbone or spec.backbone)
    scales = _input_scales(options.pop("multi_scale", ()), name)
    # The record of the network keeps what the words mean, not the words: another program need not know them.
    options, backbone_options = check_architecture(name, backbone, options, backbone_options or {})
    model = spec.build(
        name,
        backbone,
        num_classes=num_classes,
        output_stride=output_stride,
        backbone_options=backbone_options or {},
        options=options,
    )
    if in_channels != 3:
        _take_channels(model, in_channels)
        options["in_channels"] = in_channels
    if scales:
        model = MultiScale(model, scales)
        options["multi_scale"] = scales
    arguments = {
        "name": name,
        "backbone": backbone,
        "num_classes": num_classes,
        "output_stride": model.output_stride,
        "backbone_options": dict(backbone_options or {}),
        **options,
    }
    model.architecture = _plain(arguments)
    return model


def first_convolution(model: SegmentationModel) -> str:
    """Name of the convolution that reads the image.

    Raises:
        AtrousError: several layers read it.
    """
    found: list[str] = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == model.in_channels and module.groups == 1
    ]
    if model.in_channels == 3 and len(found) == 1:
        return found[0]
    raise AtrousError(
        message("this network cannot take another number of channels"), why=message("several of its layers read the image")
    )


def _take_channels(model: SegmentationModel, channels: int) -> None:
    """Give the first convolution another number of input channels, with fresh weights."""
    layer = model.get_submodule(first_convolution(model))
    assert isinstance(layer, nn.Conv2d)
    old = layer.weight
    layer.in_channels = channels
    layer.weight = nn.Parameter(torch.empty(old.shape[0], channels, *old.shape[2:], dtype=old.dtype, device=old.device))
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    model.in_channels = channels


def _input_scales(value: Any, name: str) -> tuple[float, ...]:
    known = isinstance(value, (list, tuple)) and all(isinstance(one, (int, float)) and 0.05 <= one <= 8 for one in value)
    if not known or len(value) > 16:
        raise AtrousError(
            message("network '{name}' has no multi_scale {value}", name=name, value=shorten(value)),
            remedy=message("Give a list of scales from 0.05 to 8"),
        )
    return tuple(value)


def _plain(value: object) -> Any:
    """JSON values: tuples become lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (tuple, list)) else value
