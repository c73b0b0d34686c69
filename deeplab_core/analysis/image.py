"""Analysing one image with ground truth, in one pass: confusion, error components, kinds of failure, objects, slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import PER_CELL, PER_IMAGE, ImageErrors, check_pair, find_errors, wrong_pixels
from deeplab_core.analysis.failures import FailureRules, ImageFailures, count_failures, kind_masks
from deeplab_core.analysis.kinds import things_of
from deeplab_core.analysis.objects import KnownObject, find_objects
from deeplab_core.analysis.partition import partition_errors
from deeplab_core.analysis.record import (
    CLASSES,
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
    band_name,
    slice_images_name,
    slice_name,
)
from deeplab_core.analysis.slices import (
    PixelAxis,
    brightness_map,
    contrast_map,
    distance_values,
    slice_pixels,
    whole_values,
)
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.metrics.counting import count_pairs
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.records import TrimapBand
from deeplab_core.regions import Mask


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
) -> ImageAnalysis:
    """Compare the labels of one image with its ground truth.

    Args:
        truth, prediction: (H, W) ids of ``catalog``, of one shape.
        catalog: the classes.
        things: ids of object classes; None decides by name (:func:`~deeplab_core.analysis.kinds.things_of`).
        known: properties of its objects from the data.
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
    excluded_px = 0
    if exclude is not None:
        excluded_px = int((exclude & (truth != catalog.ignore)).sum())
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
    counts = failure_counts(failures, errors, slices, catalog)
    if exclude is not None:
        counts[EXCLUDED] = SparseCounts.of(np.array([excluded_px]))
    return ImageAnalysis(catalog=catalog, counts=counts, errors=errors, objects=objects.rows)


def failure_counts(
    failures: ImageFailures, errors: ImageErrors, slices: dict[PixelAxis, NDArray[np.int64]], catalog: ClassCatalog
) -> dict[str, SparseCounts]:
    """What an image adds to a folder's confusion, failures and slices, by name."""
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
    }
    for axis, matrices in slices.items():
        counts[slice_name(axis)] = SparseCounts.of(matrices)
        counts[slice_images_name(axis)] = SparseCounts.of(np.minimum(matrices.sum(axis=(1, 2)), 1))
    return counts


def count_labels(
    labels: LabelMap,
    catalog: ClassCatalog,
    *,
    truth: LabelMap | None = None,
    exclude: Mask | None = None,
    band: TrimapBand | None = None,
    index: NDArray[np.uint8] | None = None,
) -> ImageAnalysis:
    """Count one image without looking at its error components: classes, and against ground truth confusion, whole and by band.

    Args:
        labels: (H, W) ids of ``catalog``.
        truth: (H, W) ids, or None: then only the classes are counted.
        exclude: (H, W) bool, pixels of the ground truth that are not scored; bands lie around the ground truth as it is.
        band: the confusion is counted by its rule and reference.
        index: (H, W) uint8 band index of it, if it is known.

    Raises:
        CatalogError: an undeclared id.
        ValueError: shapes differ.
    """
    counts = {CLASSES: SparseCounts.of(class_histogram(labels, catalog))}
    if truth is not None:
        scored = truth if exclude is None else np.where(exclude, np.asarray(catalog.ignore, dtype=truth.dtype), truth)
        counts[CONFUSION] = SparseCounts.of(count_pairs(truth=scored, prediction=labels, catalog=catalog))
        if band is not None:
            if index is None:
                index = band_map(truth=truth, prediction=labels, ignore=catalog.ignore, rule=band.rule, around=band.around)
            histogram = BandHistogram(catalog, rule=band.rule, around=band.around)
            histogram.update(index=index, truth=scored, prediction=labels)
            counts[band_name(band.rule, band.around)] = SparseCounts.of(histogram.counts)
    return ImageAnalysis(catalog=catalog, counts=counts)


def iou_score(record: ImageAnalysis) -> dict[str, float]:
    """The ranking score of an image's mean IoU over the classes in its ground truth; empty without one."""
    matrix = record.matrix
    mean = math.nan if matrix is None else matrix.mean_iou("truth").value
    return {} if math.isnan(mean) else {"iou": 1 - mean}
