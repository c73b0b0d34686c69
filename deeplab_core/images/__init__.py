"""Images: probing, decoding (EXIF applied), thumbnails, content keys. The file is never touched.

Names are imported when they are first used: the window lists a folder before its first frame, and OpenCV, which only decoding
needs, would make that frame wait.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplab_core.images.decode import ImageData, decode_image, read_image, read_thumbnail
    from deeplab_core.images.identity import content_key
    from deeplab_core.images.orientation import swaps_sides, to_oriented, to_stored
    from deeplab_core.images.probe import IMAGE_SUFFIXES, MAX_PIXELS, ImageInfo, probe_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "ImageData",
    "ImageInfo",
    "content_key",
    "decode_image",
    "probe_image",
    "read_image",
    "read_thumbnail",
    "swaps_sides",
    "to_oriented",
    "to_stored",
]

_MODULES = {
    "decode": ("ImageData", "decode_image", "read_image", "read_thumbnail"),
    "identity": ("content_key",),
    "orientation": ("swaps_sides", "to_oriented", "to_stored"),
    "probe": ("IMAGE_SUFFIXES", "MAX_PIXELS", "ImageInfo", "probe_image"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
