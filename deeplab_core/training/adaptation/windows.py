"""Parts of an image's grid of scores to learn from in one step: a decoder runs over them only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.inference.geometry import AxisTaps
from deeplab_core.nn.models.deeplab import GridWindow
from deeplab_core.training.adaptation.views import Taps, View


@dataclass(frozen=True, eq=False)
class LearningWindows:
    """Windows of one view.

    Attributes:
        windows: all of one size, inside the grid.
        boxes: (W, 4) int64 pixels of the image, (top, bottom, left, right), half-open, of which every tap lies so far inside
            its window that the window's scores there are the whole grid's.
    """

    windows: tuple[GridWindow, ...]
    boxes: NDArray[np.int64]

    @staticmethod
    def around(view: View, pixels: Sequence[int], side: int, margin: int, random: np.random.Generator) -> LearningWindows | None:
        """One window for each pixel, which lies anywhere in it.

        Args:
            pixels: flat indices of pixels of the image.
            side: of a window, in grid points.
            margin: see :attr:`deeplab_core.nn.models.deeplab.DeepLab.window_margin`.

        Returns:
            None where windows save less than half of the grid.
        """
        grid = view.old_scores.values.shape[:2]
        height, width = min(side, grid[0]), min(side, grid[1])
        if 2 * len(pixels) * height * width > grid[0] * grid[1]:
            return None
        rows, columns = view.old_scores.rows, view.old_scores.columns
        across = view.encoded.frame.image[1]
        windows, boxes = [], []
        for pixel in pixels:
            top = _placed(int(rows.lower[pixel // across]), height, margin, grid[0], random)
            left = _placed(int(columns.lower[pixel % across]), width, margin, grid[1], random)
            windows.append(GridWindow(top, left, height, width))
            boxes.append((*_covered(rows, top, height, margin, grid[0]), *_covered(columns, left, width, margin, grid[1])))
        return LearningWindows(tuple(windows), np.array(boxes, np.int64))

    def of_pixels(self, indices: NDArray[Any], across: int) -> NDArray[np.int64]:
        """(P,) the first window whose box has each pixel, -1 without one; ``across`` is the image's width."""
        y, x = np.divmod(indices, across)
        found = np.full(indices.shape, -1, np.int64)
        for place in reversed(range(len(self.windows))):
            top, bottom, left, right = self.boxes[place]
            found[(y >= top) & (y < bottom) & (x >= left) & (x < right)] = place
        return found

    def read(self, logits: Tensor, view: View, indices: NDArray[np.int64]) -> Tensor:
        """(P, C) values at pixels that lie in the boxes, from (W, C, h, w) logits of the windows."""
        places = self.of_pixels(indices, view.encoded.frame.image[1])
        across = view.old_scores.values.shape[1]
        tops, lefts = (np.array([getattr(one, side) for one in self.windows], np.int64)[places] for side in ("top", "left"))
        height, width = logits.shape[-2:]
        taps = view.taps(indices)
        corners = taps.corners.numpy()
        local = (places * height + corners // across - tops) * width + corners % across - lefts
        stacked = logits.permute(1, 0, 2, 3).reshape(logits.shape[1], -1, width)
        return Taps(torch.from_numpy(local), taps.weights).read(stacked)


def _placed(inside: int, length: int, margin: int, grid: int, random: np.random.Generator) -> int:
    """First grid point of a window with ``inside`` and its neighbour within the margins, where the grid lets it."""
    shift = int(random.integers(margin, max(margin + 1, length - margin - 1)))
    return int(np.clip(inside - shift, 0, grid - length))


def _covered(taps: AxisTaps, first: int, length: int, margin: int, grid: int) -> tuple[int, int]:
    """(first, past the last) pixel along an axis with both taps inside a window's margins; the grid's own ends have none."""
    low = first + (margin if first else 0)
    high = first + length - (margin if first + length < grid else 0)
    inside = np.flatnonzero((taps.lower >= low) & (taps.upper >= low) & (taps.lower < high) & (taps.upper < high))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)
