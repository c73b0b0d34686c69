"""A folder of images, analysed: every figure that the window and the command line show of it, pooled image by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.error_components import ErrorComponents, Worth, row_cells
from deeplab_core.analysis.error_gain import WITH_TRUTH, iou_gains
from deeplab_core.analysis.failures import FailureRow, ImageFailures, failure_rows
from deeplab_core.analysis.kinds import KINDS, FailureKind
from deeplab_core.analysis.label_quality import LabelIssue
from deeplab_core.analysis.objects import OBJECT
from deeplab_core.analysis.ranking import GainCurve, gain_curve, rank
from deeplab_core.analysis.record import (
    COMPONENTS,
    CONFUSION,
    ERROR_PIXELS,
    FALSE,
    KIND_IMAGES,
    KIND_INSTANCES,
    KIND_PIXELS,
    MISSED,
    ImageAnalysis,
    band_name,
    shape_of,
    slice_images_name,
    slice_name,
)
from deeplab_core.analysis.slices import PixelAxis, PixelSlices, Slice, objects_within
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics.cell_counts import CellCounts
from deeplab_core.metrics.confusion import ConfusionMatrix, check_same_classes
from deeplab_core.metrics.trimap import BandAround, BandRule
from deeplab_core.metrics.trimap_histogram import BandHistogram


class _FolderGain:
    """Sorts components by what they add to the folder's mean IoU; of one cell that rises with their size."""

    def __init__(self, folder: FolderAnalysis) -> None:
        self._folder, self._counts = folder, folder.total(CONFUSION)

    def of(self, image: str) -> NDArray[np.float64]:
        return self._folder.cell_gains(self._counts, row_cells(self._folder.errors.of(image).rows))

    def most(self, images: Sequence[str]) -> NDArray[np.float64]:
        if not images:
            return np.zeros(0)
        heads = [self._folder.errors.heads(image) for image in images]
        starts = np.concatenate([[0], np.cumsum([len(own) for own in heads[:-1]], dtype=np.int64)]).astype(np.intp)
        return np.asarray(np.maximum.reduceat(self._folder.cell_gains(self._counts, np.concatenate(heads)), starts), np.float64)


class _ImageGain:
    """Sorts components by what they add to the mean IoU of their image."""

    def __init__(self, folder: FolderAnalysis) -> None:
        self._folder = folder

    def of(self, image: str) -> NDArray[np.float64]:
        return self._folder.image_gains(image)

    def most(self, images: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self._folder.image_gains(image).max(initial=0.0) for image in images])


@dataclass(frozen=True, slots=True)
class ImageIssue:
    """A possible label error of one image."""

    image: str
    issue: LabelIssue


class FolderAnalysis:
    """What is known of the images of a folder, and the sums over them.

    The sums are whole numbers, so they are exactly those of a fresh count whatever was added, replaced and removed before, in
    whatever order. Replacing an image costs what its record holds, not what the image holds.

    Example:
        >>> folder = FolderAnalysis(catalog)
        >>> folder.update("2007_000129.jpg", inspect_image(truth=truth, prediction=prediction, catalog=catalog))
        >>> folder.matrix.mean_iou()
        >>> folder.errors.components(truth=9, prediction=18)[0].box

    Attributes:
        catalog: the classes of every image.
        errors: finds error components.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        self.catalog = catalog
        self.errors = ErrorComponents()
        self._images: dict[str, ImageAnalysis] = {}
        self._totals: dict[str, NDArray[np.int64] | CellCounts] = {}
        self._measured: Counter[str] = Counter()
        self._objects: NDArray[Any] | None = None
        self._image_gains: dict[str, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, image: str) -> bool:
        return image in self._images

    def __iter__(self) -> Iterator[str]:
        return iter(self._images)

    def get(self, image: str) -> ImageAnalysis | None:
        """The record of an image; None without one."""
        return self._images.get(image)

    def for_scores(self) -> FolderAnalysis:
        """The images and sums as they are now, for another thread; it lists no components."""
        found = FolderAnalysis(self.catalog)
        found._images, found._totals, found._measured = dict(self._images), deepcopy(self._totals), self._measured.copy()
        return found

    # Changing

    def update(self, image: str, record: ImageAnalysis) -> None:
        """Add an image, or the parts that ``record`` has to what is known of it.

        Raises:
            CatalogError: other classes; the folder stays as it was.
        """
        known = self._images.get(image)
        self.replace(image, record if known is None else known.with_parts(record))

    def replace(self, image: str, record: ImageAnalysis) -> None:
        """Let an image have this record and no other: what differs from the record before is taken out of the sums and added.

        Raises:
            CatalogError: other classes; the folder stays as it was.
        """
        check_same_classes(self.catalog, record.catalog)
        before = self._images.get(image)
        self._images[image] = record
        self._move(image, before, record)

    def remove(self, image: str) -> None:
        """Forget an image; nothing happens if it is unknown."""
        before = self._images.pop(image, None)
        if before is not None:
            self._move(image, before, ImageAnalysis(catalog=self.catalog))

    def _move(self, image: str, before: ImageAnalysis | None, after: ImageAnalysis) -> None:
        self._image_gains.pop(image, None)
        old = {} if before is None else before.counts
        for name, counts in old.items():
            if after.counts.get(name) is not counts:
                counts.add_to(self._totals[name], -1)
                self._measured[name] -= 1
        for name, counts in after.counts.items():
            if old.get(name) is not counts:
                counts.add_to(self._total(name))
                self._measured[name] += 1
        if before is None or before.errors is not after.errors:
            self.errors.remove(image)
            if after.errors is not None:
                self.errors.update(image, after.errors)
        if before is None or before.objects is not after.objects:
            self._objects = None

    # Sums

    def sums(self) -> dict[str, SparseCounts]:
        """Every sum over the images, by name; with :meth:`images_with`, what :meth:`add_sums` takes."""
        return {name: SparseCounts.of(total) for name, total in self._totals.items()}

    def images_with(self) -> dict[str, int]:
        """How many images have counts of each name."""
        return {name: number for name, number in self._measured.items() if number}

    def add_sums(self, sums: Mapping[str, SparseCounts], images: Mapping[str, int]) -> None:
        """Add the sums of other images, which this folder then has no records of."""
        for name, counts in sums.items():
            counts.add_to(self._total(name))
        self._measured.update(images)

    def measured(self, name: str) -> int:
        """How many images have counts of a name."""
        return self._measured[name]

    def _total(self, name: str) -> NDArray[np.int64] | CellCounts:
        """The sum that is kept: of several confusion matrices, the cells that occur."""
        known = self._totals.get(name)
        if known is None:
            shape = shape_of(name, self.catalog)
            matrices = len(shape) > 2 and shape[-2:] == shape_of(CONFUSION, self.catalog)
            known = self._totals[name] = CellCounts(shape) if matrices else np.zeros(shape, dtype=np.int64)
        return known

    def total(self, name: str) -> NDArray[np.int64]:
        """Sum of the counts of a name over all images that have them; zeros if none has. A copy.

        Of several confusion matrices it has 8 bytes for each cell; :meth:`by_cell` has those that occur.
        """
        known = self._totals.get(name)
        if known is None:
            return np.zeros(shape_of(name, self.catalog), dtype=np.int64)
        return known.whole() if isinstance(known, CellCounts) else known.copy()

    def by_cell(self, name: str) -> CellCounts:
        """The sum of counts (K, ..., C, C + 1) of several confusion matrices; follows later changes, do not change it."""
        known = self._total(name)
        assert isinstance(known, CellCounts)
        return known

    @property
    def matrix(self) -> ConfusionMatrix:
        """Confusion matrix of all images with ground truth."""
        return ConfusionMatrix(self.catalog, self.total(CONFUSION))

    def band(self, rule: BandRule, around: BandAround = "truth") -> BandHistogram:
        """Confusion by band of all images that have it (:meth:`measured` of its :func:`~.record.band_name` says how many)."""
        return BandHistogram(self.catalog, rule=rule, around=around, counts=self.by_cell(band_name(rule, around)))

    @property
    def wrong_px(self) -> int:
        """Pixels of error components over all images."""
        counts = self.total(ERROR_PIXELS)
        return int(counts.sum() - np.trace(counts))

    def error_cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(C, C + 1) int64 wrong pixels and components of every cell over all images; the diagonal is 0."""
        pixels = self.total(ERROR_PIXELS)
        np.fill_diagonal(pixels, 0)
        return pixels, self.total(COMPONENTS)

    def failure_total(self) -> ImageFailures:
        """Kinds of failure over all images."""
        return ImageFailures(*(self.total(name) for name in (ERROR_PIXELS, MISSED, FALSE, KIND_PIXELS, KIND_INSTANCES)))

    def failures(self) -> tuple[FailureRow, ...]:
        """All kinds of failure, in their fixed order."""
        return failure_rows(self.failure_total(), self.total(KIND_IMAGES))

    def failure_images(self, kind: FailureKind, class_id: int | None = None) -> list[tuple[str, int]]:
        """Images with pixels of a kind (that concern one class, missed or false), most pixels first."""
        place, names = KINDS.index(kind), [KIND_PIXELS]
        if class_id is not None:
            place, names = place * len(self.catalog) + self.catalog.index_of(class_id), [MISSED, FALSE]
        found = [
            (image, sum(record.counts[name].at(place) for name in names))
            for image, record in self._images.items()
            if names[0] in record.counts
        ]
        return sorted(((image, pixels) for image, pixels in found if pixels), key=lambda entry: (-entry[1], entry[0]))

    @property
    def slices(self) -> dict[PixelAxis, PixelSlices]:
        """Confusion matrices by slice of pixels, by axis."""
        return {
            axis: PixelSlices(axis, self.by_cell(slice_name(axis)), self.total(slice_images_name(axis))) for axis in PixelAxis
        }  # fmt: skip

    # Objects and components

    @property
    def objects(self) -> NDArray[Any]:
        """Objects of all images, (N,) of :data:`~deeplab_core.analysis.objects.OBJECT`."""
        if self._objects is None:
            found = [record.objects for record in self._images.values() if record.objects is not None]
            self._objects = np.concatenate([np.zeros(0, dtype=OBJECT), *found])
        return self._objects

    @property
    def unmeasured(self) -> frozenset[FailureKind]:
        """Kinds that the data says nothing about. Their 0 pixels are not a finding, and must not be shown as one."""
        known = bool((~np.isnan(self.objects["visible_fraction"])).any())
        return frozenset() if known else frozenset({FailureKind.LOW_VISIBLE})

    def objects_within(self, within: Slice, class_id: int | None = None) -> dict[str, NDArray[np.int64]]:
        """Numbers, from 1, of the objects that a slice holds, by image; images without any are left out."""
        found = {
            image: 1 + np.flatnonzero(objects_within(record.objects, within, class_id=class_id))
            for image, record in self._images.items()
            if record.objects is not None
        }
        return {image: numbers for image, numbers in found.items() if numbers.size}

    def worth(self, order: str) -> Worth | None:
        """What components are sorted by in an order of :data:`~deeplab_core.analysis.error_gain.WITH_TRUTH`; None for their size.

        Raises KeyError for another order.
        """
        if order not in WITH_TRUTH:
            raise KeyError(order)
        return None if order == "size" else _FolderGain(self) if order == "gain_folder" else _ImageGain(self)

    def gains(self, components: Sequence[ErrorComponent], order: str) -> list[float]:
        """What fixing each component alone adds to the mean IoU of the folder (``gain_folder``) or its image (``gain_image``)."""
        found: list[float] = []
        matrices: dict[str, NDArray[np.int64]] = {}
        for one in components:
            image = "" if order == "gain_folder" else one.image
            if image not in matrices:
                matrices[image] = self._confusion(image) if image else self.total(CONFUSION)
            cell = np.array([[one.truth, one.prediction, one.pixels]])
            found.append(float(self.cell_gains(matrices[image], cell)[0]))
        return found

    def cell_gains(self, counts: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """:func:`~deeplab_core.analysis.error_gain.iou_gains` of (N, 3) ids of truth and prediction, and pixels."""
        lut = self.catalog.index_lut()
        return iou_gains(counts, lut[cells[:, 0]], lut[cells[:, 1]], cells[:, 2])

    def image_gains(self, image: str) -> NDArray[np.float64]:
        """(R,) what each listed component of an image adds to its mean IoU; worked out once."""
        found = self._image_gains.get(image)
        if found is None:
            found = self._image_gains[image] = self.cell_gains(self._confusion(image), row_cells(self.errors.of(image).rows))
        return found

    def _confusion(self, image: str) -> NDArray[np.int64]:
        counts = self._images[image].counts.get(CONFUSION)
        return np.zeros(shape_of(CONFUSION, self.catalog), np.int64) if counts is None else counts.whole()

    def components_within(
        self, within: Slice, class_id: int | None = None, limit: int = 200, order: str = "size"
    ) -> list[ErrorComponent]:
        """The largest components behind the score of a slice, largest first.

        Args:
            within: of an object axis: what was missed of its objects, and what was wrongly called them next to them, which is
                what their IoU counts. Of a pixel axis: components with pixels in it, by the number of these pixels.
            class_id: only objects of this class; pixels are of all classes.
            limit: how many.
            order: see :meth:`worth`.
        """
        worth = self.worth(order)
        if isinstance(within.axis, PixelAxis):
            return self.errors.components(within=within, limit=limit, worth=worth)
        return self.errors.components(objects=self.objects_within(within, class_id), limit=limit, worth=worth)

    # Rankings

    def scores(self, name: str) -> dict[str, float]:
        """One ranking score of every image that has it, higher is worse."""
        return {
            image: record.scores[name]
            for image, record in self._images.items()
            if record.scores is not None and name in record.scores
        }

    def scored(self) -> Counter[str]:
        """How many images have each ranking score."""
        return Counter(name for record in self._images.values() for name in record.scores or ())

    def ranking(self, name: str) -> list[str]:
        """All images by one score, worst first; those without it last."""
        return rank(self.scores(name), self._images)

    def gain(self, name: str, scores: Mapping[str, float] | None = None) -> GainCurve | None:
        """How well a ranking finds the wrong pixels, one image at a time; None without ground truth or a wrong pixel.

        Args:
            name: of the score.
            scores: by image, measured on something else; None takes :meth:`scores`.
        """
        found = self.scores(name) if scores is None else scores
        records = {image: self._images[image] for image in found if image in self._images}
        wrong = {image: pixels for image, record in records.items() if (pixels := record.wrong_px) is not None}
        return gain_curve([found[image] for image in wrong], list(wrong.values())) if any(wrong.values()) else None

    def issues(self, limit: int | None = None) -> list[ImageIssue]:
        """Possible label errors of all images, largest weight first."""
        found = [ImageIssue(image, issue) for image, record in self._images.items() for issue in record.issues or ()]
        return sorted(found, key=lambda row: (-row.issue.weight, row.image))[:limit]
