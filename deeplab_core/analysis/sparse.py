"""Counts of one image without their zeros: what makes a hundred thousand images of a 150-class catalog fit into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deeplab_core.metrics.cell_counts import CellCounts


@dataclass(frozen=True, slots=True, eq=False)
class SparseCounts:
    """An array of counts as its entries that are not zero.

    Attributes:
        shape: of the whole array.
        places: (K,) positions in C order, rising, in the smallest unsigned type that holds the last one.
        values: (K,) counts above 0, in the smallest unsigned type that holds the largest.
    """

    shape: tuple[int, ...]
    places: NDArray[Any]
    values: NDArray[Any]

    @classmethod
    def of(cls, counts: NDArray[Any] | CellCounts) -> Self:
        """Pack an array; it is copied.

        Raises:
            ValueError: a count is negative.
        """
        if isinstance(counts, CellCounts):
            places, values = counts.sparse()
        else:
            flat = counts.ravel()
            places = np.flatnonzero(flat)
            values = flat[places]
        if values.size and int(values.min()) < 0:
            raise ValueError("counts must not be negative")
        return cls(
            counts.shape, _narrow(places, max(math.prod(counts.shape) - 1, 0)), _narrow(values, int(values.max(initial=0)))
        )

    def add_to(self, total: NDArray[np.int64] | CellCounts, sign: int = 1) -> None:
        """Add the counts to a C-contiguous array of the same shape, or with -1 take them away."""
        if isinstance(total, CellCounts) and total.shape == self.shape:
            total.add(self.places, self.values, sign)
            return
        if isinstance(total, CellCounts) or total.shape != self.shape or not total.flags.c_contiguous:
            raise ValueError(f"counts of shape {self.shape} cannot be added to {total.shape}")
        total.reshape(-1)[self.places] += sign * self.values.astype(np.int64)

    def by_cell(self) -> CellCounts:
        """The counts (..., C, C + 1) of confusion matrices by cell."""
        found = CellCounts(self.shape)
        self.add_to(found)
        return found

    def whole(self) -> NDArray[np.int64]:
        """The array again, int64."""
        total = np.zeros(self.shape, dtype=np.int64)
        self.add_to(total)
        return total

    def total(self) -> int:
        """Sum of all counts."""
        return int(self.values.sum(dtype=np.int64))

    def at(self, place: int) -> int:
        """The count at one position in C order."""
        return int(self.values[self.places == place].sum(dtype=np.int64))

    def same(self, other: SparseCounts | None) -> bool:
        """Whether another array has the same shape and counts."""
        return self is other or (
            other is not None
            and self.shape == other.shape
            and np.array_equal(self.places, other.places)
            and np.array_equal(self.values, other.values)
        )


def _narrow(numbers: NDArray[Any], most: int) -> NDArray[Any]:
    return numbers.astype(np.min_scalar_type(most))
