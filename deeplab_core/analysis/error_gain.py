"""What fixing one error component would win, and the orders in which error components are listed.

With ground truth fixing a component gives its pixels the right class: the mean IoU over the classes of the ground truth rises
by an amount that follows from the confusion matrix alone. Without it what is won is expected from the prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.ranking import RANKINGS, RankingScore
from deeplab_core.errors import message

_NEEDS = message("It needs ground truth.")

#: Orders of error components by name, in the order in which they are offered. Those without ground truth are rankings of images
#: (:data:`~deeplab_core.analysis.ranking.RANKINGS`), summed over the pixels of a component.
ERROR_ORDERS: dict[str, RankingScore] = {
    score.name: score
    for score in (
        RankingScore(
            "gain_folder", message("Gain in the folder's mIoU"),
            message("what fixing the component adds to the mean IoU of all images together"), _NEEDS, of="mask",
        ),
        RankingScore(
            "gain_image", message("Gain in its image's mIoU"),
            message("what fixing the component adds to the mean IoU of its image"), _NEEDS, of="mask",
        ),
        RankingScore("size", message("Size"), message("number of wrong pixels"), _NEEDS, of="mask"),
        RANKINGS["expected_wrong"],
        RANKINGS["margin"],
        RANKINGS["disagreement"],
    )
}  # fmt: skip

#: Orders that need ground truth, and those that need a prediction only.
WITH_TRUTH = tuple(name for name, order in ERROR_ORDERS.items() if order.of == "mask")
WITHOUT_TRUTH = tuple(name for name, order in ERROR_ORDERS.items() if order.of == "prediction")


def iou_gains(
    counts: NDArray[np.integer[Any]],
    truth: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    pixels: NDArray[np.integer[Any]],
) -> NDArray[np.float64]:
    """How much the mean IoU over the classes of the ground truth rises if one component alone gets its right class.

    Fixing n pixels of class t that are called p adds n to the hits of t, whose union they are in already, and takes n from the
    union of p.

    Args:
        counts: (C, C) or (C, C + 1) confusion: rows are ground truth, columns predictions, the last of C + 1 is void.
        truth, prediction: (N,) channels of each component; ``prediction`` may be C (void).
        pixels: (N,) size of each, at most the pixels of its cell.

    Returns:
        (N,) float64, 0..1.
    """
    classes = len(counts)
    rows, hits = counts.sum(axis=1), np.diagonal(counts).astype(np.float64)
    union = (rows + counts[:, :classes].sum(axis=0) - np.diagonal(counts)).astype(np.float64)
    present = rows > 0
    if not present.any():
        return np.zeros(len(pixels))
    called = np.minimum(prediction, classes - 1)
    shrinks = (prediction < classes) & present[called]
    size, before, right = pixels.astype(np.float64), union[called], hits[called]
    after = np.where(shrinks, before - size, 1.0)
    freed = np.where(shrinks, right / np.maximum(after, 1.0) - right / np.maximum(before, 1.0), 0.0)
    return np.asarray((size / np.maximum(union[truth], 1.0) + freed) / present.sum(), np.float64)
