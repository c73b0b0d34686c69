"""Engines that may run a network of ours beside torch, and which of them are installed. No torch."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Literal

from deeplab_core.flavour import has_torch
from deeplab_core.kernels.compiled import multiplies_tiles

EngineName = Literal["onnx", "openvino", "amx"]
#: Package of each engine.
PACKAGES: dict[EngineName, str] = {"onnx": "onnxruntime", "openvino": "openvino", "amx": "numba"}


@cache
def installed_version(package: str) -> str:
    """Version of a package, or an empty string. Its metadata are read once: each prediction asks."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def installed_engines() -> tuple[EngineName, ...]:
    """Engines that can be tried here."""
    if not has_torch():
        return ()
    return tuple(name for name, package in PACKAGES.items() if installed_version(package) and _is_possible(name))


def _is_possible(engine: EngineName) -> bool:
    if engine == "amx":
        return multiplies_tiles()
    return bool(installed_version("onnx"))  # torch writes graphs with it
