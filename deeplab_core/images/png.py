"""PNG files of 16 bits, and what a PNG says before its pixels. Specification: PNG (ISO/IEC 15948), sections 9 and 11."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 4, 6
_HEADER_BYTES = 33


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What stands before the pixels.

    Attributes:
        depth: bits of a sample.
        kind: 0 grey, 2 RGB, 3 indexed, 4 grey with alpha, 6 RGB with alpha.
        significant: bits of a sample that mean something (``sBIT``), None where the file does not say.
        frames: of an animation (``acTL``), else 1.
    """

    depth: int
    kind: int
    significant: int | None = None
    frames: int = 1


def read_png_header(data: bytes) -> PngHeader | None:
    """Read the chunks before the pixels; None for a file that is not a PNG or ends in its header."""
    if not data.startswith(SIGNATURE) or len(data) < _HEADER_BYTES:
        return None
    depth, kind = data[24], data[25]
    significant, frames, place = None, 1, _HEADER_BYTES
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + min(length, 16)]
        if name in (b"IDAT", b"IEND"):
            break
        if name == b"sBIT" and body:
            significant = max(body[:3] if kind in (_RGB, _RGB_ALPHA) else body[:1])
        elif name == b"acTL" and len(body) >= 4:
            (frames,) = struct.unpack_from(">I", body)
        place += 12 + length
    return PngHeader(depth, kind, significant if significant and significant <= depth else None, frames)


def deep_samples(data: bytes, kind: int) -> NDArray[Any] | None:
    """Samples of a 16-bit PNG as they are stored.

    Args:
        data: the file.
        kind: as in :class:`PngHeader`.

    Returns:
        uint16 (H, W), (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) with alpha; None where the file is damaged.

    Raises:
        Exception: what a decoder raises for a damaged file.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    found = np.asarray(pixels)
    if kind == _GREY:
        return found if found.ndim == 2 else None
    if found.ndim != 3 or found.shape[2] not in (3, 4):
        return None
    if kind == _GREY_ALPHA:
        return found[..., [0, 3]] if found.shape[2] == 4 else None
    return found[..., [2, 1, 0, *range(3, found.shape[2])]]
