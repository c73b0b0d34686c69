"""From whatever a training script saved to the network's own tensors."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from deeplab_core.errors import WeightsError
from deeplab_core.weights.reading import Checkpoint, check_tensors, read_file, walk

#: Entries that hold the weights, the surest first. The weights that training itself stepped come before running averages
#: (``ema``): authors' evaluation scripts load the former.
WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module", "generator",
    "state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "params_ema", "shadow", "teacher", "student",
)  # fmt: skip

#: Prefixes that data parallel training, compilation, Lightning and averaging put before every key.
PREFIXES = ("module", "model", "net", "network", "_orig_mod", "ema", "ema_model", "averaged_model", "segmentor", "student")

_NOT_WEIGHTS = ("optim", "sched", "scaler", "loops", "callbacks", "hyper", "lr_")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file and find the state dict in it.

    Raises:
        WeightsError, UnsafeCheckpoint: as :func:`deeplab_core.weights.reading.read_file`; or nothing in the file is a state dict.
    """
    content, metadata = read_file(path)
    wrapper, state = _find_state(content, path)
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    check_tensors(tensors, path)
    extras = {str(key): value for key, value in state.items() if not isinstance(value, Tensor)}
    if isinstance(content, Mapping) and content is not state:
        extras.update({str(key): _plain(value) for key, value in content.items() if _is_plain(value)})
    return Checkpoint(path=path, tensors=tensors, extras=extras, metadata=metadata, wrapper=wrapper)


def _find_state(content: Any, path: Path) -> tuple[str, Mapping[Any, Any]]:
    if isinstance(content, Tensor) or not isinstance(content, Mapping):
        raise WeightsError(
            "no state dict in the file",
            why=f"it holds a {type(content).__name__}",
            remedy="Save model.state_dict() with torch.save",
            path=path,
        )
    found: list[tuple[int, int, int, str, Mapping[Any, Any]]] = []
    for where, mapping in walk(content):
        count = sum(isinstance(value, Tensor) for value in mapping.values())
        if count == 0 or any(where.split(".")[0].startswith(word) for word in _NOT_WEIGHTS):
            continue
        parts = [part for part in where.split(".") if part in WRAPPERS]
        # A bare state dict's own keys are dotted, so only wrapper names count as depth.
        rank = 0 if not where else (1 + WRAPPERS.index(parts[0]) if parts else len(WRAPPERS) + 1)
        found.append((0 if count > 3 else 1, rank, -count, where, mapping))
    if not found:
        keys = ", ".join(str(key) for key in list(content)[:6])
        raise WeightsError(
            "no state dict in the file",
            why=f"its entries are {keys or 'none'}",
            remedy="Save model.state_dict() with torch.save",
            path=path,
        )
    *_, where, mapping = min(found, key=lambda item: item[:3])
    return where, mapping


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, list, tuple, argparse.Namespace)) and not isinstance(value, Tensor)


def _plain(value: Any) -> Any:
    return dict(vars(value)) if isinstance(value, argparse.Namespace) else value


def without_prefixes(tensors: Mapping[str, Tensor], depth: int = 3) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The tensors under their keys as they are, and under every plausible stripping of wrapper prefixes.

    Yields:
        The stripped prefix and the remaining tensors; keys outside the prefix (say, a loss with buffers) are left out.
    """
    yield "", dict(tensors)
    if not depth:
        return
    for name in PREFIXES:
        prefix = name + "."
        inside = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        if len(inside) * 2 > len(tensors):
            for more, rest in without_prefixes(inside, depth - 1):
                yield prefix + more, rest
