"""The pixels of one image that every pooled score is made of, kept only for the classes that occur in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import MaskFormatError, message
from deeplab_core.metrics import scores
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.trimap_histogram import BandHistogram

#: What is counted of each class: pixels that are the class and called so, that are it, that are called it.
_SORTS = ("hits", "truth", "prediction")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageCounts:
    """Counts of one image by class.

    Attributes:
        classes: C, the length of the catalog.
        channels: (n,) int64, the classes that occur in truth or prediction, ascending.
        totals: (3, n) int64: hits, truth and prediction pixels.
        bands: (K, 3, n) int64: the same inside each reported band width.
        boundary: (2, n) int64: pixels in both and in either inner boundary (boundary IoU); zeros where it was not measured.
    """

    classes: int
    channels: NDArray[np.int64]
    totals: NDArray[np.int64]
    bands: NDArray[np.int64]
    boundary: NDArray[np.int64]

    @staticmethod
    def of(histogram: BandHistogram, widths: tuple[int, ...], boundary: BoundaryIoU | None) -> ImageCounts:
        """Sum up the histogram of one image."""
        sums = histogram.class_sums()
        totals = sums[:, -1]
        channels = np.flatnonzero(totals[1] + totals[2])
        bands = [sums[:, width - 1, channels] for width in widths]
        edges = np.zeros((2, channels.size), dtype=np.int64)
        if boundary is not None:
            edges = np.stack([boundary.hits[channels], boundary.union[channels]])
        return ImageCounts(
            classes=totals.shape[1],
            channels=channels,
            totals=totals[:, channels],
            bands=np.array(bands, dtype=np.int64).reshape(len(widths), 3, channels.size),
            boundary=edges,
        )

    def dense(self, sparse: NDArray[np.int64]) -> NDArray[np.int64]:
        """(..., C) from (..., n)."""
        full = np.zeros((*sparse.shape[:-1], self.classes), dtype=np.int64)
        full[..., self.channels] = sparse
        return full

    @property
    def truth_px(self) -> NDArray[np.int64]:
        """(C,) labelled pixels of each class."""
        return self.dense(self.totals[1])

    @property
    def iou(self) -> NDArray[np.float64]:
        """(C,) IoU, nan for absent classes."""
        hits, truth, prediction = self.dense(self.totals)
        return scores.iou_of(hits, truth, prediction)

    def band_mean_iou(self) -> NDArray[np.float64]:
        """(K,) mean IoU inside each band over the classes of the band's truth; nan for an empty band."""
        hits, truth, prediction = np.moveaxis(self.dense(self.bands), 1, 0)
        return scores.mean_over_present(hits, truth, prediction, "truth")[0]

    def select(self, place: NDArray[np.int64], classes: int) -> ImageCounts:
        """The counts of some classes, renumbered.

        Args:
            place: (C,) int64: the new channel of each class, -1 for classes that are left out.
            classes: number of new channels.
        """
        moved = place[self.channels]
        kept = np.flatnonzero(moved >= 0)
        kept = kept[np.argsort(moved[kept], kind="stable")]
        return ImageCounts(
            classes=classes,
            channels=moved[kept],
            totals=self.totals[:, kept],
            bands=self.bands[:, :, kept],
            boundary=self.boundary[:, kept],
        )

    def to_rows(self, ids: NDArray[np.int64], widths: tuple[int, ...], *, boundary: bool = True) -> list[dict[str, Any]]:
        """One plain row per class that occurs, for JSON; :meth:`from_rows` is the inverse.

        Args:
            ids: of all classes.
            widths: of the bands, px.
            boundary: whether the boundary was measured; else its pixels are null, not 0.
        """
        rows = []
        for place, channel in enumerate(self.channels.tolist()):
            row: dict[str, Any] = {"id": int(ids[channel])}
            row.update({f"{sort}_px": int(count) for sort, count in zip(_SORTS, self.totals[:, place], strict=True)})
            row["boundary_px"] = self.boundary[:, place].tolist() if boundary else None
            row["bands_px"] = {str(width): self.bands[k, :, place].tolist() for k, width in enumerate(widths)}
            rows.append(row)
        return rows

    @staticmethod
    def from_rows(rows: list[dict[str, Any]], ids: NDArray[np.int64], widths: tuple[int, ...]) -> ImageCounts:
        """Rebuild counts; raises MaskFormatError where rows are malformed."""
        try:
            place = {int(class_id): channel for channel, class_id in enumerate(ids.tolist())}
            channels = np.array([place[row["id"]] for row in rows], dtype=np.int64)
            totals = np.array([[row[f"{sort}_px"] for row in rows] for sort in _SORTS], dtype=np.int64)
            bands = np.array([[row["bands_px"][str(width)] for row in rows] for width in widths], dtype=np.int64)
            boundary = np.array([row["boundary_px"] or (0, 0) for row in rows], dtype=np.int64)
            return ImageCounts(
                classes=len(ids),
                channels=channels,
                totals=totals.reshape(3, len(rows)),
                bands=np.moveaxis(bands.reshape(len(widths), len(rows), 3), 1, 2),
                boundary=boundary.reshape(len(rows), 2).T,
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MaskFormatError(
                message("the counts of an image are malformed"),
                why=message("{kind}: {error}", kind=type(error).__name__, error=error),
            ) from error
