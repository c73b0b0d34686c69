"""Writing a network of ours as ONNX, with its card inside, and proving that the file gives the same logits."""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from deeplab_core import model_cards as cards
from deeplab_core.atomic import atomic_write
from deeplab_core.backends.loading import MINIMUM_SIDE
from deeplab_core.errors import ExportError, message
from deeplab_core.networks import GraphNetwork
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.exact import save_arithmetic
from deeplab_core.nn.receptive import demand_layers
from deeplab_core.records import CARD_KEY, ModelCard, Preprocessing

if TYPE_CHECKING:
    from onnx import ModelProto

Output = Literal["logits", "labels"]

#: Opset written unless another is asked for; every runtime since 2022 (ONNX 1.13) reads it.
OPSET = 18
#: Largest difference of a logit between torch and ONNX Runtime that a file may have, in standard deviations of the logits.
TOLERANCE = 1e-4
#: Added to the smallest input of a network for the sizes that an exported file is compared at: odd and even, neither square.
_CHECKED = ((1, 34), (32, 13), (64, 96))
_EXAMPLE = (97, 129)
_INPUT = "image"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        card: as stored, with the file's digest.
        sizes: (height, width) of the inputs compared.
        difference: largest absolute difference of a logit over all of them.
        deviation: standard deviation of the logits, to judge it by.
        agreement: share of pixels, 0..1, with equal labels.
    """

    path: Path
    card: ModelCard
    sizes: tuple[tuple[int, int], ...]
    difference: float
    deviation: float
    agreement: float


class _Labels(nn.Module):
    """(N, C, H, W) to (N, H, W) int64: the class of the largest logit, or 1 where the only one is above the threshold."""

    def __init__(self, model: SegmentationModel, threshold: float | None) -> None:
        super().__init__()
        self.model = model
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        return _decided(self.model(x), self.threshold)


def _decided(logits: Tensor, threshold: float | None) -> Tensor:
    """(N, H, W) int64 channels from (N, C, H, W) logits; ``threshold`` of a one-channel network, None else."""
    if threshold is None:
        labels: Tensor = logits.argmax(1)
        return labels
    return (logits[:, 0] > math.log(threshold / (1.0 - threshold))).long()


def export_onnx(
    path: str | Path,
    model: SegmentationModel | GraphNetwork,
    card: ModelCard,
    *,
    output: Output = "logits",
    size: tuple[int, int] | None = None,
    opset: int = OPSET,
) -> Exported:
    """Write a network as an ONNX file, after comparing it with torch.

    The input is ``image`` (N, in_channels, H, W) float32, normalised as the card says; the output is ``logits`` (N, C, H, W)
    float32 at the input's size, or ``labels`` (N, H, W) int64, which for a one-channel network holds the card's threshold.
    N, H and W are free unless ``size`` fixes the latter two and N to 1.

    Args:
        path: the target, usually ``*.onnx``; written atomically, and only if the comparison holds.
        model: any network of ours, at the output stride wanted; it is not changed.
        card: goes into the file's metadata, so that ``load_model`` needs no other.
        output: what comes out.
        size: the only (height, width) to take, None for any.
        opset: version of ONNX's operations.

    Raises:
        ExportError: ``onnx`` and ``onnxscript`` are not installed, the network cannot be traced, or the file's logits differ.
        ComputeError: TorchScript has compiled a part of the network.
        WeightsError: the card does not fit the network.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    card = cards.settled_card(card, model.num_classes, path, inputs=model.in_channels)
    if isinstance(model, GraphNetwork):
        raise ExportError(
            message("the model is a graph for {engine} already", engine=model.engine.name),
            remedy=message("Copy the file"),
            path=path,
        )
    demand_layers(model, message("this model cannot be written as ONNX"))
    _check_installed(path)
    was_training = model.training
    model.eval()
    try:
        cheaper = copy.deepcopy(model)
        save_arithmetic(cheaper)  # the file is compared with the network as it is
        proto = _traced(cheaper, output, size, opset, path, card.threshold)
        sizes = (size,) if size is not None else _sizes(model)
        difference, deviation, agreement = _compared(model, proto.SerializeToString(), output, sizes, path, card.threshold)
    finally:
        model.train(was_training)
    stored = replace(
        card, align_corners=model.align_corners, architecture=model.architecture, output_stride=model.output_stride,
        output_strides=(model.output_stride,), sha256="", id="",
        preprocessing=card.preprocessing if size is None else _fixed(card, size),
        threshold=card.threshold if output == "logits" else None,  # in labels it is decided already
        extra={**card.extra, MINIMUM_SIDE: model.minimum_side} if model.minimum_side > 1 and size is None else card.extra,
    )  # fmt: skip
    entry = proto.metadata_props.add()
    entry.key, entry.value = CARD_KEY, json.dumps(stored.to_dict(), ensure_ascii=False)
    atomic_write(path, proto.SerializeToString())
    return Exported(path, cards.finish_card(stored, path), sizes, difference, deviation, agreement)


def _fixed(card: ModelCard, size: tuple[int, int]) -> Preprocessing:
    """The card's preprocessing for a graph of one size: fitted into it, padded with the card's padding value."""
    form = f"{size[0]}x{size[1]}"
    return replace(card.preprocessing, resize=f"fit:{form}", padding=f"canvas:{form}")


def _check_installed(path: Path) -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(
            message("writing ONNX needs libraries that are not installed"),
            why=str(error),
            remedy=message("Run: pip install onnx onnxscript onnxruntime"),
            path=path,
        ) from error


def _traced(
    model: SegmentationModel, output: Output, size: tuple[int, int] | None, opset: int, path: Path, threshold: float | None
) -> ModelProto:
    """The network as an ONNX ``ModelProto``."""
    module = _Labels(model, threshold).eval() if output == "labels" else model
    free = torch.export.Dim.DYNAMIC
    least = model.minimum_side
    # Two images: torch takes a batch of one for a constant.
    example = (
        (1, model.in_channels, *size) if size is not None else (2, model.in_channels, least + _EXAMPLE[0], least + _EXAMPLE[1])
    )
    shapes = None if size is not None else ({0: free, 2: free, 3: free},)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module, (torch.zeros(example),), input_names=[_INPUT], output_names=[output], dynamic_shapes=shapes,
                opset_version=opset, dynamo=True, verbose=False,
            )  # fmt: skip
        except Exception as error:  # torch's exporter raises whatever the step that failed raises
            raise ExportError(
                message("the network cannot be written as ONNX"),
                why=_first_line(error),
                remedy=message("Give --size to write it for one size")
                if size is None
                else message("Save it as safetensors instead"),
                path=path,
            ) from error
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch's exporter warns of its own insides; what concerns users is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _sizes(model: SegmentationModel) -> tuple[tuple[int, int], ...]:
    least = model.minimum_side
    return tuple((least + height, least + width) for height, width in _CHECKED)


def _compared(
    model: SegmentationModel,
    file: bytes,
    output: Output,
    sizes: tuple[tuple[int, int], ...],
    path: Path,
    threshold: float | None,
) -> tuple[float, float, float]:
    """Largest difference, standard deviation of the logits, and share of equal labels, over random images of some sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    difference, deviation, equal, pixels = 0.0, 0.0, 0, 0
    for number, (height, width) in enumerate(sizes):
        x = torch.randn(1, model.in_channels, height, width, generator=torch.Generator().manual_seed(number))
        with torch.inference_mode():
            logits = model(x)
        expected, labels = logits.numpy(), _decided(logits, threshold).numpy()
        got = session.run([output], {_INPUT: x.numpy()})[0]
        if output == "logits":
            difference = max(difference, float(np.abs(got - expected).max()))
            deviation = max(deviation, float(expected.std()))
            equal += int((_decided(torch.from_numpy(got), threshold).numpy() == labels).sum())
        else:
            equal += int((got == labels).sum())
        pixels += labels.size
    agreement = equal / pixels
    # Labels of random images lie close to ties; a wrong file differs on far more than one pixel in a thousand.
    if not (difference <= TOLERANCE * deviation if output == "logits" else agreement >= 0.999):
        raise ExportError(
            message("the ONNX file gives other numbers than the network; it was not written"),
            why=message(
                "logits differ by {difference:.2g} at a standard deviation of {deviation:.2g}; "
                "{agreement:.2f} % of the labels agree",
                difference=difference,
                deviation=deviation,
                agreement=100 * agreement,
            ),
            remedy=message("Try another opset (--opset) or a fixed size (--size)"),
            path=path,
        )
    return difference, deviation, agreement


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
