"""How good a network is on training examples: against the corrected masks, and against what the old model was sure of."""

from __future__ import annotations

import math
from collections.abc import Iterable
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

    def kept(self, examples: Iterable[TrainingExample]) -> float | None:
        """Share (0..1) of confident predictions that are the same as before; None without any."""
        same, total = 0, 0
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
            same += int(np.count_nonzero(self._stand_ins[now] == channels))
            total += indices.size
        return same / total if total else None


def mean_iou(matrix: ConfusionMatrix) -> float:
    """Mean IoU (0..1) over the classes of the masks; nan without any."""
    return float(matrix.mean_iou("truth").value)
