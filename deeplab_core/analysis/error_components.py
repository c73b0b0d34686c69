"""From a cell of a folder's confusion matrix to the images and components behind it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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


class ErrorComponents:
    """Finds the error components of a folder by cell, size, kind and slice; updated image by image.

    Memory is bounded by what :class:`~deeplab_core.analysis.components.ImageErrors` keeps of each image, whatever its size;
    masks are never held.
    """

    def __init__(self) -> None:
        self._images: dict[str, ImageErrors] = {}
        # Of each image the pixels of its largest component, and the most pixels of each kind in one component.
        self._largest: dict[str, tuple[int, ...]] = {}
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
        for truth, prediction in errors.cells.tolist():
            self._by_cell[truth, prediction].add(image)

    def remove(self, image: str) -> None:
        """Forget an image; nothing happens if it is unknown."""
        errors = self._images.pop(image, None)
        if errors is not None:
            del self._largest[image]
            for truth, prediction in errors.cells.tolist():
                self._by_cell[truth, prediction].discard(image)

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

        Returns:
            Largest first; equal ones by image name, then top to bottom.
        """
        wanted = [(truth, prediction)]
        if both_ways and truth != prediction:
            wanted.append((prediction, truth))
        place = _measure(kind, within)
        best: list[tuple[int, str, int, int, int]] = []
        for one, other in wanted:
            # The image with the largest component first: the first one that can add nothing ends the search.
            images = [
                image
                for image in self._of_cell(one, other)
                if (objects is None or image in objects) and (only is None or image in only)
            ]
            for image in sorted(images, key=lambda name: -self._largest[name][place]):
                numbers = None if objects is None else objects[image]
                if not self._largest[image][place] or (len(best) >= limit and -best[-1][0] > self._largest[image][place]):
                    break
                best = heapq.nsmallest(limit, [*best, *_entries(image, self._images[image], one, other, place, numbers)])
        return [component_of(self._images[image].rows[position], image) for _, image, _, _, position in best]

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


def _entries(
    image: str,
    errors: ImageErrors,
    truth: int | None,
    prediction: int | None,
    place: int,
    objects: NDArray[np.int64] | None,
) -> list[tuple[int, str, int, int, int]]:
    """The components of one image that are asked for: falling size as a negative number, image, y, x, row."""
    rows = errors.rows
    sizes = _sizes(rows)[:, place]
    chosen = sizes > 0
    if truth is not None:
        chosen &= rows["truth"] == truth
    if prediction is not None:
        chosen &= rows["prediction"] == prediction
    if objects is not None:
        chosen &= np.isin(rows["object"], objects) | np.isin(rows["called_object"], objects)
    return [
        (-int(sizes[position]), image, int(rows["y"][position]), int(rows["x"][position]), position)
        for position in np.flatnonzero(chosen).tolist()
    ]
