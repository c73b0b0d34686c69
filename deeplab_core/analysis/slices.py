"""Scores by size, occlusion, distance to an edge, brightness and contrast: where a model is weak."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.geometry import strips
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.cell_counts import CellCounts
from deeplab_core.metrics.counting import channel_table
from deeplab_core.metrics.scores import mean_over_present, ratio
from deeplab_core.metrics.trimap import EXCLUDED, band_map

#: Side of the window that local contrast is measured in, px.
CONTRAST_WINDOW = 15


class ObjectAxis(StrEnum):
    """What objects are sorted by."""

    SIZE = "size"
    BORDER_SHARE = "border_share"
    VISIBLE_FRACTION = "visible_fraction"
    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"


class PixelAxis(StrEnum):
    """What pixels are sorted by."""

    DISTANCE = "distance"
    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"


#: Lower edges of the slices of objects; each runs to the next. Sizes in px, with COCO's 32 x 32 and 96 x 96 among them.
OBJECT_EDGES: dict[ObjectAxis, tuple[float, ...]] = {
    ObjectAxis.SIZE: (0, 16**2, 32**2, 64**2, 96**2, 192**2),
    ObjectAxis.BORDER_SHARE: (0, 0.05, 0.15, 0.25, 0.5),
    ObjectAxis.VISIBLE_FRACTION: (0, 0.25, 0.5, 0.75, 0.95),
    ObjectAxis.BRIGHTNESS: (0, 32, 64, 96, 128, 160, 192, 224),
    ObjectAxis.CONTRAST: (0, 5, 10, 15, 20, 30, 40),
}

#: Lower edges of the slices of pixels: distance in px (1 touches another class), luma 0..255, contrast in levels of luma.
PIXEL_EDGES: dict[PixelAxis, tuple[float, ...]] = {
    PixelAxis.DISTANCE: (1, 2, 3, 5, 9, 17, 41),
    PixelAxis.BRIGHTNESS: (0, 32, 64, 96, 128, 160, 192, 224),
    PixelAxis.CONTRAST: (0, 2, 5, 10, 15, 20, 30, 40),
}

#: Columns that each axis has where pixels of all axes' slices stand side by side, and how many there are.
SLICE_COLUMNS: dict[PixelAxis, int] = dict(zip(PixelAxis, accumulate([0, *map(len, PIXEL_EDGES.values())]), strict=False))
SLICES = sum(map(len, PIXEL_EDGES.values()))

#: What the axes mean, for display beside a figure.
AXIS_TEXT: dict[str, str] = {
    "size": "pixels of the object",
    "border_share": "share of the object's outline that another class of object touches, a proxy for occlusion",
    "visible_fraction": "visible share of the object's silhouette, if the data has it",
    "brightness": "luma, 0..255",
    "contrast": f"standard deviation of luma within {CONTRAST_WINDOW} x {CONTRAST_WINDOW} px",
    "distance": "distance to the nearest class edge of the truth, px",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of one axis.

    Attributes:
        axis: what is sorted by.
        place: which slice, 0 for the lowest edge of :data:`OBJECT_EDGES` or :data:`PIXEL_EDGES`.
    """

    axis: ObjectAxis | PixelAxis
    place: int

    @property
    def edges(self) -> tuple[float, float]:
        """The slice holds ``low <= value < high``; the last one has no end (inf)."""
        rising = OBJECT_EDGES[self.axis] if isinstance(self.axis, ObjectAxis) else PIXEL_EDGES[self.axis]
        return float(rising[self.place]), float((*rising, math.inf)[self.place + 1])


@dataclass(frozen=True, slots=True)
class ObjectSlice:
    """Objects between two values of an axis.

    Attributes:
        low, high: the slice holds ``low <= value < high``; the last one has no end (inf).
        objects: how many.
        pixels: their pixels.
        recall: share of their pixels that is right, 0..1; nan without objects.
        iou: hits over hits, misses and the false alarms of predicted regions that belong to them; invented objects are in no
            slice. nan without objects.
        swapped: share of their pixels that was given another object class.
        lost: share of the objects of which less than a tenth is right.
    """

    low: float
    high: float
    objects: int
    pixels: int
    recall: float
    iou: float
    swapped: float
    lost: float


@dataclass(frozen=True, slots=True)
class PixelSlice:
    """Labelled pixels between two values of an axis: their number, accuracy and mean IoU over the classes in their truth.

    ``images``: how many have such pixels.
    """

    low: float
    high: float
    pixels: int
    accuracy: float
    mean_iou: float
    images: int


def brightness_map(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) luma of an (H, W, 3) image, 0..255 (ITU-R BT.601 weights)."""
    import cv2

    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def contrast_strips(brightness: NDArray[np.uint8]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of an image and their local contrast: standard deviation of luma within a window, in levels of luma; 0 on flat areas.

    The strips are those of :func:`~deeplab_core.geometry.strips`; sums of whole numbers are exact, so no value depends on them.
    """
    import cv2

    size, reach, height = (CONTRAST_WINDOW, CONTRAST_WINDOW), CONTRAST_WINDOW // 2, len(brightness)
    for strip in strips(brightness.shape):
        first, last = max(0, strip.start - reach), min(height, strip.stop + reach)
        luma = brightness[first:last].astype(np.float32)
        mean = cv2.blur(luma, size)
        square = cv2.sqrBoxFilter(luma, cv2.CV_32F, size)
        inside = slice(strip.start - first, strip.stop - first)
        yield strip, np.sqrt(np.maximum(square[inside] - mean[inside] * mean[inside], 0))


def slice_objects(
    rows: NDArray[Any], axis: ObjectAxis, *, class_id: int | None = None, edges: Sequence[float] | None = None
) -> list[ObjectSlice]:
    """Scores of objects by one axis.

    Args:
        rows: (N,) of :data:`~deeplab_core.analysis.objects.OBJECT`, of one image or of a folder.
        axis: what to sort by; objects without this value are left out.
        class_id: only objects of this class.
        edges: rising lower edges; None takes :data:`OBJECT_EDGES`.
    """
    if class_id is not None:
        rows = rows[rows["class_id"] == class_id]
    values = _object_values(rows, axis)
    rows, values = rows[~np.isnan(values)], values[~np.isnan(values)]
    limits = [*(OBJECT_EDGES[axis] if edges is None else edges), math.inf]
    found = []
    for low, high in pairwise(limits):
        chosen = rows[(values >= low) & (values < high)]
        pixels, right = int(chosen["pixels"].sum(dtype=np.int64)), int(chosen["right"].sum(dtype=np.int64))
        union = pixels + int(chosen["false"].sum(dtype=np.int64))
        found.append(
            ObjectSlice(
                low=float(low),
                high=float(high),
                objects=len(chosen),
                pixels=pixels,
                recall=_share(right, pixels),
                iou=_share(right, union),
                swapped=_share(int(chosen["swapped"].sum(dtype=np.int64)), pixels),
                lost=_share(int((chosen["right"] < 0.1 * chosen["pixels"]).sum()), len(chosen)),
            )
        )
    return found


def objects_within(rows: NDArray[Any], within: Slice, *, class_id: int | None = None) -> NDArray[np.bool_]:
    """(N,) bool: which objects a slice of an object axis holds, of one class where its id is given."""
    if not isinstance(within.axis, ObjectAxis):
        raise ValueError(f"{within.axis} sorts pixels, not objects")
    values = _object_values(rows, within.axis)
    low, high = within.edges
    chosen: NDArray[np.bool_] = (values >= low) & (values < high)
    return chosen if class_id is None else chosen & (rows["class_id"] == class_id)


def _object_values(rows: NDArray[Any], axis: ObjectAxis) -> NDArray[np.float64]:
    values: NDArray[np.float64] = rows["pixels" if axis is ObjectAxis.SIZE else axis.value].astype(np.float64)
    return values


@dataclass(frozen=True, slots=True, eq=False)
class PixelSlices:
    """Confusion matrices by slice of one axis, pooled over images.

    Attributes:
        axis: what pixels are sorted by, sliced at :data:`PIXEL_EDGES`.
        counts: (S, C, C + 1), a confusion matrix per slice.
        images: (S,) int64, how many images have pixels in each slice.
    """

    axis: PixelAxis
    counts: CellCounts
    images: NDArray[np.int64]

    def rows(self) -> list[PixelSlice]:
        """Scores of each slice."""
        limits = [*PIXEL_EDGES[self.axis], math.inf]
        hits, truth, prediction = self.counts.sums()
        scores, pixels = mean_over_present(hits, truth, prediction, "truth")[0], truth.sum(axis=1)
        accuracy = ratio(hits.sum(axis=1), pixels)
        return [
            PixelSlice(float(low), float(high), int(labelled), float(exact), float(score), int(images))
            for low, high, labelled, exact, score, images in zip(
                limits[:-1], limits[1:], pixels, accuracy, scores, self.images, strict=True
            )
        ]


def slice_pixels(
    values: Mapping[PixelAxis, NDArray[Any]], *, truth: LabelMap, prediction: LabelMap, catalog: ClassCatalog
) -> dict[PixelAxis, CellCounts]:
    """Confusion matrices of one image by slice of every axis that is given.

    Args:
        values: (H, W) numbers by axis, sliced at :data:`PIXEL_EDGES`; pixels below an axis' first edge are in none of its slices.
        truth, prediction: (H, W) ids; void of the truth is not counted.
        catalog: the classes.

    Returns:
        (S, C, C + 1) counts by axis.
    """
    table = channel_table(catalog)
    found = {axis: CellCounts((len(PIXEL_EDGES[axis]), len(catalog), len(catalog) + 1)) for axis in values}
    for strip in strips(truth.shape):
        labelled = truth[strip] != catalog.ignore
        cells = table.wide_lut.take(truth[strip][labelled]) * (len(catalog) + 1)
        cells += table.wide_lut.take(prediction[strip][labelled])
        for axis, numbers in values.items():
            place = slice_places(axis, numbers[strip][labelled])
            sliced = place > 0
            found[axis].count(cells[sliced], place[sliced] - 1)
    return found


def slice_places(axis: PixelAxis, values: NDArray[Any]) -> NDArray[np.int64]:
    """1 + the slice that each value of an axis is in; 0 below its first edge. Any shape."""
    whole = whole_values(values)
    table = np.searchsorted(PIXEL_EDGES[axis], np.arange(256), side="right")
    found: NDArray[np.int64] = table.astype(np.int64)[whole]
    return found


def whole_values(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values as whole numbers, 0..255; all edges of pixel slices are such, so these decide as the values themselves would."""
    if values.dtype == np.uint8:
        return values
    whole: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return whole


def distance_values(truth: LabelMap, ignore: int) -> NDArray[np.uint8]:
    """(H, W) uint8: distance to a class edge of the truth, rounded up, 1..40; 41 farther away, 0 (in no slice) on void."""
    index = band_map(truth=truth, ignore=ignore, rule="edge")
    index[truth == ignore] = EXCLUDED
    return index


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
