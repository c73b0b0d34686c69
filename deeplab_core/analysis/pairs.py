"""What one cell of a confusion matrix, or a pair of classes in both directions, costs, why, and what fixing it would win.

The *loss* of a class is what keeps its IoU below 1: its misses (truth of the class called something else, void included) and its
false alarms (other labelled truth called the class); IoU = hits / (hits + loss). A pixel of cell (a, b), truth a called b, is a
miss of a and a false alarm of b, so it is in the loss of both classes and in that of no other.

Every cell is split three times, and each split adds up to the cell exactly:

- by part: boundary, extent or segment (:mod:`~deeplab_core.analysis.partition`), as a miss of the truth class; and once more as a
  false alarm of the predicted class, which may be judged another part;
- by occlusion: pixels of objects of the ground truth that an occluder cuts (kind ``occluder_cut``), of other objects, and of no
  object (stuff);
- by the size of that object, in the slices of :data:`~deeplab_core.analysis.slices.OBJECT_EDGES`.

*Fixing* is an oracle: the pixels of the pair are set to their truth and nothing else changes. The hits of a gain n_ab, its false
alarms lose n_ba, and the same for b; the mean runs over the classes of the ground truth before and after.

Intervals are percentile bootstraps over the images that were inspected (:mod:`deeplab_core.metrics.bootstrap`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import PARTS
from deeplab_core.analysis.record import CELL_OCCLUSION, CELL_PARTS, CELL_SIZES, COMPONENTS, ERROR_PIXELS
from deeplab_core.analysis.slices import OBJECT_EDGES, ObjectAxis
from deeplab_core.analysis.sparse_features import SparseFeatures
from deeplab_core.metrics import scores
from deeplab_core.metrics.bootstrap import RESAMPLES, interval

#: What :attr:`CellLoss.occlusion` counts, in its order.
OCCLUSION = ("occluded", "not_occluded", "no_object")
#: Lower edges in px of the sizes that :attr:`CellLoss.sizes` counts; its last entry is of no object.
SIZE_EDGES = OBJECT_EDGES[ObjectAxis.SIZE]

Bounds = tuple[float, float]
_NO_BOUNDS: Bounds = (math.nan, math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLoss:
    """One cell of the confusion matrix. ``missed``, ``occlusion`` and ``sizes`` each add up to ``pixels``, and so does ``false``
    unless the prediction is void.

    Attributes:
        truth, prediction: class ids; the prediction may be void.
        pixels: of the cell.
        components: connected parts.
        images: images with such a pixel.
        missed: boundary, extent and segment px, judged as misses of the truth class.
        false: the same, judged as false alarms of the predicted class; zeros where the prediction is void.
        occlusion: px by :data:`OCCLUSION`.
        sizes: px by :data:`SIZE_EDGES` of the object of the ground truth, px of no object last.
        largest_image, largest_px: the image with most of it; empty and 0 without any.
    """

    truth: int
    prediction: int
    pixels: int
    components: int
    images: int
    missed: tuple[int, ...]
    false: tuple[int, ...]
    occlusion: tuple[int, ...]
    sizes: tuple[int, ...]
    largest_image: str
    largest_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairClassLoss:
    """What a pair costs one of its classes; shares and scores 0..1, nan if undefined.

    Attributes:
        class_id: which.
        missed_px, false_px: misses and false alarms of the class that the pair holds.
        misses, false_alarms: all of the class.
        share: (missed_px + false_px) / (misses + false_alarms), with its interval.
        iou, repaired: IoU as it is, and with the pair fixed.
        share_interval, gain_interval: of ``share`` and of ``repaired - iou``.
    """

    class_id: int
    missed_px: int
    false_px: int
    misses: int
    false_alarms: int
    share: float
    share_interval: Bounds
    iou: float
    repaired: float
    gain_interval: Bounds

    @property
    def gain(self) -> float:
        """IoU that fixing the pair would win."""
        return self.repaired - self.iou


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLoss:
    """A cell, or a pair in both directions.

    Attributes:
        cells: one or two, the asked direction first.
        classes: the loss of each class, without void.
        pixels: of the cells together.
        share: of all wrong pixels, 0..1; nan without any.
        images: images with a pixel of it.
        inspected: images that were inspected.
        largest_image, largest_px: the image with most of it.
        mean_iou, repaired_mean: mean IoU over the classes of the ground truth, as it is and with the pair fixed.
        mean_interval: of the difference.
    """

    cells: tuple[CellLoss, ...]
    classes: tuple[PairClassLoss, ...]
    pixels: int
    share: float
    images: int
    inspected: int
    largest_image: str
    largest_px: int
    mean_iou: float
    repaired_mean: float
    mean_interval: Bounds

    @property
    def mean_gain(self) -> float:
        """Mean IoU that fixing the pair would win."""
        return self.repaired_mean - self.mean_iou

    @property
    def largest_share(self) -> float:
        """Share of the pair's pixels that one image holds; nan without any."""
        return self.largest_px / self.pixels if self.pixels else math.nan


def pair_loss(
    folder: FolderAnalysis,
    truth: int,
    prediction: int,
    *,
    both_ways: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairLoss:
    """What a cell or a pair costs.

    Args:
        folder: inspected images.
        truth, prediction: class ids; the prediction may be void, which has one direction only.
        both_ways: with the mirrored cell (sofa called chair beside chair called sofa).
        resamples, seed: of the intervals; 0 for none.

    Raises:
        CatalogError: an unknown id.
        ValueError: both are the same class.
    """
    if truth == prediction:
        raise ValueError("a class is not confused with itself")
    catalog = folder.catalog
    ways = [(truth, prediction)]
    if both_ways and prediction != catalog.ignore:
        ways.append((prediction, truth))
    column = {**{int(class_id): place for place, class_id in enumerate(catalog.ids)}, catalog.ignore: len(catalog)}
    places = [
        (catalog.index_of(one), len(catalog) if other == catalog.ignore else catalog.index_of(other)) for one, other in ways
    ]
    names = [name for name in sorted(folder) if (record := folder.get(name)) is not None and ERROR_PIXELS in record.counts]
    cells = np.array([[_at(folder, name, place) for place in places] for name in names], dtype=np.int64).reshape(-1, len(places))
    counts = folder.total(ERROR_PIXELS)
    sums = _sums(folder, names, cells, resamples, seed)
    whole, drawn = _Scored(counts, cells.sum(axis=0)[None], places, None), _Scored(counts, None, places, sums)
    totals = cells.sum(axis=1)
    wrong = folder.wrong_px
    shown = [class_id for class_id in (truth, prediction) if class_id != catalog.ignore]
    return PairLoss(
        cells=tuple(
            _cell(folder, way, place, names, cells[:, at]) for at, (way, place) in enumerate(zip(ways, places, strict=True))
        ),
        classes=tuple(_of_class(class_id, column[class_id], whole, drawn) for class_id in shown),
        pixels=int(totals.sum()),
        share=int(totals.sum()) / wrong if wrong else math.nan,
        images=int(np.count_nonzero(totals)),
        inspected=len(names),
        largest_image=_largest(names, totals)[0],
        largest_px=_largest(names, totals)[1],
        mean_iou=float(whole.mean(fixed=False)[0]),
        repaired_mean=float(whole.mean(fixed=True)[0]),
        mean_interval=_bounds(drawn.mean(fixed=True) - drawn.mean(fixed=False)),
    )


def pair_loss_to_dict(loss: PairLoss) -> dict[str, Any]:
    """Plain values for JSON; null if undefined."""
    return {
        "pixels": loss.pixels,
        "share": _number(loss.share),
        "images": loss.images,
        "inspected": loss.inspected,
        "largest_image": {"image": loss.largest_image, "pixels": loss.largest_px, "share": _number(loss.largest_share)},
        "mean_iou": _number(loss.mean_iou),
        "mean_iou_if_fixed": _number(loss.repaired_mean),
        "mean_gain": _number(loss.mean_gain),
        "mean_gain_interval": _pair(loss.mean_interval),
        "cells": [
            {
                "truth": cell.truth,
                "prediction": cell.prediction,
                "pixels": cell.pixels,
                "components": cell.components,
                "images": cell.images,
                "as_missed": dict(zip(map(str, PARTS), cell.missed, strict=True)),
                "as_false": dict(zip(map(str, PARTS), cell.false, strict=True)),
                "occlusion": dict(zip(OCCLUSION, cell.occlusion, strict=True)),
                "sizes": [{"low": low, "pixels": pixels} for low, pixels in zip((*SIZE_EDGES, None), cell.sizes, strict=True)],
                "largest_image": {"image": cell.largest_image, "pixels": cell.largest_px},
            }
            for cell in loss.cells
        ],
        "classes": [
            {
                "id": one.class_id,
                "missed_px": one.missed_px,
                "false_px": one.false_px,
                "misses": one.misses,
                "false_alarms": one.false_alarms,
                "share_of_loss": _number(one.share),
                "share_of_loss_interval": _pair(one.share_interval),
                "iou": _number(one.iou),
                "iou_if_fixed": _number(one.repaired),
                "gain": _number(one.gain),
                "gain_interval": _pair(one.gain_interval),
            }
            for one in loss.classes
        ],
    }


def pair_loss_from_dict(values: dict[str, Any]) -> PairLoss:
    """Rebuild what :func:`pair_loss_to_dict` made. Raises KeyError, TypeError or ValueError for anything else."""
    largest = values["largest_image"]
    return PairLoss(
        cells=tuple(
            CellLoss(
                truth=int(row["truth"]),
                prediction=int(row["prediction"]),
                pixels=int(row["pixels"]),
                components=int(row["components"]),
                images=int(row["images"]),
                missed=tuple(int(row["as_missed"][part]) for part in PARTS),
                false=tuple(int(row["as_false"][part]) for part in PARTS),
                occlusion=tuple(int(row["occlusion"][name]) for name in OCCLUSION),
                sizes=tuple(int(size["pixels"]) for size in row["sizes"]),
                largest_image=str(row["largest_image"]["image"]),
                largest_px=int(row["largest_image"]["pixels"]),
            )
            for row in values["cells"]
        ),
        classes=tuple(
            PairClassLoss(
                class_id=int(row["id"]),
                missed_px=int(row["missed_px"]),
                false_px=int(row["false_px"]),
                misses=int(row["misses"]),
                false_alarms=int(row["false_alarms"]),
                share=_float(row["share_of_loss"]),
                share_interval=_floats(row["share_of_loss_interval"]),
                iou=_float(row["iou"]),
                repaired=_float(row["iou_if_fixed"]),
                gain_interval=_floats(row["gain_interval"]),
            )
            for row in values["classes"]
        ),
        pixels=int(values["pixels"]),
        share=_float(values["share"]),
        images=int(values["images"]),
        inspected=int(values["inspected"]),
        largest_image=str(largest["image"]),
        largest_px=int(largest["pixels"]),
        mean_iou=_float(values["mean_iou"]),
        repaired_mean=_float(values["mean_iou_if_fixed"]),
        mean_interval=_floats(values["mean_gain_interval"]),
    )


class _Scored:
    """Scores of R pools with and without the pixels of some cells: of the whole folder (R = 1), or of drawn ones.

    Attributes:
        hits, truth, called: (R, C) pixels.
        cells: (R, K) pixels of the cells.
    """

    def __init__(
        self,
        counts: NDArray[np.int64],
        cells: NDArray[np.int64] | None,
        places: list[tuple[int, int]],
        sums: NDArray[np.float64] | None,
    ) -> None:
        classes = counts.shape[0]
        self._places = places
        if sums is not None:
            parts = np.split(sums, [classes, 2 * classes, 3 * classes], axis=1)
            self.hits, self.truth, self.called, self.cells = parts
            return
        assert cells is not None
        self.hits = scores.hits(counts)[None].astype(np.float64)
        self.truth, self.called = (
            of(counts)[None].astype(np.float64) for of in (scores.truth_pixels, scores.prediction_pixels)
        )  # fmt: skip
        self.cells = cells.astype(np.float64)

    def of(self, channel: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(R,) misses and false alarms of a class that the cells hold."""
        missed = sum((self.cells[:, at] for at, (row, _) in enumerate(self._places) if row == channel), np.zeros(len(self.hits)))
        false = sum((self.cells[:, at] for at, (_, col) in enumerate(self._places) if col == channel), np.zeros(len(self.hits)))
        return np.asarray(missed), np.asarray(false)

    def share(self, channel: int) -> NDArray[np.float64]:
        """(R,) share of a class's loss that the cells hold."""
        missed, false = self.of(channel)
        loss = self.truth[:, channel] + self.called[:, channel] - 2 * self.hits[:, channel]
        return scores.ratio(missed + false, loss)

    def iou(self, *, fixed: bool) -> NDArray[np.float64]:
        """(R, C) IoU, with the cells set to their truth or as they are."""
        hits, called = self.hits.copy(), self.called.copy()
        for at, (row, column) in enumerate(self._places if fixed else ()):
            hits[:, row] += self.cells[:, at]
            called[:, row] += self.cells[:, at]
            if column < called.shape[1]:
                called[:, column] -= self.cells[:, at]
        return scores.iou_of(hits, self.truth, called)

    def mean(self, *, fixed: bool) -> NDArray[np.float64]:
        """(R,) mean over the classes of the ground truth."""
        there = self.truth > 0
        return scores.ratio(np.where(there, self.iou(fixed=fixed), 0).sum(axis=1), there.sum(axis=1))


def _at(folder: FolderAnalysis, name: str, place: tuple[int, int]) -> int:
    record = folder.get(name)
    assert record is not None
    return record.counts[ERROR_PIXELS].at(place[0] * (len(folder.catalog) + 1) + place[1])


def _sums(folder: FolderAnalysis, names: list[str], cells: NDArray[np.int64], resamples: int, seed: int) -> NDArray[np.float64]:
    """(R, 3 C + K) hits, truth, predicted pixels of every class and pixels of the cells, of drawn pools."""
    classes = len(folder.catalog)
    shape = (3 * classes + cells.shape[1],)
    if not resamples:
        return np.zeros((0, *shape))
    records = [record for name in names if (record := folder.get(name)) is not None]
    found = [record.counts[ERROR_PIXELS] for record in records]
    images = np.repeat(np.arange(len(found)), [len(counts.places) for counts in found])
    empty = np.zeros(0, np.int64)
    cell = np.concatenate([empty, *(counts.places for counts in found)]).astype(np.int64)
    pixels = np.concatenate([empty, *(counts.values for counts in found)]).astype(np.float64)
    truth, called = np.divmod(cell, classes + 1)
    right, real = truth == called, called < classes
    of_cell, at = np.nonzero(cells)
    parts = [
        (images[right], truth[right], pixels[right]),
        (images, classes + truth, pixels),
        (images[real], 2 * classes + called[real], pixels[real]),
        (of_cell, 3 * classes + at, cells[of_cell, at].astype(np.float64)),
    ]
    rows, places, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return SparseFeatures.summed(rows, places, values, len(names), shape).pools(resamples, seed)


def _cell(
    folder: FolderAnalysis, way: tuple[int, int], place: tuple[int, int], names: list[str], pixels: NDArray[np.int64]
) -> CellLoss:
    parts, image = folder.by_cell(CELL_PARTS).at(*place), _largest(names, pixels)
    return CellLoss(
        truth=way[0],
        prediction=way[1],
        pixels=int(pixels.sum()),
        components=int(folder.total(COMPONENTS)[place]),
        images=int(np.count_nonzero(pixels)),
        missed=tuple(parts[0].tolist()),
        false=tuple(parts[1].tolist()),
        occlusion=tuple(folder.by_cell(CELL_OCCLUSION).at(*place).tolist()),
        sizes=tuple(folder.by_cell(CELL_SIZES).at(*place).tolist()),
        largest_image=image[0],
        largest_px=image[1],
    )


def _of_class(class_id: int, channel: int, whole: _Scored, drawn: _Scored) -> PairClassLoss:
    missed, false = (int(part[0]) for part in whole.of(channel))
    hits = int(whole.hits[0, channel])
    return PairClassLoss(
        class_id=class_id,
        missed_px=missed,
        false_px=false,
        misses=int(whole.truth[0, channel]) - hits,
        false_alarms=int(whole.called[0, channel]) - hits,
        share=float(whole.share(channel)[0]),
        share_interval=_bounds(drawn.share(channel)),
        iou=float(whole.iou(fixed=False)[0, channel]),
        repaired=float(whole.iou(fixed=True)[0, channel]),
        gain_interval=_bounds((drawn.iou(fixed=True) - drawn.iou(fixed=False))[:, channel]),
    )


def _largest(names: list[str], pixels: NDArray[np.int64]) -> tuple[str, int]:
    """The image with most pixels, of equal ones the first by name."""
    best = min(((-int(number), name) for name, number in zip(names, pixels, strict=True)), default=(0, ""))
    return (best[1], -best[0]) if best[0] else ("", 0)


def _bounds(values: NDArray[np.float64]) -> Bounds:
    if not len(values):
        return _NO_BOUNDS
    low, high = interval(values).tolist()
    return float(low), float(high)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _pair(bounds: Bounds) -> list[float] | None:
    return None if any(math.isnan(bound) for bound in bounds) else list(bounds)


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _floats(values: list[float] | None) -> Bounds:
    return _NO_BOUNDS if values is None else (float(values[0]), float(values[1]))
