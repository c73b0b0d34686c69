"""Counts of one image without their zeros: what makes a hundred thousand images of a 150-class catalog fit into memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SparseCounts:
    """An integer array as its entries that are not zero.

    Attributes:
        shape: of the whole array.
        places: (K,) int32 positions in C order.
        values: (K,) int64.
    """

    shape: tuple[int, ...]
    places: NDArray[np.int32]
    values: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Self:
        """Pack an array; it is copied."""
        flat = counts.ravel()
        places = np.flatnonzero(flat)
        return cls(counts.shape, places.astype(np.int32), flat[places])

    def add_to(self, total: NDArray[np.int64], sign: int = 1) -> None:
        """Add the counts to a C-contiguous array of the same shape, or with -1 take them away."""
        if total.shape != self.shape or not total.flags.c_contiguous:
            raise ValueError(f"counts of shape {self.shape} cannot be added to {total.shape}")
        total.reshape(-1)[self.places] += sign * self.values

    def whole(self) -> NDArray[np.int64]:
        """The array again."""
        total = np.zeros(self.shape, dtype=np.int64)
        self.add_to(total)
        return total
