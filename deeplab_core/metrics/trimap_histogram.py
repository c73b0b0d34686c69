"""Confusion by distance to a boundary: every width of the trimap experiment from one pass over the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.display import data_frame, html_table, percent
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import scores
from deeplab_core.metrics.cell_counts import CellCounts
from deeplab_core.metrics.confusion import ConfusionMatrix, check_same_classes, same_classes
from deeplab_core.metrics.counting import PixelDelta, count_banded
from deeplab_core.metrics.scores import AbsentRule
from deeplab_core.metrics.storage import pack_counts, unpack_counts
from deeplab_core.metrics.trimap import EXCLUDED, OUTSIDE, WIDEST, BandAround, BandRule, check_width
from deeplab_core.records import TrimapBand

#: Widths that a notebook shows, px.
_SHOWN_WIDTHS = (1, 2, 3, 5, 8, 12, 20, 40)


@dataclass(frozen=True, slots=True, eq=False)
class BandCurve:
    """Scores inside the band over its width; nan where the band is empty.

    Attributes:
        width_px: (40,) int64, 1..40.
        mean_iou: (40,) float64, 0..1.
        classes: (40,) int64, how many classes the mean runs over.
        pixel_accuracy: (40,) float64, 0..1.
        share: (40,) float64, pixels of the band among all labelled pixels, 0..1.
    """

    width_px: NDArray[np.int64]
    mean_iou: NDArray[np.float64]
    classes: NDArray[np.int64]
    pixel_accuracy: NDArray[np.float64]
    share: NDArray[np.float64]

    def rows(self, widths: tuple[int, ...]) -> list[dict[str, Any]]:
        """Plain rows for some widths; nan becomes None."""
        picked = []
        for width in widths:
            at = check_width(width) - 1
            picked.append(
                {
                    "width_px": width,
                    "mean_iou": none_if_nan(self.mean_iou[at]),
                    "classes": int(self.classes[at]),
                    "pixel_accuracy": none_if_nan(self.pixel_accuracy[at]),
                    "share": none_if_nan(self.share[at]),
                }
            )
        return picked

    def to_pandas(self) -> Any:
        """One row per width, 1 to 40 px, as a data frame. Raises AtrousError without pandas."""
        return data_frame(self.rows(tuple(self.width_px.tolist())))

    def _repr_html_(self) -> str:
        shown = self.rows(_SHOWN_WIDTHS)
        cells = [
            (
                row["width_px"],
                *(percent(math.nan if row[key] is None else row[key]) for key in ("mean_iou", "pixel_accuracy", "share")),
            )
            for row in shown
        ]
        return html_table("Scores by trimap width", ("width, px", "mean IoU", "pixel accuracy", "share of pixels"), cells)


class BandHistogram:
    """Pixels counted by band index, truth and prediction, for one band rule.

    Layer k of the (41, C, C + 1) counts holds the pixels of band index k + 1: the first 40 add up to the bands of width 1..40,
    the last one lies farther away. Columns as in :class:`ConfusionMatrix`.

    Attributes:
        catalog: the classes.
        rule, around: which band, see :class:`deeplab_core.records.TrimapBand`.
    """

    __slots__ = ("_counts", "around", "catalog", "rule")

    def __init__(
        self,
        catalog: ClassCatalog,
        *,
        rule: BandRule,
        around: BandAround = "truth",
        counts: NDArray[np.int64] | CellCounts | None = None,
    ) -> None:
        """Make an empty histogram, or one with a copy of (41, C, C + 1) ``counts``."""
        TrimapBand(rule=rule, around=around)  # refuses combinations that do not exist
        shape = OUTSIDE, len(catalog), len(catalog) + 1
        if isinstance(counts, np.ndarray) and counts.dtype.kind not in "iu":
            raise ValueError(f"counts must be integers, got {counts.dtype}")
        if counts is not None and counts.shape != shape:
            raise ValueError(f"counts must be of shape {shape}, got {counts.shape}")
        self.catalog = catalog
        self.rule: BandRule = rule
        self.around: BandAround = around
        if counts is None:
            self._counts = CellCounts(shape)
        else:
            self._counts = counts.copy() if isinstance(counts, CellCounts) else CellCounts.of(counts)
            if self._counts.sparse()[1].min(initial=0) < 0:
                raise ValueError("counts must not be negative")

    # Counting

    def update(self, *, index: NDArray[np.uint8], truth: LabelMap, prediction: LabelMap) -> BandHistogram:
        """Count the pixels of one image and return self.

        Args:
            index: (H, W) uint8 from :func:`band_map` for this rule.
            truth, prediction: (H, W) class ids.

        Raises:
            CatalogError, ValueError: as :meth:`ConfusionMatrix.update`; nothing is counted.
        """
        self._counts += count_banded(index=index, truth=truth, prediction=prediction, bands=OUTSIDE, catalog=self.catalog)
        return self

    def add_delta(self, *, index: NDArray[np.uint8], truth: LabelMap, before: LabelMap, after: LabelMap) -> None:
        """Follow a change of the prediction inside a box with an unchanged band index; costs O(box).

        Args:
            index, truth, before, after: (h, w) of the box.

        Raises:
            CatalogError, ValueError: as :meth:`ConfusionMatrix.add_delta`; the histogram stays as it was.
        """
        self.apply(PixelDelta.between(truth=truth, before=before, after=after, catalog=self.catalog), index=index)

    def apply(self, delta: PixelDelta, *, index: NDArray[np.uint8]) -> None:
        """As :meth:`add_delta`, for a delta that several counters share."""
        if index.shape != delta.shape:
            raise ValueError(f"the band index has shape {index.shape}, the box {delta.shape}")
        picked = index.ravel().take(delta.places)
        if picked.size and int(picked.min()) == EXCLUDED:
            raise ValueError("the band index excludes a pixel that the truth labels")
        self._counts.move(delta.before, delta.after, picked.astype(np.int64) - 1)

    def __add__(self, other: BandHistogram) -> BandHistogram:
        self._same_rule(other)
        check_same_classes(self.catalog, other.catalog)
        pooled = self.copy()
        pooled._counts += other._counts
        return pooled

    def __sub__(self, other: BandHistogram) -> BandHistogram:
        """Take images out of a pool. Raises ValueError where ``other`` was never part of it."""
        self._same_rule(other)
        check_same_classes(self.catalog, other.catalog)
        pooled = self.copy()
        pooled._counts -= other._counts
        return pooled

    def __iadd__(self, other: BandHistogram) -> BandHistogram:
        self._same_rule(other)
        check_same_classes(self.catalog, other.catalog)
        self._counts += other._counts
        return self

    def __isub__(self, other: BandHistogram) -> BandHistogram:
        self._same_rule(other)
        check_same_classes(self.catalog, other.catalog)
        self._counts -= other._counts
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BandHistogram):
            return NotImplemented
        same = (self.rule, self.around) == (other.rule, other.around) and same_classes(self.catalog, other.catalog)
        return same and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def copy(self) -> BandHistogram:
        """An independent copy."""
        return BandHistogram(self.catalog, rule=self.rule, around=self.around, counts=self._counts)

    # Figures

    @property
    def counts(self) -> NDArray[np.int64]:
        """(41, C, C + 1) int64, a copy: 8 bytes for each cell, so 336 MB for 1,000 classes. :attr:`by_cell` has what occurs."""
        return self._counts.whole()

    @property
    def by_cell(self) -> CellCounts:
        """The (41, C, C + 1) counts of the cells that occur; follows later updates, do not change it."""
        return self._counts

    def total(self) -> ConfusionMatrix:
        """The matrix of all labelled pixels."""
        return ConfusionMatrix(self.catalog, self._counts.layer_sum())

    def inside(self, width_px: int) -> ConfusionMatrix:
        """The matrix of the band of one width, 1..40 px."""
        return ConfusionMatrix(self.catalog, self._counts.layer_sum(0, check_width(width_px)))

    def outside(self, width_px: int) -> ConfusionMatrix:
        """The matrix of the labelled pixels outside the band of one width, 1..40 px."""
        return ConfusionMatrix(self.catalog, self._counts.layer_sum(check_width(width_px)))

    def class_sums(self) -> NDArray[np.int64]:
        """(3, 41, C) int64 pixels of each class: hits, truth and prediction; band k + 1 px cumulated at k, all pixels last."""
        return np.cumsum(self._counts.sums(), axis=1)

    def curve(self, rule: AbsentRule = "union") -> BandCurve:
        """Scores inside the bands of width 1..40 px; ``rule`` for absent classes as :meth:`ConfusionMatrix.mean_iou`."""
        hits, truth, prediction = self.class_sums()[:, :WIDEST]
        mean, classes = scores.mean_over_present(hits, truth, prediction, rule)
        pixels = truth.sum(axis=1)
        labelled = self._counts.total()
        return BandCurve(
            width_px=np.arange(1, WIDEST + 1),
            mean_iou=mean,
            classes=classes,
            pixel_accuracy=scores.ratio(hits.sum(axis=1), pixels),
            share=pixels / labelled if labelled else np.full(WIDEST, np.nan),
        )

    # Storage

    def to_bytes(self) -> bytes:
        """Compact form for a database; :meth:`from_bytes` is the inverse."""
        return pack_counts(self._counts.whole(), self.catalog, _magic(self.rule, self.around))

    @classmethod
    def from_bytes(cls, data: bytes, catalog: ClassCatalog, *, rule: BandRule, around: BandAround = "truth") -> BandHistogram:
        """Rebuild a histogram of this rule.

        Raises:
            ProjectError: the bytes are damaged, or of another band rule.
            CatalogError: it was counted for other class ids; count the image again.
        """
        counts = unpack_counts(data, catalog, _magic(rule, around), bands=OUTSIDE)
        return cls(catalog, rule=rule, around=around, counts=counts)

    def _same_rule(self, other: BandHistogram) -> None:
        if (self.rule, self.around) != (other.rule, other.around):
            raise ValueError(
                f"bands by the rules {self.rule} around {self.around} and {other.rule} around {other.around} cannot be pooled"
            )


def _magic(rule: BandRule, around: BandAround) -> bytes:
    return f"AB{rule[0]}{around[0]}".encode()


def none_if_nan(value: float) -> float | None:
    """A JSON value: nan has none."""
    return None if np.isnan(value) else float(value)
