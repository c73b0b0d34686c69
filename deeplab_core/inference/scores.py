"""Coarse class scores: kept small, read exactly.

A network's scores come on a coarse grid and are upsampled bilinearly. Full-size float scores (21 classes at 12 megapixels are
1 GB) never exist: labels and confidence are decided strip by strip, and a single pixel is read from four grid points.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.inference.geometry import AxisTaps, NetworkFrame, axis_taps
from deeplab_core.kernels.compiled import can_compile, compiling, may_wait_for_loops
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.uncertainty import entropy, margin_uncertainty, mutual_information
from deeplab_core.records import RunReport

#: Floats of one strip of probabilities or of grid rows (4 MB each): fits the second-level caches of most processors.
_STRIP_FLOATS = 1 << 20
#: Probability from which the uint8 confidence is 255.
FULL_CONFIDENCE = np.float32(254.5 / 255.0)
#: float16 has no number below this; a score this far down never matters.
LOWEST = -60000.0
#: Rows and columns of the lattice of :func:`uncertainty_scores` at most.
LATTICE = 72


def _kernels() -> ModuleType:
    if may_wait_for_loops():
        from deeplab_core.kernels import upsampling

        return upsampling
    from deeplab_core.kernels import upsampling_numpy

    return upsampling_numpy


def warm_up() -> None:
    """Import and compile the inner loops, so that the first image does not wait for them. May run on a thread of its own.

    It takes about a second; the first time, before the machine code is kept on disk, some six seconds of CPU. Other threads
    use the numpy twins of the loops until then.
    """
    with compiling():
        _run_all_loops()


def _run_all_loops() -> None:
    if can_compile():
        from deeplab_core.kernels.resampling import resampled

        resampled(np.zeros((2, 2, 3), np.uint8), (1, 1), columns_first=False)
    frame = NetworkFrame((3, 3), (3, 3), (3, 3))
    catalog = ClassCatalog("warm-up", "", (ClassInfo(0, "a", (0, 0, 0)), ClassInfo(1, "b", (1, 1, 1))))
    grid = ScoreGrid(store_scores(np.zeros((2, 2, 2), np.float32)), frame, False)
    Scores((grid,), catalog).label_map()
    Scores((grid, grid), catalog).label_map()


def store_scores(logits: NDArray[np.float32]) -> NDArray[np.float16]:
    """Logits (..., C) as float16 scores relative to the largest of each point.

    Subtracting one number per grid point from all classes changes neither labels nor probabilities, before or after bilinear
    interpolation, and puts float16's precision where classes compete: near 0.
    """
    relative = logits - logits.max(axis=-1, keepdims=True)
    np.maximum(relative, LOWEST, out=relative)
    scores: NDArray[np.float16] = relative.astype(np.float16)
    return scores


@dataclass(frozen=True, eq=False)
class ScoreGrid:
    """Scores of one pass of the network (one scale, mirrored or not).

    Attributes:
        values: (gh, gw, C) float16, C-contiguous; the largest of each point is 0.
        frame: sizes of the pass.
        align_corners: rule of the upsampling.
        mirrored: the network saw the image mirrored left to right.
    """

    values: NDArray[np.float16]
    frame: NetworkFrame
    align_corners: bool
    mirrored: bool = False

    @cached_property
    def rows(self) -> AxisTaps:
        """Taps of the image's rows."""
        return self._taps(0, mirrored=False)

    @cached_property
    def columns(self) -> AxisTaps:
        """Taps of the image's columns."""
        return self._taps(1, mirrored=self.mirrored)

    def _taps(self, axis: int, *, mirrored: bool) -> AxisTaps:
        return axis_taps(
            image=self.frame.image[axis], scaled=self.frame.scaled[axis], canvas=self.frame.canvas[axis],
            grid=self.values.shape[axis], align_corners=self.align_corners, mirrored=mirrored,
        )  # fmt: skip

    def band(self, rows: AxisTaps) -> tuple[NDArray[np.float32], int]:
        """The grid rows that ``rows`` read, as float32, and the index of the first."""
        first = int(min(rows.lower[0], rows.lower[-1]))
        last = int(max(rows.upper[0], rows.upper[-1]))
        return self.values[first : last + 1].astype(np.float32), first


@dataclass(frozen=True, eq=False)
class Scores:
    """Class scores of one image, averaged over the passes as probabilities if there are several.

    Attributes:
        grids: at least one.
        catalog: classes in channel order.
        report: how they were computed.
        neutral: probability of the second of two classes that :meth:`probabilities` turns into a half, see :meth:`weighed`.
    """

    grids: tuple[ScoreGrid, ...]
    catalog: ClassCatalog
    report: RunReport = field(default_factory=RunReport)
    neutral: float = 0.5

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.grids[0].frame.image

    @property
    def nbytes(self) -> int:
        """Bytes of the grids."""
        return sum(grid.values.nbytes for grid in self.grids)

    def weighed(self, threshold: float | None) -> Scores:
        """These scores with the odds of the second class divided by those of a threshold, for what knows no thresholds.

        Whatever compares the probabilities of both classes (a CRF, a measure of doubt) then decides at the threshold.
        """
        return self if threshold is None or threshold == self.neutral else replace(self, neutral=threshold)

    def label_map(self, threshold: float | None = None) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Labels and confidence of every pixel.

        Args:
            threshold: of a two-class network: a pixel is the second class where its probability is larger. None, and 0.5,
                choose the most probable class.

        Returns:
            (H, W) ids in the catalog's dtype and (H, W) uint8 ``round(255 * probability of the label)``, both C-contiguous.
            Extra memory is a few strips of some MB, whatever the size.
        """
        height, width = self.size
        labels = np.empty((height, width), self.catalog.dtype)
        confidence = np.empty((height, width), np.uint8)
        ids = self.catalog.ids.astype(self.catalog.dtype)
        if threshold is not None and threshold != 0.5:
            self._decide_at(threshold, ids, labels, confidence)
        elif len(self.grids) == 1:
            self._decide_single(ids, labels, confidence)
        else:
            step = self._strip_rows(width * len(self.catalog))
            for top in range(0, height, step):
                rows = slice(top, min(top + step, height))
                _kernels().decide_mean(self._interleaved(rows), ids, labels[rows], confidence[rows])
        return labels, confidence

    def labels(self, threshold: float | None = None) -> NDArray[Any]:
        """The labels of :meth:`label_map`, bit for bit, without their confidence: a tenth of the time.

        Args:
            threshold: as for :meth:`label_map`.

        Returns:
            (H, W) ids in the catalog's dtype, C-contiguous.
        """
        kernels = _kernels()
        if len(self.grids) > 1 or threshold not in (None, 0.5) or not kernels.PRUNES:
            return self.label_map(threshold)[0]
        grid = self.grids[0]
        labels = np.empty(self.size, self.catalog.dtype)
        kernels.decide_labels(
            grid.values.view(np.uint16), kernels.float16_values(),
            grid.rows.lower, grid.rows.upper, grid.rows.weight,
            grid.columns.lower, grid.columns.upper, grid.columns.weight, self.catalog.ids.astype(self.catalog.dtype), labels,
        )  # fmt: skip
        return labels

    def _decide_single(self, ids: NDArray[Any], labels: LabelMap, confidence: NDArray[np.uint8]) -> None:
        grid = self.grids[0]
        kernels = _kernels()
        height, width = self.size
        grid_floats = grid.values.shape[1] * grid.values.shape[2]
        # A strip is as many pixel rows as read a band of grid rows of the strip size; few strips, since bands overlap by one.
        step = max(1, self._strip_rows(grid_floats) * height // grid.values.shape[0])
        if not kernels.PRUNES:
            step = self._strip_rows(width * grid.values.shape[2])
        for top in range(0, height, step):
            part = slice(top, min(top + step, height))
            rows = grid.rows.part(part.start, part.stop)
            band, first = grid.band(rows)
            lead = band.argmax(axis=2).astype(np.int32)
            sure = np.exp(band).sum(axis=2) * FULL_CONFIDENCE <= 1.0
            kernels.decide(
                band, lead, sure, first, rows.lower, rows.upper, rows.weight,
                grid.columns.lower, grid.columns.upper, grid.columns.weight, ids, labels[part], confidence[part],
            )  # fmt: skip

    def _decide_at(self, threshold: float, ids: NDArray[Any], labels: LabelMap, confidence: NDArray[np.uint8]) -> None:
        height, width = self.size
        step = self._strip_rows(2 * width)
        for top in range(0, height, step):
            part = slice(top, min(top + step, height))
            second = self._interleaved(part)[..., 1]
            chosen = second > np.float32(threshold)
            labels[part] = np.where(chosen, ids[1], ids[0])
            of_label = np.where(chosen, second, np.float32(1.0) - second)
            confidence[part] = np.minimum(of_label * np.float32(255.0) + np.float32(0.5), np.float32(255.0)).astype(np.uint8)

    @staticmethod
    def _strip_rows(row_floats: int) -> int:
        return max(1, _STRIP_FLOATS // max(1, row_floats))

    def probabilities(self, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.float32]:
        """Probabilities of a rectangle of pixels: (C, rows, columns) float32, a view. Ask for strips; a whole image is large.

        They sum to 1 within 1e-5: classes that are negligible in a whole cell of the grid are 0.
        """
        return np.moveaxis(self._interleaved(rows, columns), -1, 0)

    def logits(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """Logits of rows of pixels, upsampled as the labels are: (C, rows, W) float32.

        They are known up to a constant per pixel, which no softmax and no argmax sees. Of several passes, averaged as
        probabilities, it is the logarithm of the mean; no class is below -20 there.
        """
        if len(self.grids) > 1 or self.neutral != 0.5:
            return np.log(np.maximum(self.probabilities(rows), np.float32(np.exp(-20.0))))
        grid = self.grids[0]
        top, bottom, _ = rows.indices(self.size[0])
        y, x = grid.rows.part(top, bottom), grid.columns
        values = np.moveaxis(grid.values.astype(np.float32), -1, 0)
        lines = values[:, y.lower] * (1 - y.weight[:, None]) + values[:, y.upper] * y.weight[:, None]
        upsampled = lines[..., x.lower] * (1 - x.weight) + lines[..., x.upper] * x.weight
        return upsampled.astype(np.float32, copy=False)

    def sampled(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Probabilities at the crossings of some rows and columns, both ascending: (C, rows, columns) float32, a view."""
        values = self._read(lambda taps: taps.at(rows), lambda taps: taps.at(columns), rows.size, columns.size)
        return np.moveaxis(values, -1, 0)

    def _interleaved(self, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.float32]:
        """As :meth:`probabilities`, with the classes last, which is how they are computed: (rows, columns, C)."""
        height, width = self.size
        top, bottom, _ = rows.indices(height)
        left, right, _ = columns.indices(width)
        return self._read(lambda taps: taps.part(top, bottom), lambda taps: taps.part(left, right), bottom - top, right - left)

    def _read(
        self, of_rows: Callable[[AxisTaps], AxisTaps], of_columns: Callable[[AxisTaps], AxisTaps], height: int, width: int
    ) -> NDArray[np.float32]:
        out = np.zeros((max(height, 0), max(width, 0), len(self.catalog)), np.float32)
        if not out.size:
            return out
        share = np.float32(1.0 / len(self.grids))
        for grid in self.grids:
            y, x = of_rows(grid.rows), of_columns(grid.columns)
            band, first = grid.band(y)
            _kernels().add_probabilities(band, first, y.lower, y.upper, y.weight, x.lower, x.upper, x.weight, share, out)
        if self.neutral != 0.5:
            out *= np.array([self.neutral, 1.0 - self.neutral], np.float32)
            out /= out.sum(axis=-1, keepdims=True)
        return out

    def probabilities_at(self, x: int, y: int) -> NDArray[np.float32]:
        """(C,) float32 probabilities of the pixel in column ``x`` and row ``y``, with the arithmetic of :meth:`label_map`.

        Raises:
            IndexError: the pixel lies outside the image.
        """
        height, width = self.size
        if not (0 <= x < width and 0 <= y < height):
            raise IndexError(f"pixel ({x}, {y}) lies outside the image of {width} x {height}")
        pixel: NDArray[np.float32] = self._interleaved(slice(y, y + 1), slice(x, x + 1))[0, 0]
        return pixel

    def top_classes_at(self, x: int, y: int, top: int = 3) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Ids and probabilities of the ``top`` most probable classes of a pixel; the first is the label of :meth:`label_map`."""
        probabilities = self.probabilities_at(x, y)
        if len(self.grids) == 1:  # two scores one bit apart can give equal probabilities; the labels compared the scores
            ranking = np.lexsort((-self._scores_at(x, y), -probabilities))
        else:
            ranking = np.argsort(-probabilities, kind="stable")
        best = ranking[: max(0, top)]
        return tuple(int(i) for i in self.catalog.ids[best]), tuple(float(p) for p in probabilities[best])

    def _scores_at(self, x: int, y: int) -> NDArray[np.float32]:
        grid = self.grids[0]
        rows, columns = grid.rows.part(y, y + 1), grid.columns.part(x, x + 1)
        band, first = grid.band(rows)
        wy, wx = rows.weight[0], columns.weight[0]
        one = np.float32(1.0)
        sides = band[rows.lower[0] - first] * (one - wy) + band[rows.upper[0] - first] * wy
        out: NDArray[np.float32] = sides[columns.lower[0]] * (one - wx) + sides[columns.upper[0]] * wx
        return out


class ScoreStore:
    """The scores of the images looked at last, bounded by bytes."""

    def __init__(self, max_bytes: int = 256 << 20) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[str, Scores] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes held now; at most ``max_bytes``."""
        return sum(scores.nbytes for scores in self._kept.values())

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def keep(self, key: str, scores: Scores) -> bool:
        """Keep the scores of an image, dropping the longest unused; False where they alone exceed the bound."""
        self._kept.pop(key, None)
        if scores.nbytes > self.max_bytes:
            return False
        self._kept[key] = scores
        while self.nbytes > self.max_bytes:
            self._kept.popitem(last=False)
        return True

    def find(self, key: str) -> Scores | None:
        """The scores of an image, or None where they are not kept (any more)."""
        scores = self._kept.get(key)
        if scores is not None:
            self._kept.move_to_end(key)
        return scores

    def clear(self) -> None:
        """Forget everything, e.g. because another model was loaded."""
        self._kept.clear()


def uncertainty_scores(scores: Scores) -> dict[str, float]:
    """How uncertain a model is of one image: means over the image, each 0..1 and higher where the model is less sure.

    The whole probabilities of an image are never kept, and the stored confidence is only the largest of them. What needs them all
    is measured while they can still be read, on a lattice of pixels: a few thousand of them give the mean of an image as well as
    all of them.

    Points beside a change of class on the lattice are left out, because every model is unsure at edges; if nothing else is
    left, all count.

    Returns:
        ``margin`` (1 minus the lead of the first class over the second), ``entropy`` (over ln C) and, where several passes were
        averaged, ``passes`` (their mutual information, Houlsby et al. 2011).
    """
    height, width = scores.size
    rows, columns = _lattice(height), _lattice(width)
    probabilities = _planes(scores, rows, columns)
    if len(probabilities) < 2:
        return {}
    inside = _inner(probabilities.argmax(axis=0))
    maps = {"margin": margin_uncertainty(probabilities), "entropy": entropy(probabilities)}
    if len(scores.grids) > 1:
        passes = [_planes(Scores((grid,), scores.catalog), rows, columns) for grid in scores.grids]
        maps["passes"] = mutual_information(passes)
    return {name: float(values[inside].mean(dtype=np.float64)) for name, values in maps.items()}


def _lattice(length: int) -> NDArray[np.int64]:
    count = min(length, LATTICE)
    return ((np.arange(count) + 0.5) * (length / count)).astype(np.int64)


def _planes(scores: Scores, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """(C, rows, columns) float32."""
    return np.ascontiguousarray(scores.sampled(rows, columns))


def _inner(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    edge = np.zeros(labels.shape, dtype=np.bool_)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return ~edge if not edge.all() else np.ones_like(edge)
