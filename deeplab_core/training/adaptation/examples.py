"""Training examples: pixels with a class that the user confirmed, and pixels with a prediction that must not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.inference.pixels import RGB
from deeplab_core.labels import LabelMap
from deeplab_core.training.adaptation.classes import ClassPlan
from deeplab_core.training.adaptation.views import View

#: Pixels of one class and image that are remembered at most.
_PIXELS = 40_000
#: Share of a class's pixels up to which a model is said never to predict it.
_SELDOM = 0.01


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected image.

    Attributes:
        name: what reports call it.
        read: gives the picture (H, W, 3) uint8, the labels that the user confirmed (H, W), void elsewhere, and the whole mask
            as it is now (H, W); both in the ids of one catalog. May raise AtrousError: the image is then left out and named.
    """

    name: str
    read: Callable[[], tuple[RGB, LabelMap, LabelMap]]


@dataclass(frozen=True, slots=True)
class Untouched:
    """An uncorrected image. ``read`` gives the picture (H, W, 3) uint8, or raises AtrousError."""

    name: str
    read: Callable[[], RGB]


Drawn = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class PixelPool:
    """Pixels of one image by class, to draw from.

    Attributes:
        groups: place of a class -> flat pixel indices (int32).
        counts: place of a class -> number of its pixels, also those that are not remembered.
    """

    groups: dict[int, NDArray[np.int32]]
    counts: dict[int, int]

    @staticmethod
    def of(places: NDArray[Any], wanted: NDArray[np.bool_], random: np.random.Generator) -> PixelPool:
        """Collect pixels.

        Args:
            places: (H, W) place of each pixel's class.
            wanted: (H, W) bool.
        """
        flat = np.flatnonzero(wanted)
        of_flat = places.ravel()[flat]
        groups, counts = {}, {}
        for place in np.unique(of_flat):
            found = flat[of_flat == place]
            counts[int(place)] = int(found.size)
            if found.size > _PIXELS:
                found = np.sort(random.choice(found, _PIXELS, replace=False))
            groups[int(place)] = found.astype(np.int32)
        return PixelPool(groups, counts)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return sum(self.counts.values())

    def within(self, inside: Callable[[NDArray[np.int32]], NDArray[np.bool_]]) -> PixelPool:
        """Those remembered pixels, given as flat indices, of which ``inside`` says so; the others are counted as theirs are."""
        groups, counts = {}, {}
        for place, group in self.groups.items():
            found = group[inside(group)]
            if found.size:
                groups[place] = found
                counts[place] = max(1, round(self.counts[place] * found.size / group.size))
        return PixelPool(groups, counts)

    def draw(self, number: int, random: np.random.Generator, *, floor: float = 0.0, power: float = 1.0) -> Drawn:
        """Draw pixels of each class in proportion to a power of its number of pixels.

        Args:
            floor: least share of each class that is there.
            power: 1 draws classes as often as they occur, 0 all equally often, 0.5 in between.

        Returns:
            (P,) flat indices and (P,) places of their classes.
        """
        places = list(self.groups)
        weights = np.array([self.counts[place] for place in places], np.float64) ** power
        weights = np.maximum(weights / weights.sum(), floor)
        shares = random.multinomial(number, weights / weights.sum())
        parts = [random.choice(self.groups[place], share) for place, share in zip(places, shares, strict=True)]
        return np.concatenate(parts).astype(np.int64), np.repeat(np.array(places, np.int64), shares)


@dataclass(frozen=True, eq=False)
class TrainingExample:
    """One image, prepared for training.

    Attributes:
        name: of the image.
        views: plain, and mirrored where wanted.
        replayed: pixels with a confident prediction that must not change, by channel.
        before: (H, W) what the old model predicts, ids of the labels' catalog.
        taught: pixels that the user confirmed, by place in the labels' catalog; None for an uncorrected image.
        mask: (H, W) the whole corrected mask; None for an uncorrected image.
    """

    name: str
    views: tuple[View, ...]
    replayed: PixelPool
    before: LabelMap
    taught: PixelPool | None = None
    mask: LabelMap | None = None

    def taught_share(self, emphasis: float, least: float) -> float:
        """Share of the drawn pixels that are the user's, if one of them counts as ``emphasis`` others."""
        if self.taught is None or not self.taught.pixels:
            return 0.0
        weight = emphasis * self.taught.pixels
        return max(least, weight / (weight + self.replayed.pixels))


def never_predicted(
    corrected: Sequence[TrainingExample], untouched: Sequence[TrainingExample], plan: ClassPlan
) -> tuple[int, ...]:
    """Channels of the old model whose class the user confirmed, and which it predicts at no more than 1 in 100 of these pixels
    and nowhere else with confidence.

    A class that is listed and never predicted has as much to learn as a new one. Channels that share a class are left out, and so
    is a class that the user confirmed alone: without pixels of others to hold against it, it would soon be predicted everywhere.
    """
    if len({place for example in corrected if example.taught is not None for place in example.taught.groups}) < 2:
        return ()
    found = []
    elsewhere = {channel for example in (*corrected, *untouched) for channel in example.replayed.groups}
    for place in np.flatnonzero(plan.taught()):
        channels = np.flatnonzero(plan.means == place)
        if len(channels) != 1 or channels[0] >= plan.old or int(channels[0]) in elsewhere:
            continue
        right = total = 0
        for example in corrected:
            group = None if example.taught is None else example.taught.groups.get(int(place))
            if group is not None:
                total += group.size
                right += int(np.count_nonzero(example.before.ravel()[group] == plan.labels.ids[place]))
        if total and right <= _SELDOM * total:
            found.append(int(channels[0]))
    return tuple(found)
