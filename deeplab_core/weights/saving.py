"""Writing our own weights: safetensors with the card in its metadata."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from deeplab_core import model_cards as cards
from deeplab_core.atomic import atomic_write
from deeplab_core.errors import WeightsError, message
from deeplab_core.networks import GraphNetwork
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.module import ModuleNetwork
from deeplab_core.records import CARD_KEY, ModelCard


def save_model(path: str | Path, model: SegmentationModel, card: ModelCard, *, half: bool = False) -> ModelCard:
    """Write weights and card to one safetensors file, atomically.

    Args:
        path: the target, usually ``*.safetensors``.
        model: any network built by ``create_model``.
        card: its card; architecture, align_corners and output strides are taken from the model.
        half: store floats as float16, half the size. Refused where a value would overflow.

    Returns:
        The card as stored, with the file's sha256 and id.

    Raises:
        WeightsError: the card's catalog does not fit the network, ``half`` would lose values, or it is no network of this
            package.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if isinstance(model, ModuleNetwork | GraphNetwork):  # callers without types give the latter, too
        graph = isinstance(model, GraphNetwork)
        raise WeightsError(
            message("this model cannot be written as a file of weights"),
            why=message("it is a finished graph") if graph else message("such a file does not hold the code of another program"),
            remedy=message("Copy its file")
            if graph
            else message("Write it as ONNX, or save its state_dict() for its own program"),
            path=path,
        )
    card = replace(
        cards.settled_card(card, model.num_classes, path, inputs=model.in_channels),
        architecture=model.architecture, align_corners=model.align_corners,
        output_strides=model.output_strides, sha256="",
    )  # fmt: skip
    state = {key: value.detach().to("cpu").contiguous().clone() for key, value in model.state_dict().items()}
    if half:
        state = {key: value.half() if value.dtype == torch.float32 else value for key, value in state.items()}
        lost = [key for key, value in state.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
        if lost:
            raise WeightsError(
                message("half precision cannot hold {count} tensors: {tensors}", count=len(lost), tensors=", ".join(lost[:4])),
                why=message("values beyond 65504"),
                remedy=message("Save in single precision"),
                path=path,
            )
    metadata = {"format": "pt", CARD_KEY: json.dumps(card.to_dict(), ensure_ascii=False)}
    atomic_write(path, to_bytes(state, metadata))
    return cards.finish_card(card, path)
