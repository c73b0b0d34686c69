"""Images that look alike to a network: pooled features of its encoder, compared by their cosine.

Of every image there are ten vectors: the mean over the whole image, and over each of 3 x 3 parts. A whole image is compared with
whole images; a region, which may be a small part of its image, with the part of another image that is most like it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Parts of each side of an image, and vectors of an image: the whole and the parts.
PARTS = 3
VECTORS = 1 + PARTS * PARTS
#: Channels that an encoder may have.
_MOST_CHANNELS = 1 << 14

Vectors = NDArray[np.float16]


def pooled_vectors(features: NDArray[np.float32], region: tuple[float, float, float, float] | None = None) -> Vectors:
    """Means of a feature map.

    Args:
        features: (C, h, w) float32.
        region: left, top, right, bottom as shares of the image, 0..1: one vector of what lies inside (at least one cell); None
            gives the whole image and its parts.

    Returns:
        (K, C) float16 of length 1, K = 1 or :data:`VECTORS`; a map of zeros stays zero.
    """
    height, width = features.shape[1:]
    if region is not None:
        rows, columns = _span(region[1], region[3], height), _span(region[0], region[2], width)
        return _unit(features[:, rows, columns].mean(axis=(1, 2))[None])
    parts = [features.mean(axis=(1, 2))]
    for row in range(PARTS):
        for column in range(PARTS):
            rows = _span(row / PARTS, (row + 1) / PARTS, height)
            columns = _span(column / PARTS, (column + 1) / PARTS, width)
            parts.append(features[:, rows, columns].mean(axis=(1, 2)))
    return _unit(np.stack(parts))


def similarity(query: Vectors, vectors: Vectors, *, of_region: bool) -> float:
    """Cosine of the query and an image, -1..1; nan if they are of different networks.

    Args:
        query: (K, C); its first vector counts.
        vectors: (K, C) of the image.
        of_region: compare with every part of the image, and take the most similar; False compares the whole images.
    """
    if query.shape[1] != vectors.shape[1]:
        return float("nan")
    rows = vectors if of_region else vectors[:1]
    return float((rows.astype(np.float32) @ query[0].astype(np.float32)).max())


def most_similar(query: Vectors, images: Mapping[int, Vectors], *, of_region: bool) -> list[tuple[int, float]]:
    """(image id, similarity) of all images of the same network, the most similar first; equal ones by id."""
    found = [(image, similarity(query, vectors, of_region=of_region)) for image, vectors in images.items()]
    return sorted([row for row in found if not np.isnan(row[1])], key=lambda row: (-row[1], row[0]))


def to_bytes(vectors: Vectors) -> bytes:
    """The form in which a project keeps them; :func:`from_bytes` is the inverse."""
    return np.ascontiguousarray(vectors, dtype="<f2").tobytes()


def from_bytes(data: bytes) -> Vectors | None:
    """Vectors of an image; None for what :func:`to_bytes` cannot have written."""
    size = 2 * VECTORS
    if not data or len(data) % size or len(data) // size > _MOST_CHANNELS:
        return None
    vectors = np.frombuffer(data, dtype="<f2").reshape(VECTORS, -1)
    return vectors if bool(np.isfinite(vectors).all()) else None


def _span(low: float, high: float, cells: int) -> slice:
    """Cells between two shares of a side, at least one."""
    first = min(max(int(np.floor(low * cells + 1e-6)), 0), cells - 1)
    return slice(first, max(min(int(np.ceil(high * cells - 1e-6)), cells), first + 1))


def _unit(vectors: NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float16)
