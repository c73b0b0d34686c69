"""PBM, PGM and PPM as they are stored: Pillow stretches the values, which changes the ids of masks, and cuts colours to 8 bits.

Formats: https://netpbm.sourceforge.net/doc/ (pbm, pgm, ppm), plain and raw.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError, message
from deeplab_core.images.guard import COPY_AGAIN
from deeplab_core.images.limits import check_size

SIGNATURES = tuple(b"P%d" % kind + blank for kind in range(1, 7) for blank in (b"\n", b" ", b"\t", b"\r", b"#"))
_BITMAPS, _PLAIN, _COLORS = (1, 4), (1, 2, 3), (3, 6)
#: Blanks and comments before each number of the header; exactly one blank ends it.
_NUMBER = re.compile(rb"(?:\s|#[^\n]*\n)*(\d{1,10})")


def read_pnm(data: bytes, path: Path) -> tuple[NDArray[Any], int]:
    """Samples of the first picture in a PBM, PGM or PPM file, unscaled.

    Returns:
        (H, W) uint8 or uint16, or (H, W, 3) of PPM, and the largest value that the file declares. Bits of PBM are 0 and 1 as they
        are stored.

    Raises:
        ImageReadError: damaged, values above the declared largest one, or too large.
    """
    kind, place, numbers = int(data[1:2]), 2, []
    for _ in range(2 if kind in _BITMAPS else 3):
        found = _NUMBER.match(data, place)
        if found is None:
            raise _damaged(path, message("Its header is cut off"))
        numbers.append(int(found[1]))
        place = found.end()
    width, height, largest = numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 1
    check_size(width, height, path)
    if not 0 < largest <= 65535:
        raise _damaged(path, message("It declares {largest} as its largest value", largest=largest))
    samples = 3 if kind in _COLORS else 1
    dtype = np.dtype(np.uint8 if largest < 256 else ">u2")
    count = width * height * samples
    if kind in _PLAIN:
        values = _plain(data[place:], kind, count, path)
    elif kind in _BITMAPS:
        stride = (width + 7) // 8
        rows = _raw(data, place + 1, stride * height, np.dtype(np.uint8), path).reshape(height, stride)
        values = np.unpackbits(rows, axis=1)[:, :width]
    else:
        values = _raw(data, place + 1, count, dtype, path)
    if values.size and int(values.max()) > largest:
        raise _damaged(
            path,
            message("It holds the value {value}, above the {largest} that it declares", value=int(values.max()), largest=largest),
        )
    shaped = values.reshape((height, width, 3) if samples == 3 else (height, width))
    return np.ascontiguousarray(shaped.astype(np.uint8 if largest < 256 else np.uint16)), largest


def _raw(data: bytes, place: int, count: int, dtype: np.dtype[Any], path: Path) -> NDArray[Any]:
    if len(data) - place < count * dtype.itemsize:
        raise _damaged(path, message("The file ends too early"))
    return np.frombuffer(data, dtype, count, place)


def _plain(text: bytes, kind: int, count: int, path: Path) -> NDArray[Any]:
    """Numbers written out; those of a bitmap may stand without blanks."""
    text = re.sub(rb"#[^\n]*", b"", text)
    words = [*re.sub(rb"\s", b"", text).decode("ascii", "replace")] if kind == 1 else text.split()
    try:
        values = np.array([int(word) for word in words[:count]], dtype=np.int64)
    except ValueError:
        raise _damaged(path, message("It holds something else than numbers")) from None
    if len(values) < count:
        raise _damaged(path, message("The file ends too early"))
    return values


def _damaged(path: Path, why: str) -> ImageReadError:
    return ImageReadError(message("the image file is damaged"), why=why, remedy=COPY_AGAIN, path=path)
