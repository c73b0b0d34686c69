"""Mask files: what they hold, and what Atrous says about the folders of masks that it wrote.

Names are imported when they are first used, so that the window's first frame does not wait for Pillow and OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplab_core.masks.frames import is_ambiguous_frame
    from deeplab_core.masks.output_marker import (
        MARKER_NAME,
        OutputKind,
        OutputMarker,
        Untouched,
        mark_output,
        read_marker,
        unmark_output,
    )
    from deeplab_core.masks.plausibility import MaskStatistics, hidden_by_void, shifted_by_one
    from deeplab_core.masks.read import MaskData, load_mask, read_mask

__all__ = [
    "MARKER_NAME",
    "MaskData",
    "MaskStatistics",
    "OutputKind",
    "OutputMarker",
    "Untouched",
    "hidden_by_void",
    "is_ambiguous_frame",
    "load_mask",
    "mark_output",
    "read_marker",
    "read_mask",
    "shifted_by_one",
    "unmark_output",
]

_MODULES = {
    "deeplab_core.masks.frames": ("is_ambiguous_frame",),
    "deeplab_core.masks.read": ("MaskData", "load_mask", "read_mask"),
    "deeplab_core.masks.output_marker": (
        "MARKER_NAME", "OutputKind", "OutputMarker", "Untouched", "mark_output", "read_marker", "unmark_output",
    ),
    "deeplab_core.masks.plausibility": ("MaskStatistics", "hidden_by_void", "shifted_by_one"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
