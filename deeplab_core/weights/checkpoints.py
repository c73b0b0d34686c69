"""The half of ``load_model`` that needs torch: a checkpoint in, its network and card out. All or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deeplab_core import model_cards as cards
from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.factory import first_convolution
from deeplab_core.records import CARD_KEY, ModelCard
from deeplab_core.weights.families import Recognised, recognise
from deeplab_core.weights.families.base import Variant
from deeplab_core.weights.options import NETWORK_OPTIONS, PREPROCESSING, Settled, change_card, settle
from deeplab_core.weights.reading import Checkpoint
from deeplab_core.weights.settings import StoredSettings, of_this_network
from deeplab_core.weights.unwrapping import check_tensors, check_unread, collect, read_checkpoint

_COUNTERS = re.compile(r".*\.num_batches_tracked")
#: Buffers of the modules around a network.
_INPUT_BUFFER = re.compile(r"(?:[\w.]*\.)?(?:pixel_|image_|img_|input_|norm_)?(mean|std)")


#: Heads that only training runs, and what other tools leave among the weights: they never decide whether a file loads.
_SPARE = re.compile(
    r"(?:.+\.)?(?:aux\w*|\w+_aux\d*|classification_head|cls_head|dsn\w*|deep_?sup\w*|ds_head\w*|fc|last_linear|criterion|\w*loss\w*|"
    r"\w*metrics?\w*|(?:train|val|valid|test)_\w+)(?:\.\d+)*\..+"
    r"|(?:.+\.)?(?:total_ops|total_params|n_averaged|num_updates|decay|initted|mean|std|pixel_mean|pixel_std|mask_values)"
)


def load_tensors(source: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[SegmentationModel, ModelCard]:
    """Network and finished card of a state dict in memory; arguments and errors as ``load_model``."""
    model, card = _open(collect(source, Path("the state dict")), None, asked)
    # The caller's tensors may be trained on.
    model.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, assign=True)
    return model, cards.finish_card_of_tensors(card, model.state_dict())


def load_checkpoint(path: Path, sidecar: ModelCard | None, asked: Mapping[str, Any]) -> tuple[SegmentationModel, ModelCard]:
    """Network and finished card of a weights file with the card beside it; errors as ``load_model``."""
    model, card = _open(read_checkpoint(path), sidecar, asked)
    return model, cards.finish_card(card, path)


def read_checkpoint_card(path: Path, sidecar: ModelCard | None) -> ModelCard:
    """The finished card of a weights file; errors as ``read_card``."""
    checkpoint = read_checkpoint(path)
    if CARD_KEY not in checkpoint.metadata:
        found, settled, model = _understand(checkpoint, sidecar, {})
        card = _joined(_foreign_card(model, found, settled), sidecar, model)
        return cards.finish_card(cards.settled_card(card, model.num_classes, path, inputs=model.in_channels), path)
    card = cards.card_from_metadata(checkpoint.metadata[CARD_KEY], path)
    return cards.finish_card(cards.own_card(card, sidecar, path), path)


def _open(checkpoint: Checkpoint, sidecar: ModelCard | None, asked: Mapping[str, Any]) -> tuple[SegmentationModel, ModelCard]:
    """Network and card of a checkpoint; the card is not finished."""
    if CARD_KEY in checkpoint.metadata:
        model, card = _load_own(checkpoint, sidecar, asked)
    else:
        model, card = _load_foreign(checkpoint, sidecar, asked)
    card = _joined(card, sidecar, model)
    card = cards.settled_card(card, model.num_classes, checkpoint.path, inputs=model.in_channels)
    return model, change_card(card, asked, model.num_classes)


def _joined(card: ModelCard, sidecar: ModelCard | None, model: SegmentationModel) -> ModelCard:
    """The card that the user keeps beside the file, with what only the file knows; the file's own card if there is none."""
    if sidecar is None:
        return card
    guessed = tuple(name for name in sidecar.guessed if name in card.guessed or name in ("catalog", "preprocessing"))
    stored = sidecar.extra.get(cards.VARIATION, {})
    # What the user set about the input makes other predictions; values that were edited by hand afterwards count as they are.
    kept = {name: stored[name] for name in PREPROCESSING if name in stored}
    joined = replace(
        sidecar,
        architecture=model.architecture,
        align_corners=model.align_corners,
        output_stride=card.output_stride,
        output_strides=model.output_strides,
        guessed=guessed,
        extra={**{key: value for key, value in sidecar.extra.items() if key != cards.VARIATION}, **card.extra},
    )
    return cards.varied(joined, kept)


def _load_own(checkpoint: Checkpoint, sidecar: ModelCard | None, asked: Mapping[str, Any]) -> tuple[SegmentationModel, ModelCard]:
    card = cards.card_from_metadata(checkpoint.metadata[CARD_KEY], checkpoint.path)
    own = Variant(architecture=card.architecture, rules=str, title="Atrous", output_stride=card.output_stride)
    try:
        with torch.device("meta"):
            model = create_model(**card.architecture)
        wanted = {name: value for name, value in asked.items() if name in NETWORK_OPTIONS}
        if wanted or sidecar is not None:
            stored = replace(card, guessed=()) if sidecar is None else sidecar
            settled = settle(own, model, StoredSettings(), stored, wanted)
            own, card = settled.variant, cards.varied(card, settled.changed)
            if settled.notes:
                card = replace(card, extra={**card.extra, "notes": list(settled.notes)})
            with torch.device("meta"):
                model = own.build()
    except WeightsError:
        raise
    except (AtrousError, TypeError, ValueError, KeyError) as error:
        raise WeightsError(
            message("the file's card describes a network that cannot be built"),
            why=error.what if isinstance(error, AtrousError) else str(error),
            remedy=message("It may come from a newer version of this program"),
            path=checkpoint.path,
        ) from error
    check_tensors(checkpoint.tensors, checkpoint.path)
    _fill(model, checkpoint, own, "Atrous")
    card = replace(card, architecture=model.architecture, align_corners=model.align_corners, output_stride=own.output_stride)
    return model, replace(card, output_strides=model.output_strides)


def _load_foreign(
    checkpoint: Checkpoint, sidecar: ModelCard | None, asked: Mapping[str, Any]
) -> tuple[SegmentationModel, ModelCard]:
    found, settled, model = _understand(checkpoint, sidecar, asked)
    check_tensors(found.checkpoint.tensors, checkpoint.path)
    try:
        spare = _fill(model, found.checkpoint, settled.variant, found.family.title)
    except WeightsError:
        bare = _without_auxiliary(settled.variant)
        if bare is None:
            raise
        settled = replace(settled, variant=bare)
        with torch.device("meta"):
            model = bare.build()
        # What is wrong with a head that only training runs is of no concern; if more is wrong, this reports it.
        spare = _fill(model, found.checkpoint, bare, found.family.title)
    return model, _foreign_card(model, found, settled, spare)


def _understand(
    checkpoint: Checkpoint, sidecar: ModelCard | None, asked: Mapping[str, Any]
) -> tuple[Recognised, Settled, SegmentationModel]:
    """The family of the checkpoint, with all options settled, and its network on the meta device."""
    wanted = asked.get("weights", None if sidecar is None else sidecar.extra.get("weights"))
    found = _with_channels(recognise(checkpoint, None if wanted is None else str(wanted)))
    with torch.device("meta"):
        draft = found.variant.build()
        settings = of_this_network(found.settings, str(found.variant.architecture.get("backbone", "")))
        settled = settle(found.variant, draft, settings, sidecar, asked)
        if "preprocessing" in settled.variant.guessed and not {"mean", "std"} & set(asked):
            settled = replace(settled, notes=(*settled.notes, *_input_buffers(checkpoint.tensors)))
        return found, settled, settled.variant.build()


def _input_buffers(tensors: Mapping[str, Tensor]) -> list[str]:
    """A note on buffers that normalise the input, as Lightning modules and detection toolboxes keep them."""
    named: dict[str, list[float]] = {}
    for key, tensor in tensors.items():
        name = _INPUT_BUFFER.fullmatch(key)
        if name is not None and name[1] not in named and 0 < tensor.numel() <= 4 and tensor.is_floating_point():
            named[name[1]] = [round(float(value), 6) for value in tensor.flatten()]
    if not named:
        return []
    said = " and ".join(f"{name} {', '.join(f'{value:g}' for value in values)}" for name, values in named.items())
    return [f"the file has {said} beside the network; they are not used, because their scale is unknown. Set mean and std"]


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


def _without_auxiliary(variant: Variant) -> Variant | None:
    """The variant without the head that only training runs; None if it has none."""
    if not variant.architecture.get("auxiliary"):
        return None
    return replace(variant, architecture={**variant.architecture, "auxiliary": 0})


def _foreign_card(model: SegmentationModel, found: Recognised, settled: Settled, spare: Sequence[str] = ()) -> ModelCard:
    variant = settled.variant
    extra = dict(variant.extra) | {"family": found.family.name}
    if found.prefix:
        extra["weights"] = found.prefix
    if found.others:
        extra["other_weights"] = list(found.others)
    if found.outside:
        extra["unused_tensors"] = found.outside
    if spare:
        extra["unused_heads"] = sorted({key.split(".")[0] for key in spare})
    if settled.known:
        extra["known_from"] = dict(settled.known)
    activation = found.settings.get("activation")
    if isinstance(activation, str) and activation.lower() not in ("none", "identity", ""):
        extra["activation"] = activation  # the weights' owner applies it behind the logits; here the classes' rule does
    if settled.notes:
        extra["notes"] = list(settled.notes)
    stride = variant.output_stride if variant.output_stride in model.output_strides else model.output_stride
    card = ModelCard(
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
    chosen = {"weights": found.prefix} if found.chosen else {}
    return cards.varied(card, {**settled.changed, **chosen})


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


def _fill(model: SegmentationModel, checkpoint: Checkpoint, variant: Variant, owner: str) -> list[str]:
    """Give a model on the meta device every tensor from the file, or raise and leave nothing behind.

    Returns:
        Keys of heads and counters in the file that the network does not need.
    """
    missing, misshapen, left, found = match_keys(model, checkpoint, variant)
    check_unread({key: checkpoint.unread[key] for key in missing if key in checkpoint.unread}, checkpoint.path)
    spare = [key for key in left if _SPARE.fullmatch(key)]
    left = [key for key in left if not _SPARE.fullmatch(key)]
    if missing or misshapen or left:
        raise _mismatch(checkpoint.path, owner, variant.title, missing, misshapen, left)
    state = {key: value if key.endswith("num_batches_tracked") else _float32(value) for key, value in found.items()}
    _check_values(state, variant, checkpoint.path)
    model.load_state_dict(state, strict=True, assign=True)
    return spare


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
        message("the weights do not fit the network they look like: {title}", title=title),
        why=message("family {owner}; {reasons}", owner=owner, reasons="; ".join(reasons)),
        remedy=message("Check that the checkpoint is complete and of this architecture"),
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
            message("{count} tensors hold values that are not numbers: {tensors}", count=len(bad), tensors=", ".join(bad[:4])),
            why=message("the training that wrote the file diverged, or the file is damaged"),
            remedy=message("Use an earlier checkpoint"),
            path=path,
        )
    negative = [variant.rules(key) for key, tensor in state.items() if key.endswith("running_var") and bool((tensor < 0).any())]
    if negative:
        raise WeightsError(
            message("{count} running variances are negative: {tensors}", count=len(negative), tensors=", ".join(negative[:4])),
            why=message("a variance cannot be; the file is damaged"),
            remedy=message("Use another copy of the checkpoint"),
            path=path,
        )
