"""Decoding: any supported image file to an oriented RGB array, and to thumbnails without the whole work."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError
from deeplab_core.images.channels import bgr_to_rgb, grey_to_rgb, to_uint8
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.identity import key_of
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.pillow import Image
from deeplab_core.images.probe import ImageInfo, probe_bytes, read_file
from deeplab_core.images.tiff import decode_tiff

#: Formats that OpenCV decodes fastest and without applying the orientation itself (its WebP and TIFF readers do).
_OPENCV_FORMATS = frozenset({"JPEG", "MPO", "PNG", "BMP"})

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """One decoded image.

    Attributes:
        rgb: (H, W, 3) uint8, 0..255 sRGB as stored in the file, oriented, C-contiguous.
        info: header facts; ``info.width`` and ``info.height`` are the sides of ``rgb``.
        key: content key of the file (see :func:`content_key`).
        note: what was scaled or left out, in words; empty for ordinary photographs.
    """

    rgb: NDArray[np.uint8]
    info: ImageInfo
    key: str
    note: str = ""


def read_image(path: str | Path) -> ImageData:
    """Decode an image file; EXIF orientation applied, the file only ever read.

    Grey becomes three equal channels; alpha is dropped (the colours under it are shown); palettes are expanded; CMYK is
    converted; 16-bit PNG keeps its high bytes; other 16-bit and float pixels are scaled as
    :func:`deeplab_core.images.channels.to_uint8` says. Of several frames or pages the first is read. Colour profiles are not
    applied: networks are trained on the stored values.

    Raises:
        ImageReadError: missing, truncated, damaged, no image, or larger than ``MAX_PIXELS``.
    """
    path = Path(path)
    return decode_image(read_file(path), path)


def decode_image(data: bytes, path: Path) -> ImageData:
    """As :func:`read_image`, for a file that is in memory already; ``path`` is what errors name."""
    info = probe_bytes(data, path)
    note = ""
    if info.format == "TIFF":
        stored, note = decode_tiff(data, path)
    elif info.format in _OPENCV_FORMATS:
        stored, note = _decode_with_opencv(data, info)
    else:
        stored, note = _decode_with_pillow(data, info)
    return ImageData(rgb=to_oriented(stored, info.orientation), info=info, key=key_of(data), note=note)


def read_thumbnail(path: str | Path, side: int) -> NDArray[np.uint8]:
    """A small oriented picture, at most ``side`` px on its long side and never enlarged.

    JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, whichever still covers the thumbnail.

    Returns:
        (h, w, 3) uint8 RGB, C-contiguous.

    Raises:
        ImageReadError: as :func:`read_image`.
    """
    path = Path(path)
    data = read_file(path)
    info = probe_bytes(data, path)
    long_side = max(info.size)
    factor = next((factor for factor in (8, 4, 2) if long_side // factor >= side), 1)
    if factor > 1 and info.format in ("JPEG", "MPO"):
        reduced = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
        if reduced is not None:
            # The reduced flags know no RGB variant; turning a small picture costs nothing.
            return to_oriented(_shrink(bgr_to_rgb(np.asarray(reduced, dtype=np.uint8)), side), info.orientation)
    return _shrink(decode_image(data, path).rgb, side)


def _shrink(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, target, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _decode_with_opencv(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], str]:
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), _RGB)
    except cv2.error:
        stored = None
    width, height = info.stored_size
    if stored is None or stored.shape != (height, width, 3):
        # Pillow reads a few files that OpenCV refuses, and says why it refuses the others.
        return _decode_with_pillow(data, info)
    note = "16-bit values, the high bytes shown" if info.mode.startswith("I;16") else ""
    return np.asarray(stored, dtype=np.uint8), note


def _decode_with_pillow(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], str]:
    with decoder_guard(ImageReadError, "the image file is damaged", info.path), Image.open(io.BytesIO(data)) as picture:
        picture.load()
        if picture.mode.startswith(("I", "F")):
            values, note = to_uint8(np.asarray(picture))
            return grey_to_rgb(values), note
        return np.ascontiguousarray(picture.convert("RGB")), ""
