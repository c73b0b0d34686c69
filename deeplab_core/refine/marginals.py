"""What a CRF says: marginals of the labels that took part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.filter import leading_label


@dataclass(frozen=True, eq=False)
class Marginals:
    """Marginals of one image in the form in which they were computed.

    Attributes:
        q: (H W, P) float32; the first A columns are the active labels.
        active: (A,) int64: their channels.
        classes: C.
        size: (H, W).
        note: how the result differs from the exact computation; empty where it does not.
    """

    q: NDArray[np.float32]
    active: NDArray[np.int64]
    classes: int
    size: tuple[int, int]
    note: str = ""

    def probabilities(self) -> NDArray[np.float32]:
        """(C, H, W) float32, C-contiguous; 0 for labels that did not take part."""
        height, width = self.size
        out = np.zeros((self.classes, height, width), np.float32)
        planes = self.q.reshape(height, width, -1)
        for column, channel in enumerate(self.active):
            out[channel] = planes[:, :, column]
        return out

    def labels(self, ids: NDArray[Any] | None = None) -> NDArray[Any]:
        """(H, W) most probable label, of equals the first.

        Args:
            ids: (C,) what stands for each channel; None gives channel numbers (uint8, uint16 above 255 classes).
        """
        if ids is None:
            ids = np.arange(self.classes, dtype=np.uint8 if self.classes <= 255 else np.uint16)
        labels = np.empty(self.q.shape[0], ids.dtype)
        leading_label(self.q, self.active.size, ids[self.active], labels)
        return labels.reshape(self.size)

    def confidence(self) -> NDArray[np.uint8]:
        """(H, W) ``round(255 * largest marginal)``."""
        largest = self.q[:, : self.active.size].max(axis=1)
        confidence: NDArray[np.uint8] = np.rint(np.minimum(largest, 1.0) * np.float32(255.0)).astype(np.uint8)
        return confidence.reshape(self.size)
