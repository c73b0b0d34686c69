"""What a CRF says: marginals of the labels that took part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.filter import leading_label

#: First pixel, pixel after the last, and their marginals, which the next part may overwrite.
MarginalRows = tuple[int, int, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Marginals:
    """Marginals of one image in the form in which they were computed.

    Attributes:
        parts: ``parts()`` gives the marginals of all pixels in order, in one part or in several; (n, P) float32 each, of which
            the first A columns are the active labels. Those of large images are computed when they are asked for.
        active: (A,) int64: their channels.
        classes: C.
        size: (H, W).
        note: how the result differs from the exact computation; empty where it does not.
    """

    parts: Callable[[], Iterator[MarginalRows]]
    active: NDArray[np.int64]
    classes: int
    size: tuple[int, int]
    note: str = ""

    @classmethod
    def of(cls, q: NDArray[np.float32], active: NDArray[np.int64], classes: int, size: tuple[int, int], note: str = "") -> Self:
        """Those of an array (H W, P) float32."""
        return cls(lambda: iter([(0, q.shape[0], q)]), active, classes, size, note)

    @property
    def q(self) -> NDArray[np.float32]:
        """(H W, P) float32; the first A columns are the active labels."""
        points = self.size[0] * self.size[1]
        whole: NDArray[np.float32] | None = None
        for first, last, part in self.parts():
            if (first, last) == (0, points):
                return part
            if whole is None:
                whole = np.empty((points, part.shape[1]), np.float32)
            whole[first:last] = part
        assert whole is not None
        return whole

    def probabilities(self) -> NDArray[np.float32]:
        """(C, H, W) float32, C-contiguous; 0 for labels that did not take part."""
        out = np.zeros((self.classes, self.size[0] * self.size[1]), np.float32)
        for first, last, part in self.parts():
            for column, channel in enumerate(self.active):
                out[channel, first:last] = part[:, column]
        return out.reshape(self.classes, *self.size)

    def labels(self, ids: NDArray[Any] | None = None) -> NDArray[Any]:
        """(H, W) most probable label, of equals the first.

        Args:
            ids: (C,) what stands for each channel; None gives channel numbers (uint8, uint16 above 255 classes).
        """
        if ids is None:
            ids = np.arange(self.classes, dtype=np.uint8 if self.classes <= 255 else np.uint16)
        labels = np.empty(self.size[0] * self.size[1], ids.dtype)
        for first, last, part in self.parts():
            leading_label(part, self.active.size, ids[self.active], labels[first:last])
        return labels.reshape(self.size)

    def confidence(self) -> NDArray[np.uint8]:
        """(H, W) ``round(255 * largest marginal)``."""
        confidence = np.empty(self.size[0] * self.size[1], np.uint8)
        for first, last, part in self.parts():
            largest = part[:, : self.active.size].max(axis=1)
            confidence[first:last] = np.rint(np.minimum(largest, 1.0) * np.float32(255.0))
        return confidence.reshape(self.size)
