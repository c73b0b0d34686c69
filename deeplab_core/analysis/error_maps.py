"""The wrong pixels of one image, sorted pixel by pixel: kinds of failure, objects, slices; and the record that counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import PER_CELL, PER_IMAGE, check_pair, find_errors, wrong_pixels
from deeplab_core.analysis.failures import FailureRules, KindMasks, count_failures, kind_bit, kind_masks
from deeplab_core.analysis.kinds import KINDS, FailureKind, things_of
from deeplab_core.analysis.objects import KnownObject, ObjectTable, find_objects, measure_contrast
from deeplab_core.analysis.partition import ErrorPart, ErrorPartition, partition_errors
from deeplab_core.analysis.record import (
    CELL_OCCLUSION,
    CELL_PARTS,
    CELL_SIZES,
    COMPONENTS,
    CONFUSION,
    ERROR_PIXELS,
    EXCLUDED,
    FALSE,
    KIND_IMAGES,
    KIND_INSTANCES,
    KIND_PIXELS,
    MISSED,
    ImageAnalysis,
    shape_of,
    slice_images_name,
    slice_name,
)
from deeplab_core.analysis.slices import (
    OBJECT_EDGES,
    ObjectAxis,
    PixelAxis,
    brightness_map,
    distance_values,
    slice_pixels,
)
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.geometry import strips
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.cell_counts import CellCounts
from deeplab_core.regions import Mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorMaps:
    """What is known of every pixel of one inspected image.

    Attributes:
        catalog: the classes.
        truth, prediction: (H, W) ids; excluded pixels are void of the truth.
        wrong: (H, W) bool, labelled pixels that are wrong.
        partition: boundary, extent or segment, for both classes of each wrong pixel.
        kinds: wrong pixels of every kind of failure.
        objects: of the ground truth, and the predicted regions.
        values: (H, W) uint8 numbers by axis, as for :func:`~deeplab_core.analysis.slices.slice_pixels`.
        things: ids of object classes.
        excluded_px: labelled pixels that are not scored; None if nothing was excluded.
    """

    catalog: ClassCatalog
    truth: LabelMap
    prediction: LabelMap
    wrong: Mask
    partition: ErrorPartition
    kinds: KindMasks
    objects: ObjectTable
    values: Mapping[PixelAxis, NDArray[np.uint8]]
    things: frozenset[int]
    excluded_px: int | None = None

    def only(self, chosen: Mask) -> ErrorMaps:
        """The image as if the wrong pixels outside of ``chosen`` were right; what is left keeps its kind and its object.

        Args:
            chosen: (H, W) bool.
        """
        kept: Mask = self.wrong & chosen
        masks = KindMasks(self.kinds.bits * kept, self.kinds.objects)
        numbers = np.zeros(len(KINDS), dtype=np.int64)
        for place, kind in enumerate(KINDS):
            of = self.objects.called_numbers if kind is FailureKind.INVENTED_OBJECT else self.objects.numbers
            numbers[place] = np.count_nonzero(np.unique(of[masks.mask(kind)]))
        return replace(
            self,
            prediction=np.where(self.wrong & ~kept, self.truth, self.prediction),
            wrong=kept,
            partition=replace(self.partition, missed=self.partition.missed * kept, false=self.partition.false * kept),
            kinds=replace(masks, objects=numbers),
            objects=replace(self.objects, rows=self._rows(kept)),
        )

    def _rows(self, kept: Mask) -> NDArray[Any]:
        """The objects, as the chosen wrong pixels alone leave them."""
        rows, objects = self.objects.rows.copy(), self.objects
        number = objects.numbers[kept]
        is_thing = np.zeros(self.catalog.ignore + 1, dtype=bool)
        is_thing[list(self.things)] = True
        lost = np.bincount(number, minlength=len(rows) + 1)[1:]
        rows["right"] = rows["pixels"] - lost
        rows["swapped"] = np.bincount(number, weights=is_thing[self.prediction[kept]], minlength=len(rows) + 1)[1:]
        owner = np.append(0, objects.called_owner)[objects.called_numbers[kept]]
        rows["false"] = np.bincount(owner, minlength=len(rows) + 1)[1:]
        return rows

    def record(self, *, per_cell: int = PER_CELL, per_image: int = PER_IMAGE) -> ImageAnalysis:
        """Everything counted, and the components listed.

        Args:
            per_cell, per_image: how many components are listed.
        """
        catalog, truth, prediction = self.catalog, self.truth, self.prediction
        errors = find_errors(
            truth=truth,
            prediction=prediction,
            catalog=catalog,
            kinds=self.kinds,
            objects=self.objects,
            values=self.values,
            per_cell=per_cell,
            per_image=per_image,
        )
        failures = count_failures(
            truth=truth,
            prediction=prediction,
            catalog=catalog,
            partition=self.partition,
            kinds=self.kinds,
            components=errors.kind_components,
        )
        confusion = SparseCounts.of(failures.counts)
        components = np.zeros_like(failures.counts)
        lut = catalog.index_lut()
        components[lut[errors.cells[:, 0]], lut[errors.cells[:, 1]]] = errors.components
        counts = {
            CONFUSION: confusion,
            ERROR_PIXELS: confusion,
            COMPONENTS: SparseCounts.of(components),
            MISSED: SparseCounts.of(failures.missed),
            FALSE: SparseCounts.of(failures.false),
            KIND_PIXELS: SparseCounts.of(failures.pixels),
            KIND_INSTANCES: SparseCounts.of(failures.instances),
            KIND_IMAGES: SparseCounts.of(np.minimum(failures.pixels, 1)),
            **self._cells(),
        }
        for axis, matrices in slice_pixels(self.values, truth=truth, prediction=prediction, catalog=catalog).items():
            counts[slice_name(axis)] = SparseCounts.of(matrices)
            counts[slice_images_name(axis)] = SparseCounts.of(np.minimum(matrices.sums()[1].sum(axis=1), 1))
        if self.excluded_px is not None:
            counts[EXCLUDED] = SparseCounts.of(np.array([self.excluded_px]))
        return ImageAnalysis(catalog=catalog, counts=counts, errors=errors, objects=self.objects.rows)

    def _cells(self) -> dict[str, SparseCounts]:
        """The wrong pixels of every cell by part, by occlusion and by size of the object: exact partitions of the cell."""
        lut = self.catalog.index_lut().astype(np.int64)
        edges = OBJECT_EDGES[ObjectAxis.SIZE]
        size_of = np.append(len(edges) + 1, np.searchsorted(edges, self.objects.rows["pixels"], side="right"))
        counts = {name: CellCounts(shape_of(name, self.catalog)) for name in (CELL_PARTS, CELL_OCCLUSION, CELL_SIZES)}
        for strip in strips(self.wrong.shape):
            wrong = self.wrong[strip]
            cell = lut[self.truth[strip][wrong]] * (len(self.catalog) + 1) + lut[self.prediction[strip][wrong]]
            owner = self.objects.numbers[strip][wrong]
            cut = (self.kinds.bits[strip][wrong] & kind_bit(FailureKind.OCCLUDER_CUT)) > 0
            size = size_of[owner] - 1
            for side, part in enumerate(self._verdicts):
                verdict = part[strip][wrong].astype(np.int64)
                counts[CELL_PARTS].count(cell[verdict > 0], side * len(ErrorPart) + verdict[verdict > 0] - 1)
            counts[CELL_OCCLUSION].count(cell, np.where(owner == 0, 2, np.where(cut, 0, 1)))
            counts[CELL_SIZES].count(cell[size >= 0], size[size >= 0])
        return {name: SparseCounts.of(counted) for name, counted in counts.items()}

    @property
    def _verdicts(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return self.partition.missed, self.partition.false


def map_errors(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    catalog: ClassCatalog,
    things: frozenset[int] | None = None,
    known: Sequence[KnownObject] = (),
    rgb: NDArray[np.uint8] | None = None,
    brightness: NDArray[np.uint8] | None = None,
    exclude: Mask | None = None,
    rules: FailureRules | None = None,
) -> ErrorMaps:
    """Sort the pixels of one image; arguments and errors as for :func:`~deeplab_core.analysis.image.inspect_image`."""
    check_pair(truth, prediction, catalog)
    rules = FailureRules() if rules is None else rules
    things = things_of(catalog) if things is None else things
    distance = distance_values(truth, catalog.ignore)
    excluded_px = None
    if exclude is not None:
        excluded_px = int((exclude & (truth != catalog.ignore)).sum())
        truth = np.where(exclude, np.asarray(catalog.ignore, dtype=truth.dtype), truth)
        distance = np.where(exclude, np.uint8(0), distance)
    values: dict[PixelAxis, NDArray[np.uint8]] = {PixelAxis.DISTANCE: distance}
    photograph = brightness if rgb is None else rgb
    if photograph is not None and photograph.shape[:2] != truth.shape:
        raise ValueError(f"the photograph has shape {photograph.shape}, the truth {truth.shape}")
    if rgb is not None:
        brightness = brightness_map(rgb)
    if brightness is not None:
        values[PixelAxis.BRIGHTNESS] = brightness
    wrong = wrong_pixels(truth, prediction, catalog.ignore)
    partition = partition_errors(truth=truth, prediction=prediction, ignore=catalog.ignore, width_px=rules.boundary_px)
    objects = find_objects(
        truth=truth,
        prediction=prediction,
        catalog=catalog,
        things=things,
        known=known,
        brightness=brightness,
    )
    if brightness is not None:
        values[PixelAxis.CONTRAST] = measure_contrast(brightness, objects)
    kinds = kind_masks(
        truth=truth,
        prediction=prediction,
        wrong=wrong,
        partition=partition,
        objects=objects,
        things=things,
        ignore=catalog.ignore,
        rules=rules,
    )
    return ErrorMaps(
        catalog=catalog,
        truth=truth,
        prediction=prediction,
        wrong=wrong,
        partition=partition,
        kinds=kinds,
        objects=objects,
        values=values,
        things=things,
        excluded_px=excluded_px,
    )
