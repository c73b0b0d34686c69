"""Analysing one image with ground truth, in one pass: confusion, error components, kinds of failure, objects, slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import PER_CELL, PER_IMAGE
from deeplab_core.analysis.error_maps import map_errors
from deeplab_core.analysis.failures import FailureRules
from deeplab_core.analysis.objects import KnownObject
from deeplab_core.analysis.record import CLASSES, CONFUSION, ImageAnalysis, band_name
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
    brightness: NDArray[np.uint8] | None = None,
    exclude: Mask | None = None,
    rules: FailureRules | None = None,
    per_cell: int = PER_CELL,
    per_image: int = PER_IMAGE,
) -> ImageAnalysis:
    """Compare the labels of one image with its ground truth: :func:`~deeplab_core.analysis.error_maps.map_errors`, counted.

    Args:
        truth, prediction: (H, W) ids of ``catalog``, of one shape.
        catalog: the classes.
        things: ids of object classes; None decides by name (:func:`~deeplab_core.analysis.kinds.things_of`).
        known: properties of its objects from the data.
        rgb: (H, W, 3) uint8 photograph; without it nothing is said of brightness and contrast.
        brightness: (H, W) uint8 luma of it (:func:`~deeplab_core.analysis.slices.brightness_map`), in place of ``rgb``.
        exclude: (H, W) bool, pixels that are not scored; treated as void of the truth, except for the distance to class edges.
        rules: where the kinds of failure begin.
        per_cell, per_image: how many components are listed.

    Raises:
        CatalogError: an undeclared id.
        ValueError: shapes differ.
    """
    maps = map_errors(
        truth=truth, prediction=prediction, catalog=catalog, things=things, known=known, rgb=rgb, brightness=brightness,
        exclude=exclude, rules=rules,
    )  # fmt: skip
    return maps.record(per_cell=per_cell, per_image=per_image)


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
            counts[band_name(band.rule, band.around)] = SparseCounts.of(histogram.by_cell)
    return ImageAnalysis(catalog=catalog, counts=counts)


def iou_score(record: ImageAnalysis) -> dict[str, float]:
    """The ranking score of an image's mean IoU over the classes in its ground truth; empty without one."""
    matrix = record.matrix
    mean = math.nan if matrix is None else matrix.mean_iou("truth").value
    return {} if math.isnan(mean) else {"iou": 1 - mean}
