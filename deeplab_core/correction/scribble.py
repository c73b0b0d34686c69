"""Two-class scribble: a line gives its class to what belongs to it, and takes only from the class that it began on.

A fully connected CRF of two labels, the stroke's class and the class under its beginning, on the engine of
:mod:`deeplab_core.refine`. Pixels of other classes, and those that the user painted, take no side and do not change. So a
scribble can only turn pixels of one class into another, which no scribble with all classes can promise.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.hierarchy import lab_of
from deeplab_core.correction.paths import placed
from deeplab_core.correction.probabilities import ClassProbabilities
from deeplab_core.geometry import Box
from deeplab_core.labels import painted
from deeplab_core.regions import Mask

if TYPE_CHECKING:
    from deeplab_core.refine.mean_field import Term

#: Reaches that a wheel goes through, px: how far a stroke is believed.
REACHES: Final = (4, 8, 12, 30, 70)

#: The pixels that take part are those within so many reaches of the stroke, and so many px more as context.
_EXTENT, _CONTEXT = 2.0, 16
#: A larger part of the image is computed at a smaller scale: an answer then takes less than a tenth of a second.
_MOST_PIXELS = 90_000
#: Steps of mean field inference.
_STEPS = 5
#: Kernels as DeepLab v1 has them (:mod:`deeplab_core.refine.parameters`), that of alike colours at less weight: standard
#: deviations in px and grey levels, weights.
_NEAR_SXY, _NEAR_WEIGHT = 3.0, 3.0
_ALIKE_SXY, _ALIKE_SRGB, _ALIKE_WEIGHT = 50.0, 10.0, 2.0
#: Belief in the class at the stroke, falling with distance, and in the label of a pixel if no network is asked.
_STROKE_BELIEF, _LABEL_BELIEF = 0.98, 0.7
#: No network is believed more than this against a stroke.
_MOST_BELIEF = 0.9
#: How many px a change of colour by 1 (Lab) adds to a distance, and what the square root of a probability is in such units.
_CLIMB, _CLASS_CLIMB = 1.0, 30.0
#: Number of parts of the image that keep their kernels: one for each reach of the last stroke.
_KEPT = 5


def needed_box(path: Sequence[tuple[float, float]], diameter: float, reach: float, size: tuple[int, int]) -> Box:
    """The part of an image of ``size`` (H, W) that a scribble looks at: its labels suffice to answer it."""
    points = np.asarray(path, np.float64)
    low, high = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int) + 1
    line = Box.between(int(low[0]), int(low[1]), int(high[0]), int(high[1])).clipped(size)
    return line.grown(int(diameter / 2) + round(_EXTENT * reach) + _CONTEXT + 1, size)


@dataclass(slots=True)
class ScribbleEngine:
    """Computes scribbles on one image; keeps the kernels of the last few parts.

    Attributes:
        rgb: (H, W, 3) uint8.
        probabilities: of the classes; None believes the labels.
    """

    rgb: NDArray[np.uint8]
    probabilities: ClassProbabilities | None
    _kernels: OrderedDict[Box, list[Term]] = field(default_factory=OrderedDict)

    def spread(
        self, labels: NDArray[np.uint8 | np.uint16], provenance: NDArray[np.uint8], line: Mask, box: Box, cls: int, other: int,
        channels: tuple[int, int], reach: float,
    ) -> tuple[Box, Mask]:  # fmt: skip
        """Pixels that become the stroke's class.

        Args:
            labels: (H, W) class ids.
            provenance: (H, W) uint8, who set each pixel; what the user painted does not change.
            line: (height, width) bool in ``box``, the stroke's pixels.
            box: holds the stroke.
            cls, other: ids of the stroke's class and of the class that it takes from.
            channels: their channels.
            reach: px.

        Returns:
            A larger box, and the (height, width) bool mask in it: those pixels of ``other`` that turn, connected with the stroke.
        """
        outer = box.grown(round(_EXTENT * reach) + _CONTEXT, labels.shape)
        current = labels[outer.slices]
        stroke = placed(line, box, outer)
        free = (current == other) & ~painted(provenance[outer.slices])
        belief = self._belief(current, stroke, outer, cls, other, channels, reach)
        turned = free & (self._refined(belief, stroke, outer) > 0.5)
        # Only what hangs together with the stroke: a change elsewhere would go unnoticed.
        joined = (turned | stroke).astype(np.uint8)
        _, numbers = cv2.connectedComponents(joined, connectivity=8, ltype=cv2.CV_32S)
        table = np.zeros(int(numbers.max()) + 1, np.bool_)
        table[np.unique(numbers[stroke])] = True
        table[0] = False
        return outer, turned & table[numbers]

    def _belief(
        self,
        current: NDArray[np.uint8 | np.uint16],
        stroke: Mask,
        outer: Box,
        cls: int,
        other: int,
        channels: tuple[int, int],
        reach: float,
    ) -> NDArray[np.float32]:
        """(height, width) float32: probability of the stroke's class against the other, before the CRF."""
        if self.probabilities is None:
            belief = np.full(current.shape, 0.5, np.float32)
            belief[current == other] = 1 - _LABEL_BELIEF
        else:
            one, two = (self.probabilities.part(channel, outer) for channel in channels)
            belief = np.clip(one / np.maximum(one + two, np.float32(1e-6)), 1 - _MOST_BELIEF, _MOST_BELIEF)
            belief[(current != other) & (current != cls)] = 0.5
        np.maximum(belief, _LABEL_BELIEF, out=belief, where=current == cls)
        distance = self._distance(stroke, outer, channels)
        near = np.float32(_STROKE_BELIEF) * np.exp(-(distance**2) / np.float32(2.0 * reach * reach))
        return np.asarray(np.where((current == other) | stroke, np.maximum(belief, near), belief), np.float32)

    def _distance(self, stroke: Mask, outer: Box, channels: tuple[int, int]) -> NDArray[np.float32]:
        """(height, width) float32 px from the stroke, over the changes of colour and of the network's word in between."""
        from deeplab_core.kernels.shortest_paths import geodesic_distance

        scale = _scale(stroke)
        size = tuple(max(round(side * scale), 1) for side in stroke.shape)
        part, line = self.rgb[outer.slices], stroke
        if scale != 1.0:
            part = np.asarray(cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            line = cv2.resize(stroke.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0
        planes = [lab_of(part)]
        if self.probabilities is not None:
            for channel in channels:
                word = _CLASS_CLIMB * np.sqrt(self.probabilities.part(channel, outer))
                planes.append(np.asarray(cv2.resize(word, size[::-1], interpolation=cv2.INTER_AREA), np.float32)[..., None])
        distance = geodesic_distance(line, np.concatenate(planes, axis=2) * np.float32(_CLIMB * scale)) / np.float32(scale)
        if scale != 1.0:
            distance = np.asarray(cv2.resize(distance, stroke.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        return distance

    def _refined(self, belief: NDArray[np.float32], stroke: Mask, outer: Box) -> NDArray[np.float32]:
        """(height, width) float32: the probability after the CRF."""
        from deeplab_core.refine.mean_field import mean_field
        from deeplab_core.refine.unary import FORBIDDEN

        scale = _scale(stroke)
        height, width = (max(round(side * scale), 1) for side in belief.shape)
        small = belief if scale == 1.0 else cv2.resize(belief, (width, height), interpolation=cv2.INTER_AREA)
        line = (
            stroke if scale == 1.0 else cv2.resize(stroke.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
        )
        logits = np.full((height, width, 4), FORBIDDEN, np.float32)
        logits[:, :, 0], logits[:, :, 1] = np.log(small), np.log1p(-small)
        logits[line, 0], logits[line, 1] = 0.0, FORBIDDEN
        q = mean_field(logits.reshape(-1, 4), self._terms(outer, (height, width), scale), _STEPS)[:, 0].reshape(height, width)
        found = q if scale == 1.0 else cv2.resize(q, belief.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(found, np.float32)

    def _terms(self, outer: Box, size: tuple[int, int], scale: float) -> list[Term]:
        from deeplab_core.refine.lattice import Lattice, bilateral_features, position_features
        from deeplab_core.refine.mean_field import Term

        terms = self._kernels.get(outer)
        if terms is None:
            part = self.rgb[outer.slices]
            if scale != 1.0:
                part = np.asarray(cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
            alike = Lattice.build(bilateral_features(part, _ALIKE_SXY * scale, _ALIKE_SRGB))
            near = Lattice.build(position_features(*size, _NEAR_SXY * scale))
            terms = self._kernels[outer] = [Term(near, _NEAR_WEIGHT, "after"), Term(alike, _ALIKE_WEIGHT, "after")]
            while len(self._kernels) > _KEPT:
                self._kernels.popitem(last=False)
        self._kernels.move_to_end(outer)
        return terms


def _scale(part: Mask) -> float:
    """Of the sides, 0..1, at which a part of the image is computed."""
    return min(1.0, float((_MOST_PIXELS / part.size) ** 0.5))
