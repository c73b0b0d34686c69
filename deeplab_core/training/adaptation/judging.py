"""How good a network is on lessons: against the corrected masks, and against what the old model was sure of."""

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
from deeplab_core.training.adaptation.halves import Halves
from deeplab_core.training.adaptation.lessons import Lesson
from deeplab_core.training.adaptation.views import Taps, label_map, said

#: Pixels of an image that are looked at to see how many confident predictions stayed.
_SAMPLE = 4096


class Judge:
    """Predicts lessons with the network as it is at the moment.

    Args:
        stand_ins: (C,) int64, the channel that each channel counts as where old predictions are to stay: a new class that may
            take what was background counts as background.
    """

    def __init__(self, halves: Halves, plan: ClassPlan, stand_ins: Tensor, device: torch.device) -> None:
        self._halves, self._plan, self._device = halves, plan, device
        self._stand_ins = stand_ins.cpu().numpy()

    def nothing(self) -> ConfusionMatrix:
        """A matrix without any pixel, over the classes of the masks."""
        return ConfusionMatrix(self._plan.labels)

    def predicted(self, lesson: Lesson) -> NDArray[Any]:
        """(H, W) ids of the labels' catalog."""
        grid = said(self._halves, lesson.views[0].encoded, self._device)
        ids, _ = label_map(grid, self._plan.catalog, self._plan.threshold)
        return self._plan.decided(ids)

    def against_masks(self, lessons: Iterable[Lesson]) -> ConfusionMatrix:
        """Pooled over corrected images, with the whole corrected mask as truth."""
        pooled = self.nothing()
        for lesson in lessons:
            assert lesson.mask is not None
            pooled.update(truth=lesson.mask, prediction=self.predicted(lesson))
        return pooled

    def kept(self, lessons: Iterable[Lesson]) -> float | None:
        """Share (0..1) of confident predictions that are the same as before; None without any."""
        same, total = 0, 0
        for lesson in lessons:
            if not lesson.replayed.pixels:
                continue
            view = lesson.views[0]
            random = np.random.Generator(np.random.PCG64(0))
            indices, channels = lesson.replayed.draw(_SAMPLE, random)
            grid = said(self._halves, view.encoded, self._device)
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
