"""Shards for tests: tar files of small pictures and label maps."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.masks.png import encode_indexed_png


def picture(seed: int, height: int = 24, width: int = 32, kind: str = "PNG") -> bytes:
    """An encoded image of coloured blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(stream, kind)
    return stream.getvalue()


def labels(seed: int, classes: int, height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """(height, width) uint8 blobs of class ids."""
    coarse = np.random.default_rng(seed).integers(0, classes, (4, 4)).astype(np.uint8)
    return np.kron(coarse, np.ones((-(-height // 4), -(-width // 4)), np.uint8))[:height, :width]


def mask(values: NDArray[np.uint8], catalog: ClassCatalog) -> bytes:
    """An encoded mask."""
    return b"".join(encode_indexed_png(values, catalog))


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar file of these members, in order."""
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def read_tar(path: Path) -> dict[str, bytes]:
    """Names and contents of a tar file."""
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
