"""The core for notebooks: functions over arrays, with results that show themselves.

::

    from deeplab_core.api import crf, evaluate, overlay, trimap_curve

Arrays are numpy or torch. Labels are (H, W) class ids, images (H, W, 3) uint8 RGB, scores and probabilities (C, H, W).
Every error says what the array is, what is expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.arrays import as_labels, as_picture, as_probabilities
from deeplab_core.catalogs import ClassCatalog, get_catalog
from deeplab_core.display import png_of
from deeplab_core.errors import ArrayError, message
from deeplab_core.masks.export.masks import color_table
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.trimap import BandRule, band_map
from deeplab_core.metrics.trimap_histogram import BandCurve, BandHistogram
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.refine import CRFParams, DenseCRF, preset

__all__ = ["OverlayPicture", "crf", "evaluate", "overlay", "trimap_curve"]

#: One mask, or several of the same images in the same order.
Masks = NDArray[Any] | Sequence[NDArray[Any]]
#: Name of a built-in catalog, a file of classes, or a catalog.
Classes = str | Path | ClassCatalog | None


def evaluate(truth: Masks, prediction: Masks, *, classes: Classes = None) -> ConfusionMatrix:
    """Count the pixels of one image, or of several pooled, by ground truth and prediction.

    Args:
        truth, prediction: (H, W) class ids, or sequences of them. The catalog's ignore value (255; 65535 above 254 classes) is
            void.
        classes: names of a built-in catalog, a file, or a catalog; None numbers the classes from 0 to the largest id.

    Returns:
        The confusion matrix. It has IoU, recall, precision and means, shows itself as a table, and ``to_pandas()`` gives one row
        per class.

    Raises:
        ArrayError: arrays that do not fit, with what to do.
        CatalogError: an id that the classes do not have.
    """
    pairs, catalog = _pairs(truth, prediction, classes)
    matrix = ConfusionMatrix(catalog)
    for one, other in pairs:
        matrix.update(truth=one, prediction=other)
    return matrix


def trimap_curve(truth: Masks, prediction: Masks, *, classes: Classes = None, rule: BandRule = "edge") -> BandCurve:
    """Scores within 1 to 40 px of class edges of the ground truth (``rule="edge"``), or of its void (``"void"``).

    Args:
        truth, prediction, classes: as :func:`evaluate`.
        rule: see :class:`deeplab_core.records.TrimapBand`.

    Returns:
        Mean IoU, pixel accuracy and share of pixels by band width; shows itself as a table, and has ``to_pandas()``.
        Means run over the classes of the ground truth within each band.

    Raises:
        ArrayError, CatalogError: as :func:`evaluate`.
    """
    pairs, catalog = _pairs(truth, prediction, classes)
    histogram = BandHistogram(catalog, rule=rule)
    for one, other in pairs:
        index = band_map(truth=one, prediction=other, ignore=int(catalog.ignore), rule=rule)
        histogram.update(index=index, truth=one, prediction=other)
    return histogram.curve("truth")


def crf(image: NDArray[np.uint8], probabilities: NDArray[Any], params: CRFParams | str = "v2") -> NDArray[np.float32]:
    """Refine class probabilities with the dense CRF (Krähenbühl and Koltun 2011, arXiv 1210.5644).

    Args:
        image: (H, W, 3) uint8 RGB.
        probabilities: (C, H, W), 0 to 1, at the image's size.
        params: parameters, or the name of a preset (``"v1"``, ``"v2"``, ...).

    Returns:
        (C, H, W) float32; ``argmax(0)`` gives channels.

    Raises:
        ArrayError: arrays that do not fit, or an unknown preset.
    """
    picture = as_picture(image)
    values = as_probabilities(probabilities, (picture.shape[0], picture.shape[1]))
    return DenseCRF(picture, preset(params) if isinstance(params, str) else params).refine(values)


@dataclass(frozen=True, slots=True, eq=False)
class OverlayPicture:
    """An image with its labels on top; a notebook shows it as a picture.

    Attributes:
        rgb: (H, W, 3) uint8.
    """

    rgb: NDArray[np.uint8] = field(repr=False)

    def _repr_png_(self) -> bytes:
        return png_of(self.rgb)


def overlay(image: NDArray[np.uint8], labels: NDArray[Any], *, classes: Classes = None, opacity: float = 0.5) -> OverlayPicture:
    """Paint labels over an image, with an outline of one pixel along class edges; void stays clear.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) class ids.
        classes: as :func:`evaluate`; their colours are used.
        opacity: of the fill, 0 to 1.

    Raises:
        ArrayError: arrays that do not fit, or an opacity outside of 0 to 1.
        CatalogError: an id that the classes do not have.
    """
    if not 0.0 <= opacity <= 1.0:
        raise ArrayError(message("the opacity is {value}", value=opacity), remedy=message("Give a number from 0 to 1"))
    picture, ids = as_picture(image), as_labels(labels, "mask of labels")
    _same_size(picture.shape[:2], ids.shape)
    catalog = _catalog(classes, [ids])
    ids = _in_catalog(ids, catalog, "mask of labels")
    colours = color_table(catalog)
    alpha = np.full(ids.shape, np.float32(opacity))
    alpha[_edges(ids)] = min(1.0, opacity + 0.4)
    alpha[ids == catalog.ignore] = 0.0
    painted = picture * (1 - alpha[..., None]) + colours[ids] * alpha[..., None]
    return OverlayPicture(np.rint(painted).astype(np.uint8))


def _edges(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels with another class to the right or below."""
    edges = np.zeros(ids.shape, dtype=np.bool_)
    edges[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    edges[:-1] |= ids[:-1] != ids[1:]
    return edges


def _pairs(truth: Masks, prediction: Masks, classes: Classes) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], ClassCatalog]:
    truths, predictions = _several(truth, "ground truth"), _several(prediction, "prediction")
    if len(truths) != len(predictions):
        raise ArrayError(
            message(
                "{truths} masks of ground truth, {predictions} of predictions", truths=len(truths), predictions=len(predictions)
            ),
            remedy=message("Give both for the same images, in the same order"),
        )
    for one, other in zip(truths, predictions, strict=True):
        _same_size(one.shape, other.shape)
    catalog = _catalog(classes, [*truths, *predictions])
    return [
        (_in_catalog(one, catalog, "ground truth"), _in_catalog(other, catalog, "prediction"))
        for one, other in zip(truths, predictions, strict=True)
    ], catalog


def _several(given: Masks, what: str) -> list[NDArray[Any]]:
    if isinstance(given, (list, tuple)):
        return [as_labels(one, what) for one in given]
    return [as_labels(given, what)]


def _same_size(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    if one != other:
        raise ArrayError(
            message("the sizes differ: {one} and {other}", one=one, other=other),
            remedy=message("Bring both to one size; masks by nearest neighbour only"),
        )


def _catalog(classes: Classes, masks: Iterable[NDArray[Any]]) -> ClassCatalog:
    if isinstance(classes, ClassCatalog):
        return classes
    if classes is not None:
        return get_catalog(classes)
    largest = 0
    for mask in masks:
        named = mask[mask != (255 if int(mask.max()) <= 255 else 65535)]
        largest = max(largest, int(named.max()) if named.size else 0)
    return numbered_catalog(largest + 1)


def _in_catalog(mask: NDArray[Any], catalog: ClassCatalog, what: str) -> NDArray[Any]:
    """The mask in the catalog's type, with its own value for void."""
    if mask.min() < 0 or mask.max() > int(catalog.ignore):
        raise ArrayError(
            message("the {what} holds ids from {low} to {high}", what=what, low=int(mask.min()), high=int(mask.max())),
            why=message("Ids lie between 0 and {ignore}, which is void", ignore=int(catalog.ignore)),
            remedy=message("Set void to {ignore}", ignore=int(catalog.ignore)),
        )
    return np.ascontiguousarray(mask.astype(catalog.dtype))
