"""Large PNG files, a few rows at a time: the decoders hold a whole picture two or three times, and this holds it at most once.

A PNG is one compressed stream of rows, each filtered against the one above it (ISO/IEC 15948, sections 9 and 10). The stream
is decompressed piece by piece. To undo the filters at full speed, every piece is given to OpenCV as a small PNG of its own:
its first row is the last one of the piece before, unfiltered, and its pixels are of any kind with as many bytes, because
filters work on bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.images.png import SIGNATURE

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
#: Bytes of a pixel -> depth and kind of a PNG with pixels of that size.
_STAND_IN = {1: (8, _GREY), 2: (16, _GREY), 3: (8, _RGB), 4: (8, _RGB_ALPHA), 6: (16, _RGB), 8: (16, _RGB_ALPHA)}
#: Bytes of the rows that are decoded together.
_STRIP = 8 << 20
#: Compressed bytes that are taken at once.
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class PngLayout:
    """What the header records about the rows.

    Attributes:
        width, height: px.
        depth: bits of a sample: 1, 2, 4, 8 or 16.
        kind: 0 grey, 2 RGB, 3 indexed, 4 grey with alpha, 6 RGB with alpha.
        interlaced: whether the rows come in seven passes; such files cannot be read in strips.
        palette: (N, 3) uint8 of an indexed file, else None.
    """

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool
    palette: NDArray[np.uint8] | None = None

    @property
    def samples(self) -> int:
        """Samples of a pixel."""
        return _SAMPLES[self.kind]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row without its filter."""
        return (self.width * self.samples * self.depth + 7) // 8

    @property
    def pixel_bytes(self) -> int:
        """Bytes that filters take for a pixel: at least one."""
        return max(1, self.samples * self.depth // 8)


def png_layout(data: bytes) -> PngLayout | None:
    """Read header and palette; None for a file that is not a PNG or declares a kind of pixels that does not exist."""
    if not data.startswith(SIGNATURE) or len(data) < 33:
        return None
    width, height, depth, kind, _compression, _filter, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    if kind not in _SAMPLES or depth not in (1, 2, 4, 8, 16) or not width or not height:
        return None
    if (depth < 8 and kind not in (_GREY, _PALETTE)) or (depth == 16 and kind == _PALETTE):
        return None
    palette = None
    for name, body in _chunks(data):
        if name == b"PLTE":
            palette = np.frombuffer(body[: len(body) // 3 * 3], np.uint8).reshape(-1, 3)
        elif name in (b"IDAT", b"IEND"):
            break
    return PngLayout(width, height, depth, kind, bool(interlace), palette)


def png_strips(data: bytes, layout: PngLayout, rows: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Decode the rows in strips.

    Args:
        data: the file; not interlaced.
        layout: of the file.
        rows: of a strip; None takes some 8 MB.

    Yields:
        Number of the first row, and (n, W, S) samples as stored: uint8 for depths up to 8 (1, 2 and 4 bits unpacked, not scaled),
        uint16 for 16.

    Raises:
        ValueError: damaged, or it ends too early.
    """
    size = layout.row_bytes + 1
    rows = rows or max(1, _STRIP // size)
    above: bytes | None = None
    row, waiting = 0, bytearray()
    for piece in _decompressed(data, size * rows):
        waiting += piece
        while len(waiting) >= size * min(rows, layout.height - row) and row < layout.height:
            count = min(rows, layout.height - row)
            strip = _unfiltered(bytes(waiting[: size * count]), above, layout)
            del waiting[: size * count]
            above = strip[-1].tobytes()
            yield row, _samples(strip, layout)
            row += count
    if row < layout.height:
        raise ValueError("incomplete: the file ends too early")


def png_rgb(data: bytes, layout: PngLayout) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a PNG of at most 8 bits; alpha is dropped. Raises ValueError as :func:`png_strips`."""
    picture = np.empty((layout.height, layout.width, 3), np.uint8)
    for row, strip in png_strips(data, layout):
        picture[row : row + len(strip)] = strip_rgb(strip, layout)
    return picture


def png_samples(data: bytes, layout: PngLayout, samples: int | None = None) -> NDArray[Any]:
    """(H, W, S) samples as stored, or the first ``samples`` of them. Raises ValueError as :func:`png_strips`."""
    count = samples or layout.samples
    picture = np.empty((layout.height, layout.width, count), np.uint16 if layout.depth == 16 else np.uint8)
    for row, strip in png_strips(data, layout):
        picture[row : row + len(strip)] = strip[..., :count]
    return picture


def png_reduced(data: bytes, layout: PngLayout, factor: int) -> NDArray[Any]:
    """A picture some ``factor`` times smaller, made strip by strip from the means of squares.

    Returns:
        (h, w, 3) uint8 RGB, or for 16 bits (h, w, S) uint16 samples.

    Raises:
        ValueError: as :func:`png_strips`.
    """
    width = max(1, layout.width // factor)
    parts = []
    for _row, strip in png_strips(data, layout, factor * max(1, _STRIP // (layout.row_bytes * factor))):
        shown = strip if layout.depth == 16 else strip_rgb(strip, layout)
        height = max(1, round(len(strip) / factor))
        small = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
        parts.append(small.reshape(height, width, -1))
    return np.concatenate(parts)


def strip_rgb(strip: NDArray[Any], layout: PngLayout) -> NDArray[np.uint8]:
    """(n, W, 3) uint8 RGB of a strip of at most 8 bits. Raises ValueError for a palette that is missing."""
    if layout.kind == _PALETTE:
        if layout.palette is None or not len(layout.palette):
            raise ValueError("it has no palette")
        # libpng shows indices beyond the palette black.
        table = np.zeros((256, 3), np.uint8)
        table[: len(layout.palette)] = layout.palette[:256]
        return np.asarray(table[strip[..., 0]])
    if layout.samples >= 3:
        return strip[..., :3]
    grey = strip[..., 0]
    if layout.depth < 8:
        grey = grey * np.uint8(255 // ((1 << layout.depth) - 1))
    return np.repeat(grey[..., None], 3, axis=2)


def _samples(strip: NDArray[np.uint8], layout: PngLayout) -> NDArray[Any]:
    rows = len(strip)
    if layout.depth == 16:
        return strip.view(">u2").astype(np.uint16).reshape(rows, layout.width, layout.samples)
    if layout.depth < 8:
        shifts = np.arange(8 - layout.depth, -1, -layout.depth, dtype=np.uint8)
        unpacked = (strip[..., None] >> shifts) & np.uint8((1 << layout.depth) - 1)
        return np.ascontiguousarray(unpacked.reshape(rows, -1)[:, : layout.width])[..., None]
    return strip.reshape(rows, layout.width, layout.samples)


def _unfiltered(filtered: bytes, above: bytes | None, layout: PngLayout) -> NDArray[np.uint8]:
    """(n, row bytes) uint8 of n filtered rows below the unfiltered row ``above``."""
    size = layout.row_bytes + 1
    rows = len(filtered) // size
    if not any(filtered[::size]):  # no row is filtered
        return np.frombuffer(filtered, np.uint8).reshape(rows, size)[:, 1:].copy()
    if above is not None:
        filtered = b"\0" + above + filtered
        rows += 1
    depth, kind = _STAND_IN[layout.pixel_bytes]
    header = struct.pack(">IIBBBBB", layout.row_bytes // layout.pixel_bytes, rows, depth, kind, 0, 0, 0)
    small = SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(filtered, 0)) + _chunk(b"IEND", b"")
    decoded = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.shape[0] != rows:
        raise ValueError("its rows are filtered in a way that does not exist")
    pixels = np.asarray(decoded)
    if pixels.ndim == 3:  # OpenCV's order to the file's
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    if depth == 16:
        pixels = pixels.astype(">u2")
    found = np.ascontiguousarray(pixels).view(np.uint8).reshape(rows, layout.row_bytes)
    return found if above is None else found[1:]


def _decompressed(data: bytes, most: int) -> Iterator[bytes]:
    """The content of all IDAT chunks, in pieces of at most ``most`` bytes."""
    engine = zlib.decompressobj()
    try:
        for name, body in _chunks(data):
            if name != b"IDAT":
                continue
            # A little at a time: what is left over is copied with every call.
            for start in range(0, len(body), _PIECE):
                rest: bytes | memoryview = body[start : start + _PIECE]
                while rest and not engine.eof:
                    yield engine.decompress(rest, most)
                    rest = engine.unconsumed_tail
            if engine.eof:
                return
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Names and contents; their checksums are compared. Raises ValueError for damage."""
    place, view = len(SIGNATURE), memoryview(data)
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        body = view[place + 8 : place + 8 + length]
        end = place + 12 + length
        if end <= len(data):
            (sum_,) = struct.unpack_from(">I", data, end - 4)
            if name in (b"IHDR", b"PLTE", b"IDAT") and sum_ != zlib.crc32(view[place + 4 : end - 4]):
                raise ValueError(f"the checksum of a {name.decode()} chunk is wrong")
        elif name == b"IDAT":
            yield name, body
            return
        yield name, body
        place = end


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
