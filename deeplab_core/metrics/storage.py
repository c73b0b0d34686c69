"""Counts as bytes: few cells of a matrix are not zero, so places and values are kept, packed.

Layout: header (magic, dimensions, digest of the class ids), then zlib of the places (uint32 or, in very large arrays, uint64) and
the values (int64) of all non-zero cells, little endian.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import CatalogError, ProjectError, message
from deeplab_core.reading import unpack

_HEAD = struct.Struct("<4s8s3I")  # magic, digest of the ids, bands (1 for a plain matrix), rows, columns


def pack_counts(counts: NDArray[np.int64], catalog: ClassCatalog, magic: bytes) -> bytes:
    """Pack (C, C + 1) or (K, C, C + 1) counts; :func:`unpack_counts` is the inverse. ``magic``: four bytes that name the kind."""
    rows, columns = counts.shape[-2:]
    flat = counts.reshape(-1)
    places = np.flatnonzero(flat)
    body = places.astype(_place_type(flat.size)).tobytes() + flat[places].astype("<i8").tobytes()
    return _HEAD.pack(magic, _ids_digest(catalog), flat.size // (rows * columns), rows, columns) + zlib.compress(body, 1)


def unpack_counts(data: bytes, catalog: ClassCatalog, magic: bytes, bands: int = 1) -> NDArray[np.int64]:
    """Rebuild the (bands, C, C + 1) int64 counts.

    Raises:
        ProjectError: the bytes are damaged.
        CatalogError: they were counted for other class ids.
    """
    try:
        found, digest, layers, rows, columns = _HEAD.unpack_from(data)
        if found != magic:
            raise ValueError(f"magic is {found!r}, expected {magic!r}")
        if digest != _ids_digest(catalog):
            raise CatalogError(
                message("stored figures belong to other classes"),
                why=message("The catalog is now '{catalog}'", catalog=catalog.name),
                remedy=message("Evaluate the image again"),
            )
        shape = bands, len(catalog), len(catalog) + 1
        if (layers, rows, columns) != shape:
            raise ValueError(f"shape is {(layers, rows, columns)}, expected {shape}")
        return _unpack_body(unpack(data[_HEAD.size :], 16 * math.prod(shape)), math.prod(shape)).reshape(shape)
    except (struct.error, ValueError) as error:
        raise ProjectError(
            message("stored figures of an image are damaged"), why=str(error), remedy=message("Evaluate the image again")
        ) from error


def _unpack_body(body: bytes, size: int) -> NDArray[np.int64]:
    place_type = np.dtype(_place_type(size))
    number, rest = divmod(len(body), place_type.itemsize + 8)
    if rest:
        raise ValueError("it ends early")
    places = np.frombuffer(body, dtype=place_type, count=number).astype(np.int64)
    values = np.frombuffer(body, dtype="<i8", offset=number * place_type.itemsize)
    if number and (places[-1] >= size or np.any(np.diff(places) <= 0) or values.min() <= 0):
        raise ValueError("a count is out of order")
    counts = np.zeros(size, dtype=np.int64)
    counts[places] = values
    return counts


def _place_type(size: int) -> str:
    return "<u4" if size <= 1 << 32 else "<u8"


def _ids_digest(catalog: ClassCatalog) -> bytes:
    return hashlib.sha256(catalog.ids.astype("<i8").tobytes()).digest()[:8]
