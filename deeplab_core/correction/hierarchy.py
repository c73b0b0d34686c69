"""The region hierarchy of an image: watershed leaves, a merge tree over them, and twelve cuts through the tree.

A region is what the tree joins first: alike in colour and in the network's word, without an edge between. Borders are those of
the image, so a click on a region needs no outline. Parameters were found on held-out photographs (``benchmarks/strokes.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.probabilities import ClassProbabilities
from deeplab_core.errors import Cancelled
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.regions import Mask

#: Regions of each cut, fine to coarse; the first are the leaves. The last hold whole objects and grounds (ADR 104).
CUTS: Final = (2600, 1400, 760, 410, 220, 120, 64, 36, 20, 11, 6, 3)
#: Above so many pixels the hierarchy is that of a smaller copy.
LARGEST: Final = 1_000_000

#: Standard deviation of the blur before colours are compared, px of the copy.
_BLUR = 0.8
#: Cost of a pixel of distance from a leaf's marker, in units of the gradient (Lab per pixel).
_COMPACTNESS = 0.005
#: Weight of the square root of a class probability beside L, a and b (0..100), and the probability from which a class counts.
_PROBABILITY_WEIGHT, _LEAST_PROBABILITY = 30.0, 0.05
#: Weight of the gradient along a common border, and the power of the sizes, in the cost of a merge.
_GRADIENT_WEIGHT, _BORDER_WEIGHT, _SIZE_EXPONENT = 4.0, 0.7, 0.3
#: Labels of a region that are looked up at most, about, to find the class of most of them in a large image.
_SAMPLES = 40_000
#: By so much the region under the pointer grows at least from one step of the wheel to the next.
_GROWTH = 1.2


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """Regions of one image of (H, W) px, computed on a copy of (h, w) px; N leaves.

    Attributes:
        size: (H, W).
        leaves: (h, w) uint16, the leaf of every pixel of the copy.
        parents: (2N - 1,) int32 of every node; leaves are 0..N-1, the root is its own parent.
        pixels: (2N - 1,) int64, pixels of the copy.
        boxes: (2N - 1, 4) int32 on the copy: first column and row, last column and row.
        probabilities: (2N - 1, C) float64, mean class probabilities; (2N - 1, 0) without scores.
        cuts: (12, N) int32, the node of every leaf in each cut.
    """

    size: tuple[int, int]
    leaves: NDArray[np.uint16]
    parents: NDArray[np.int32]
    pixels: NDArray[np.int64]
    boxes: NDArray[np.int32]
    probabilities: NDArray[np.float64]
    cuts: NDArray[np.int32]

    def node_at(self, x: int, y: int, level: int) -> int:
        """The node that holds a pixel of the image in a cut, 0 (fine) to 11 (coarse)."""
        (height, width), (h, w) = self.size, self.leaves.shape
        return int(self.cuts[level, self.leaves[_shrunk(y, h, height), _shrunk(x, w, width)]])

    def nodes_of(self, xs: NDArray[np.int64], ys: NDArray[np.int64], level: int) -> NDArray[np.int32]:
        """The nodes, each once and rising, that hold any of some pixels of the image."""
        (height, width), (h, w) = self.size, self.leaves.shape
        found = self.leaves[(2 * ys + 1) * h // (2 * height), (2 * xs + 1) * w // (2 * width)]
        nodes: NDArray[np.int32] = np.unique(self.cuts[level, np.unique(found)])
        return nodes

    def next_level(self, x: int, y: int, level: int, step: int) -> int:
        """The next coarser (``step`` 1) or finer (-1) cut with another size of the region at a pixel: a fifth larger, or smaller.

        The present level if there is no next one.
        """
        present = int(self.pixels[self.node_at(x, y, level)])
        for other in range(level + step, len(CUTS) if step > 0 else -1, step):
            pixels = int(self.pixels[self.node_at(x, y, other)])
            if max(pixels, present) >= _GROWTH * min(pixels, present):
                return other
        return level

    def mask(self, nodes: NDArray[np.int32] | int, level: int) -> tuple[Box, Mask]:
        """Nodes of a cut as a box of the image and a (height, width) bool mask within it."""
        (left, top, right, bottom), small = self._chosen(nodes, level)
        (height, width), (h, w) = self.size, self.leaves.shape
        if (h, w) == (height, width):
            return Box.between(left, top, right, bottom), small
        rows, columns = _taps(top, bottom, h, height), _taps(left, right, w, width)
        box = Box(int(columns[0]), int(rows[0]), columns.size, rows.size)
        return box, small[(2 * rows + 1) * h // (2 * height) - top][:, (2 * columns + 1) * w // (2 * width) - left]

    def small_mask(self, nodes: NDArray[np.int32] | int, level: int) -> tuple[Box, Mask]:
        """Nodes of a cut as a box of the image and an (h, w) bool mask over the box, at the copy's scale."""
        (left, top, right, bottom), small = self._chosen(nodes, level)
        (height, width), (h, w) = self.size, self.leaves.shape
        rows, columns = _taps(top, bottom, h, height), _taps(left, right, w, width)
        return Box(int(columns[0]), int(rows[0]), columns.size, rows.size), small

    def sampled(self, labels: LabelMap, nodes: NDArray[np.int32] | int, level: int) -> tuple[LabelMap, Box, Mask]:
        """What (H, W) labels are in nodes of a cut and right around them, at the copy's scale.

        On a copy that is smaller than the image some ten thousand labels at most are looked up, so that it costs as much as on
        a small image.

        Returns:
            (h, w) labels, the box of the nodes in them, and their (height, width) bool mask in the box.
        """
        (left, top, right, bottom), small = self._chosen(nodes, level)
        (height, width), (h, w) = self.size, self.leaves.shape
        inner = Box.between(left, top, right, bottom)
        outer = inner.grown(1, (h, w))
        if (h, w) == (height, width):
            return labels[outer.slices], inner.within(outer), small
        step = max(round((inner.area / _SAMPLES) ** 0.5), 1)
        step = step if small[::step, ::step].any() else 1  # a thin region may lie between the samples
        down, across = (np.arange(first, last, step) for first, last in ((top, bottom), (left, right)))
        rows = np.concatenate([np.arange(outer.y, top), down, np.arange(bottom, outer.bottom)])
        columns = np.concatenate([np.arange(outer.x, left), across, np.arange(right, outer.right)])
        found = labels[((2 * rows + 1) * height // (2 * h))[:, None], (2 * columns + 1) * width // (2 * w)]
        box = Box(left - outer.x, top - outer.y, across.size, down.size)
        return found, box, small[::step, ::step]

    def image_pixels(self, node: int) -> int:
        """Pixels of a node in the image; rounded where the copy is smaller."""
        return round(int(self.pixels[node]) * self.size[0] * self.size[1] / self.leaves.size)

    def _chosen(self, nodes: NDArray[np.int32] | int, level: int) -> tuple[tuple[int, int, int, int], Mask]:
        """Left, top, right and bottom of some nodes on the copy, and their mask there."""
        wanted = np.atleast_1d(np.asarray(nodes, np.int32))
        left, top = self.boxes[wanted, :2].min(axis=0)
        right, bottom = self.boxes[wanted, 2:].max(axis=0) + 1
        chosen = np.isin(self.cuts[level], wanted) if wanted.size > 1 else self.cuts[level] == wanted[0]
        # numpy's take is twice as fast as an index by an array.
        return (int(left), int(top), int(right), int(bottom)), chosen.take(self.leaves[top:bottom, left:right])


def _shrunk(at: int, small: int, large: int) -> int:
    """The row (or column) of a copy that a row of the image falls on."""
    return (2 * at + 1) * small // (2 * large)


def _taps(first: int, behind: int, small: int, large: int) -> NDArray[np.int64]:
    """The rows of the image that fall on rows ``first`` to ``behind`` of a copy; a row of the copy holds one at least."""
    start = max(first * large // small - 1, 0)
    stop = min(-(-behind * large // small) + 1, large)
    rows = np.arange(start, stop, dtype=np.int64)
    found = (2 * rows + 1) * small // (2 * large)
    return rows[(found >= first) & (found < behind)]


def build_hierarchy(
    rgb: NDArray[np.uint8], probabilities: ClassProbabilities | None, cancel: Callable[[], bool] | None = None
) -> Hierarchy:
    """Compute the regions of an image; some 150 ms of CPU at 640 x 480. The same input gives the same regions.

    Args:
        rgb: (H, W, 3) uint8.
        probabilities: of the classes; None compares colours alone.
        cancel: asked between the steps.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    from deeplab_core.kernels.region_tree import merge_tree
    from deeplab_core.kernels.watershed import grid_markers, watershed

    def check() -> None:
        if cancel is not None and cancel():
            raise Cancelled

    height, width = rgb.shape[:2]
    scale = min(1.0, (LARGEST / (height * width)) ** 0.5)
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    copy = rgb if scale == 1.0 else np.asarray(cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    lab = lab_of(copy)
    gradient = _gradient(lab)
    check()
    relief = np.asarray(cv2.blur(gradient, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    leaves = watershed(relief, grid_markers(relief, CUTS[0]), _COMPACTNESS)
    check()
    count = int(leaves.max()) + 1
    pixels = np.bincount(leaves.ravel(), minlength=count).astype(np.int64)
    means = _means(leaves, pixels, probabilities)
    present = means[:, means.max(axis=0) > _LEAST_PROBABILITY] if means.shape[1] else means
    features = np.concatenate([_plane_means(leaves, pixels, lab), _PROBABILITY_WEIGHT * np.sqrt(present)], axis=1)
    ends, borders = _borders(leaves, gradient)
    check()
    parents = merge_tree(features, pixels, ends, borders, _BORDER_WEIGHT, _SIZE_EXPONENT)
    return _with_nodes((height, width), leaves, parents, pixels, means)


def lab_of(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) float32 L (0..100), a, b of the slightly blurred image."""
    blurred = cv2.GaussianBlur(rgb.astype(np.float32) / np.float32(255.0), (0, 0), _BLUR, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(blurred, cv2.COLOR_RGB2Lab), np.float32)


def _gradient(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) float32: length of the colour's change per pixel, in Lab (3 x 3 Sobel over 8)."""
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    gradient: NDArray[np.float32] = np.sqrt(np.einsum("hwc,hwc->hw", across, across) + np.einsum("hwc,hwc->hw", down, down))
    return gradient


def _plane_means(leaves: NDArray[np.int32], pixels: NDArray[np.int64], planes: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, K) float64: mean of (H, W, K) planes over every leaf."""
    from deeplab_core.kernels.region_tree import leaf_sums

    sums = np.zeros((planes.shape[2], pixels.size))
    for k in range(planes.shape[2]):
        leaf_sums(leaves, np.ascontiguousarray(planes[:, :, k]), sums[k])
    return (sums / pixels).T


def _means(leaves: NDArray[np.int32], pixels: NDArray[np.int64], probabilities: ClassProbabilities | None) -> NDArray[np.float64]:
    """(N, C) float64: mean class probabilities of every leaf; (N, 0) without any. Classes below the threshold count as 0."""
    from deeplab_core.kernels.region_tree import leaf_sums

    if probabilities is None:
        return np.zeros((pixels.size, 0))
    means = np.zeros((pixels.size, probabilities.classes))
    for channel in probabilities.present(_LEAST_PROBABILITY):
        sums = np.zeros(pixels.size)
        leaf_sums(leaves, probabilities.plane(channel, (leaves.shape[0], leaves.shape[1])), sums)
        means[:, channel] = sums / pixels
    return means


def _borders(leaves: NDArray[np.int32], gradient: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Pairs of neighbouring leaves (E, 2) int32, and the sum of the strengths along each border with its length (E, 2)."""
    from deeplab_core.kernels.region_tree import border_pairs

    pairs, strengths = border_pairs(leaves, gradient)
    found, place = np.unique(pairs, return_inverse=True)
    sums = np.bincount(place, weights=_GRADIENT_WEIGHT * strengths.astype(np.float64), minlength=found.size)
    lengths = np.bincount(place, minlength=found.size).astype(np.float64)
    ends = np.stack([found >> 32, found & 0xFFFFFFFF], axis=1).astype(np.int32)
    return ends, np.stack([sums, lengths], axis=1)


def _with_nodes(
    size: tuple[int, int],
    leaves: NDArray[np.int32],
    parents: NDArray[np.int32],
    leaf_pixels: NDArray[np.int64],
    leaf_means: NDArray[np.float64],
) -> Hierarchy:
    """Sizes, boxes and probabilities of all nodes, and the cuts."""
    from deeplab_core.kernels.region_tree import leaf_boxes, sum_children

    count, nodes = leaf_pixels.size, parents.size
    pixels = np.zeros(nodes, np.int64)
    sums = np.zeros((nodes, leaf_means.shape[1]))
    boxes = np.empty((nodes, 4), np.int32)
    pixels[:count], sums[:count] = leaf_pixels, leaf_means * leaf_pixels[:, None]
    leaf_boxes(leaves, boxes[:count])
    boxes[count:, :2], boxes[count:, 2:] = np.iinfo(np.int32).max, -1
    sum_children(parents, pixels, sums, boxes)
    cuts = np.empty((len(CUTS), count), np.int32)
    present = np.arange(count, dtype=np.int32)
    for level, regions in enumerate(CUTS):
        behind = max(2 * count - regions, count)  # nodes of the first merges that leave so many regions
        while True:
            above = parents[present]
            rising = (above < behind) & (above != present)
            if not rising.any():
                break
            present = np.where(rising, above, present)
        cuts[level] = present
    return Hierarchy(size, leaves.astype(np.uint16), parents, pixels, boxes, sums / pixels[:, None], cuts)
