"""The failure board: kinds of failure over a folder, and the IoU that each would give back if it were repaired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog
from deeplab_core.inspection.failures import ImageFailures
from deeplab_core.inspection.kinds import KINDS, FailureKind
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
        instances: error components or objects, see :class:`~deeplab_core.inspection.failures.ImageFailures`.
        images: images with such a pixel.
        missed, false: (C,) int64 pixels by truth class and by predicted class.
        repaired: (C,) float64 IoU after the repair; nan for a class that is then in neither truth nor prediction.
        gain: (C,) float64 IoU won back; nan where there is none before or after.
        mean_gain: gain of the mean IoU (rule "union"), nan without classes.
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


class FailureBoard:
    """Failures of a folder, updated image by image; holds counts only.

    Attributes:
        catalog: the classes.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        self.catalog = catalog
        self._images: dict[str, ImageFailures] = {}

    def __len__(self) -> int:
        return len(self._images)

    def of(self, image: str) -> ImageFailures:
        """Counts of one image. Raises KeyError where it was never counted."""
        return self._images[image]

    def update(self, image: str, failures: ImageFailures) -> None:
        """Add an image, or replace what was known of it (after a correction)."""
        self._images[image] = failures

    def remove(self, image: str) -> None:
        """Forget an image; nothing happens where it is unknown."""
        self._images.pop(image, None)

    def images(self, kind: FailureKind, class_id: int | None = None) -> list[tuple[str, int]]:
        """Images with pixels of a kind (that concern one class, missed or false), most pixels first."""
        place = KINDS.index(kind)
        channel = None if class_id is None else self.catalog.index_of(class_id)
        found = []
        for image, failures in self._images.items():
            if channel is None:
                pixels = int(failures.pixels[place])
            else:
                pixels = int(failures.missed[place, channel] + failures.false[place, channel])
            if pixels:
                found.append((image, pixels))
        return sorted(found, key=lambda entry: (-entry[1], entry[0]))

    def total(self) -> ImageFailures:
        """Sum over all images."""
        classes, kinds = len(self.catalog), len(KINDS)
        total = ImageFailures(
            counts=np.zeros((classes, classes + 1), dtype=np.int64),
            missed=np.zeros((kinds, classes), dtype=np.int64),
            false=np.zeros((kinds, classes), dtype=np.int64),
            pixels=np.zeros(kinds, dtype=np.int64),
            instances=np.zeros(kinds, dtype=np.int64),
        )
        for failures in self._images.values():
            total.counts[:] += failures.counts
            total.missed[:] += failures.missed
            total.false[:] += failures.false
            total.pixels[:] += failures.pixels
            total.instances[:] += failures.instances
        return total

    def rows(self) -> tuple[FailureRow, ...]:
        """All kinds, in their fixed order."""
        total = self.total()
        wrong = int(total.counts.sum() - hits(total.counts).sum())
        images = sum((failures.pixels > 0 for failures in self._images.values()), np.zeros(len(KINDS), dtype=np.int64))
        return tuple(_row(kind, total, place, wrong, int(images[place])) for place, kind in enumerate(KINDS))


def _row(kind: FailureKind, total: ImageFailures, place: int, wrong: int, images: int) -> FailureRow:
    missed, false = total.missed[place], total.false[place]
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
    """IoU of every class, and their mean (rule "union"), after an oracle has repaired some wrong pixels.

    Args:
        counts: (C, C + 1) confusion matrix.
        missed: (C,) misses of each class that become hits.
        false: (C,) false alarms of each class that go away.

    Returns:
        (C,) float64, nan for a class that is then in neither truth nor prediction, and the mean over the others.
    """
    hit, truth = hits(counts) + missed, truth_pixels(counts)
    called = prediction_pixels(counts) + missed - false
    union = truth + called - hit
    iou = np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
    return iou, float(mean_over_present(hit, truth, called, "union")[0])
