"""The errors of one image in the order in which fixing them pays most. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.state.provenance import by_hand
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap, value_counts
from deeplab_core.regions import Mask, find_regions

#: Errors that a list holds.
LISTED = 200
#: Without ground truth, a pixel may be wrong if its label has less than this probability.
_DOUBTFUL = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class ErrorPlace:
    """A connected part of one label that is wrong, or may be.

    Attributes:
        box: in image px.
        mask: (height, width) bool in the box.
        pixels: of it.
        label: what its pixels are now.
        truth: what they should be; None without ground truth.
        gain: with ground truth, how much the image's mean IoU rises if it is fixed, 0..1; without, the expected number of wrong
            pixels.
    """

    box: Box
    mask: Mask
    pixels: int
    label: int
    truth: int | None
    gain: float

    @property
    def anchor(self) -> tuple[int, int]:
        """Column and row of its first pixel in reading order."""
        row, column = divmod(int(self.mask.argmax()), self.box.width)
        return self.box.x + column, self.box.y + row


def errors_by_gain(labels: LabelMap, truth: LabelMap, ignore: int) -> list[ErrorPlace]:
    """Components of wrong pixels of one cell of the confusion matrix, by what fixing one of them alone gains.

    The mean is over the classes of the image's ground truth, as the class list shows it.

    Args:
        labels, truth: (H, W) of one dtype; pixels with void ground truth are not counted.
        ignore: void.
    """
    scored = truth != ignore
    wrong = scored & (labels != truth)
    if not wrong.any():
        return []
    ids = np.flatnonzero(value_counts(labels) + value_counts(truth))
    place_of = np.zeros(int(ids[-1]) + 1, np.int32)
    place_of[ids] = np.arange(ids.size, dtype=np.int32)
    count = ids.size
    cells = place_of[truth] * np.int32(count) + place_of[labels]
    both = np.bincount(cells[scored], minlength=count * count).reshape(count, count)
    hits = both.diagonal().astype(np.float64)
    unions = both.sum(axis=0) + both.sum(axis=1) - hits
    present = both.sum(axis=1) > 0
    mean = float((hits[present] / unions[present]).mean())
    found = find_regions(cells, wrong)
    places = []
    for row in range(found.pixels.size):
        pixels = int(found.pixels[row])
        right, now = divmod(int(found.values[row]), count)
        after, union = hits.copy(), unions.copy()
        after[right] += pixels
        union[now] -= pixels
        gain = float((after[present] / union[present]).mean()) - mean
        places.append((gain, row, int(ids[right]), int(ids[now]), pixels))
    places.sort(key=lambda place: (-place[0], place[1]))
    return [
        ErrorPlace(found.box(row), found.mask(row), pixels, now, right, gain) for gain, row, right, now, pixels in places[:LISTED]
    ]


def errors_by_doubt(
    labels: LabelMap, confidence: NDArray[np.uint8], provenance: NDArray[np.uint8], ignore: int
) -> list[ErrorPlace]:
    """Components of doubtful pixels of one label, by the number of pixels that are expected to be wrong.

    Args:
        labels: (H, W) as they are.
        confidence: (H, W) uint8, the probability of the predicted label times 255.
        provenance: (H, W) uint8; pixels that the user confirmed are not doubtful.
        ignore: void.
    """
    doubtful = (confidence < 255 * _DOUBTFUL) & ~by_hand(provenance) & (labels != ignore)
    if not doubtful.any():
        return []
    found = find_regions(labels, doubtful)
    expected = found.sums(1 - confidence / np.float32(255.0))
    order = np.argsort(-expected, kind="stable")[:LISTED]
    return [
        ErrorPlace(
            found.box(row), found.mask(row), int(found.pixels[row]), int(found.values[row]), None, float(expected[row])
        )
        for row in order.tolist()
    ]  # fmt: skip
