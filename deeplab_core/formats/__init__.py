"""Mask files: reading truth of every layout, writing indexed PNG and exports, read back and compared.

Names are imported when they are first used, so that a project can be opened without loading Pillow and OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplab_core.atomic import atomic_write, make_folder
    from deeplab_core.datasets.catalog_guess import CatalogGuess, guess_catalog
    from deeplab_core.datasets.ground_truth import TruthIndex, TruthProblem, find_truth
    from deeplab_core.formats.frames import MASK_FRAMES, Frame, is_ambiguous_frame, recorded_frame
    from deeplab_core.formats.masks import read_mask
    from deeplab_core.formats.png import encode_indexed_png, encode_png, write_indexed_png, write_mask

__all__ = [
    "MASK_FRAMES",
    "CatalogGuess",
    "Frame",
    "TruthIndex",
    "TruthProblem",
    "atomic_write",
    "encode_indexed_png",
    "encode_png",
    "find_truth",
    "guess_catalog",
    "is_ambiguous_frame",
    "make_folder",
    "read_mask",
    "recorded_frame",
    "write_indexed_png",
    "write_mask",
]

_MODULES = {
    "deeplab_core.atomic": ("atomic_write", "make_folder"),
    "deeplab_core.datasets.catalog_guess": ("CatalogGuess", "guess_catalog"),
    "deeplab_core.datasets.ground_truth": ("TruthIndex", "TruthProblem", "find_truth"),
    "deeplab_core.formats.frames": ("MASK_FRAMES", "Frame", "is_ambiguous_frame", "recorded_frame"),
    "deeplab_core.formats.masks": ("read_mask",),
    "deeplab_core.formats.png": ("encode_indexed_png", "encode_png", "write_indexed_png", "write_mask"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
