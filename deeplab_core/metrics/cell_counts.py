"""Stacked confusion matrices of which only the cells that occur take memory.

A catalog of 1,000 classes has a million cells, an image some hundred of them: forty-one dense layers are 336 MB, the cells that
occur a few hundred kB. An index finds the row of a cell, so counting and moving pixels cost what the pixels cost, whatever
has been counted before.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

#: Rows at first; doubled whenever they are used up.
_ROWS = 64

#: With fewer than one pixel in so many counts, single counts are moved; otherwise one pass over all of them is faster.
_SPARSE = 4


class CellCounts:
    """(..., C, C + 1) int64 counts: confusion matrices (rows: truth, columns: prediction, void last) in layers.

    Attributes:
        shape: of the whole array; its leading axes are the layers.
        layers: K, their product.
        cells: C (C + 1), the cells of one layer.
    """

    __slots__ = ("_cells", "_counts", "_row", "_used", "cells", "layers", "shape")

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Make empty counts.

        Raises:
            ValueError: the last two axes are not C and C + 1.
        """
        if len(shape) < 2 or shape[-1] != shape[-2] + 1:
            raise ValueError(f"counts by cell are (..., C, C + 1), not {shape}")
        self.shape = shape
        self.layers, self.cells = math.prod(shape[:-2]), shape[-2] * shape[-1]
        # Pages of zeros take no memory before they are written.
        self._row: NDArray[np.int32] = np.zeros(self.cells, dtype=np.int32)
        self._cells: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._counts: NDArray[np.int64] = np.zeros((0, self.layers), dtype=np.int64)
        self._used = 0

    @classmethod
    def of(cls, counts: NDArray[Any]) -> Self:
        """The counts of a dense array."""
        found = cls(counts.shape)
        flat = counts.reshape(found.layers, found.cells)
        cells = np.flatnonzero(flat.any(axis=0))
        found._table(cells)[:] = flat[:, cells].T
        return found

    def copy(self) -> CellCounts:
        """An independent copy."""
        other = CellCounts(self.shape)
        occurring = self._occurring()
        other._table(self._cells[occurring])[:] = self._counts[occurring]
        return other

    # Counting

    def count(self, cells: NDArray[np.int64], layer: NDArray[np.int64]) -> None:
        """Add pixels.

        Args:
            cells: (n,) cell of each pixel, ``truth * (C + 1) + prediction`` in channels.
            layer: (n,) its layer.
        """
        code = self._rows(cells) * self.layers + layer
        flat = self._counts.reshape(-1)
        if code.size * _SPARSE > flat.size:
            flat += np.bincount(code, minlength=flat.size)
        else:
            np.add.at(flat, code, 1)

    def move(self, before: NDArray[np.int64], after: NDArray[np.int64], layer: NDArray[np.int64]) -> None:
        """Move pixels from a cell to another one of the same layer.

        Args:
            before, after: (n,) cells, as for :meth:`count`.
            layer: (n,) their layers.

        Raises:
            ValueError: a count would become negative, because ``before`` is not what was counted; all counts stay as they were.
        """
        come = self._rows(after) * self.layers + layer
        gone = self._row[before].astype(np.int64) - 1
        if gone.size and gone.min() < 0:
            raise uncounted()
        gone = gone * self.layers + layer
        move_counts(self._counts.reshape(-1), gone, come)

    def add(self, places: NDArray[Any], values: NDArray[Any], sign: int = 1) -> None:
        """Add counts to different places of the whole array in C order, or with -1 take them away; nothing is checked."""
        layer, cells = np.divmod(places.astype(np.int64), self.cells)
        rows = self._rows(cells)
        self._counts[rows, layer] += sign * values.astype(np.int64)

    def __iadd__(self, other: CellCounts) -> Self:
        self._same_shape(other)
        rows = self._rows(other._cells[: other._used])
        self._counts[rows] += other._counts[: other._used]
        return self

    def __isub__(self, other: CellCounts) -> Self:
        """Take away what was added. Raises ValueError, without a change, where it was not."""
        self._same_shape(other)
        occurring = other._occurring()
        rows = self._row[other._cells[occurring]].astype(np.int64) - 1
        if rows.size and (rows.min() < 0 or (self._counts[rows] < other._counts[occurring]).any()):
            raise ValueError("counts that were never added cannot be taken away")
        self._counts[rows] -= other._counts[occurring]
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CellCounts):
            return NotImplemented
        return self.shape == other.shape and all(map(np.array_equal, self.sparse(), other.sparse()))

    __hash__ = None  # type: ignore[assignment]  # mutable

    # Reading

    def sparse(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places in C order, rising, and counts of all that are not 0."""
        rows, layer = np.nonzero(self._counts[: self._used])
        places = layer * self.cells + self._cells[rows]
        order = np.argsort(places)
        return places[order], self._counts[rows, layer][order]

    def whole(self) -> NDArray[np.int64]:
        """The dense array: 8 bytes for each cell of each layer."""
        flat = np.zeros((self.layers, self.cells), dtype=np.int64)
        flat[:, self._cells[: self._used]] = self._counts[: self._used].T
        return flat.reshape(self.shape)

    def layer_sum(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """(C, C + 1) sum of the layers from ``start`` to before ``stop``."""
        flat = np.zeros(self.cells, dtype=np.int64)
        flat[self._cells[: self._used]] = self._counts[: self._used, start:stop].sum(axis=1)
        return flat.reshape(self.shape[-2:])

    def at(self, truth: int, prediction: int) -> NDArray[np.int64]:
        """The counts of one cell, given by its channels, in the shape of the layers."""
        row = int(self._row[truth * self.shape[-1] + prediction]) - 1
        found = np.zeros(self.layers, dtype=np.int64) if row < 0 else self._counts[row].copy()
        return found.reshape(self.shape[:-2])

    def sums(self) -> NDArray[np.int64]:
        """(3, K, C) pixels of each class by layer: those that are it and called so, that are it, and that are called it."""
        classes = self.shape[-2]
        cells, counts = self._cells[: self._used], self._counts[: self._used]
        truth, prediction = np.divmod(cells, classes + 1)
        found = np.zeros((3, self.layers, classes), dtype=np.int64)
        right, called = truth == prediction, prediction < classes
        found[0][:, truth[right]] = counts[right].T
        found[1], found[2] = _by_class(truth, counts, classes), _by_class(prediction[called], counts[called], classes)
        return found

    def total(self) -> int:
        """Sum of all counts."""
        return int(self._counts[: self._used].sum())

    # Rows

    def _rows(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each cell; cells without a row get one."""
        rows = self._row[cells]
        if rows.size and rows.min() == 0:
            seen = np.zeros(self.cells, dtype=bool)
            seen[cells[rows == 0]] = True
            self._table(np.flatnonzero(seen))
            rows = self._row[cells]
        return rows.astype(np.int64) - 1

    def _table(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n, K) rows of zeros for n different cells that have none; to be written to before more are made."""
        start, self._used = self._used, self._used + cells.size
        if self._used > len(self._cells):
            room = max(_ROWS, self._used, 2 * len(self._cells)) if start else self._used
            self._cells, self._counts = _grown(self._cells, start, room), _grown(self._counts, start, room)
        self._cells[start : self._used] = cells
        self._row[cells] = np.arange(start + 1, self._used + 1, dtype=np.int32)
        return self._counts[start : self._used]

    def _occurring(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._counts[: self._used].any(axis=1))

    def _same_shape(self, other: CellCounts) -> None:
        if self.shape != other.shape:
            raise ValueError(f"counts of shape {other.shape} do not belong to {self.shape}")


def _grown(rows: NDArray[np.int64], used: int, room: int) -> NDArray[np.int64]:
    larger = np.zeros((room, *rows.shape[1:]), dtype=np.int64)
    larger[:used] = rows[:used]
    return larger


def move_counts(flat: NDArray[np.int64], before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
    """Move pixels between places of a flat array, in place.

    Raises:
        ValueError: a count would become negative; counts stay as they were.
    """
    if before.size * _SPARSE > flat.size:
        gone = np.bincount(before, minlength=flat.size)
        if np.any(flat < gone):
            raise uncounted()
        flat += np.bincount(after, minlength=flat.size)
        flat -= gone
        return
    np.subtract.at(flat, before, 1)
    if before.size and flat[before].min() < 0:
        np.add.at(flat, before, 1)
        raise uncounted()
    np.add.at(flat, after, 1)


def uncounted() -> ValueError:
    """The error of a change whose state before was not counted."""
    return ValueError("the state before the change is not the one that was counted")


def _by_class(channel: NDArray[np.int64], counts: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(K, C) sums of (n, K) rows by the channel of each row."""
    found = np.zeros((counts.shape[1], classes), dtype=np.int64)
    if channel.size:
        order = np.argsort(channel, kind="stable")
        present, start = np.unique(channel[order], return_index=True)
        found[:, present] = np.add.reduceat(counts[order], start, axis=0).T
    return found
