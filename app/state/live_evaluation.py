"""Live scores: the open image against its ground truth.

Every change of the document moves the changed pixels from their old cell to the new one, so a stroke costs O(its box) and the
figures are at every moment those of a recomputation from scratch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.state.document import Change, Document
from app.text import percent, plural
from deeplab_core.analysis.record import CONFUSION, ImageAnalysis, band_name
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.errors import MaskFormatError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import ConfusionMatrix, PixelDelta
from deeplab_core.metrics.trimap import BandAround, BandRule, band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram

#: A box of at least so many pixels is counted as a whole before and after its change if one in so many changed.
_LARGE, _DENSE = 1 << 17, 8

Key = tuple[BandRule, BandAround]


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """What :func:`count_image` found: right as long as the document has this revision.

    Attributes:
        revision: of the document when the counting began.
        matrix: of the whole image.
        rule, around: which band.
        index: (H, W) uint8, :func:`deeplab_core.metrics.trimap.band_map`.
        histogram: confusion by that band.
    """

    revision: int
    matrix: ConfusionMatrix
    rule: BandRule
    around: BandAround
    index: NDArray[np.uint8]
    histogram: BandHistogram


def without_marked(truth: LabelMap, exclude: NDArray[np.bool_] | None, ignore: int) -> LabelMap:
    """The truth to count on: itself if nothing is marked as ambiguous, else a read-only copy with the marked pixels void."""
    if exclude is None:
        return truth
    scored = truth.copy()
    scored[exclude] = ignore
    scored.flags.writeable = False
    return scored


def count_image(
    truth: LabelMap,
    document: Document,
    rule: BandRule,
    around: BandAround = "truth",
    index: NDArray[np.uint8] | None = None,
    *,
    exclude: NDArray[np.bool_] | None = None,
) -> Count:
    """Count a whole image: about 80 ms per megapixel, for a job.

    Reads the document as it is while another thread may paint on it. That is not danger: every change raises the revision, and a
    live evaluation takes only a count with the document's current revision.

    Args:
        truth, document: as :class:`LiveEvaluation`.
        rule, around: which band.
        index: the band's index, where it is known.
        exclude: as :class:`LiveEvaluation`.

    Raises:
        MaskFormatError, CatalogError: as :class:`LiveEvaluation`.
    """
    revision, catalog, labels = document.revision, document.catalog, document.labels
    _check_size(truth, document)
    scored = without_marked(truth, exclude, catalog.ignore)
    matrix = ConfusionMatrix(catalog).update(truth=scored, prediction=labels)
    if index is None:
        index = band_map(truth=truth, prediction=labels, ignore=catalog.ignore, rule=rule, around=around)
        index.flags.writeable = False
    histogram = BandHistogram(catalog, rule=rule, around=around).update(index=index, truth=scored, prediction=labels)
    return Count(revision, matrix, rule, around, index, histogram)


def _check_size(truth: LabelMap, document: Document) -> None:
    if truth.shape != document.shape:
        raise MaskFormatError(
            message(
                "the ground truth is {truth_width} x {truth_height} px, the image {width} x {height} px",
                truth_width=truth.shape[1],
                truth_height=truth.shape[0],
                width=document.shape[1],
                height=document.shape[0],
            ),
            remedy=message("Choose the ground truth of this image; it is never resized"),
        )


def folder_mean_text(pooled: ConfusionMatrix) -> str:
    """A folder's mIoU with its class count, and, where the model names classes that the ground truth lacks, the mean without.

    The second is the one to compare by: an invented class counts 0 in the first, and goes when its last pixel goes.
    """
    mean, compared = pooled.mean_iou("union"), pooled.mean_iou("truth")
    text = plural("{value} over {n} class", "{value} over {n} classes", mean.classes, value=percent(mean.value))
    if compared.classes == mean.classes:
        return text
    return plural(
        "{mean} ({value} over the {n} in the ground truth)", "{mean} ({value} over the {n} in the ground truth)",
        compared.classes, mean=text, value=percent(compared.value),
    )  # fmt: skip


class LiveEvaluation:
    """Scores of one document against its truth; follows the document until :meth:`close`.

    Use it on the thread that changes the document.

    Attributes:
        truth: (H, W) ids of the document's catalog, void = ``catalog.ignore``; read-only. Bands lie around it as it is.
        exclude: (H, W) bool, what is ambiguous of it, or None.
        scored: the same with the excluded pixels void: what is counted on. Read-only.
        document: what is evaluated.
    """

    def __init__(
        self, truth: LabelMap, document: Document, count: Count | None = None, *, exclude: NDArray[np.bool_] | None = None
    ) -> None:
        """Count the image once, or take what a job has counted.

        Args:
            truth: copied, unless it is read-only and of the catalog's dtype.
            document: settled; followed from now on.
            count: from :func:`count_image` for the same truth; one that a change has overtaken is counted again.
            exclude: (H, W) bool, pixels with ambiguous truth: in no figure.

        Raises:
            MaskFormatError: truth and document differ in size.
            CatalogError: an id that the catalog does not declare.
        """
        _check_size(truth, document)
        if truth.flags.writeable or truth.dtype != document.catalog.dtype or not truth.flags.c_contiguous:
            truth = np.array(truth, dtype=document.catalog.dtype, order="C", copy=True)
            truth.flags.writeable = False
        self.truth = truth
        self.exclude = exclude
        self.scored = without_marked(truth, exclude, document.catalog.ignore)
        self.document = document
        self._indices: dict[Key, NDArray[np.uint8]] = {}
        self._histograms: dict[Key, BandHistogram] = {}
        if count is not None and count.revision == document.revision:
            self._matrix = count.matrix
            self.adopt(count)
        else:
            self._matrix = ConfusionMatrix(document.catalog).update(truth=self.scored, prediction=document.labels)
        document.changed.connect(self._follow)

    @property
    def matrix(self) -> ConfusionMatrix:
        """The image's confusion matrix, always current; do not change it, copy it to keep it."""
        return self._matrix

    def band(self, rule: BandRule, around: BandAround = "truth") -> NDArray[np.uint8]:
        """(H, W) uint8 band index (:func:`deeplab_core.metrics.trimap.band_map`); made when first asked for, then kept.

        Around the prediction it is made again after every change, and only when asked for. Making one takes about 60 ms per
        megapixel: for large photographs let a job :func:`count_image` and :meth:`adopt` that.
        """
        key = rule, around
        if key not in self._indices:
            self._indices[key] = band_map(
                truth=self.truth, prediction=self.document.labels, ignore=self.document.catalog.ignore, rule=rule, around=around
            )
            self._indices[key].flags.writeable = False
        return self._indices[key]

    def has_band(self, rule: BandRule, around: BandAround = "truth") -> bool:
        """Whether :meth:`band` answers at once."""
        return (rule, around) in self._indices

    def has_histogram(self, rule: BandRule, around: BandAround = "truth") -> bool:
        """Whether :meth:`histogram` answers at once."""
        return (rule, around) in self._histograms

    def adopt(self, count: Count) -> bool:
        """Take band and histogram from a job; False if the document has changed since and the histogram was not taken.

        The truth never changes, so a band around it is taken in any case.

        Raises:
            ValueError: the band index is of another size.
        """
        key = count.rule, count.around
        if count.index.shape != self.truth.shape or count.index.dtype != np.uint8:
            raise ValueError(f"a band index is uint8 {self.truth.shape}, got {count.index.dtype} {count.index.shape}")
        current = count.revision == self.document.revision
        if current or count.around == "truth":
            self._indices.setdefault(key, count.index)
        if current:
            self._histograms.setdefault(key, count.histogram)
        return current

    def histogram(self, rule: BandRule, around: BandAround = "truth") -> BandHistogram:
        """Confusion by band for one rule, always current; do not change it, copy it to keep it."""
        key = rule, around
        if key not in self._histograms:
            histogram = BandHistogram(self.document.catalog, rule=rule, around=around)
            index = self.band(rule, around)
            self._histograms[key] = histogram.update(index=index, truth=self.scored, prediction=self.document.labels)
        return self._histograms[key]

    def record(self, rule: BandRule, around: BandAround) -> ImageAnalysis:
        """What the image adds to a folder now: confusion, and by band where that is counted; costs O(classes squared)."""
        counts = {CONFUSION: SparseCounts.of(self._matrix.counts)}
        if self.has_histogram(rule, around):
            counts[band_name(rule, around)] = SparseCounts.of(self.histogram(rule, around).by_cell)
        return ImageAnalysis(catalog=self.document.catalog, counts=counts)

    def errors(self) -> NDArray[np.bool_]:
        """(H, W) bool: labelled pixels with a wrong or missing class."""
        wrong: NDArray[np.bool_] = (self.scored != self.document.labels) & (self.scored != self.document.catalog.ignore)
        return wrong

    def close(self) -> None:
        """Stop following the document; the last figures stay."""
        self.document.changed.disconnect(self._follow)

    def _follow(self, change: Change) -> None:
        # The edges of the prediction move even where the truth is void, so its bands go in any case.
        for key in [key for key in self._indices if key[1] == "prediction"]:
            del self._indices[key]
            self._histograms.pop(key, None)
        labels, few = self.document.labels, []
        for rect, before in change.parts:
            after = labels[rect.slices]
            differs = before != after
            if before.size < _LARGE or np.count_nonzero(differs) * _DENSE < before.size:
                few.append(_Pixels(rect, np.flatnonzero(differs), before, after))
            else:
                self._recount(rect, before, after)
        if few:
            self._move(few)

    def _move(self, few: list[_Pixels]) -> None:
        """Count some pixels where they are now."""
        delta = PixelDelta.between(
            truth=_joined(part.of(self.scored[part.rect.slices]) for part in few),
            before=_joined(part.of(part.before) for part in few),
            after=_joined(part.of(part.after) for part in few),
            catalog=self.document.catalog,
        )
        self._matrix.apply(delta)
        for key, histogram in self._histograms.items():
            histogram.apply(delta, index=_joined(part.of(self._indices[key][part.rect.slices]) for part in few))

    def _recount(self, rect: Box, before: LabelMap, after: LabelMap) -> None:
        """Count a large box out and in again: less per pixel than finding those that changed."""
        catalog, truth = self.document.catalog, self.scored[rect.slices]
        moved: ConfusionMatrix | None = None
        for key, histogram in self._histograms.items():
            index = self._indices[key][rect.slices]
            come = BandHistogram(catalog, rule=key[0], around=key[1]).update(index=index, truth=truth, prediction=after)
            gone = BandHistogram(catalog, rule=key[0], around=key[1]).update(index=index, truth=truth, prediction=before)
            histogram += come
            histogram -= gone
            moved = moved or self._matrix + come.total() - gone.total()  # every labelled pixel is in one of the bands
        if moved is None:
            gone_matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=before)
            moved = self._matrix + ConfusionMatrix(catalog).update(truth=truth, prediction=after) - gone_matrix
        self._matrix = moved


class _Pixels(NamedTuple):
    """Pixels of a box that changed: their places in it, ascending, and its labels before and after."""

    rect: Box
    places: NDArray[np.intp]
    before: LabelMap
    after: LabelMap

    def of(self, box: NDArray[Any]) -> NDArray[Any]:
        """(n,) values of the pixels in a (h, w) box."""
        return box.ravel().take(self.places)


def _joined(values: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(list(values))
