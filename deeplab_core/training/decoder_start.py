"""A decoder that changes nothing at first: a network gets DeepLabv3+'s decoder and keeps the scores that it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deeplab_core.errors import WeightsError, message
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.layers import ConvNormAct, SeparableConvNormAct, initialise
from deeplab_core.nn.models.deeplab import Decoder, DeepLab


def with_identity_decoder(source: SegmentationModel, architecture: dict[str, Any], path: Path) -> DeepLab:
    """The network of a checkpoint with a decoder that passes the pyramid's features on unchanged.

    Function-preserving growth (Net2Net, Chen, Goodfellow and Shlens 2016, arXiv 1511.05641): the first channels of each 3x3
    convolution copy the features, which are not negative, so that the ReLU keeps them. Bilinear upsampling commutes with the
    classifier, and of a grid that contains the coarse one it is exact in two steps: with aligned corners and sizes of 16 k + 1
    the logits are those of the checkpoint. All other weights of the decoder are drawn at random; those that would reach the
    copied channels are 0 and learn from the first step on, because the classifier reads these channels.

    Args:
        source: DeepLabv3: a pyramid, no decoder.
        architecture: arguments of ``create_model`` of the network with the decoder.
        path: of the checkpoint, for errors.

    Returns:
        The network with the checkpoint's norms outside the decoder, and none in it (folded); without an auxiliary head.

    Raises:
        WeightsError: the checkpoint has a decoder or no pyramid, or the decoder is narrower than the pyramid.
    """
    remedy = message("Set decoder_start to random, or start from a DeepLabv3 checkpoint")
    if not isinstance(source, DeepLab) or source.decoder is not None or source.aspp is None:
        raise WeightsError(
            message("a decoder that starts as identity needs DeepLabv3 with a pyramid and without a decoder"),
            why=message("This checkpoint is {network}", network=source.architecture["name"]),
            remedy=remedy,
            path=path,
        )
    theirs = source.architecture
    grown = create_model(**architecture | {"num_classes": source.num_classes, "backbone_options": theirs["backbone_options"]}
                         | {key: theirs[key] for key in ("folded_norm",) if key in theirs})  # fmt: skip
    if not isinstance(grown, DeepLab) or grown.decoder is None or grown.decoder.reduce is None:
        raise WeightsError(
            message("a decoder that starts as identity needs a network with DeepLabv3+'s decoder"), remedy=remedy, path=path
        )
    width = source.classifier.in_channels
    if grown.decoder.out_channels < width:
        raise WeightsError(
            message("the decoder is too narrow to pass the pyramid's features on"),
            why=message("It has {channels} channels, the pyramid {width}", channels=grown.decoder.out_channels, width=width),
            remedy=message("Set decoder_channels to {width} or more", width=width),
            path=path,
        )
    levels = grown.encoder.level_channels
    grown.decoder = Decoder(width, levels[1], replace(grown.options, folded_norm=True))
    if grown.options.separable_inner == "none" and not architecture.get("folded_norm"):
        for conv in grown.decoder.convs:  # no norm follows here: the network to train has no bias that a folded one could become
            if isinstance(conv, SeparableConvNormAct):
                conv.depthwise.conv.bias = None
    initialise(grown.decoder)
    grown.auxiliary = None  # it serves training alone, and begins new
    aside = ("classifier.", DeepLab.auxiliary_key_prefix)
    kept = {key: tensor for key, tensor in source.state_dict().items() if not key.startswith(aside)}
    outside = {key: tensor.shape for key, tensor in grown.state_dict().items() if not key.startswith(("decoder.", *aside))}
    if outside != {key: tensor.shape for key, tensor in kept.items()}:
        raise WeightsError(
            message("the pyramid of the recipe is not that of init"),
            why=message("A decoder that starts as identity needs the checkpoint's own encoder and pyramid"),
            remedy=message("Name only options of the decoder in the recipe"),
            path=path,
        )
    grown.load_state_dict(kept, strict=False)
    with torch.no_grad():
        _pass_on(grown.decoder, width, low_first=grown.options.decoder_order == "low_level_first")
        classifier = grown.classifier
        classifier.weight.zero_()
        classifier.weight[:, :width] = source.classifier.weight
        if classifier.bias is not None:
            classifier.bias.copy_(source.classifier.bias if source.classifier.bias is not None else torch.zeros(()))
    return grown.eval()


def _pass_on(decoder: Decoder, width: int, *, low_first: bool) -> None:
    """Let the first ``width`` output channels of each convolution copy the channels of the pyramid."""
    first = decoder.options.low_level_channels if low_first else 0
    for conv in decoder.convs:
        source = slice(first, first + width)
        if isinstance(conv, SeparableConvNormAct):
            _copy(conv.depthwise, source, slice(0, 1), source)
            _copy(conv.pointwise, slice(0, width), source, slice(0, width))
        else:
            assert isinstance(conv, ConvNormAct)
            _copy(conv, slice(0, width), source, slice(0, width))
        first = 0


def _copy(layer: ConvNormAct, rows: slice, columns: slice, biases: slice) -> None:
    """Make outputs ``rows`` of a convolution the inputs ``columns``; a depthwise one has the single column 0."""
    weight = layer.conv.weight
    middle = weight.shape[-1] // 2
    weight[rows] = 0
    count = len(range(*rows.indices(weight.shape[0])))
    inputs = torch.zeros(count, dtype=torch.long) if columns == slice(0, 1) else torch.arange(count) + columns.start
    weight[torch.arange(count) + rows.start, inputs, middle, middle] = 1
    if layer.conv.bias is not None:
        layer.conv.bias[biases] = 0
