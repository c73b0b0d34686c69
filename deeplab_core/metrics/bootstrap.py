"""How sure a score is: bootstrap over images.

The images of a set are a sample; another sample of the same size would have given another score. The bootstrap (Efron 1979) draws
images from the set with replacement, as many as there are, pools them, scores the pool, and repeats that; the middle 95 % of the
scores are the interval (percentile method). Two reports of the same images are compared on the *same* draws, so that what is hard
about an image cancels (paired bootstrap).

Images are the unit because the pixels of one image are not independent. What this cannot know: images of one video, or of one
camera, are not independent either. Classes that occur in few images have intervals that are too narrow; the number of images
is given beside each interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.metrics import scores
from deeplab_core.metrics.image_counts import ImageCounts

Scores = NDArray[np.float64]

RESAMPLES = 2000
LEVEL = 0.95
#: Units that are drawn at most where :func:`drawn_groups` says which: of more images, groups of them.
MOST_DRAWN = 2000

#: Cells of the draws held at once, and bytes of the counts held at once.
_DRAWS = 4_000_000
_MOST_BYTES = 512 << 20
#: Bytes of one block of pools.
_BLOCK_BYTES = 128 << 20


class Samples:
    """The images of a report, ready to be pooled with any weights.

    Attributes:
        counts: of each image.
        classes: C.
        widths: band widths in px that the counts hold.
        images: number of images.
    """

    def __init__(self, counts: Sequence[ImageCounts], means: NDArray[np.float64], classes: int, widths: tuple[int, ...]) -> None:
        """Take counts.

        Args:
            counts: of each image, all with these classes and widths.
            means: (N, M) float64 figures of single images that are averaged, not pooled; nan where an image has none.
            classes, widths: see the attributes.
        """
        self.counts = counts
        self._means = means
        self.classes = classes
        self.widths = widths
        self.images = len(counts)
        self._all_features: NDArray[np.float64] | None = None

    def images_with(self) -> NDArray[np.int64]:
        """(C,) number of images in which each class occurs, in truth or prediction."""
        found = np.zeros(self.classes, dtype=np.int64)
        for counts in self.counts:
            found[counts.channels] += 1
        return found

    def pooled(self) -> PooledScores:
        """The scores of the whole set, as a batch of one."""
        return PooledScores(next(self.pools()))

    def resampled(self, resamples: int = RESAMPLES, seed: int = 0) -> PooledScores:
        """Scores of ``resamples`` pools drawn with replacement. The draws depend on seed and number of images only."""
        found = [pools.sums for pools in self.pools(resamples, seed)]
        return PooledScores(Pools(np.concatenate(found), self.classes, len(self.widths)))

    def pools(self, resamples: int = 0, seed: int = 0) -> Iterator[Pools]:
        """The pools of :meth:`resampled` in blocks, so that two reports can be compared draw by draw; 0: the whole set, once."""
        if not resamples:
            yield self._pools(np.ones((1, self.images)))
            return
        block = max(1, min(_DRAWS // max(self.images, 1), _BLOCK_BYTES // (8 * self._feature_count)))
        for weights in drawn_weights(self.images, resamples, seed, block):
            yield self._pools(weights)

    def _pools(self, weights: NDArray[np.float64]) -> Pools:
        return Pools(self._sums(weights), self.classes, len(self.widths))

    @property
    def _feature_count(self) -> int:
        return self.classes * (3 * (1 + len(self.widths)) + 2) + 2 * int(self._means.shape[1])

    def _sums(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, F): weighted sums of the images' features. Whole numbers below 2^53, so the order of addition does not matter."""
        features = self._feature_count
        chunk = max(1, _MOST_BYTES // (8 * features))
        if self.images <= chunk:
            if self._all_features is None:
                self._all_features = self._features(0, self.images, features)
            return weights @ self._all_features
        total = np.zeros((weights.shape[0], features))
        for start in range(0, self.images, chunk):
            stop = min(start + chunk, self.images)
            total += weights[:, start:stop] @ self._features(start, stop, features)
        return total

    def _features(self, start: int, stop: int, features: int) -> NDArray[np.float64]:
        table = np.zeros((stop - start, features))
        sorts = 3 * (1 + len(self.widths)) + 2
        pooled = table[:, : sorts * self.classes].reshape(stop - start, sorts, self.classes)
        for row, counts in enumerate(self.counts[start:stop]):
            bands = counts.bands.reshape(3 * len(self.widths), counts.channels.size)
            rows = np.concatenate([counts.totals, bands, counts.boundary])
            pooled[row][:, counts.channels] = rows
        means = self._means[start:stop]
        table[:, sorts * self.classes :] = np.concatenate([np.nan_to_num(means), ~np.isnan(means)], axis=1)
        return table


def drawn_weights(images: int, resamples: int, seed: int, block: int) -> Iterator[NDArray[np.float64]]:
    """(R, N) how often each of N images is in each pool, in blocks; the draws depend on seed and number of images only.

    Args:
        images: N.
        resamples: pools altogether.
        seed: of the draws.
        block: pools at once.
    """
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, images, (rows, images))
        drawn += np.arange(rows)[:, None] * images
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def drawn_groups(images: int) -> NDArray[np.int64]:
    """(N,) the group of each of N images, 0..G - 1; up to :data:`MOST_DRAWN` images are groups of their own.

    More images are put into groups of one size (the last may be smaller) in a fixed random order, and the groups are drawn. The
    images of a group are a sample of all, so sums over drawn groups vary as those over drawn images do, at the cost of
    :data:`MOST_DRAWN` images.
    """
    size = -(-images // MOST_DRAWN)
    groups = np.arange(images)
    if size > 1:
        groups[np.random.default_rng(0).permutation(images)] = np.arange(images) // size
    return groups


class Pools:
    """What R pools of images hold, by class.

    Attributes:
        sums: (R, F) float64, whole numbers: everything below, side by side.
        totals: (R, 3, C) hits, truth and prediction pixels.
        bands: (R, K, 3, C) the same inside each band width.
        boundary: (R, 2, C) pixels in both and in either inner boundary.
        means: (R, 2, M) sums of the figures of single images, and how many images have them.
    """

    __slots__ = ("bands", "boundary", "means", "sums", "totals")

    def __init__(self, sums: NDArray[np.float64], classes: int, widths: int) -> None:
        batch = sums.shape[0]
        sorts = 3 * (1 + widths) + 2
        pooled = sums[:, : sorts * classes].reshape(batch, sorts, classes)
        self.sums = sums
        self.totals = pooled[:, :3]
        self.bands = pooled[:, 3 : 3 + 3 * widths].reshape(batch, widths, 3, classes)
        self.boundary = pooled[:, -2:]
        self.means = sums[:, sorts * classes :].reshape(batch, 2, -1)


class PooledScores:
    """Scores of R pools at once. Means over classes run over those present in truth or prediction of the pool.

    Attributes:
        iou: (R, C).
        mean_iou, pixel_accuracy: (R,).
        band_mean_iou: (R, K).
        boundary_iou: (R, C).
        mean_boundary_iou: (R,).
        image_means: (R, M), means of the figures of single images.
    """

    def __init__(self, pools: Pools) -> None:
        hits, truth, prediction = np.moveaxis(pools.totals, -2, 0)
        self.iou = scores.iou_of(hits, truth, prediction)
        self.mean_iou = scores.mean_over_present(hits, truth, prediction, "union")[0]
        self.pixel_accuracy = scores.ratio(hits.sum(axis=-1), truth.sum(axis=-1))
        inside = np.moveaxis(pools.bands, -2, 0)
        self.band_mean_iou = scores.mean_over_present(inside[0], inside[1], inside[2], "union")[0]
        both, either = np.moveaxis(pools.boundary, -2, 0)
        self.boundary_iou = scores.ratio(both, either)
        self.mean_boundary_iou = scores.ratio(np.nansum(self.boundary_iou, axis=-1), (either > 0).sum(axis=-1))
        self.image_means = scores.ratio(pools.means[:, 0], pools.means[:, 1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intervals:
    """Bootstrap intervals of a report; nan if undefined.

    Attributes:
        resamples: number of pools drawn; 0 where intervals were not asked for or there are fewer than two images.
        level: share of the pools inside an interval.
        images: number of images.
        images_with: (C,) images in which the class occurs, in truth or prediction.
        iou: (C, 2) low and high.
        mean_iou, pixel_accuracy, mean_boundary_iou: (2,).
        boundary_iou: (C, 2).
        band_mean_iou: (K, 2).
        image_means: (M, 2).
    """

    resamples: int
    level: float
    images: int
    images_with: NDArray[np.int64]
    iou: Scores
    mean_iou: Scores
    pixel_accuracy: Scores
    band_mean_iou: Scores
    boundary_iou: Scores
    mean_boundary_iou: Scores
    image_means: Scores


def intervals(samples: Samples, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Intervals:
    """Intervals of every score of a report. With fewer than two images, or no resamples, all are nan."""
    drawn = resamples if samples.images > 1 else 0
    found = samples.resampled(drawn, seed) if drawn else samples.pooled()
    names = ("iou", "mean_iou", "pixel_accuracy", "band_mean_iou", "boundary_iou", "mean_boundary_iou", "image_means")
    bounds: dict[str, Any] = {name: interval(getattr(found, name), level) for name in names}
    if not drawn:
        bounds = {name: np.full_like(value, np.nan) for name, value in bounds.items()}
    return Intervals(resamples=drawn, level=level, images=samples.images, images_with=samples.images_with(), **bounds)


def interval(values: Scores, level: float = LEVEL) -> Scores:
    """(..., 2) the middle ``level`` of (R, ...) scores, over the pools that have one; nan if none has."""
    tail = (1 - level) / 2
    bounds = np.full((*values.shape[1:], 2), np.nan)
    there = ~np.isnan(values).all(axis=0)
    if there.any():
        bounds[there] = np.nanquantile(values[:, there], [tail, 1 - tail], axis=0).T
    return bounds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedScores:
    """Scores of both sides (first axis: before, after) in R pools, 0..1; nan if absent.

    Attributes:
        iou: (2, R, C), nan where the pool's ground truth lacks the class.
        mean_iou, pixel_accuracy, mean_boundary_iou: (2, R).
        band_mean_iou: (2, R, K).
        image_means: (2, R, M), means over the images where both sides have the figure.
        classes, boundary_classes: (R,) how many classes ``mean_iou`` and ``mean_boundary_iou`` run over.
        band_classes: (R, K) the same of ``band_mean_iou``.
    """

    iou: Scores
    mean_iou: Scores
    pixel_accuracy: Scores
    band_mean_iou: Scores
    mean_boundary_iou: Scores
    image_means: Scores
    classes: NDArray[np.int64]
    band_classes: NDArray[np.int64]
    boundary_classes: NDArray[np.int64]


def paired_scores(before: Samples, after: Samples, resamples: int = 0, seed: int = 0) -> PairedScores:
    """Scores of two evaluations of the same images in the same order, with the same classes and band widths.

    Both are pooled over the same draws and scored over one class set, that of the ground truth: which classes a mean runs over
    must not depend on what is compared. Under the rule ``union`` one invented pixel puts a class with IoU 0 into the mean of one
    side only, and nine such pixels of 3.9 million moved a mean by five points. Here a class counts, in each pool and in each
    band, where the ground truth of *both* sides has it; so both means run over the same classes, and a false alarm costs the
    class that it hides and no other.

    Args:
        before, after: what each report counted.
        resamples: pools drawn with replacement; 0 scores the whole set once (R = 1).
        seed: of the draws.
    """
    blocks = [_score(*pair) for pair in zip(before.pools(resamples, seed), after.pools(resamples, seed), strict=True)]
    joined: dict[str, Any] = {}
    for field in fields(PairedScores):
        parts = [getattr(block, field.name) for block in blocks]
        joined[field.name] = np.concatenate(parts, axis=0 if field.name.endswith("classes") else 1)
    return PairedScores(**joined)


def _score(before: Pools, after: Pools) -> PairedScores:
    totals = np.stack([before.totals, after.totals])
    bands = np.stack([before.bands, after.bands])
    edges = np.stack([before.boundary, after.boundary])
    there = _in_truth(totals)
    banded = _in_truth(bands)
    edged = there & (edges[..., 1, :] > 0).all(axis=0)
    iou = scores.iou_of(totals[..., 0, :], totals[..., 1, :], totals[..., 2, :])
    hits, truth = (np.where(there, totals[..., row, :], 0).sum(axis=-1) for row in (0, 1))
    return PairedScores(
        iou=np.where(there, iou, np.nan),
        mean_iou=_mean(iou, there),
        pixel_accuracy=scores.ratio(hits, truth),
        band_mean_iou=_mean(scores.iou_of(bands[..., 0, :], bands[..., 1, :], bands[..., 2, :]), banded),
        mean_boundary_iou=_mean(scores.ratio(edges[..., 0, :], edges[..., 1, :]), edged),
        image_means=np.stack([scores.ratio(side.means[:, 0], side.means[:, 1]) for side in (before, after)]),
        classes=there.sum(axis=-1),
        band_classes=banded.sum(axis=-1),
        boundary_classes=edged.sum(axis=-1),
    )


def _in_truth(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(..., C) bool of (2, ..., 3, C) counts: the ground truth of both sides has the class."""
    return np.asarray((counts[..., 1, :] > 0).all(axis=0), dtype=np.bool_)


def _mean(values: Scores, chosen: NDArray[np.bool_]) -> Scores:
    """(2, ...) mean of (2, ..., C) scores over the (..., C) chosen classes; nan if none is."""
    return scores.ratio(np.where(chosen, values, 0.0).sum(axis=-1), np.broadcast_to(chosen.sum(axis=-1), values.shape[:-1]))
