"""Rebuild a peer's checkpoint from its manifest by the published fill rule, and compare with what the peer's code computed.

The rule (``research/models/fill_rule.md``): every tensor is drawn from a generator seeded by the crc32 of its own key.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

MODELS = Path(__file__).resolve().parents[5] / "shared" / "research" / "models"


def have_cases() -> bool:
    return (MODELS / "cases").is_dir()


def manifest(name: str) -> dict[str, Any]:
    return json.loads((MODELS / "manifests" / f"{name}.json").read_text())


def fill(key: str, shape: list[int]) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_mean":
        value = 0.1 * rng.standard_normal(shape)
    elif leaf == "running_var":
        value = 1.0 + 0.2 * rng.random(shape)
    elif leaf == "bias":
        value = 0.1 * rng.standard_normal(shape)
    elif len(shape) >= 2:
        value = rng.standard_normal(shape) * math.sqrt(1.4 / math.prod(shape[1:]))
    else:
        value = 1.0 + 0.1 * rng.standard_normal(shape)
    return value.astype(np.float32)


def filled_state(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a manifest."""
    return {key: torch.from_numpy(fill(key, shape)) for key, shape, _ in manifest(name)["keys"]}


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha1()
    for key, tensor in state.items():
        digest.update(key.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def image(height: int, width: int) -> torch.Tensor:
    rng = np.random.Generator(np.random.PCG64(20261120))
    return torch.from_numpy(rng.standard_normal((1, 3, height, width)).astype(np.float32))


@dataclass(frozen=True)
class Case:
    """Reference logits of a peer's own code."""

    name: str
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @staticmethod
    def load(name: str) -> Case:
        with np.load(MODELS / "cases" / f"{name}.npz", allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        return Case(name, arrays, json.loads(str(arrays.pop("meta"))))

    @property
    def images(self) -> list[str]:
        return [letter for letter in "ab" if f"logits_{letter}" in self.arrays]


@dataclass(frozen=True)
class Agreement:
    """Largest and mean difference over the logits' standard deviation; share of argmax pixels that differ outside ties."""

    largest: float
    mean: float
    argmax: float
    shape: bool


def compare(case: Case, letter: str, logits: torch.Tensor, key: str = "logits") -> Agreement:
    want = case.arrays[f"{key}_{letter}"].astype(np.float64)
    stride = (
        int(case.arrays[f"{'stride' if key == 'logits' else key + '_stride'}_{letter}"])
        if f"stride_{letter}" in case.arrays
        else 1
    )
    std = float(case.arrays[f"std_{letter}"])
    got = logits.double().numpy()
    shape = tuple(case.arrays[f"shape_{letter}"]) == got.shape if key == "logits" else True
    if not shape:
        return Agreement(math.inf, math.inf, 1.0, False)
    sampled = got if got.ndim == 2 else got[:, :, ::stride, ::stride]
    difference = np.abs(sampled.reshape(want.shape) - want) / std
    top = np.sort(got, axis=1)
    clear = (top[:, -1] - top[:, -2]) > 1e-4 * std
    wrong = (got.argmax(1) != case.arrays[f"argmax_{letter}"].reshape(got.argmax(1).shape)) & clear
    return Agreement(float(difference.max()), float(difference.mean()), float(wrong.mean()), True)
