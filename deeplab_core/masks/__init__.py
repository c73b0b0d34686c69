"""Mask files: what they hold, and what Atrous says about the folders of masks that it wrote.

Names are imported when they are first used, so that the window's first frame does not wait for Pillow and OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplab_core.formats.masks import read_mask
    from deeplab_core.masks.output_marker import (
        MARKER_NAME,
        OutputKind,
        OutputMarker,
        Untouched,
        mark_output,
        read_marker,
        unmark_output,
    )

__all__ = [
    "MARKER_NAME",
    "OutputKind",
    "OutputMarker",
    "Untouched",
    "mark_output",
    "read_marker",
    "read_mask",
    "unmark_output",
]

_MODULES = {
    "deeplab_core.formats.masks": ("read_mask",),
    "deeplab_core.masks.output_marker": tuple(name for name in __all__ if name != "read_mask"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
