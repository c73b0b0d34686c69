"""``load_model``: any checkpoint in, the right network in eval mode and its card out. All or nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.factory import first_convolution
from deeplab_core.records import CARD_KEY, ModelCard
from deeplab_core.weights import cards
from deeplab_core.weights.families import Recognised, recognise
from deeplab_core.weights.families.base import Variant
from deeplab_core.weights.reading import Checkpoint, weights_file
from deeplab_core.weights.unwrapping import read_checkpoint

_COUNTERS = re.compile(r".*\.num_batches_tracked")


def load_model(path: str | Path, output_stride: int | None = None) -> tuple[SegmentationModel, ModelCard]:
    """Open a checkpoint, find out whose it is, and build its network with its weights.

    Args:
        path: a safetensors, ``.pth``/``.pt``/``.ckpt`` file of any known family, a ``save_pretrained`` folder, or a graph for
            another engine (``.onnx``, ``.tflite``). A card file beside it (``<file>.card.json``) wins over every guess.
        output_stride: overrides the stride of the card.

    Returns:
        The model in eval mode, float32 on the CPU, every weight from the file; and its card.

    Raises:
        UnknownCheckpoint: nobody's; the message names the nearest family.
        UnsafeCheckpoint: the file asks to run code or plays path tricks; it was not opened.
        WeightsError: truncated, wrong shapes, missing or left-over keys, values that are not finite.
    """
    path = weights_file(Path(path))
    if _is_graph(path):
        return _load_graph(path, output_stride)
    checkpoint = read_checkpoint(path)
    if CARD_KEY in checkpoint.metadata:
        model, card = _load_own(checkpoint)
    else:
        found = _with_channels(recognise(checkpoint))
        with torch.device("meta"):
            model = found.variant.build()
        _fill(model, found.checkpoint, found.variant, found.family.title)
        card = _stranger_card(model, found)
    beside = cards.read_card_file(path)
    if beside is not None:
        card = replace(beside, architecture=card.architecture, output_strides=model.output_strides)
    card = cards.finish_card(cards.settled_card(card, model.num_classes, path, inputs=model.in_channels), path)
    model.output_stride = card.output_stride if output_stride is None else output_stride
    return model.eval(), card


def _is_graph(path: Path) -> bool:
    """Whether the file brings its own graph for another engine."""
    from deeplab_core.inference.engines import engine_of  # the engines read cards, so this package cannot need them on import

    return bool(engine_of(path))


def _load_graph(path: Path, output_stride: int | None) -> tuple[SegmentationModel, ModelCard]:
    from deeplab_core.inference.engines import load_engine

    model, card = load_engine(path, cards.read_card_file(path))
    card = cards.settled_card(card, model.num_classes, path, inputs=model.in_channels)
    if output_stride is not None:
        model.output_stride = output_stride  # refused, unless it is the graph's own
    return model, cards.finish_card(card, path)


def _load_own(checkpoint: Checkpoint) -> tuple[SegmentationModel, ModelCard]:
    card = cards.card_from_metadata(checkpoint.metadata[CARD_KEY], checkpoint.path)
    try:
        with torch.device("meta"):
            model = create_model(**card.architecture)
    except (AtrousError, TypeError, ValueError, KeyError) as error:
        raise WeightsError(
            "the file's card describes a network that cannot be built",
            why=error.what if isinstance(error, AtrousError) else str(error),
            remedy="It may come from a newer version of this program",
            path=checkpoint.path,
        ) from error
    own = Variant(architecture=card.architecture, rules=str, title="Atrous")
    _fill(model, checkpoint, own, "Atrous")
    return model, replace(card, output_strides=model.output_strides)


def _with_channels(found: Recognised) -> Recognised:
    """The variant with as many input channels as the file's first convolution has."""
    variant = found.variant
    try:
        with torch.device("meta"):
            plain = variant.build()
        key = f"{first_convolution(plain)}.weight"
        tensor = found.checkpoint.tensors[variant.rules(key)]
    except (AtrousError, KeyError):  # what is wrong with the file is said where it is filled in
        return found
    tensor = tensor if variant.adapt is None else variant.adapt(key, tensor)
    usual = plain.state_dict()[key].shape
    if tensor.ndim != 4 or tensor.shape == usual or (tensor.shape[0], *tensor.shape[2:]) != (usual[0], *usual[2:]):
        return found
    inputs = int(tensor.shape[1])
    architecture = {**variant.architecture, "in_channels": inputs}
    prepared = cards.preprocessing_for(variant.preprocessing, inputs)
    return replace(found, variant=replace(variant, architecture=architecture, preprocessing=prepared))


def _stranger_card(model: SegmentationModel, found: Recognised) -> ModelCard:
    variant = found.variant
    extra = dict(variant.extra) | {"family": found.family.name}
    if found.checkpoint.wrapper or found.prefix:
        extra["wrapper"] = "/".join(part for part in (found.checkpoint.wrapper, found.prefix) if part)
    if found.outside:
        extra["unused_tensors"] = found.outside
    stride = variant.output_stride if variant.output_stride in model.output_strides else model.output_stride
    return ModelCard(
        id="",
        name=variant.title,
        architecture=model.architecture,
        catalog=cards.catalog_for(variant.catalog, model.num_classes),
        preprocessing=variant.preprocessing,
        align_corners=model.align_corners,
        output_stride=stride,
        output_strides=model.output_strides,
        source=variant.source,
        licence=variant.licence,
        summary=variant.summary,
        guessed=variant.guessed,
        extra=extra,
    )


def match_keys(
    model: SegmentationModel, checkpoint: Checkpoint, variant: Variant
) -> tuple[list[str], list[str], list[str], dict[str, Tensor]]:
    """Find every tensor that a model needs.

    Returns:
        Keys missing from the file, tensors of the wrong shape (each with what was expected), keys left over; and the file's
        tensor for each of our keys, as stored.
    """
    state: dict[str, Tensor] = {}
    used: set[str] = set()
    missing: list[str] = []
    misshapen: list[str] = []
    optional, ignored = re.compile(variant.optional), re.compile(variant.ignored)
    for key, target in model.state_dict().items():
        if _COUNTERS.fullmatch(key):
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        source = variant.rules(key)
        used.add(source)
        tensor = checkpoint.tensors.get(source)
        if tensor is None:
            if optional.fullmatch(key):
                state[key] = _fresh(key, target)
            else:
                missing.append(source)
            continue
        if variant.adapt is not None:
            tensor = variant.adapt(key, tensor)
        if tensor.shape != target.shape:
            misshapen.append(f"{source} is {_size(tensor)}, expected {_size(target)}")
            continue
        state[key] = tensor
    left = [key for key in checkpoint.tensors if key not in used and not _COUNTERS.fullmatch(key) and not ignored.fullmatch(key)]
    return missing, misshapen, left, state


def _fill(model: SegmentationModel, checkpoint: Checkpoint, variant: Variant, owner: str) -> None:
    """Give a model on the meta device every tensor from the file, or raise and leave nothing behind."""
    missing, misshapen, left, found = match_keys(model, checkpoint, variant)
    if missing or misshapen or left:
        raise _mismatch(checkpoint.path, owner, variant.title, missing, misshapen, left)
    state = {key: value if key.endswith("num_batches_tracked") else _float32(value) for key, value in found.items()}
    _check_values(state, variant, checkpoint.path)
    model.load_state_dict(state, strict=True, assign=True)


def _float32(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float32).contiguous()


def _fresh(key: str, target: Tensor) -> Tensor:
    """Neutral value of an optional tensor; see :attr:`Variant.optional`."""
    if key.endswith("running_var"):
        return torch.full(target.shape, 1.0 - 1e-5)
    return torch.ones(target.shape) if key.endswith("norm.weight") else torch.zeros(target.shape)


def _size(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "a scalar"


def _mismatch(path: Path, owner: str, title: str, missing: list[str], misshapen: list[str], left: list[str]) -> WeightsError:
    reasons = [
        f"{len(keys)} {what}: {', '.join(keys[:4])}{' …' if len(keys) > 4 else ''}"
        for what, keys in (("keys missing", missing), ("tensors of the wrong shape", misshapen), ("keys left over", left))
        if keys
    ]
    return WeightsError(
        f"the weights do not fit the network they look like: {title}",
        why=f"family {owner}; " + "; ".join(reasons),
        remedy="Check that the checkpoint is complete and of this architecture",
        path=path,
    )


def _check_values(state: dict[str, Tensor], variant: Variant, path: Path) -> None:
    bad = [
        variant.rules(key)
        for key, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if bad:
        raise WeightsError(
            f"{len(bad)} tensors hold values that are not numbers: {', '.join(bad[:4])}",
            why="the training that wrote the file diverged, or the file is damaged",
            remedy="Use an earlier checkpoint",
            path=path,
        )
    negative = [variant.rules(key) for key, tensor in state.items() if key.endswith("running_var") and bool((tensor < 0).any())]
    if negative:
        raise WeightsError(
            f"{len(negative)} running variances are negative: {', '.join(negative[:4])}",
            why="a variance cannot be; the file is damaged",
            remedy="Use another copy of the checkpoint",
            path=path,
        )


def read_card(path: str | Path) -> ModelCard:
    """The card of a weights file without building its network with weights.

    Raises:
        WeightsError: as :func:`load_model`, except for values and shapes, which only loading checks.
    """
    path = weights_file(Path(path))
    beside = cards.read_card_file(path)
    if _is_graph(path):
        from deeplab_core.inference.engines import read_engine_card

        return cards.finish_card(read_engine_card(path, beside), path)
    checkpoint = read_checkpoint(path)
    if CARD_KEY in checkpoint.metadata:
        card = cards.card_from_metadata(checkpoint.metadata[CARD_KEY], path)
    else:
        found = _with_channels(recognise(checkpoint))
        with torch.device("meta"):
            card = _stranger_card(found.variant.build(), found)
    if beside is not None:
        card = replace(beside, architecture=card.architecture, output_strides=card.output_strides)
    channels = card.architecture.get("num_classes")
    if isinstance(channels, int):
        inputs = card.architecture.get("in_channels", 3)
        card = cards.settled_card(card, channels, path, inputs=inputs if isinstance(inputs, int) else None)
    return cards.finish_card(card, path)
