"""From whatever a training script saved to tensors under dotted keys, and to the groups of them that may be a network.

Whatever nests in a file becomes a longer key: ``{"state_dict": {"model.conv.weight": ...}}`` is ``state_dict.model.conv.weight``.
A wrapper's entry, Lightning's attribute and data parallel training's ``module.`` are then all the same thing: a prefix.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from deeplab_core.errors import UnsafeCheckpoint, WeightsError, message
from deeplab_core.weights.pickled_values import StandIn, UnreadTensor
from deeplab_core.weights.reading import Checkpoint, read_file

#: Words that compilation and parallel training put anywhere into a key; no network of ours has them.
_NOISE = re.compile(r"(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)")
#: Words that wrap a network somewhere inside a key, tried only where the keys as they are fit nothing as well.
_WORDS = re.compile(
    r"(model|net|network|nets|_model|base_model|core|inner|wrapped|wrapped_model|segmentor|segmenter|student|generator|state_dict|"
    r"weights|params|model_state|model_state_dict)"
)
#: Entries that hold no network however much their keys look like one.
_NOT_WEIGHTS = ("optim", "sched", "scaler", "loops", "callbacks", "lr_", "hyper", "hparams")
#: A running average, a teacher: taken only where the weights that training itself stepped are absent. Authors' evaluation
#: scripts load the latter.
_AVERAGE = re.compile(r"(.*[._])?(ema|avg|average|averaged|swa|teacher|shadow|momentum|polyak|target)([._].*)?", re.IGNORECASE)

_Value = TypeVar("_Value")

_DEEPEST = 8
_MOST_ENTRIES = 500_000


@dataclass(slots=True)
class _Found:
    """What a walk through a file's content finds."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    unread: dict[str, UnreadTensor] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file and collect its tensors, whatever they are nested in.

    Raises:
        WeightsError, UnsafeCheckpoint: as :func:`deeplab_core.weights.reading.read_file`; or there are no tensors in the file.
    """
    content, metadata = read_file(path)
    return collect(content, path, metadata)


def collect(content: object, path: Path, metadata: Mapping[str, str] | None = None) -> Checkpoint:
    """The tensors of some content under dotted keys; see the module. Raises WeightsError if there are none."""
    found = _Found()
    if isinstance(content, (Mapping, StandIn)):
        _gather(content, found)
    tensors = _without_noise(found.tensors)
    if not tensors:
        if found.unread:
            check_unread(found.unread, path)
        raise WeightsError(
            message("no state dict in the file"),
            why=_content_text(content),
            remedy=message("Save the state_dict() of one network with torch.save")
            if isinstance(content, (list, tuple))
            else message("Save model.state_dict() with torch.save"),
            path=path,
        )
    extras = found.extras
    config = content.state.get("_hub_mixin_config") if isinstance(content, StandIn) else None
    if isinstance(config, Mapping):  # a network that was saved whole keeps the arguments that it was made with
        extras = {"config": config}
    plan = {key: value for key, value in tensors.items() if not _beside(key)}
    return Checkpoint(
        path=path,
        tensors=plan or tensors,
        extras=extras,
        metadata=metadata or {},
        unread=_without_noise(found.unread),
    )


def _content_text(content: object) -> str:
    if isinstance(content, StandIn):
        return message("it holds an object of the class {class_name}, and would need its code", class_name=content.of)
    if isinstance(content, (list, tuple)):
        return message("it holds a list of {count} entries, and nothing says which of them is the network", count=len(content))
    if not isinstance(content, Mapping):
        return message("it holds a {kind}", kind=type(content).__name__)
    keys = ", ".join(str(key)[:40] for key in islice(content, 6))
    return message("its entries are {keys}", keys=keys or "none")


def _beside(key: str) -> bool:
    return key.split(".", 1)[0].lower().startswith(_NOT_WEIGHTS)


def entries(value: object) -> Mapping[Any, Any] | None:
    """What a mapping, or an object that stands for one, holds by name; None for everything else.

    A network that was saved whole holds its parts in three dicts: their tensors need no code of its class.
    """
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, StandIn):
        return None
    parts = [value.state.get(name) for name in ("_parameters", "_buffers", "_modules")]
    if all(isinstance(part, Mapping) for part in parts):
        return {key: inner for part in parts if isinstance(part, Mapping) for key, inner in part.items() if inner is not None}
    return value.state


def _gather(content: object, found: _Found) -> None:
    """Walk through nested mappings, each once: a pickle may refer to one mapping a thousand times from a thousand others."""
    waiting: deque[tuple[str, int, Any]] = deque([("", 0, content)])
    seen: set[int] = set()
    count = 0
    while waiting:
        where, depth, value = waiting.popleft()
        inside = entries(value)
        if inside is None or id(value) in seen:
            continue
        seen.add(id(value))
        # Arrays beside tensors are figures of the training; a mapping of arrays alone may be a network's.
        arrays = not any(isinstance(part, Tensor) for part in inside.values())
        for key, part in inside.items():
            count += 1
            if count > _MOST_ENTRIES:
                return
            name = f"{where}.{key}" if where else str(key)
            if isinstance(part, Tensor):
                found.tensors[name] = part
            elif isinstance(part, UnreadTensor):
                found.unread[name] = part
            elif isinstance(part, np.ndarray):
                if arrays and part.dtype.kind in "fiub":
                    found.tensors[name] = torch.from_numpy(np.array(part, copy=True))
            elif isinstance(part, (Mapping, StandIn)):
                if depth < _DEEPEST and not _beside(name):
                    waiting.append((name, depth + 1, part))
                if isinstance(part, StandIn) and not part.state:
                    found.unread.setdefault(name, UnreadTensor(f"an object of the class {part.of}", foreign=True))
            if not where and not isinstance(part, (Tensor, UnreadTensor)):
                found.extras[name] = part


def _without_noise(named: Mapping[str, _Value]) -> dict[str, _Value]:
    """The values under keys without :data:`_NOISE`; as they are where two would become one."""
    bare = {key: _drop(key, _NOISE) for key in named}
    if len(set(bare.values())) < len(bare):
        return dict(named)
    return {bare[key]: value for key, value in named.items()}


def _drop(key: str, words: re.Pattern[str]) -> str:
    parts = key.split(".")
    # The last part names the tensor itself.
    return ".".join([part for part in parts[:-1] if not words.fullmatch(part)] + parts[-1:])


def is_average(prefix: str) -> bool:
    """Whether a prefix marks what follows as an average over training, or a teacher that is one."""
    return _AVERAGE.fullmatch(prefix) is not None


def inside(checkpoint: Checkpoint, prefix: str) -> Checkpoint:
    """The part of a checkpoint behind a prefix, its keys without it."""
    if not prefix:
        return checkpoint
    head = prefix + "."
    return replace(
        checkpoint,
        tensors={key[len(head) :]: value for key, value in checkpoint.tensors.items() if key.startswith(head)},
        unread={key[len(head) :]: value for key, value in checkpoint.unread.items() if key.startswith(head)},
    )


def without_words(checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint without wrapper words inside its keys; None if nothing changes or two keys would become one."""
    bare = {key: _drop(key, _WORDS) for key in checkpoint.tensors}
    if len(set(bare.values())) < len(bare) or all(key == new for key, new in bare.items()):
        return None
    return replace(checkpoint, tensors={bare[key]: value for key, value in checkpoint.tensors.items()})


def prefixes(keys: Iterable[str], landmarks: Iterable[Iterable[str]]) -> Iterator[str]:
    """Everything that may stand before the keys of a network, the shortest first.

    Args:
        keys: of all tensors of a file.
        landmarks: patterns of keys, one group per family: what stands before at least two of a group is a prefix.

    Yields:
        Prefixes without their last dot, beginning with the empty one.
    """
    names = list(keys)
    found: dict[str, None] = {}
    for family in landmarks:
        hits: dict[str, int] = {}
        for mark in family:
            pattern = re.compile(rf"(?:(.*)\.)?(?:{mark})")
            # In the order of the file, which decides among equals: a set has another order in every process.
            heads = dict.fromkeys(match[1] or "" for key in names if (match := pattern.fullmatch(key)))
            for head in heads:
                hits[head] = hits.get(head, 0) + 1
        for head, number in hits.items():
            if number >= 2:
                found[head] = None
    for head in list(found):
        parts = head.split(".")
        found.update({".".join(parts[:length]): None for length in range(1, len(parts))})
    found.pop("", None)
    yield ""
    yield from sorted(found, key=lambda head: head.count("."))


def check_unread(unread: Mapping[str, UnreadTensor], path: Path) -> None:
    """Refuse tensors that were not read.

    Raises:
        UnsafeCheckpoint: their class is unknown here. WeightsError: they are sparse, quantised, or hold no values.
    """
    for key, tensor in unread.items():
        if tensor.foreign:
            raise UnsafeCheckpoint(
                message("'{key}' needs code that is not run", key=key),
                why=message("it is {what}", what=tensor.what),
                remedy=message("If you trust its authors, open it in their program and save only model.state_dict()"),
                path=path,
            )
        raise WeightsError(
            message("'{key}' is not a plain tensor", key=key),
            why=message("it is {what}", what=tensor.what),
            remedy=message("Save float weights: quantised networks run through their own engine"),
            path=path,
        )


def check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that no network holds.

    Raises:
        WeightsError: sparse, quantised or complex tensors.
        UnsafeCheckpoint: a tensor that claims more values than the file stores (expands without end when used).
    """
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise WeightsError(
                message("'{key}' is not a plain tensor", key=key),
                why=message("{dtype}, {layout}", dtype=tensor.dtype, layout=tensor.layout),
                remedy=message("Save float weights: quantised networks run through their own engine"),
                path=path,
            )
        if tensor.device.type != "meta" and tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UnsafeCheckpoint(
                message("'{key}' claims {count} values, more than the file stores", key=key, count=tensor.numel()),
                remedy=message("Do not use this file"),
                path=path,
            )
