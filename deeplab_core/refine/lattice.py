"""A permutohedral lattice over the pixels of an image: Gaussian filtering in a few passes, whatever the standard deviation.

Adams, Baek and Davis, *Fast High-Dimensional Filtering Using the Permutohedral Lattice* (2010). Points are spread over the
corners of the simplex that holds them (splat), the vertices are blurred with [1/2 1 1/2] along each of the ``d + 1`` axes, and
read back at the points (slice). It approximates a Gaussian of standard deviation 1 in feature units; vertices exist only where
points are, so mass that would pass through an empty vertex is lost. The published results were made with both, and so both stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, message
from deeplab_core.kernels.filter import blur_loop, padded, slice_loop, splat_loop, vector_width
from deeplab_core.kernels.lattice import bounds, chain, embed_loop

#: As the published codes write it: keeps a reciprocal finite where a point has no mass.
_TINY = np.float32(1e-20)
#: Packed coordinates stay below this, so that a key is never negative.
_KEY_LIMIT = 1 << 62


@dataclass(frozen=True, eq=False)
class Lattice:
    """Points embedded once; filtering any number of label planes afterwards needs no search.

    Attributes:
        vertices: (N, d + 1) int32: corners of every point's simplex.
        weights: (N, d + 1) float32: barycentric coordinates, sum 1.
        rows: d + 1 arrays of int32: neighbouring vertices along each axis; the last of a row is its bitwise complement.
        count: number of vertices M.
        alpha: ``1 / (1 + 2 ** -d)``, the published codes' constant that brings the filter's peak near 1.
        mass: (N,) float32: the filter's answer to ones, what every normalisation divides by.
    """

    vertices: NDArray[np.int32]
    weights: NDArray[np.float32]
    rows: tuple[NDArray[np.int32], ...]
    count: int
    alpha: float
    mass: NDArray[np.float32]

    @classmethod
    def build(cls, features: NDArray[np.float32]) -> Lattice:
        """Embed points.

        Args:
            features: (N, d) float32, in units of the filter's standard deviation.

        Raises:
            AtrousError: the features span so many standard deviations that vertices cannot be numbered.
        """
        points, d = features.shape
        ones = d + 1
        # float32 as in the published codes: one bit more or less, and points on the border of two simplices change sides.
        deviation = float(np.float32(np.sqrt(2.0 / 3.0) * ones))
        scales = np.array([deviation / np.sqrt((i + 2) * (i + 1)) for i in range(d)], np.float32)
        origin, strides = _packing(features, scales)
        vertices = np.empty((points, ones), np.int32)
        weights = np.empty((points, ones), np.float32)
        packed, keys, numbers = embed_loop(d)(features, scales, origin, strides, vertices, weights)
        total = strides.sum()
        rows = tuple(chain(keys, numbers, packed, np.int64(ones * strides[axis] - total)) for axis in range(ones))
        alpha = 1.0 / (1.0 + 2.0**-d)
        lattice = cls(vertices, weights, rows, packed.shape[0], alpha, np.empty(0, np.float32))
        mass = lattice.filter(np.ones((points, 1), np.float32))[:, 0]
        return cls(vertices, weights, rows, packed.shape[0], alpha, mass)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in (self.vertices, self.weights, self.mass, *self.rows))

    def filter(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter (N, L) float32 without normalisation; the result has the same shape."""
        points, labels = values.shape
        row, corners = padded(labels), self.vertices.shape[1]
        width = vector_width(row)
        splat, blur, slice_ = splat_loop(width, corners), blur_loop(width), slice_loop(width, corners)
        source = np.zeros((points, row), np.float32)
        source[:, :labels] = values
        table = np.empty((self.count, width), np.float32)
        ones = np.ones(points, np.float32)
        for block in range(row // width):
            table.fill(0.0)
            splat(self.vertices, self.weights, ones, source, block, table, 0, points)
            for vertices in self.rows:
                blur(vertices, table, 0, vertices.shape[0])
            slice_(self.vertices, self.weights, np.float32(self.alpha), table, source, block, 0, points)
        return np.ascontiguousarray(source[:, :labels])

    def factors(self, normalization: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What values are multiplied by before and after filtering: two (N,) float32, :attr:`alpha` included in the second."""
        alpha = np.float32(self.alpha)
        if normalization == "symmetric":
            root = (np.float32(1.0) / np.sqrt(self.mass + _TINY)).astype(np.float32)
            return root, root * alpha
        ones = np.ones_like(self.mass)
        if normalization == "after":
            return ones, (alpha / (self.mass + _TINY)).astype(np.float32)
        return ones, ones * alpha


def _packing(features: NDArray[np.float32], scales: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Origin and mixed-radix strides (d + 1,) that hold every vertex of the points and a margin of three steps."""
    d = scales.shape[0]
    ones = d + 1
    low, high = (bound * scales for bound in bounds(features))
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
