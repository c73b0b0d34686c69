"""Label maps and files for the tests of this folder."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo

CATALOGS = tuple(builtin_catalogs().values())

#: 300 classes: ids and colours beyond one byte, so that maps are uint16.
WIDE = ClassCatalog(
    name="wide",
    title="Three hundred classes",
    classes=tuple(ClassInfo(n, f"class {n}", (n % 256, n // 256, 7)) for n in range(300)),
    file_ignore=65535,
    ignore_color=(1, 2, 3),
)


@st.composite
def label_maps(draw: st.DrawFn, catalog: ClassCatalog, max_side: int = 24) -> np.ndarray:
    """Valid maps of any shape, from one pixel to thin strips, void included."""
    values = [*catalog.ids.tolist(), int(catalog.ignore)]
    few = draw(st.lists(st.sampled_from(values), min_size=1, max_size=6))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=max_side))
    return draw(hnp.arrays(catalog.dtype, shape, elements=st.sampled_from(few)))


def blobs(catalog: ClassCatalog, shape: tuple[int, int] = (30, 41), seed: int = 5) -> np.ndarray:
    """A map of rectangles of random classes with some void, not symmetric in any way."""
    rng = np.random.default_rng(seed)
    values = np.append(catalog.ids, catalog.ignore)
    labels = np.full(shape, values[0], dtype=catalog.dtype)
    for value in rng.permutation(np.append(values[rng.integers(0, len(values), 12)], catalog.ignore)):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        labels[y : y + rng.integers(2, 15), x : x + rng.integers(2, 15)] = value
    return labels


def photograph(path: Path, shape: tuple[int, int], orientation: int = 1) -> Path:
    """A JPEG; its *oriented* picture has ``shape`` (height, width)."""
    height, width = shape if orientation < 5 else shape[::-1]
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack((x * 3 % 256, y * 5 % 256, (x + y) % 256), axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, exif=exif)
    return path


def grey_alpha_png(values: np.ndarray, alpha: int = 65535) -> bytes:
    """A 16-bit PNG of grey and alpha, which Pillow cannot write."""
    pixels = np.stack((values, np.full(values.shape, alpha)), axis=-1).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", values.shape[1], values.shape[0], 16, 4, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
