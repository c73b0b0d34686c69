"""Class probabilities on a coarse grid, read where a tool needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, ComputeError, message
from deeplab_core.geometry import Box

#: Values this far outside of 0..1, or sums this far from 1, are not probabilities but a network's scores.
_SLACK = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class ClassProbabilities:
    """Probabilities of C classes on a grid that covers the image of (H, W) px.

    Attributes:
        values: (C, h, w) float32, 0..1; the classes of a cell sum to 1. Cells are as large as each other and lie as
            ``cv2.resize`` has them: the centre of the first cell is half a cell inside of the image.
        size: (H, W).
    """

    values: NDArray[np.float32]
    size: tuple[int, int]

    @classmethod
    def of(cls, scores: NDArray[Any], classes: int, size: tuple[int, int]) -> Self:
        """Probabilities as they are, or a network's scores (logits), which a softmax turns into probabilities.

        Values between 0 and 1 that sum to 1 over the classes are probabilities; anything else is scores.

        Raises:
            AtrousError: not (C, h, w) with the catalog's number of classes.
            ComputeError: a value is not a finite number.
        """
        if scores.ndim != 3 or scores.shape[0] != classes or scores.size == 0:
            raise AtrousError(
                message(
                    "class scores are an array (classes, rows, columns) of {classes} classes, not {shape}",
                    classes=classes,
                    shape=scores.shape,
                ),
                remedy=message("Pass the scores of a model with this catalog, one plane per class"),
            )
        values = np.asarray(scores, np.float32)
        if not np.isfinite(values).all():
            raise ComputeError(
                message("the class scores hold numbers that are not finite"), remedy=message("Predict the image again")
            )
        total = values.sum(axis=0)
        if classes == 1 or values.min() < -_SLACK or values.max() > 1 + _SLACK or np.abs(total - 1).max() > _SLACK:
            values = np.exp(values - values.max(axis=0))
            total = values.sum(axis=0)
        return cls(values / np.maximum(total, np.float32(1e-12)), size)

    @property
    def classes(self) -> int:
        """C."""
        return int(self.values.shape[0])

    def present(self, least: float) -> NDArray[np.int64]:
        """Channels with a probability above ``least`` somewhere."""
        return np.flatnonzero(self.values.reshape(self.classes, -1).max(axis=1) > least)

    def plane(self, channel: int, size: tuple[int, int]) -> NDArray[np.float32]:
        """(h, w) float32: one class over the whole image at a size."""
        plane = self.values[channel]
        if plane.shape == size:
            return np.ascontiguousarray(plane)
        shrinks = size[0] * size[1] < plane.size
        return np.asarray(
            cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.float32
        )

    def part(self, channel: int, box: Box) -> NDArray[np.float32]:
        """(height, width) float32: one class in a box of the image, bilinear."""
        (height, width), (h, w) = self.size, self.values.shape[1:]
        if (h, w) == (height, width):
            return np.ascontiguousarray(self.values[channel][box.slices])
        rows = ((np.arange(box.y, box.y + box.height) + 0.5) * h / height - 0.5).astype(np.float32)
        columns = ((np.arange(box.x, box.x + box.width) + 0.5) * w / width - 0.5).astype(np.float32)
        lower, weight = _taps(rows, h)
        plane = self.values[channel]
        lines = plane[lower] * (1 - weight)[:, None] + plane[np.minimum(lower + 1, h - 1)] * weight[:, None]
        left, share = _taps(columns, w)
        out: NDArray[np.float32] = lines[:, left] * (1 - share) + lines[:, np.minimum(left + 1, w - 1)] * share
        return out

    def mean(self, box: Box, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(C,) float64: mean probabilities of the pixels of a mask (height, width) in a box, cell by cell."""
        (height, width), (h, w) = self.size, self.values.shape[1:]
        rows = (2 * np.arange(box.y, box.y + box.height) + 1) * h // (2 * height)
        columns = (2 * np.arange(box.x, box.x + box.width) + 1) * w // (2 * width)
        # How many of the mask's pixels fall into each cell: columns first, then rows.
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        across = np.add.reduceat(mask.astype(np.int32), starts, axis=1)
        tops = np.flatnonzero(np.diff(rows, prepend=-1))
        weights = np.add.reduceat(across, tops, axis=0).astype(np.float64)
        cells = self.values[:, rows[tops][:, None], columns[starts][None, :]]
        means: NDArray[np.float64] = np.tensordot(cells, weights, axes=([1, 2], [0, 1])) / max(weights.sum(), 1.0)
        return means


def _taps(places: NDArray[np.float32], length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The cell before each place, and the weight of the one behind; places beyond the outer centres take the outer cells."""
    inside = np.clip(places, 0, length - 1)
    lower = np.minimum(inside.astype(np.int64), max(length - 2, 0))
    return lower, (inside - lower).astype(np.float32)
