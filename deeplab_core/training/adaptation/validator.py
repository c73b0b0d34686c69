"""How good a network is on training examples: against the corrected masks, and against what the old model was sure of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.training.adaptation.classes import ClassPlan
from deeplab_core.training.adaptation.examples import TrainingExample
from deeplab_core.training.adaptation.frozen_split import FrozenSplit
from deeplab_core.training.adaptation.views import Taps, label_map, network_scores

#: Pixels of an image that are looked at to see how many confident predictions stayed.
_SAMPLE = 4096
#: A class of which a smaller share of the confident predictions stays is named, if at least so many of its pixels were seen.
_STAY, _LEAST = 0.9, 200


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Confident predictions of the old model on images without corrections, by its channels.

    Attributes:
        same: (C,) int64 pixels that have the same class as before.
        total: (C,) int64 pixels that were looked at.
    """

    same: NDArray[np.int64]
    total: NDArray[np.int64]

    @property
    def share(self) -> float | None:
        """Of all classes, 0..1; None without any pixel."""
        return float(self.same.sum() / self.total.sum()) if self.total.any() else None

    def faded(self) -> tuple[int, ...]:
        """Channels of which a share below :data:`_STAY` stayed, the smallest first; those with few pixels are left out."""
        shares = self.same / np.maximum(1, self.total)
        there = np.flatnonzero((self.total >= _LEAST) & (shares < _STAY))
        return tuple(int(channel) for channel in there[np.argsort(shares[there], kind="stable")])


class Validator:
    """Predicts training examples with the network as it is now.

    Args:
        stand_ins: (C,) int64, the channel that each channel counts as where old predictions are to stay: a new class that may
            take what was background counts as background.
    """

    def __init__(self, split: FrozenSplit, plan: ClassPlan, stand_ins: Tensor, device: torch.device) -> None:
        self._split, self._plan, self._device = split, plan, device
        self._stand_ins = stand_ins.cpu().numpy()

    def nothing(self) -> ConfusionMatrix:
        """A matrix without any pixel, over the classes of the masks."""
        return ConfusionMatrix(self._plan.labels)

    def predicted(self, example: TrainingExample) -> NDArray[Any]:
        """(H, W) ids of the labels' catalog."""
        grid = network_scores(self._split, example.views[0].encoded, self._device)
        ids, _ = label_map(grid, self._plan.catalog, self._plan.threshold)
        return self._plan.decided(ids)

    def against_masks(self, examples: Iterable[TrainingExample]) -> ConfusionMatrix:
        """Pooled over corrected images, with the whole corrected mask as ground truth."""
        pooled = self.nothing()
        for example in examples:
            assert example.mask is not None
            pooled.update(truth=example.mask, prediction=self.predicted(example))
        return pooled

    def kept(self, examples: Iterable[TrainingExample]) -> Kept:
        """How many confident predictions are the same as before."""
        width = len(self._plan.catalog)
        same, total = np.zeros(width, np.int64), np.zeros(width, np.int64)
        for example in examples:
            if not example.replayed.pixels:
                continue
            view = example.views[0]
            random = np.random.Generator(np.random.PCG64(0))
            indices, channels = example.replayed.draw(_SAMPLE, random)
            grid = network_scores(self._split, view.encoded, self._device)
            taps: Taps = view.taps(indices)
            scores = taps.read(torch.from_numpy(grid.values).float().permute(2, 0, 1))
            if self._plan.threshold is not None:
                scores[:, 1] -= math.log(self._plan.threshold / (1.0 - self._plan.threshold))
            now = scores.argmax(1).numpy()
            same += np.bincount(channels[self._stand_ins[now] == channels], minlength=width)
            total += np.bincount(channels, minlength=width)
        return Kept(same, total)


def mean_iou(matrix: ConfusionMatrix) -> float:
    """Mean IoU (0..1) over the classes of the masks; nan without any."""
    return float(matrix.mean_iou("truth").value)
