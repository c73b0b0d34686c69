"""What kind of picture a file holds: a photograph, a picture of labels, or one that this program wrote. Reads, never writes."""

from __future__ import annotations

import os
import re
import struct
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

#: PNG files of this program carry this text chunk before their pixels.
PNG_MARK = b"Software\x00Atrous"

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _INDEXED = 0, 3
_SIGNATURES = (
    b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"IIRO", b"IIRS", b"IIU\x00", b"FUJIFILMCCD-RAW",
    b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51", b"8BPS", b"\x76\x2f\x31\x01", b"#?RADIANCE", b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ", b"qoif", b"gimp xcf", b"DDS ",
)  # fmt: skip
_NETPBM = re.compile(rb"P[1-7]\s")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_LOSSLESS = (_PNG, b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"BM", b"P")
_HEAD = 40
#: Chunks looked through for the mark; it stands among the first. Ours have few: other programs cut the pixels into many.
_CHUNKS = 12
#: Masks of projects carry this chunk behind their pixels, those of versions without the mark too.
_PROVENANCE = b"prOV"

# Labels are flat: few values, and neighbours mostly equal. Photographs have noise. A file between the two counts as a photograph.
_MOST_PIXELS = 80_000_000
_WINDOW = 2048
_MOST_VALUES = 256
_FEW_VALUES = 64
_FLAT, _VERY_FLAT = 0.6, 0.95


class Picture(Enum):
    """Kinds of picture files."""

    OURS = "a picture that Atrous wrote"
    LABELS = "a picture of labels"
    PHOTOGRAPH = "a photograph"


def picture_kind(path: str | Path) -> Picture | None:
    """What a file holds; None for a file that is not a picture, or that does not exist.

    Judged by signature, header and, for files without loss, by the pixels: an indexed PNG holds labels unless it has the many
    values and the noise of a photograph that was reduced to a palette. Other damaged pictures and raw files of cameras count as
    photographs. A file that may not be read counts as one if its name ends like a picture.
    """
    path = Path(path)
    try:
        if not os.path.isfile(path):  # noqa: PTH113 -- never raises, even for a name that no disk can hold
            return None
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            if head.startswith(_PNG):
                return _kind_of_png(stream, head, path)
    except OSError:
        return Picture.PHOTOGRAPH if path.suffix.lower() in _SUFFIXES else None
    if not _is_picture(head):
        return None
    return Picture.LABELS if head.startswith(_LOSSLESS) and holds_labels(path) else Picture.PHOTOGRAPH


def is_written_mask(path: str | Path) -> bool:
    """Whether a picture that this program wrote is a mask rather than a plot or an overlay: indexed or grey."""
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(_HEAD)
            return head.startswith(_PNG) and head[25] in (_GREY, _INDEXED)
    except (OSError, IndexError):
        return False


def holds_labels(path: str | Path) -> bool:
    """Whether the pixels of a picture are flat regions of few values, as in label maps. False for one that cannot be decoded."""
    found = _measured(Path(path))
    if found is None:
        return False
    values, flat = found
    return values <= _MOST_VALUES and flat >= (_FLAT if values <= _FEW_VALUES else _VERY_FLAT)


def is_photographed(path: str | Path) -> bool:
    """Whether the pixels of a picture are many values that change from neighbour to neighbour. False if it cannot be decoded.

    Neither this nor :func:`holds_labels` is true of colour masks with soft edges.
    """
    found = _measured(Path(path))
    return found is not None and found[0] > _FEW_VALUES and found[1] < _FLAT


def _measured(path: Path) -> tuple[int, float] | None:
    """Number of different values of a picture, and the share of pixels that equal their left neighbour."""
    import numpy as np

    pixels = _decoded(path)
    if pixels is None or pixels.size == 0:
        return None
    if pixels.ndim == 3:
        wide = pixels[..., :4].astype(np.int64)
        weights = 1 << (16 * np.arange(wide.shape[2], dtype=np.int64))
        pixels = wide @ weights
    flat = float(np.mean(pixels[:, 1:] == pixels[:, :-1])) if pixels.shape[1] > 1 else 1.0
    return len(np.unique(pixels)), flat


_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".ppm", ".pgm", ".jp2", ".gif", ".heic", ".avif"}
)


def _is_picture(head: bytes) -> bool:
    if head.startswith(_SIGNATURES) or _NETPBM.match(head):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[4:8] == b"ftyp":  # HEIC, AVIF, Canon's raw files; films are none of the user's photographs, but none of ours either
        return True
    return head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS


def _kind_of_png(stream: BinaryIO, head: bytes, path: Path) -> Picture:
    if _has_mark(stream):
        return Picture.OURS
    indexed = len(head) > 25 and head[25] == _INDEXED
    confidence = path.name.endswith(".confidence.png") and len(head) > 25 and head[25] == 0  # written before there was a mark
    if confidence or holds_labels(path) or (indexed and not is_photographed(path)):
        return Picture.LABELS
    return Picture.PHOTOGRAPH


def _has_mark(stream: BinaryIO) -> bool:
    stream.seek(len(_PNG))
    for _ in range(_CHUNKS):
        header = stream.read(8)
        if len(header) < 8:
            return False
        length, kind = struct.unpack(">I4s", header)
        if kind == b"tEXt" and length == len(PNG_MARK):
            return stream.read(length) == PNG_MARK
        if kind == _PROVENANCE:
            return True
        if kind == b"IEND":
            return False
        stream.seek(length + 4, 1)
    return False


def _decoded(path: Path) -> Any:
    """(H, W) or (H, W, C) pixels of the middle of a picture; None if it cannot be decoded or is too large to try."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > _MOST_PIXELS:
                return None
            left, top = max(0, (width - _WINDOW) // 2), max(0, (height - _WINDOW) // 2)
            return np.asarray(picture.crop((left, top, min(width, left + _WINDOW), min(height, top + _WINDOW))))
    except Exception:  # decoders raise anything on damaged files; a file that does not decode holds no labels
        return None
