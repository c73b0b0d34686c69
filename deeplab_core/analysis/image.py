"""Everything that is asked of one image, in one pass: components, kinds of failure, objects, slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import PER_CELL, PER_IMAGE, ImageErrors, check_pair, find_errors, wrong_pixels
from deeplab_core.analysis.failures import FailureRules, ImageFailures, count_failures, kind_masks
from deeplab_core.analysis.kinds import things_of
from deeplab_core.analysis.objects import KnownObject, find_objects
from deeplab_core.analysis.partition import partition_errors
from deeplab_core.analysis.slices import (
    PixelAxis,
    brightness_map,
    contrast_map,
    distance_values,
    slice_pixels,
    whole_values,
)
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.regions import Mask


@dataclass(frozen=True, slots=True, eq=False)
class ImageInspection:
    """What one image adds to a folder; some kilobytes, no masks.

    Attributes:
        errors: components of every cell of the confusion matrix.
        failures: kinds of failure.
        objects: (N,) of :data:`~deeplab_core.analysis.objects.OBJECT`.
        slices: (S, C, C + 1) int64 confusion matrices by slice of every axis that could be measured.
    """

    errors: ImageErrors
    failures: ImageFailures
    objects: NDArray[Any]
    slices: dict[PixelAxis, NDArray[np.int64]]


def inspect_image(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    catalog: ClassCatalog,
    things: frozenset[int] | None = None,
    known: Sequence[KnownObject] = (),
    rgb: NDArray[np.uint8] | None = None,
    exclude: Mask | None = None,
    rules: FailureRules | None = None,
    per_cell: int = PER_CELL,
    per_image: int = PER_IMAGE,
) -> ImageInspection:
    """Inspect one image.

    Args:
        truth, prediction: (H, W) ids of ``catalog``, of one shape.
        catalog: the classes.
        things: ids of object classes; None decides by name (:func:`~deeplab_core.analysis.kinds.things_of`).
        known: what the data says of its objects.
        rgb: (H, W, 3) uint8 photograph; without it nothing is said of brightness and contrast.
        exclude: (H, W) bool, pixels that are not scored; treated as void of the truth, except for the distance to class edges.
        rules: where the kinds of failure begin.
        per_cell, per_image: how many components are listed.

    Raises:
        CatalogError: an undeclared id.
        ValueError: shapes differ.
    """
    check_pair(truth, prediction, catalog)
    rules = FailureRules() if rules is None else rules
    things = things_of(catalog) if things is None else things
    distance = distance_values(truth, catalog.ignore)
    if exclude is not None:
        truth = np.where(exclude, np.asarray(catalog.ignore, dtype=truth.dtype), truth)
        distance = np.where(exclude, np.uint8(0), distance)
    values: dict[PixelAxis, NDArray[Any]] = {PixelAxis.DISTANCE: distance}
    if rgb is not None:
        if rgb.shape[:2] != truth.shape:
            raise ValueError(f"the photograph has shape {rgb.shape}, the truth {truth.shape}")
        values[PixelAxis.BRIGHTNESS] = brightness_map(rgb)
        values[PixelAxis.CONTRAST] = contrast_map(values[PixelAxis.BRIGHTNESS])
    wrong = wrong_pixels(truth, prediction, catalog.ignore)
    partition = partition_errors(truth=truth, prediction=prediction, ignore=catalog.ignore, width_px=rules.boundary_px)
    objects = find_objects(
        truth=truth,
        prediction=prediction,
        catalog=catalog,
        things=things,
        known=known,
        brightness=values.get(PixelAxis.BRIGHTNESS),
        contrast=values.get(PixelAxis.CONTRAST),
    )
    values = {axis: whole_values(numbers) for axis, numbers in values.items()}
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
    errors = find_errors(
        truth=truth,
        prediction=prediction,
        catalog=catalog,
        kinds=kinds.masks,
        objects=objects,
        values=values,
        per_cell=per_cell,
        per_image=per_image,
    )
    failures = count_failures(
        truth=truth,
        prediction=prediction,
        catalog=catalog,
        partition=partition,
        kinds=kinds,
        components=errors.kind_components,
    )
    slices = slice_pixels(values, truth=truth, prediction=prediction, catalog=catalog)
    return ImageInspection(errors, failures, objects.rows, slices)
