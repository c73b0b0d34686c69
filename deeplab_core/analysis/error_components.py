"""From a cell of a folder's confusion matrix to the images and components behind it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ErrorComponent, ImageErrors, component_of
from deeplab_core.analysis.kinds import KINDS, FailureKind
from deeplab_core.analysis.slices import SLICE_COLUMNS, PixelAxis, Slice


@dataclass(frozen=True, slots=True)
class CellImage:
    """What one image adds to a cell: its pixels and its number of components."""

    image: str
    pixels: int
    components: int


class Worth(Protocol):
    """What components are sorted by instead of their size."""

    def of(self, image: str) -> NDArray[np.floating[Any]]:
        """(R,) worth of each listed component of an image."""

    def most(self, images: Sequence[str]) -> NDArray[np.floating[Any]]:
        """(N,) at least the worth of the best component of each image."""


class ErrorComponents:
    """Finds the error components of a folder by cell, size, kind and slice; updated image by image.

    Memory is bounded by what :class:`~deeplab_core.analysis.components.ImageErrors` keeps of each image, whatever its size;
    masks are never held.
    """

    def __init__(self) -> None:
        self._images: dict[str, ImageErrors] = {}
        # Of each image the pixels of its largest component, and the most pixels of each kind in one component.
        self._largest: dict[str, tuple[int, ...]] = {}
        self._heads: dict[str, NDArray[np.int64]] = {}
        self._by_cell: dict[tuple[int, int], set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, image: str) -> bool:
        return image in self._images

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def of(self, image: str) -> ImageErrors:
        """What is known of one image. Raises KeyError for an image that was never analysed."""
        return self._images[image]

    def update(self, image: str, errors: ImageErrors) -> None:
        """Add an image, or replace what was known of it (after a correction)."""
        self.remove(image)
        self._images[image] = errors
        self._largest[image] = _largest(errors)
        self._heads[image] = _heads(errors)
        for truth, prediction in errors.cells.tolist():
            self._by_cell[truth, prediction].add(image)

    def remove(self, image: str) -> None:
        """Forget an image; nothing happens if it is unknown."""
        errors = self._images.pop(image, None)
        if errors is not None:
            del self._largest[image], self._heads[image]
            for truth, prediction in errors.cells.tolist():
                self._by_cell[truth, prediction].discard(image)

    def heads(self, image: str) -> NDArray[np.int64]:
        """(K, 3) the largest listed component of each cell of an image: ids of truth and prediction, pixels."""
        return self._heads[image]

    def images(self, *, truth: int, prediction: int) -> list[CellImage]:
        """Images that add to a cell (class ids), the one with most pixels first."""
        named = self._by_cell.get((truth, prediction), ())
        found = [CellImage(image, *self._images[image].cell(truth, prediction)) for image in named]
        return sorted(found, key=lambda entry: (-entry.pixels, entry.image))

    def components(
        self,
        *,
        truth: int | None = None,
        prediction: int | None = None,
        both_ways: bool = False,
        kind: FailureKind | None = None,
        within: Slice | None = None,
        objects: Mapping[str, NDArray[np.int64]] | None = None,
        only: Container[str] | None = None,
        limit: int = 200,
        worth: Worth | None = None,
    ) -> list[ErrorComponent]:
        """Largest listed components of a cell, of a whole row or column (the other id is None), or of everything.

        Args:
            truth, prediction: class ids.
            both_ways: also those of the mirrored cell (sofa called chair beside chair called sofa).
            kind: only components with pixels of this kind of failure, by the number of these pixels.
            within: only components with pixels in this slice of a pixel axis, by the number of these pixels; not with ``kind``.
            objects: only what was missed of these objects, or wrongly called one of them; numbers (from 1) by image
                (:meth:`~deeplab_core.analysis.folder.FolderAnalysis.objects_within`).
            only: components of these images only.
            limit: how many.
            worth: sorts them instead of their size.

        Returns:
            Largest first; equal ones by image name, then top to bottom.
        """
        wanted = [(truth, prediction)]
        if both_ways and truth != prediction:
            wanted.append((prediction, truth))
        place = _measure(kind, within)
        best: list[tuple[float, str, int, int, int]] = []
        for one, other in wanted:
            # The image with the largest component first: the first one that can add nothing ends the search.
            images = [
                image
                for image in self._of_cell(one, other)
                if self._largest[image][place] and (objects is None or image in objects) and (only is None or image in only)
            ]
            for most, image in self._bounds(images, place, worth):
                if len(best) >= limit and -best[-1][0] > most:
                    break
                numbers = None if objects is None else objects[image]
                found = _chosen(self._images[image], one, other, place, numbers)
                worths = _sizes(self._images[image].rows)[:, place] if worth is None else worth.of(image)
                best = heapq.nsmallest(limit, [*best, *_entries(image, self._images[image], found, worths)])
        return [component_of(self._images[image].rows[position], image) for _, image, _, _, position in best]

    def _bounds(self, images: Sequence[str], place: int, worth: Worth | None) -> list[tuple[float, str]]:
        """Images with the most that a component of theirs may be worth, the most first."""
        if worth is None:
            found = [(float(self._largest[image][place]), image) for image in images]
        else:
            found = list(zip(worth.most(images).tolist(), images, strict=True))
        return sorted(found, key=lambda entry: -entry[0])

    def _of_cell(self, truth: int | None, prediction: int | None) -> Iterable[str]:
        """Images that may have components of a cell, row or column."""
        if truth is None or prediction is None:
            return self._images
        return self._by_cell.get((truth, prediction), ())


def _measure(kind: FailureKind | None, within: Slice | None) -> int:
    """Which column of :func:`_sizes` components are sorted by."""
    if within is not None:
        if kind is not None or not isinstance(within.axis, PixelAxis):
            raise ValueError("components are sorted by a kind or by a slice of pixels")
        return 1 + len(KINDS) + SLICE_COLUMNS[within.axis] + within.place
    return 0 if kind is None else 1 + KINDS.index(kind)


def _sizes(rows: NDArray[Any]) -> NDArray[np.uint32]:
    """(R, 1 + kinds + slices) pixels of each component: all, of each kind of failure, in each slice."""
    return np.concatenate([rows["pixels"][:, None], rows["kinds"], rows["slices"]], axis=1)


def _largest(errors: ImageErrors) -> tuple[int, ...]:
    return tuple(_sizes(errors.rows).max(axis=0, initial=0).tolist())


def _heads(errors: ImageErrors) -> NDArray[np.int64]:
    cells = row_cells(errors.rows)  # largest first
    _, first = np.unique(cells[:, 0] << 16 | cells[:, 1], return_index=True)
    return cells[first]


def row_cells(rows: NDArray[Any]) -> NDArray[np.int64]:
    """(R, 3) ids of truth and prediction, and pixels, of listed components."""
    return np.stack([rows[name].astype(np.int64) for name in ("truth", "prediction", "pixels")], axis=1).reshape(-1, 3)


def _chosen(
    errors: ImageErrors, truth: int | None, prediction: int | None, place: int, objects: NDArray[np.int64] | None
) -> NDArray[np.intp]:
    """Rows of the components of one image that are asked for."""
    rows = errors.rows
    chosen = _sizes(rows)[:, place] > 0
    if truth is not None:
        chosen &= rows["truth"] == truth
    if prediction is not None:
        chosen &= rows["prediction"] == prediction
    if objects is not None:
        chosen &= np.isin(rows["object"], objects) | np.isin(rows["called_object"], objects)
    return np.flatnonzero(chosen)


def _entries(
    image: str, errors: ImageErrors, chosen: NDArray[np.intp], worths: NDArray[Any]
) -> list[tuple[float, str, int, int, int]]:
    """Components of one image as they are sorted: falling worth as a negative number, image, y, x, row."""
    rows = errors.rows
    return [
        (-float(worths[position]), image, int(rows["y"][position]), int(rows["x"][position]), position)
        for position in chosen.tolist()
    ]
