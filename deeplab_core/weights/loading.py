"""``load_model``: any checkpoint in, the right network in eval mode and its card out. All or nothing.

What needs torch is imported where it is used, so that graphs, and weights of ours that come with one, load without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplab_core import model_cards as cards
from deeplab_core.backends import engine_of, load_engine, load_own_graph, read_engine_card
from deeplab_core.errors import WeightsError, message
from deeplab_core.flavour import has_torch, require_torch
from deeplab_core.networks import GraphNetwork
from deeplab_core.records import ModelCard
from deeplab_core.weights.files import read_own_weights, weights_file
from deeplab_core.weights.options import NETWORK_OPTIONS, change_card, check_names

if TYPE_CHECKING:
    from deeplab_core.nn import SegmentationModel


def load_model(
    source: str | Path | Mapping[str, Any], output_stride: int | None = None, *, options: Mapping[str, Any] | None = None
) -> tuple[SegmentationModel | GraphNetwork, ModelCard]:
    """Open a checkpoint, recognise its family, and build its network with its weights.

    Args:
        source: a safetensors, ``.pth``/``.pt``/``.ckpt`` file of any known family, an index of weights in several parts, a
            ``save_pretrained`` folder, or a graph for another engine (``.onnx``, ``.tflite``). Settings beside the file
            (``config.json``, ``hparams.yaml``, arguments inside it, its name) are read; a card file beside it
            (``<file>.card.json``) wins over all of them. Or a state dict in memory, bare or in what a training script saves.
        output_stride: overrides the stride of the card.
        options: what no tensor tells, by the names of :data:`deeplab_core.weights.options.SETTABLE`; wins over everything.

    Returns:
        The model in eval mode, float32 on the CPU, every weight from the file; and its card, with ``guessed`` that names every
        option that nothing told. The card of a state dict has no sha256.

    Raises:
        UnknownCheckpoint: no known family; the message names the nearest family.
        UnsafeCheckpoint: the file asks to run code or plays path tricks, or its tensors need foreign code; it was not opened.
        WeightsError: truncated, wrong shapes, missing or left-over keys, values that are not finite, an option that cannot be.
    """
    asked = dict(options or {})
    check_names(asked)
    if isinstance(source, Mapping):
        require_torch(message("A state dict"))
        from deeplab_core.weights.checkpoints import load_tensors

        return _ready(*load_tensors(source, asked), output_stride)
    if not isinstance(source, (str, Path)):
        raise WeightsError(
            message("no weights: {kind}", kind=type(source).__name__),
            why=message("load_model takes a path or a state dict"),
            remedy=message("Pass model.state_dict() of a network that is in memory"),
        )
    path = weights_file(Path(source))
    sidecar = cards.read_card_file(path)
    if engine_of(path):
        return _load_graph(path, sidecar, output_stride, asked)
    if not has_torch():
        return _load_own_graph(path, sidecar, output_stride, asked)
    from deeplab_core.weights.checkpoints import load_checkpoint

    return _ready(*load_checkpoint(path, sidecar, asked), output_stride)


def _ready(model: SegmentationModel, card: ModelCard, output_stride: int | None) -> tuple[SegmentationModel, ModelCard]:
    model.output_stride = card.output_stride if output_stride is None else output_stride
    return model.eval(), card


def _load_own_graph(
    path: Path, sidecar: ModelCard | None, output_stride: int | None, asked: Mapping[str, Any]
) -> tuple[GraphNetwork, ModelCard]:
    """Weights of ours without torch: their network as a graph, if it is among those that are shipped."""
    weights = read_own_weights(path)
    card = cards.own_card(weights.card, sidecar, path)
    model = load_own_graph(weights.card, weights.tensors(), path)
    _refuse_options(asked, path, message("without PyTorch a network runs as it was written"))
    card = cards.finish_card(change_card(card, asked, model.num_classes), path)
    model.output_stride = card.output_stride if output_stride is None else output_stride
    return model, card


def _load_graph(
    path: Path, sidecar: ModelCard | None, output_stride: int | None, asked: Mapping[str, Any]
) -> tuple[GraphNetwork, ModelCard]:
    model, card = load_engine(path, sidecar, output=str(asked.get("output", "")))
    card = cards.settled_card(card, model.num_classes, path, inputs=model.in_channels)
    _refuse_options(asked, path, message("it holds its own operations"))
    if output_stride is not None:
        model.output_stride = output_stride  # refused, unless it is the graph's own
    return model, cards.finish_card(change_card(card, asked, model.num_classes), path)


def _refuse_options(asked: Mapping[str, Any], path: Path, why: str) -> None:
    """Options of a network that is a finished graph.

    Raises:
        WeightsError: there is one.
    """
    wrong = [name for name in asked if name in NETWORK_OPTIONS or name == "weights"]
    if wrong:
        raise WeightsError(
            message("a graph has no option {option}", option=wrong[0]), why=why, remedy=message("Leave the option out"), path=path
        )


def read_card(path: str | Path) -> ModelCard:
    """The card of a weights file without building its network with weights.

    Raises:
        WeightsError: as :func:`load_model`, except for values and shapes, which only loading checks.
    """
    path = weights_file(Path(path))
    sidecar = cards.read_card_file(path)
    if engine_of(path):
        return cards.finish_card(read_engine_card(path, sidecar), path)
    if has_torch():
        from deeplab_core.weights.checkpoints import read_checkpoint_card

        return read_checkpoint_card(path, sidecar)
    return cards.finish_card(cards.own_card(read_own_weights(path).card, sidecar, path), path)
