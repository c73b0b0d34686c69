"""The errors of one image in the order in which fixing them pays most. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.provenance import by_hand
from deeplab_core.analysis.error_gain import iou_gains
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap, value_counts
from deeplab_core.regions import Mask, find_regions

#: Errors that a list holds.
LISTED = 200
#: Without ground truth, a pixel may be wrong if its label has less than this probability, or lead.
_SURE = 0.6


class ErrorFix(StrEnum):
    """What is done with an error in place.

    Attributes:
        GIVE: it gets the right class; without ground truth the selected one.
        GUESS: the network's second guess.
        DISSOLVE: the class that surrounds it most.
        RESTORE: the prediction.
    """

    GIVE = "give"
    GUESS = "guess"
    DISSOLVE = "dissolve"
    RESTORE = "restore"


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
    found = find_regions(cells, wrong)
    right, now = np.divmod(found.values, count)
    gains = iou_gains(both, right, now, found.pixels)
    places = [
        (float(gains[row]), row, int(ids[right[row]]), int(ids[now[row]]), int(found.pixels[row]))
        for row in range(found.pixels.size)
    ]
    places.sort(key=lambda place: (-place[0], place[1]))
    return [
        ErrorPlace(found.box(row), found.mask(row), pixels, now, right, gain) for gain, row, right, now, pixels in places[:LISTED]
    ]


def errors_by_doubt(
    labels: LabelMap, doubt: NDArray[np.floating[Any]], provenance: NDArray[np.uint8], ignore: int
) -> list[ErrorPlace]:
    """Components of doubtful pixels of one label, by the number of pixels that are expected to be wrong.

    Args:
        labels: (H, W) as they are.
        doubt: (H, W) float, 0..1: how much each pixel is in doubt, one of the functions below.
        provenance: (H, W) uint8; pixels that the user confirmed are not doubtful.
        ignore: void.
    """
    doubtful = (doubt > 1 - _SURE) & ~by_hand(provenance) & (labels != ignore)
    if not doubtful.any():
        return []
    found = find_regions(labels, doubtful)
    expected = found.sums(doubt)
    order = np.argsort(-expected, kind="stable")[:LISTED]
    return [
        ErrorPlace(
            found.box(row), found.mask(row), int(found.pixels[row]), int(found.values[row]), None, float(expected[row])
        )
        for row in order.tolist()
    ]  # fmt: skip


def confidence_doubt(confidence: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) 1 - the probability of the predicted label, of (H, W) confidence times 255."""
    return np.asarray(1 - confidence / np.float32(255.0), np.float32)


def margin_doubt(probabilities: NDArray[np.floating[Any]], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) 1 - the lead of the likeliest class over the second one, of (C, h, w) probabilities of a coarse grid."""
    from app.state.opencv import opencv

    if len(probabilities) < 2:
        return np.zeros(shape, np.float32)
    first_two = np.partition(probabilities, len(probabilities) - 2, axis=0)[-2:].astype(np.float32)
    lead = np.ascontiguousarray(first_two[1] - first_two[0])
    return np.asarray(1 - opencv().resize(lead, (shape[1], shape[0]), interpolation=opencv().INTER_LINEAR), np.float32)


def disagreement_doubt(labels: LabelMap, others: Sequence[LabelMap]) -> NDArray[np.float32]:
    """(H, W) share of the other predictions that give a pixel another label; there is at least one."""
    return np.asarray(np.mean([other != labels for other in others], axis=0), np.float32)
