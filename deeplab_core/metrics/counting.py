"""Counting pixels by (truth, prediction): the fast inner loops behind confusion matrices and band histograms.

Maps hold class *ids*; counts are by *channel* (position in the catalog). An id that the catalog does not declare is an error and
never lands in a neighbour's cell, the trap of ``bincount(n * truth + prediction)`` with a prediction >= n.

8-bit maps are counted by compiled loops (:mod:`deeplab_core.kernels.counting`) or, if those cannot be loaded, by OpenCV; maps of
wide catalogs by numpy. The figures are the same. OpenCV is imported where it is used: the window's first frame must not wait for
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import CatalogError, message
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.cell_counts import CellCounts, move_counts

#: ``cv2.calcHist`` answers in float32, which counts exactly up to here; larger maps are counted in parts.
_EXACT_FLOAT32 = 1 << 24

#: Maps of wide catalogs are counted in parts of so many pixels: each takes 16 bytes of index arithmetic.
_WIDE_PART = 1 << 20

#: Tables that :func:`channel_table` finds by identity.
_REMEMBERED = 32


@dataclass(frozen=True, slots=True, eq=False)
class ChannelTable:
    """Class ids to channels for one catalog.

    Attributes:
        catalog: the classes.
        lut: (256,) uint8, or (65536,) uint16 for a wide catalog: channel, C for void, C + 1 for undeclared ids.
        wide_lut: the same as int64, which index arithmetic wants.
        columns: (C + 1,) ids in channel order, then void.
    """

    catalog: ClassCatalog
    lut: NDArray[Any]
    wide_lut: NDArray[np.int64]
    columns: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """C, the number of classes."""
        return len(self.catalog)

    def checked(self, name: str, labels: LabelMap) -> LabelMap:
        """``labels`` in the catalog's dtype, C-contiguous. Integers of other types are taken where every value fits."""
        array = np.asarray(labels)
        if array.dtype != self.catalog.dtype:
            if array.dtype.kind not in "iu":
                raise TypeError(f"{name} must hold integer class ids, got {array.dtype}")
            if array.size and (array.min() < 0 or array.max() > self.catalog.ignore):
                outside = array[(array < 0) | (array > self.catalog.ignore)]
                raise _undeclared(self.catalog, name, *np.unique(outside, return_counts=True))
            array = array.astype(self.catalog.dtype)
        return np.ascontiguousarray(array)

    def channels(self, name: str, labels: LabelMap) -> NDArray[np.int64]:
        """Channels of ``labels`` as int64, C for void. Raises CatalogError for ids that the catalog does not declare."""
        found = self.wide_lut.take(labels)
        if found.size and found.max() > self.classes:
            raise _undeclared(self.catalog, name, *np.unique(labels[found > self.classes], return_counts=True))
        return found


#: Tables by the identity of their catalog, which they keep alive.
_recent: dict[int, ChannelTable] = {}


def channel_table(catalog: ClassCatalog) -> ChannelTable:
    """The table of a catalog."""
    # Hashing a catalog of many classes takes as long as counting a small image, so its identity is asked first.
    recent = _recent.get(id(catalog))
    if recent is not None and recent.catalog is catalog:
        return recent
    table = _table_of(catalog)
    if table.catalog is catalog:
        if len(_recent) >= _REMEMBERED:
            _recent.clear()
        _recent[id(catalog)] = table
    return table


@lru_cache(maxsize=32)
def _table_of(catalog: ClassCatalog) -> ChannelTable:
    lut = catalog.index_lut()
    return ChannelTable(catalog, lut.astype(catalog.dtype), lut, np.append(catalog.ids, catalog.ignore))


def count_pairs(*, truth: LabelMap, prediction: LabelMap, catalog: ClassCatalog) -> NDArray[np.int64]:
    """Count pixels by truth and prediction.

    Args:
        truth, prediction: integer ids of one shape; void = ``catalog.ignore``.
        catalog: declares the ids.

    Returns:
        (C, C + 1) int64; last column = void prediction. Pixels of void truth are left out.

    Raises:
        CatalogError: an undeclared id in either map, wherever it stands (also under void truth).
        ValueError: shapes differ.
    """
    table = channel_table(catalog)
    truth, prediction = _pair(table, truth, prediction)
    if catalog.wide:
        counts = np.zeros((table.classes + 1) ** 2, dtype=np.int64)
        for _part, cells in _wide_cells(table, truth, prediction):
            counts += np.bincount(cells, minlength=counts.size)
        return counts.reshape(table.classes + 1, -1)[:-1]
    if use_compiled(truth.size):
        from deeplab_core.kernels.counting import pair_counts

        counted = pair_counts(_narrow(truth), _narrow(prediction), table.lut, table.classes + 2)
        return _declared(table, truth, prediction, counted)
    counts = np.zeros((table.classes, table.classes + 1), dtype=np.int64)
    declared = np.ix_(table.columns[:-1], table.columns)
    for joint in _histograms((truth, prediction), (256, 256)):
        for axis, name in ((1, "truth"), (0, "prediction")):
            _refuse_undeclared(table, name, joint.sum(axis=axis))
        counts += joint[declared].astype(np.int64)
    return counts


def count_banded(
    *, index: NDArray[np.uint8], truth: LabelMap, prediction: LabelMap, bands: int, catalog: ClassCatalog
) -> CellCounts:
    """Count pixels by band, truth and prediction in one pass.

    Args:
        index: uint8 of the maps' shape, 1..bands; 0 leaves a pixel out.
        truth, prediction, catalog: as :func:`count_pairs`.
        bands: number of bands.

    Returns:
        (bands, C, C + 1) counts; layer k holds the pixels of index k + 1.
    """
    table = channel_table(catalog)
    truth, prediction = _pair(table, truth, prediction)
    if index.shape != truth.shape or index.dtype != np.uint8:
        raise ValueError(f"the band index must be uint8 of shape {truth.shape}, got {index.dtype} {index.shape}")
    if index.size and int(index.max()) > bands:
        raise ValueError(f"the band index goes to {int(index.max())}, there are {bands} bands")
    if catalog.wide:
        found = CellCounts((bands, table.classes, table.classes + 1))
        for part, cells in _wide_cells(table, truth, prediction):
            layer = index.ravel()[part].astype(np.int64) - 1
            counted = (layer >= 0) & (cells < found.cells)
            found.count(cells[counted], layer[counted])
        return found
    size = table.classes + 2
    if use_compiled(truth.size):
        from deeplab_core.kernels.counting import band_counts

        index = np.ascontiguousarray(index)
        joint = band_counts(index, _narrow(truth), _narrow(prediction), table.lut, bands + 1, size)
        return CellCounts.of(_declared(table, truth, prediction, joint)[1:])
    import cv2

    planes = (np.asarray(cv2.LUT(_plane(labels), table.lut), np.uint8) for labels in (truth, prediction))
    maps = np.ascontiguousarray(index), *planes
    counts = np.zeros((bands, table.classes, table.classes + 1), dtype=np.int64)
    for joint32 in _histograms(maps, (bands + 1, size, size)):
        counts += _declared(table, truth, prediction, joint32)[1:].astype(np.int64)
    return CellCounts.of(counts)


def _wide_cells(table: ChannelTable, truth: LabelMap, prediction: LabelMap) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Parts of two flattened maps and the cell of each of their pixels; those of void truth are behind all cells."""
    for part in _parts(truth.size, _WIDE_PART):
        try:
            cells = table.channels("truth", truth.ravel()[part]) * (table.classes + 1)
            cells += table.channels("prediction", prediction.ravel()[part])
        except CatalogError:
            # Counts the undeclared ids of the whole map.
            table.channels("truth", truth)
            table.channels("prediction", prediction)
            raise
        yield part, cells


def _narrow(labels: LabelMap) -> NDArray[np.uint8]:
    """Labels of a catalog that is not wide, which are uint8 already."""
    return labels.astype(np.uint8, copy=False)


@dataclass(frozen=True, slots=True, eq=False)
class PixelDelta:
    """The labelled pixels of a box with a changed prediction; made once, applied to several counters.

    Attributes:
        shape: (h, w) of the box.
        places: (n,) int64, the pixels as indices into the flattened box, ascending.
        before, after: (n,) int64, their cells in the flattened (C, C + 1) matrix.
    """

    shape: tuple[int, ...]
    places: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    @staticmethod
    def between(*, truth: LabelMap, before: LabelMap, after: LabelMap, catalog: ClassCatalog) -> PixelDelta:
        """Compare two states of a box.

        Args:
            truth, before, after: integer ids of one shape.
            catalog: declares the ids.

        Raises:
            CatalogError: an undeclared id among the changed pixels.
            ValueError: shapes differ.
        """
        if not truth.shape == before.shape == after.shape:
            raise ValueError(f"shapes differ: truth {truth.shape}, before {before.shape}, after {after.shape}")
        table = channel_table(catalog)
        places = np.flatnonzero((before != after) & (truth != catalog.ignore))
        rows = table.channels("truth", truth.ravel().take(places))
        rows *= table.classes + 1
        old = table.channels("prediction", before.ravel().take(places))
        new = table.channels("prediction", after.ravel().take(places))
        old += rows
        new += rows
        return PixelDelta(shape=truth.shape, places=places, before=old, after=new)

    def move(self, counts: NDArray[np.int64]) -> None:
        """Move the pixels from their old cell to the new one, in place.

        Args:
            counts: (C, C + 1), C-contiguous.

        Raises:
            ValueError: a cell would become negative, because ``before`` is not what was counted; counts stay as they were.
        """
        move_counts(counts.reshape(-1), self.before, self.after)


def _pair(table: ChannelTable, truth: LabelMap, prediction: LabelMap) -> tuple[LabelMap, LabelMap]:
    if np.shape(truth) != np.shape(prediction):
        raise ValueError(f"truth has shape {np.shape(truth)}, prediction {np.shape(prediction)}")
    return table.checked("truth", truth), table.checked("prediction", prediction)


def _declared(table: ChannelTable, truth: LabelMap, prediction: LabelMap, joint: NDArray[Any]) -> NDArray[Any]:
    """(..., C, C + 1) of counts (..., C + 2, C + 2) with undeclared ids in the last row and column: raises unless empty."""
    if joint[..., -1, :].any():
        table.channels("truth", truth)  # raises, naming the ids
    if joint[..., -1].any():
        table.channels("prediction", prediction)
    return np.ascontiguousarray(joint[..., :-2, :-1])


def _plane(labels: LabelMap) -> LabelMap:
    return labels.reshape(1, -1)


def _histograms(maps: tuple[LabelMap, ...], sizes: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """Joint histograms of uint8 maps of one size, part by part; every value is below the size of its axis."""
    import cv2

    planes = [_plane(labels) for labels in maps]
    ranges = [edge for size in sizes for edge in (0, size)]
    for part in _parts(planes[0].shape[1], _EXACT_FLOAT32):
        pieces = [plane[:, part] for plane in planes]
        joint = cv2.calcHist(pieces, list(range(len(sizes))), None, list(sizes), ranges)
        yield np.asarray(joint, dtype=np.float32).reshape(sizes)


def _parts(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _refuse_undeclared(table: ChannelTable, name: str, histogram: NDArray[np.float32]) -> None:
    stray = np.flatnonzero((histogram > 0) & (table.lut > table.classes))
    if stray.size:
        raise _undeclared(table.catalog, name, stray, histogram[stray])


def _undeclared(catalog: ClassCatalog, name: str, ids: NDArray[Any], counts: NDArray[Any]) -> CatalogError:
    order = np.argsort(-counts, kind="stable")[:5]
    listed = ", ".join(f"{int(ids[i])} ({int(counts[i])} px)" for i in order)
    values = message("{names} and {more:,} more", names=listed, more=len(ids) - 5) if len(ids) > 5 else listed
    return CatalogError(
        message("the {name} holds ids that the catalog '{catalog}' does not declare", name=name, catalog=catalog.name),
        why=message("Undeclared: {ids}", ids=values),
        remedy=message("Choose the catalog that this map was made with"),
    )
