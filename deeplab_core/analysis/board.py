"""The failure board: kinds of failure over a folder, and the IoU that each would give back if it were repaired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.failures import ImageFailures
from deeplab_core.analysis.kinds import KINDS, FailureKind
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics.scores import hits, mean_over_present, prediction_pixels, truth_pixels


@dataclass(frozen=True, slots=True, eq=False)
class FailureRow:
    """One kind over all images.

    Repair is an oracle: the wrong pixels of the kind are set to their truth, nothing else changes. For the three parts every
    class is repaired by its own verdicts, as in Bernhard et al. (2024), so repairing all three gives every class an IoU of 1.

    Attributes:
        kind: which.
        pixels: wrong pixels that it concerns.
        share: of all wrong pixels, 0..1; nan without any. The parts' shares may add up to more than 1, because a pixel that is
            an edge error for one class may be an extent error for the other.
        instances: error components or objects, see :class:`~deeplab_core.analysis.failures.ImageFailures`.
        images: images with such a pixel.
        missed, false: (C,) int64 pixels by truth class and by predicted class.
        repaired: (C,) float64 IoU after the repair; nan for a class that is then in neither truth nor prediction.
        gain: (C,) float64 IoU won back; nan where there is none before or after.
        mean_gain: gain of the mean IoU over the classes of the ground truth, which a repair does not change; nan without any.
    """

    kind: FailureKind
    pixels: int
    share: float
    instances: int
    images: int
    missed: NDArray[np.int64]
    false: NDArray[np.int64]
    repaired: NDArray[np.float64]
    gain: NDArray[np.float64]
    mean_gain: float


#: Names of the arrays of ImageFailures, which are all sums.
_SUMS = ("counts", "missed", "false", "pixels", "instances")


class FailureBoard:
    """Failures of a folder, updated image by image; holds counts only, and of each image those that are not zero.

    Attributes:
        catalog: the classes.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        self.catalog = catalog
        self._images: dict[str, tuple[SparseCounts, ...]] = {}
        self._total = _nothing(len(catalog))
        self._concerned = np.zeros(len(KINDS), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, image: str) -> bool:
        return image in self._images

    def of(self, image: str) -> ImageFailures:
        """Counts of one image. Raises KeyError where it was never counted."""
        return ImageFailures(*(counts.whole() for counts in self._images[image]))

    def update(self, image: str, failures: ImageFailures) -> None:
        """Add an image, or replace what was known of it (after a correction)."""
        self.remove(image)
        self._images[image] = tuple(SparseCounts.of(getattr(failures, name)) for name in _SUMS)
        self._add(self._images[image], 1)

    def remove(self, image: str) -> None:
        """Forget an image; nothing happens where it is unknown."""
        known = self._images.pop(image, None)
        if known is not None:
            self._add(known, -1)

    def images(self, kind: FailureKind, class_id: int | None = None) -> list[tuple[str, int]]:
        """Images with pixels of a kind (that concern one class, missed or false), most pixels first."""
        place = KINDS.index(kind)
        channel = None if class_id is None else self.catalog.index_of(class_id)
        found = []
        for image, (_, missed, false, pixels, _) in self._images.items():
            if channel is None:
                number = int(pixels.values[pixels.places == place].sum())
            else:
                wanted = place * len(self.catalog) + channel
                number = sum(int(side.values[side.places == wanted].sum()) for side in (missed, false))
            if number:
                found.append((image, number))
        return sorted(found, key=lambda entry: (-entry[1], entry[0]))

    def total(self) -> ImageFailures:
        """Sum over all images."""
        return ImageFailures(*(getattr(self._total, name).copy() for name in _SUMS))

    def _add(self, parts: tuple[SparseCounts, ...], sign: int) -> None:
        for name, counts in zip(_SUMS, parts, strict=True):
            counts.add_to(getattr(self._total, name), sign)
        self._concerned[parts[_SUMS.index("pixels")].places] += sign

    def rows(self) -> tuple[FailureRow, ...]:
        """All kinds, in their fixed order."""
        total = self._total
        wrong = int(total.counts.sum() - hits(total.counts).sum())
        return tuple(_row(kind, total, place, wrong, int(self._concerned[place])) for place, kind in enumerate(KINDS))


def _nothing(classes: int) -> ImageFailures:
    kinds = len(KINDS)
    shapes = (classes, classes + 1), (kinds, classes), (kinds, classes), (kinds,), (kinds,)
    return ImageFailures(*(np.zeros(shape, dtype=np.int64) for shape in shapes))


def _row(kind: FailureKind, total: ImageFailures, place: int, wrong: int, images: int) -> FailureRow:
    missed, false = total.missed[place].copy(), total.false[place].copy()
    before, mean_before = repaired_iou(total.counts, np.zeros_like(missed), np.zeros_like(false))
    after, mean_after = repaired_iou(total.counts, missed, false)
    return FailureRow(
        kind=kind,
        pixels=int(total.pixels[place]),
        share=int(total.pixels[place]) / wrong if wrong else float("nan"),
        instances=int(total.instances[place]),
        images=images,
        missed=missed,
        false=false,
        repaired=after,
        gain=after - before,
        mean_gain=mean_after - mean_before,
    )


def repaired_iou(
    counts: NDArray[np.int64], missed: NDArray[np.int64], false: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """IoU of every class, and the mean over those of the ground truth, after an oracle has repaired some wrong pixels.

    Args:
        counts: (C, C + 1) confusion matrix.
        missed: (C,) misses of each class that become hits.
        false: (C,) false alarms of each class that go away.

    Returns:
        (C,) float64, nan for a class that is then in neither truth nor prediction, and the mean over the classes in the truth.
    """
    hit, truth = hits(counts) + missed, truth_pixels(counts)
    called = prediction_pixels(counts) + missed - false
    union = truth + called - hit
    iou = np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
    return iou, float(mean_over_present(hit, truth, called, "truth")[0])
