"""The confusion matrix of one image or, pooled by ``+``, of a folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.display import data_frame, html_table, percent
from deeplab_core.errors import CatalogError, message
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import scores
from deeplab_core.metrics.counting import PixelDelta, count_pairs
from deeplab_core.metrics.scores import AbsentRule
from deeplab_core.metrics.storage import pack_counts, unpack_counts

_MAGIC = b"ACM1"


class MeanScore(NamedTuple):
    """A mean over classes and how many classes it runs over; (nan, 0) if none."""

    value: float
    classes: int


class ConfusionMatrix:
    """Pixels counted by truth and prediction.

    Rows are truth classes, columns predicted classes in the catalog's channel order; one more column holds void (unlabelled)
    predictions on labelled truth: a miss of the truth class, a false alarm of none. Void truth is not counted. Scores and their
    rules are in :mod:`deeplab_core.metrics.scores`.

    Example:
        >>> matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)
        >>> matrix.mean_iou("truth")
        MeanScore(value=0.71, classes=4)

    Attributes:
        catalog: the classes.
    """

    __slots__ = ("_counts", "catalog")

    def __init__(self, catalog: ClassCatalog, counts: NDArray[np.int64] | None = None) -> None:
        """Make an empty matrix, or one with a copy of (C, C + 1) ``counts``."""
        shape = len(catalog), len(catalog) + 1
        self.catalog = catalog
        if counts is None:
            self._counts = np.zeros(shape, dtype=np.int64)
            return
        if counts.shape != shape or counts.dtype.kind not in "iu":
            raise ValueError(f"counts must be integers of shape {shape}, got {counts.dtype} {counts.shape}")
        if counts.min() < 0:
            raise ValueError("counts must not be negative")
        self._counts = counts.astype(np.int64, order="C", copy=True)

    # Counting

    def update(self, *, truth: LabelMap, prediction: LabelMap) -> ConfusionMatrix:
        """Count the pixels of one image and return self.

        Args:
            truth, prediction: (H, W) integer class ids of one shape, void = ``catalog.ignore``.

        Raises:
            CatalogError: an undeclared id; nothing is counted.
            ValueError: shapes differ; nothing is counted.
        """
        self._counts += count_pairs(truth=truth, prediction=prediction, catalog=self.catalog)
        return self

    def add_delta(self, *, truth: LabelMap, before: LabelMap, after: LabelMap) -> None:
        """Follow a change of the prediction inside a box; costs O(box).

        Args:
            truth, before, after: (h, w) class ids of the box.

        Raises:
            CatalogError: an undeclared id among the changed pixels; the matrix stays as it was.
            ValueError: ``before`` is not what was counted; the matrix stays as it was.
        """
        self.apply(PixelDelta.between(truth=truth, before=before, after=after, catalog=self.catalog))

    def apply(self, delta: PixelDelta) -> None:
        """As :meth:`add_delta`, for a delta that several counters share."""
        delta.move(self._counts)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        check_same_classes(self.catalog, other.catalog)
        return ConfusionMatrix(self.catalog, self._counts + other._counts)

    def __sub__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Take images out of a pool. Raises ValueError where ``other`` was never part of it."""
        check_same_classes(self.catalog, other.catalog)
        return ConfusionMatrix(self.catalog, self._counts - other._counts)

    def __iadd__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        check_same_classes(self.catalog, other.catalog)
        self._counts += other._counts
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        return same_classes(self.catalog, other.catalog) and np.array_equal(self._counts, other._counts)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        mean = self.mean_iou()
        return f"<ConfusionMatrix {self.catalog.name}: {self.total} px, mIoU {mean.value:.4f} over {mean.classes} classes>"

    def copy(self) -> ConfusionMatrix:
        """An independent copy."""
        return ConfusionMatrix(self.catalog, self._counts)

    # Figures

    @property
    def counts(self) -> NDArray[np.int64]:
        """(C, C + 1) int64, a read-only view that follows later updates."""
        view = self._counts.view()
        view.flags.writeable = False
        return view

    @property
    def total(self) -> int:
        """Labelled pixels counted."""
        return int(self._counts.sum())

    @property
    def void_predictions(self) -> int:
        """Labelled pixels with void predictions."""
        return int(self._counts[:, -1].sum())

    def truth_pixels(self) -> NDArray[np.int64]:
        """(C,) labelled pixels of each truth class."""
        return scores.truth_pixels(self._counts)

    def prediction_pixels(self) -> NDArray[np.int64]:
        """(C,) pixels predicted as each class, on labelled truth."""
        return scores.prediction_pixels(self._counts)

    def iou(self) -> NDArray[np.float64]:
        """(C,) intersection over union, 0..1; nan for a class absent from truth and prediction."""
        return scores.class_iou(self._counts)

    def recall(self) -> NDArray[np.float64]:
        """(C,) share of the truth that is found, 0..1; nan without truth."""
        return scores.class_recall(self._counts)

    def precision(self) -> NDArray[np.float64]:
        """(C,) share of the prediction that is right, 0..1; nan without prediction."""
        return scores.class_precision(self._counts)

    def dice(self) -> NDArray[np.float64]:
        """(C,) Dice coefficient (F1), 0..1; nan for a class absent from truth and prediction."""
        return scores.class_dice(self._counts)

    def group_iou(self, groups: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(G,) IoU of groups of channels, as :func:`deeplab_core.metrics.scores.group_iou`."""
        return scores.group_iou(self._counts, groups)

    def mean_iou(self, rule: AbsentRule = "union") -> MeanScore:
        """Mean IoU by one of the rules of :data:`~deeplab_core.metrics.scores.ABSENT_RULE_TEXT`; ``"union"`` is for folders."""
        value, classes = scores.mean_iou(self._counts, rule)
        return MeanScore(float(value), int(classes))

    def mean_accuracy(self) -> MeanScore:
        """Mean recall over the classes present in the truth."""
        value, classes = scores.mean_accuracy(self._counts)
        return MeanScore(float(value), int(classes))

    def pixel_accuracy(self) -> float:
        """Share of labelled pixels that are right, 0..1; nan without labelled pixels."""
        return float(scores.pixel_accuracy(self._counts))

    def frequency_weighted_iou(self) -> float:
        """IoU weighted by truth pixels, 0..1; nan without labelled pixels."""
        return float(scores.frequency_weighted_iou(self._counts))

    # Notebooks

    def rows(self) -> list[dict[str, Any]]:
        """One row per class: IoU, recall, precision, Dice (0..1, None where undefined), labelled and predicted pixels."""
        figures = {"iou": self.iou(), "recall": self.recall(), "precision": self.precision(), "dice": self.dice()}
        truth, predicted = self.truth_pixels(), self.prediction_pixels()
        return [
            {
                "class": name,
                **{key: None if np.isnan(values[at]) else float(values[at]) for key, values in figures.items()},
                "truth_px": int(truth[at]),
                "predicted_px": int(predicted[at]),
            }
            for at, name in enumerate(self.catalog.names)
        ]

    def to_pandas(self) -> Any:
        """:meth:`rows` as a data frame. Raises AtrousError without pandas."""
        return data_frame(self.rows())

    def _repr_html_(self) -> str:
        shown = [row for row in self.rows() if row["truth_px"] or row["predicted_px"]]
        mean = self.mean_iou("truth")
        cells = [
            (row["class"], *(percent(math.nan if row[key] is None else row[key]) for key in ("iou", "recall", "precision")),
             f"{row['truth_px']:,}")
            for row in shown
        ]  # fmt: skip
        return html_table(
            f"mIoU {percent(mean.value)} over {mean.classes} classes of the ground truth",
            ("class", "IoU", "recall", "precision", "pixels"),
            cells,
            f"Pixel accuracy {percent(self.pixel_accuracy())} of {self.total:,} labelled pixels.",
        )

    # Storage

    def to_bytes(self) -> bytes:
        """Compact form for a database; :meth:`from_bytes` is the inverse."""
        return pack_counts(self._counts, self.catalog, _MAGIC)

    @classmethod
    def from_bytes(cls, data: bytes, catalog: ClassCatalog) -> ConfusionMatrix:
        """Rebuild a matrix.

        Raises:
            ProjectError: the bytes are damaged.
            CatalogError: it was counted for other class ids; count the image again.
        """
        return cls(catalog, unpack_counts(data, catalog, _MAGIC)[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` is the inverse."""
        return {
            "rows": "truth",
            "columns": "prediction; the last one is void",
            "ids": self.catalog.ids.tolist(),
            "names": list(self.catalog.names),
            "counts": self._counts.tolist(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], catalog: ClassCatalog) -> ConfusionMatrix:
        """Rebuild a matrix from :meth:`to_dict`. Raises CatalogError where it is malformed or of other classes."""
        try:
            if list(data["ids"]) != catalog.ids.tolist():
                raise ValueError("it has other class ids")
            return cls(catalog, np.array(data["counts"], dtype=np.int64))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CatalogError(
                message("not a confusion matrix of the catalog '{catalog}'", catalog=catalog.name), why=str(error)
            ) from error


def same_classes(one: ClassCatalog, other: ClassCatalog) -> bool:
    """Whether two catalogs have the same ids and names in the same order; colours and keys do not matter."""
    return one is other or (one.names == other.names and np.array_equal(one.ids, other.ids))


def check_same_classes(one: ClassCatalog, other: ClassCatalog) -> None:
    """Raise CatalogError unless figures of the two catalogs may be pooled."""
    if not same_classes(one, other):
        raise CatalogError(
            message("figures of the catalogs '{one}' and '{other}' cannot be pooled", one=one.name, other=other.name),
            why=message("They have different classes"),
            remedy=message("Map one catalog to the other first"),
        )
