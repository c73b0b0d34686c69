"""The design of DeepLabv3+'s decoder as a sweep (arXiv 1802.02611, tables 1 and 2).

The encoder and the pyramid of one network stay as they are; each decoder is trained on their features alone, from the same
seed, on every second image of a folder, and measured on the others. Such short trainings rank designs; they do not repeat the
paper's figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.errors import AtrousError, message
from deeplab_core.figures.record import DrawnFigure, FigureInputs
from deeplab_core.figures.runs import predictor_of, read_pairs
from deeplab_core.figures.style import SERIES, panels
from deeplab_core.inference.geometry import frame_for
from deeplab_core.inference.pixels import resize_rgb
from deeplab_core.inference.torch_network import Canvas
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.nn import count_parameters
from deeplab_core.nn.layers import initialise, resize
from deeplab_core.nn.models.deeplab import Decoder, DeepLab, DeepLabOptions

#: Learning rate of AdamW at the first step; it falls linearly to a twentieth.
_RATE = 2e-3


@dataclass(frozen=True, slots=True)
class Design:
    """One decoder: its name, and how it differs from the network's own."""

    group: str
    name: str
    changes: dict[str, Any]


def designs(width: int) -> tuple[Design, ...]:
    """The paper's two questions: how many channels the low-level features keep, and what follows their concatenation."""
    channels = [Design("low-level channels", str(n), {"low_level_channels": n, "decoder_convs": 2}) for n in (8, 16, 32, 48, 64)]
    structure = [
        Design("3x3 structure", f"[3x3, {width}]" + (f" x {n}" if n > 1 else ""), {"low_level_channels": 48, "decoder_convs": n})
        for n in (1, 2, 3)
    ]
    half = {"low_level_channels": 48, "decoder_convs": 2, "decoder_channels": width // 2}
    return (*channels, *structure, Design("3x3 structure", f"[3x3, {width // 2}] x 2", half))


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """What the frozen part gives for one image, and its ground truth.

    Attributes:
        high, low: (1, C, h, w) of the pyramid and of the encoder's second level.
        size: of the scaled image in the canvas, whose part the ground truth covers.
        canvas: height and width of the network's input.
        truth: (H, W) channels, C for void.
    """

    high: Tensor
    low: Tensor
    size: tuple[int, int]
    canvas: tuple[int, int]
    truth: NDArray[np.int64]


def decoder_design(inputs: FigureInputs) -> DrawnFigure:
    """Train every design on half of the folder, and measure it on the other half.

    Raises:
        AtrousError: the network is no DeepLabv3+ with a decoder, or there are fewer than four images.
    """
    named, catalog = inputs.models[0], inputs.catalog
    assert catalog is not None
    model = predictor_of(named, catalog).model
    if not isinstance(model, DeepLab) or model.decoder is None or model.aspp is None or model.decoder.reduce is None:
        raise AtrousError(
            message("{model} has no decoder to vary", model=named.name), remedy=message("Choose a DeepLabv3+ with --model")
        )
    if inputs.pair_count < 4:
        raise AtrousError(
            message("a sweep of decoders needs at least four images"), remedy=message("Choose a larger folder with --images")
        )
    features = [_features(model, inputs, pair.rgb, pair.truth) for pair in read_pairs(inputs)]
    trained, measured = features[::2], features[1::2]
    rows = []
    for design in designs(model.options.decoder_channels):
        inputs.say(f"decoder with {design.group} {design.name}")
        options = replace(model.options, **design.changes)
        torch.manual_seed(inputs.seed)
        network = _Head(features[0].high.shape[1], features[0].low.shape[1], options, len(catalog))
        _train(network, trained, options.align_corners, inputs)
        found = _measure(network, measured, options.align_corners, ConfusionMatrix(catalog))
        rows.append(
            {
                "question": design.group,
                "design": design.name,
                "mean_iou": round(100 * found.mean_iou("truth").value, 3),
                "pixel_accuracy": round(100 * found.pixel_accuracy(), 3),
                "decoder_parameters": count_parameters(network),
            }
        )
    return _drawn(rows, {"model": named.name, "images": inputs.pair_count, "steps": inputs.steps, "seed": inputs.seed})


class _Head(nn.Module):
    """Decoder and classifier over given features."""

    def __init__(self, high: int, low: int, options: DeepLabOptions, classes: int) -> None:
        super().__init__()
        self.decoder = Decoder(high, low, options)
        self.classifier = nn.Conv2d(self.decoder.out_channels, classes, 1)
        initialise(self)

    def forward(self, features: _Features) -> Tensor:
        """(1, C, h, w) logits at the low-level features' size."""
        out: Tensor = self.classifier(self.decoder(features.high, features.low))
        return out


def _features(model: DeepLab, inputs: FigureInputs, rgb: NDArray[np.uint8], truth: NDArray[Any]) -> _Features:
    named, catalog = inputs.models[0], inputs.catalog
    assert catalog is not None
    assert model.aspp is not None
    frame = frame_for(rgb.shape[:2], named.card.preprocessing, align_corners=model.align_corners, minimum_side=model.minimum_side)
    canvas = Canvas(resize_rgb(rgb, frame.scaled), named.card.preprocessing, torch.device("cpu"), frame.content)
    with torch.no_grad():
        levels = model.encoder.levels(canvas.window(0, 0, *frame.canvas))
        high = model.after_aspp(model.aspp(levels[-1]))
    return _Features(high.contiguous(), levels[1].contiguous(), frame.scaled, frame.canvas, catalog.index_lut()[truth])


def _logits(network: _Head, features: _Features, align_corners: bool, size: tuple[int, int]) -> Tensor:
    whole = resize(network(features), features.canvas, align_corners)[..., : features.size[0], : features.size[1]]
    return resize(whole, size, False)


def _train(network: _Head, images: list[_Features], align_corners: bool, inputs: FigureInputs) -> None:
    order = np.random.default_rng(inputs.seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, inputs.steps)
    network.train()
    for step in range(inputs.steps):
        if step % len(images) == 0:
            places = order.permutation(len(images))
        chosen = images[int(places[step % len(images)])]
        classes = network.classifier.out_channels
        height, width = chosen.truth.shape
        target = torch.from_numpy(np.where(chosen.truth >= classes, -100, chosen.truth))[None]
        loss = functional.cross_entropy(_logits(network, chosen, align_corners, (height, width)), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    network.eval()


def _measure(network: _Head, images: list[_Features], align_corners: bool, matrix: ConfusionMatrix) -> ConfusionMatrix:
    catalog = matrix.catalog
    ids = np.append(catalog.ids, catalog.ignore).astype(catalog.dtype)
    with torch.no_grad():
        for features in images:
            height, width = features.truth.shape
            channels = _logits(network, features, align_corners, (height, width)).argmax(1)[0].numpy()
            matrix.update(truth=ids[np.minimum(features.truth, len(catalog))], prediction=ids[channels])
    return matrix


def _drawn(rows: list[dict[str, Any]], parameters: dict[str, Any]) -> DrawnFigure:
    groups = list(dict.fromkeys(row["question"] for row in rows))
    figure, axes = panels(len(groups), width=3.4, height=3.0)
    least = min(row["mean_iou"] for row in rows)
    for axis, group in zip(axes[0], groups, strict=True):
        chosen = [row for row in rows if row["question"] == group]
        places = np.arange(len(chosen))
        axis.bar(places, [row["mean_iou"] for row in chosen], color=SERIES[0], width=0.6)
        for place, row in zip(places, chosen, strict=True):
            axis.text(place, row["mean_iou"], f"{row['mean_iou']:.1f}", ha="center", va="bottom", fontsize=8)
        axis.set_xticks(places, [row["design"] for row in chosen], rotation=20 if group != "low-level channels" else 0)
        axis.set_xlabel(group)
        axis.set_ylim(bottom=max(0.0, least - 5.0))
    axes[0, 0].set_ylabel("mean IoU, %")
    return DrawnFigure(figure=figure, rows=rows, parameters=parameters)
