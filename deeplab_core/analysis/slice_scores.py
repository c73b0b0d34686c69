"""Scores of every slice of a folder with intervals over images, and of two folders over the same images.

An axis sorts objects, pixels or images. Of every slice and image three numbers are kept for each class: hits, pixels of the
ground truth, and pixels called the class. So all axes are scored and resampled by one function:

- *objects*: right pixels of the objects, their pixels, and right plus false ones (false alarms count for the object of their
  class that the predicted region overlaps most); all classes together, IoU;
- *pixels* and *images*: the confusion inside the slice, mean IoU over the classes of its ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.record import ERROR_PIXELS, ImageAnalysis, slice_name
from deeplab_core.analysis.slices import AXIS_TEXT, OBJECT_EDGES, PIXEL_EDGES, ObjectAxis, PixelAxis
from deeplab_core.analysis.sparse_features import SparseFeatures
from deeplab_core.metrics import scores
from deeplab_core.metrics.bootstrap import LEVEL, RESAMPLES, interval
from deeplab_core.metrics.scores import FEW_IMAGES, FEW_OBJECTS

SliceUnit = Literal["object", "pixel", "image"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlicedAxis:
    """One axis of a folder.

    Attributes:
        name: ``"size"``, ``"pixel_brightness"``, or a column of the user's table.
        text: what it means.
        unit: what is sorted.
        labels: of its slices.
        limits: ``low <= value < high`` of each slice, nan where it is no range.
        images: names, in the order of ``features``.
        features: (N, S, 3, K) of every image and slice without zeros: hits, ground truth, called; K classes, 1 for objects.
        counts: (S,) int64 objects, or images with a labelled pixel in the slice.
        own: whether it is a column of the user's.
    """

    name: str
    text: str
    unit: SliceUnit
    labels: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    images: tuple[str, ...]
    features: SparseFeatures
    counts: NDArray[np.int64]
    own: bool = False

    @property
    def images_with_slice(self) -> NDArray[np.int64]:
        """(S,) images with ground truth in each slice."""
        return self.features.images_with(1, 1)

    @property
    def measured(self) -> bool:
        """Whether any slice has something to score."""
        return bool(self.counts.any())


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """One slice, scored.

    Attributes:
        label, low, high: of the slice, see :class:`SlicedAxis`.
        score: IoU of objects, mean IoU of pixels and images; 0..1, nan without any.
        interval: of the score, over images.
        count: objects or images behind it.
        few: whether these are too few, so that it may be any other next time.
        images: with something in this slice.
        pixels: of the ground truth.
    """

    label: str
    low: float
    high: float
    score: float
    interval: tuple[float, float]
    count: int
    few: bool
    images: int
    pixels: int


def sliced_axes(
    folder: FolderAnalysis,
    own: OwnSlices | None = None,
    *,
    class_id: int | None = None,
    only: Collection[str] | None = None,
) -> list[SlicedAxis]:
    """Every axis of which the data says something.

    Args:
        folder: inspected images.
        own: the user's tables, of these images.
        class_id: objects of this class only; pixels and images are of all classes, and left out then.
        only: names of the axes; None for all.
    """
    names = tuple(sorted(name for name in folder if _inspected(folder.get(name)) is not None))  # draws go by this order
    records = [record for name in names if (record := folder.get(name)) is not None]

    def wanted(name: str) -> bool:
        return only is None or name in only

    found = [_objects(axis, names, records, class_id) for axis in ObjectAxis if wanted(axis.value)]
    if class_id is None:
        pixels = [axis for axis in PixelAxis if wanted(f"pixel_{axis.value}") and folder.measured(slice_name(axis))]
        found += [_pixels(axis, folder, names, records) for axis in pixels]
    found += [] if own is None else [axis for axis in _own(folder, own, names, records, class_id) if wanted(axis.name)]
    return [axis for axis in found if axis.measured]


def score_axis(axis: SlicedAxis, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> list[SliceScore]:
    """Scores of every slice.

    Args:
        axis: from :func:`sliced_axes`.
        resamples, seed, level: of the intervals; 0 for none.
    """
    total = axis.features.total()
    whole = _mean(total[None])[0]
    drawn = _mean(axis.features.pools(resamples, seed))
    bounds = interval(drawn, level) if len(drawn) else np.full((len(axis.labels), 2), math.nan)
    few = FEW_OBJECTS if axis.unit == "object" else FEW_IMAGES
    pixels, images = total[:, 1].sum(axis=1), axis.images_with_slice
    return [
        SliceScore(
            label=label, low=low, high=high, score=float(whole[at]), interval=(float(bounds[at, 0]), float(bounds[at, 1])),
            count=int(axis.counts[at]), few=int(axis.counts[at]) < few, images=int(images[at]), pixels=int(pixels[at]),
        )
        for at, (label, (low, high)) in enumerate(zip(axis.labels, axis.limits, strict=True))
    ]  # fmt: skip


def paired_axis_scores(
    before: SlicedAxis, after: SlicedAxis, *, resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2, S) scores of both sides and (2, R, S) of the same draws, over the images that both have.

    A class counts in a slice where its ground truth on both sides has it, so both means run over the same classes.
    """
    keys = [name for name in before.images if name in set(after.images)]
    sides = []
    for axis in (before, after):
        place = {name: at for at, name in enumerate(axis.images)}
        sides.append(axis.features.take([place[name] for name in keys]))
    whole = np.stack([side.total()[None] for side in sides])
    blocks = zip(*(side.pool_blocks(resamples, seed) for side in sides), strict=True)
    drawn = [np.zeros((2, 0, len(before.labels))), *(_paired(np.stack(pools)) for pools in blocks)]
    return _paired(whole)[:, 0], np.concatenate(drawn, axis=1)


def _inspected(record: ImageAnalysis | None) -> ImageAnalysis | None:
    return record if record is not None and ERROR_PIXELS in record.counts and record.objects is not None else None


def _objects(axis: ObjectAxis, names: tuple[str, ...], records: list[ImageAnalysis], class_id: int | None) -> SlicedAxis:
    edges = OBJECT_EDGES[axis]
    field = "pixels" if axis is ObjectAxis.SIZE else axis.value

    def place(record: ImageAnalysis) -> NDArray[np.int64]:
        values = _rows(record)[field].astype(np.float64)
        return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right") - 1)

    features, counts = _object_features([place(record) for record in records], records, len(edges), class_id)
    limits = tuple(pairwise((*map(float, edges), math.inf)))
    return SlicedAxis(
        name=axis.value, text=AXIS_TEXT[axis.value], unit="object", labels=tuple(map(_range, limits)), limits=limits,
        images=names, features=features, counts=counts,
    )  # fmt: skip


def _object_features(
    places: Sequence[NDArray[np.int64]], records: list[ImageAnalysis], slices: int, class_id: int | None
) -> tuple[SparseFeatures, NDArray[np.int64]]:
    counts = np.zeros(slices, dtype=np.int64)
    found = []
    for place, record in zip(places, records, strict=True):
        features = np.zeros((slices, 3, 1))
        rows = _rows(record)
        chosen = place >= 0
        if class_id is not None:
            chosen &= rows["class_id"] == class_id
        where, rows = place[chosen], rows[chosen]
        right = rows["right"].astype(np.float64)
        for sort, values in enumerate((right, rows["pixels"], right + rows["false"])):
            features[:, sort, 0] = np.bincount(where, weights=values, minlength=slices)
        counts += np.bincount(where, minlength=slices)
        found.append(features)
    return SparseFeatures.of(found, (slices, 3, 1)), counts


def _pixels(axis: PixelAxis, folder: FolderAnalysis, names: tuple[str, ...], records: list[ImageAnalysis]) -> SlicedAxis:
    classes, limits = len(folder.catalog), tuple(pairwise((*map(float, PIXEL_EDGES[axis]), math.inf)))
    shape = len(limits), 3, classes

    def of(record: ImageAnalysis) -> NDArray[np.float64]:
        counts = record.counts.get(slice_name(axis))
        if counts is None:
            return np.zeros(shape)
        place, cell = np.divmod(counts.places.astype(np.int64), classes * (classes + 1))
        return _by_class(cell, place, counts.values, len(limits), classes)

    features = SparseFeatures.of(map(of, records), shape)
    return SlicedAxis(
        name=f"pixel_{axis.value}", text=f"{AXIS_TEXT[axis.value]}, pixels", unit="pixel", labels=tuple(map(_range, limits)),
        limits=limits, images=names, features=features, counts=features.images_with(1, 1),
    )  # fmt: skip


def _by_class(
    cell: NDArray[np.int64], place: NDArray[np.int64], pixels: NDArray[Any], slices: int, classes: int
) -> NDArray[np.float64]:
    """(S, 3, C) hits, truth and called pixels of cells of a confusion matrix."""
    truth, called = np.divmod(cell, classes + 1)
    right, real, weights = truth == called, called < classes, pixels.astype(np.float64)
    found = np.zeros((slices, 3, classes))
    for sort, (chosen, channel) in enumerate(((right, truth), (np.ones_like(right), truth), (real, called))):
        code = place[chosen] * classes + channel[chosen]
        found[:, sort] = np.bincount(code, weights[chosen], slices * classes).reshape(slices, classes)
    return found


def _own(
    folder: FolderAnalysis, own: OwnSlices, names: tuple[str, ...], records: list[ImageAnalysis], class_id: int | None
) -> Iterator[SlicedAxis]:
    classes, places = len(folder.catalog), own.of_images(names)
    for at, axis in enumerate(own.image_axes if class_id is None else ()):
        shape = len(axis.labels), 3, classes
        features = SparseFeatures.of(
            (_of_image(record, int(places[name][at]), shape) for name, record in zip(names, records, strict=True)), shape
        )
        yield SlicedAxis(
            name=axis.name, text=axis.text, unit="image", labels=axis.labels, limits=_no_limits(axis.labels), images=names,
            features=features, counts=features.images_with(1, 1), own=True,
        )  # fmt: skip
    for at, axis in enumerate(own.object_axes):
        sorted_in = [own.objects_of(name, len(_rows(record)))[at] for name, record in zip(names, records, strict=True)]
        features, counts = _object_features(sorted_in, records, len(axis.labels), class_id)
        yield SlicedAxis(
            name=axis.name, text=axis.text, unit="object", labels=axis.labels, limits=_no_limits(axis.labels), images=names,
            features=features, counts=counts, own=True,
        )  # fmt: skip


def _of_image(record: ImageAnalysis, place: int, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Everything of an image in one slice; nothing for place -1."""
    if place < 0:
        return np.zeros(shape)
    found = record.counts[ERROR_PIXELS]
    cell = found.places.astype(np.int64)
    return _by_class(cell, np.full_like(cell, place), found.values, shape[0], shape[2])


def _rows(record: ImageAnalysis) -> NDArray[Any]:
    assert record.objects is not None
    return record.objects


def _no_limits(labels: Sequence[str]) -> tuple[tuple[float, float], ...]:
    return ((math.nan, math.nan),) * len(labels)


def _range(limits: tuple[float, float]) -> str:
    low, high = limits
    return f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"


def _mean(pools: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, S) mean IoU over the classes of the ground truth of each slice."""
    return scores.mean_over_present(pools[:, :, 0], pools[:, :, 1], pools[:, :, 2], "truth")[0]


def _paired(pools: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, R, S) of (2, R, S, 3, K)."""
    there = (pools[..., 1, :] > 0).all(axis=0)
    iou = scores.iou_of(pools[..., 0, :], pools[..., 1, :], pools[..., 2, :])
    return scores.ratio(np.where(there, iou, 0).sum(axis=-1), np.broadcast_to(there.sum(axis=-1), iou.shape[:-1]))
