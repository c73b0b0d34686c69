"""A permutohedral lattice over the pixels of an image: Gaussian filtering in a few passes, whatever the standard deviation.

Adams, Baek and Davis, *Fast High-Dimensional Filtering Using the Permutohedral Lattice* (2010). Points are spread over the
corners of the simplex that holds them (splat), the vertices are blurred with [1/2 1 1/2] along each of the ``d + 1`` axes, and
read back at the points (slice). It approximates a Gaussian of standard deviation 1 in feature units; vertices exist only where
points are, so mass that would pass through an empty vertex is lost. The published results were made with both, and so both stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, message
from deeplab_core.kernels.filter import blur_loop, padded, slice_loop, splat_loop, vector_width
from deeplab_core.kernels.lattice import bounds, chain, embed_loop, no_vertices

#: As the published codes write it: keeps a reciprocal finite where a point has no mass.
_TINY = np.float32(1e-20)
#: Packed coordinates stay below this, so that a key is never negative.
_KEY_LIMIT = 1 << 62
#: Points whose features exist at a time.
_STRIP = 1 << 18


class TooLargeError(Exception):
    """The computation does not fit into the memory that it may take; ``needed`` are the bytes that it would take."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


@dataclass(frozen=True, eq=False)
class LatticeFeatures:
    """Points of an image in feature space, row by row, computed when they are read.

    Attributes:
        points: N.
        dimensions: d.
        read: ``read(first, last)`` gives (last - first, d) float32, in units of the filter's standard deviation.
    """

    points: int
    dimensions: int
    read: Callable[[int, int], NDArray[np.float32]]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> LatticeFeatures:
        """Those of an array (N, d) float32."""
        return cls(values.shape[0], values.shape[1], lambda first, last: values[first:last])

    def strips(self) -> Iterator[tuple[int, int]]:
        """Ranges of points."""
        for first in range(0, self.points, _STRIP):
            yield first, min(self.points, first + _STRIP)


#: ``simplices(first, last)``: vertices and weights of a range of points.
_Simplices = Callable[[int, int], tuple[NDArray[np.int32], NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Lattice:
    """Points embedded once; filtering any number of label planes afterwards needs no search.

    Attributes:
        vertices: (N, d + 1) int32: corners of every point's simplex; (0, d + 1) if they are computed when they are asked for.
        weights: (N, d + 1) float32: barycentric coordinates, sum 1; (0, d + 1) as ``vertices``.
        rows: d + 1 arrays of int32: neighbouring vertices along each axis; the last of a row is its bitwise complement.
        count: number of vertices M.
        alpha: ``1 / (1 + 2 ** -d)``, the published codes' constant that brings the filter's peak near 1.
        mass: (N,) float32: the filter's answer to ones, what every normalisation divides by.
        simplices: ``simplices(first, last)`` gives vertices and weights of a range of points.
    """

    vertices: NDArray[np.int32]
    weights: NDArray[np.float32]
    rows: tuple[NDArray[np.int32], ...]
    count: int
    alpha: float
    mass: NDArray[np.float32]
    simplices: _Simplices

    @classmethod
    def build(cls, features: NDArray[np.float32] | LatticeFeatures, *, keep: bool = True, limit: int | None = None) -> Lattice:
        """Embed points.

        Args:
            features: (N, d) float32, in units of the filter's standard deviation.
            keep: keep the simplex of every point; False computes it whenever it is asked for, for features of few dimensions.
            limit: bytes that building may take; None is any number.

        Raises:
            TooLargeError: more than ``limit``.
            AtrousError: the features span so many standard deviations that vertices cannot be numbered.
        """
        source = features if isinstance(features, LatticeFeatures) else LatticeFeatures.of(features)
        d = source.dimensions
        ones = d + 1
        # float32 as in the published codes: one bit more or less, and points on the border of two simplices change sides.
        deviation = float(np.float32(np.sqrt(2.0 / 3.0) * ones))
        scales = np.array([deviation / np.sqrt((i + 2) * (i + 1)) for i in range(d)], np.float32)
        origin, strides = _packing(source, scales)
        vertices = np.empty((source.points if keep else 0, ones), np.int32)
        weights = np.empty((source.points if keep else 0, ones), np.float32)
        embed, state = embed_loop(d), no_vertices()
        for first, last in source.strips():
            numbers, shares = (
                (vertices[first:last], weights[first:last])
                if keep
                else (np.empty((last - first, ones), np.int32), np.empty((last - first, ones), np.float32))
            )
            state = embed(source.read(first, last), scales, origin, strides, *state, numbers, shares)
            growing = sum(array.nbytes for array in state[:3])
            if limit is not None and vertices.nbytes + weights.nbytes + growing > limit:
                raise TooLargeError(vertices.nbytes + weights.nbytes + growing * source.points // last)
        keys, values, found, count = state
        total = strides.sum()
        packed = found[:count]
        rows = tuple(chain(keys, values, packed, np.int64(ones * strides[axis] - total)) for axis in range(ones))

        simplices = _kept(vertices, weights) if keep else _again(embed, source, (scales, origin, strides), state)
        del keys, values, found, packed, state  # the hash table of a large image takes as much as its simplices
        alpha = 1.0 / (1.0 + 2.0**-d)
        mass = _mass(simplices, rows, count, alpha, source)
        return cls(vertices, weights, rows, count, alpha, mass, simplices)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in (self.vertices, self.weights, self.mass, *self.rows))

    def filter(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter (N, L) float32 without normalisation; the result has the same shape."""
        points, labels = values.shape
        row, corners = padded(labels), len(self.rows)
        vertices, weights = self.simplices(0, points)
        width = vector_width(row)
        splat, blur, slice_ = splat_loop(width, corners), blur_loop(width), slice_loop(width, corners)
        source = np.zeros((points, row), np.float32)
        source[:, :labels] = values
        table = np.empty((self.count, width), np.float32)
        ones = np.ones(points, np.float32)
        for block in range(row // width):
            table.fill(0.0)
            splat(vertices, weights, ones, source, block, table, 0, points)
            for line in self.rows:
                blur(line, table, 0, line.shape[0])
            slice_(vertices, weights, np.float32(self.alpha), table, source, block, 0, points)
        return np.ascontiguousarray(source[:, :labels])

    def factors(
        self, normalization: str, first: int = 0, last: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What values are multiplied by before and after filtering, for a range of points.

        Args:
            normalization: as :class:`~deeplab_core.records.CRFParams`.
            first: first point.
            last: point after the last; None is all.

        Returns:
            Two (last - first,) float32, :attr:`alpha` included in the second.
        """
        alpha, mass = np.float32(self.alpha), self.mass[first:last]
        if normalization == "symmetric":
            root = (np.float32(1.0) / np.sqrt(mass + _TINY)).astype(np.float32)
            return root, root * alpha
        ones = np.ones_like(mass)
        if normalization == "after":
            return ones, (alpha / (mass + _TINY)).astype(np.float32)
        return ones, ones * alpha


def _kept(vertices: NDArray[np.int32], weights: NDArray[np.float32]) -> _Simplices:
    return lambda first, last: (vertices[first:last], weights[first:last])


def _again(embed: Callable[..., Any], source: LatticeFeatures, packing: tuple[Any, ...], state: tuple[Any, ...]) -> _Simplices:
    """Simplices embedded at each call; all of their vertices are in the hash table of ``state``."""
    ones = source.dimensions + 1

    def simplices(first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        numbers, shares = np.empty((last - first, ones), np.int32), np.empty((last - first, ones), np.float32)
        embed(source.read(first, last), *packing, *state, numbers, shares)
        return numbers, shares

    return simplices


def _mass(
    simplices: _Simplices, rows: tuple[NDArray[np.int32], ...], count: int, alpha: float, source: LatticeFeatures
) -> NDArray[np.float32]:
    """The filter's answer to ones, (N,) float32: :meth:`Lattice.filter` of one label, in strips."""
    width = vector_width(padded(1))
    splat, blur, slice_ = splat_loop(width, len(rows)), blur_loop(width), slice_loop(width, len(rows))
    table = np.zeros((count, width), np.float32)
    mass = np.empty(source.points, np.float32)
    for first, last in source.strips():
        ones = np.zeros((last - first, width), np.float32)
        ones[:, 0] = 1.0
        splat(*simplices(first, last), np.ones(last - first, np.float32), ones, 0, table, 0, last - first)
    for line in rows:
        blur(line, table, 0, line.shape[0])
    for first, last in source.strips():
        out = np.empty((last - first, width), np.float32)
        slice_(*simplices(first, last), np.float32(alpha), table, out, 0, 0, last - first)
        mass[first:last] = out[:, 0]
    return mass


def _packing(features: LatticeFeatures, scales: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Origin and mixed-radix strides (d + 1,) that hold every vertex of the points and a margin of three steps."""
    d = scales.shape[0]
    ones = d + 1
    ends = [bounds(features.read(first, last)) for first, last in features.strips()]
    low = np.min([low for low, _high in ends], axis=0) * scales
    high = np.max([high for _low, high in ends], axis=0) * scales
    origin = np.zeros(ones, np.int64)
    strides = np.zeros(ones, np.int64)
    stride = 1
    for j in range(d):
        smallest = low[j:].sum() - (j * high[j - 1] if j else 0.0)
        largest = high[j:].sum() - (j * low[j - 1] if j else 0.0)
        origin[j] = int(np.floor(smallest)) - 3 * ones
        strides[j] = stride
        stride *= int(np.ceil(largest)) + 3 * ones + 1 - int(origin[j])
        if stride >= _KEY_LIMIT:
            raise AtrousError(
                message("the CRF's standard deviations are too small for this image"),
                why=message("its pixels lie too many standard deviations apart to be numbered"),
                remedy=message("Use at least 1 px and 1 grey level"),
            )
    return origin, strides


def position_features(height: int, width: int, sxy: float, *, top: int = 0, left: int = 0) -> NDArray[np.float32]:
    """(H W, 2) float32: x and y over ``sxy``; ``top`` and ``left`` place a crop at its position in its image."""
    out = np.empty((height, width, 2), np.float32)
    out[..., 0] = np.arange(left, left + width, dtype=np.float32) / np.float32(sxy)
    out[..., 1] = (np.arange(top, top + height, dtype=np.float32) / np.float32(sxy))[:, None]
    return out.reshape(-1, 2)


def bilateral_features(rgb: NDArray[np.uint8], sxy: float, srgb: float, *, top: int = 0, left: int = 0) -> NDArray[np.float32]:
    """(H W, 5) float32: x, y over ``sxy`` and red, green, blue over ``srgb``; ``rgb`` is (H, W, 3) uint8."""
    height, width = rgb.shape[:2]
    out = np.empty((height * width, 5), np.float32)
    out[:, :2] = position_features(height, width, sxy, top=top, left=left)
    out[:, 2:] = rgb.reshape(-1, 3).astype(np.float32) / np.float32(srgb)
    return out


def position_strips(height: int, width: int, sxy: float, *, top: int = 0, left: int = 0) -> LatticeFeatures:
    """:func:`position_features` in strips."""
    return _strips(height, width, 2, lambda a, b: position_features(b - a, width, sxy, top=top + a, left=left))


def bilateral_strips(rgb: NDArray[np.uint8], sxy: float, srgb: float, *, top: int = 0, left: int = 0) -> LatticeFeatures:
    """:func:`bilateral_features` in strips."""
    height, width = rgb.shape[:2]
    return _strips(height, width, 5, lambda a, b: bilateral_features(rgb[a:b], sxy, srgb, top=top + a, left=left))


def _strips(height: int, width: int, dimensions: int, rows: Callable[[int, int], NDArray[np.float32]]) -> LatticeFeatures:
    """LatticeFeatures of ranges of points from those of whole rows, ``rows(first, last)``."""
    if height * width <= _STRIP:
        return LatticeFeatures.of(rows(0, height))

    def read(first: int, last: int) -> NDArray[np.float32]:
        top = first // width
        return rows(top, -(-last // width))[first - top * width : last - top * width]

    return LatticeFeatures(height * width, dimensions, read)
