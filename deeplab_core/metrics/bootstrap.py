"""How sure a score is: bootstrap over images.

The images of a set are a sample; another sample of the same size would have given another score. The bootstrap (Efron 1979) draws
images from the set with replacement, as many as there are, pools them, scores the pool, and repeats that; the middle 95 % of the
scores are the interval (percentile method). Two reports of the same images are compared on the *same* draws, so that what is hard
about an image cancels (paired bootstrap).

Images are the unit because the pixels of one image are not independent. What this cannot know: images of one video, or of one
camera, are not independent either. Classes that occur in few images have intervals that are too narrow; the number of images
stands beside each interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.metrics import scores
from deeplab_core.metrics.image_counts import ImageCounts

Scores = NDArray[np.float64]

RESAMPLES = 2000
LEVEL = 0.95

#: Cells of the draws held at once, and bytes of the counts held at once.
_DRAWS = 4_000_000
_HELD_BYTES = 512 << 20


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
        self._held: NDArray[np.float64] | None = None

    def images_with(self) -> NDArray[np.int64]:
        """(C,) number of images in whose truth or prediction each class occurs."""
        found = np.zeros(self.classes, dtype=np.int64)
        for counts in self.counts:
            found[counts.channels] += 1
        return found

    def pooled(self) -> PooledScores:
        """The scores of the whole set, as a batch of one."""
        return self._score(np.ones((1, self.images)))

    def resampled(self, resamples: int = RESAMPLES, seed: int = 0) -> PooledScores:
        """Scores of ``resamples`` pools drawn with replacement. The draws depend on seed and number of images only."""
        generator = np.random.default_rng(seed)
        block = max(1, _DRAWS // max(self.images, 1))
        found = []
        for start in range(0, resamples, block):
            rows = min(block, resamples - start)
            drawn = generator.integers(0, self.images, (rows, self.images))
            drawn += np.arange(rows)[:, None] * self.images
            weights = np.bincount(drawn.ravel(), minlength=rows * self.images).reshape(rows, self.images)
            found.append(self._sums(weights.astype(np.float64)))
        return PooledScores(np.concatenate(found), self.classes, len(self.widths))

    def _score(self, weights: NDArray[np.float64]) -> PooledScores:
        return PooledScores(self._sums(weights), self.classes, len(self.widths))

    def _sums(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, F): weighted sums of the images' features. Whole numbers below 2^53, so the order of addition does not matter."""
        features = self.classes * (3 * (1 + len(self.widths)) + 2) + 2 * self._means.shape[1]
        chunk = max(1, _HELD_BYTES // (8 * features))
        if self.images <= chunk:
            if self._held is None:
                self._held = self._features(0, self.images, features)
            return weights @ self._held
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

    def __init__(self, sums: NDArray[np.float64], classes: int, widths: int) -> None:
        batch = sums.shape[0]
        sorts = 3 * (1 + widths) + 2
        pooled = sums[:, : sorts * classes].reshape(batch, sorts, classes)
        hits, truth, prediction = pooled[:, 0], pooled[:, 1], pooled[:, 2]
        self.iou = scores.iou_of(hits, truth, prediction)
        self.mean_iou = scores.mean_over_present(hits, truth, prediction, "union")[0]
        self.pixel_accuracy = scores.ratio(hits.sum(axis=-1), truth.sum(axis=-1))
        bands = pooled[:, 3 : 3 + 3 * widths].reshape(batch, widths, 3, classes)
        self.band_mean_iou = scores.mean_over_present(bands[:, :, 0], bands[:, :, 1], bands[:, :, 2], "union")[0]
        both, either = pooled[:, -2], pooled[:, -1]
        self.boundary_iou = scores.ratio(both, either)
        self.mean_boundary_iou = scores.ratio(np.nansum(self.boundary_iou, axis=-1), (either > 0).sum(axis=-1))
        means = sums[:, sorts * classes :].reshape(batch, 2, -1)
        self.image_means = scores.ratio(means[:, 0], means[:, 1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intervals:
    """Bootstrap intervals of a report; nan where there is none.

    Attributes:
        resamples: number of pools drawn; 0 where intervals were not asked for or there are fewer than two images.
        level: share of the pools inside an interval.
        images: number of images.
        images_with: (C,) images in whose truth or prediction the class occurs.
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
    """(..., 2) the middle ``level`` of (R, ...) scores, over the pools that have one; nan where none has."""
    tail = (1 - level) / 2
    bounds = np.full((*values.shape[1:], 2), np.nan)
    there = ~np.isnan(values).all(axis=0)
    if there.any():
        bounds[there] = np.nanquantile(values[:, there], [tail, 1 - tail], axis=0).T
    return bounds
