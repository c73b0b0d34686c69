"""Reading every image once: the output of the frozen part is kept, what cannot be used is named and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from deeplab_core.errors import (
    AtrousError,
    Cancelled,
    ComputeError,
    MaskFormatError,
    StorageError,
    error_text,
    image_error,
    message,
)
from deeplab_core.inference import ScoreGrid
from deeplab_core.inference.monitor import ProgressMonitor
from deeplab_core.inference.pixels import RGB
from deeplab_core.labels import LabelMap
from deeplab_core.learning import MOST_IMAGES
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation.classes import ClassPlan
from deeplab_core.training.adaptation.examples import Corrected, PixelPool, TrainingExample, Untouched
from deeplab_core.training.adaptation.frozen_split import FrozenSplit
from deeplab_core.training.adaptation.views import Encoded, FeatureStore, View, encode, label_map, network_scores

T = TypeVar("T")

#: Confidence (0..255) from which a prediction of the old model is one that must stay: 0.7.
CONFIDENT = 178
#: Share of the room for features that corrected images may take where not everything fits: without images without
#: corrected, the network would forget.
_CORRECTED_SHARE = 0.75
_NO_ROOM = message("there was no room to keep the network's output while learning")


@dataclass(frozen=True, eq=False)
class Raw:
    """One image, encoded.

    Attributes:
        encoded: plain, and mirrored for a corrected image.
        known: (H, W) int16 place of the class that the user confirmed, -1 elsewhere; None for an uncorrected image.
        mask: (H, W) what predictions are judged by: the labels that the user confirmed if those are most of the image, else
            the whole corrected mask.
    """

    name: str
    encoded: tuple[Encoded, ...]
    known: NDArray[np.int16] | None = None
    mask: LabelMap | None = None


@dataclass(eq=False)
class Gathered:
    """Everything that was read.

    Attributes:
        skipped: (name, why) of what could not be used.
    """

    corrected: list[Raw] = field(default_factory=list)
    untouched: list[Raw] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Gatherer:
    """Reads images and runs the frozen part over them.

    Attributes:
        split: the network.
        card: of the network.
        plan: its classes and those of the masks.
        device: where it computes.
        store: where the features are kept.
        monitor: cancel and progress.
        align_corners: rule of the network's upsampling.
        minimum_side: smallest input of the network, px.
    """

    split: FrozenSplit
    card: ModelCard
    plan: ClassPlan
    device: torch.device
    store: FeatureStore
    monitor: ProgressMonitor
    align_corners: bool
    minimum_side: int = 1

    def gather(
        self, corrected: Sequence[Corrected], untouched: Sequence[Untouched], background: int, span: tuple[float, float]
    ) -> Gathered:
        """Read what is to be learned from.

        Where the store cannot keep the network's output for all of them, evenly chosen ones that fit are learned from.

        Args:
            background: how many of ``untouched`` are used.
            span: fractions of the progress at begin and end.

        Raises:
            AtrousError: no corrected image can be used.
            StorageError: not a single corrected image can be kept.
        """
        found = Gathered()
        wanted, others = spread(corrected, MOST_IMAGES), spread(untouched, background)
        length = (span[1] - span[0]) / max(1, len(wanted) + len(others))
        room, size = self.store.room, 0
        done = 0
        while done < len(wanted):
            self._read(wanted[done], found, span[0] + length * done)
            done += 1
            if found.corrected and not size:
                size = room - self.store.room  # of the first one, plain and mirrored: the others will be about as large
                fitting = spread(wanted[done:], int(_CORRECTED_SHARE * room / max(1, size)) - 1)
                found.skipped += [(source.name, _NO_ROOM) for source in wanted[done:] if source not in fitting]
                wanted[done:] = fitting
        if not found.corrected:
            why = (
                found.skipped[0][1]
                if found.skipped
                else message("no corrected pixel is of a class that the model has or is to get")
            )
            raise AtrousError(
                message("there is nothing to learn from"), why=why, remedy=message("Correct an image or two, then learn again")
            )
        for number, other in enumerate(spread(others, int(self.store.room / max(1, size / 2))), start=done):
            self._read(other, found, span[0] + length * number)
        return found

    def _read(self, source: Corrected | Untouched, found: Gathered, fraction: float) -> None:
        """Take one image, or say why not."""
        self.monitor.step(fraction, 0.0, f"looking at {source.name}")
        try:
            if self.store.full:
                raise StorageError(_NO_ROOM)  # encoding it would be in vain
            if isinstance(source, Untouched):
                found.untouched.append(Raw(source.name, self._encoded(source.read(), mirrored=False)))
            else:
                self._take(source, found)
        except (Cancelled, ComputeError):
            raise
        except Exception as problem:
            error = image_error(problem, source.name)
            if not self.store.full:
                found.skipped.append((source.name, error_text(error)))
            elif not found.corrected:
                raise error from None
            elif isinstance(source, Corrected):
                found.skipped.append((source.name, _NO_ROOM))

    def _take(self, source: Corrected, found: Gathered) -> None:
        rgb, labels, mask = source.read()
        if labels.shape != rgb.shape[:2] or mask.shape != rgb.shape[:2]:
            raise MaskFormatError(
                message(
                    "its mask is {mask_width} x {mask_height}, the picture {width} x {height}",
                    mask_width=mask.shape[1],
                    mask_height=mask.shape[0],
                    width=rgb.shape[1],
                    height=rgb.shape[0],
                ),
                remedy=message("Open the image and correct it again"),
            )
        places = self.plan.labels.index_lut()[labels]
        taught = np.append(self.plan.taught(), [False, False])[places]
        if taught.any():
            known = np.where(taught, places, -1).astype(np.int16)
            # The rest of a reviewed mask may be the old model's own filling of void, by which any change would count as an error.
            # Of a mask that was only touched up, the touched pixels alone are all errors, by which any change would be a gain.
            if 2 * np.count_nonzero(labels != self.plan.labels.ignore) >= labels.size:
                mask = labels
            found.corrected.append(Raw(source.name, self._encoded(rgb, mirrored=True), known, mask))

    def _encoded(self, rgb: RGB, *, mirrored: bool) -> tuple[Encoded, ...]:
        sides = []
        for side in (False, True) if mirrored else (False,):
            self.monitor.check()
            sides.append(
                encode(
                    self.split, rgb, self.card.preprocessing, self.store, self.device,
                    align_corners=self.align_corners, minimum_side=self.minimum_side, mirrored=side,
                )
            )  # fmt: skip
        return tuple(sides)


def votes(raw: Raw, places: int, split: FrozenSplit, card: ModelCard, device: torch.device) -> NDArray[np.int64]:
    """(L, C) pixels that the user gives each of the L = ``places`` classes, by what the model takes them for."""
    channels = len(card.catalog)
    if raw.known is None:
        return np.zeros((places, channels), np.int64)
    ids, _ = label_map(network_scores(split, raw.encoded[0], device), card.catalog, card.threshold)
    wanted = raw.known >= 0
    cells = raw.known[wanted].astype(np.int64) * channels + card.catalog.index_lut()[ids[wanted]]
    counted: NDArray[np.int64] = np.bincount(cells, minlength=places * channels).reshape(places, channels)
    return counted


def make_example(
    raw: Raw, split: FrozenSplit, plan: ClassPlan, random: np.random.Generator, device: torch.device
) -> TrainingExample:
    """A training example, with the scores of the network before training."""
    grid = network_scores(split, raw.encoded[0], device)
    ids, confidence = label_map(grid, plan.catalog, plan.threshold)
    channels: NDArray[Any] = plan.catalog.index_lut()[ids]
    sure = confidence >= CONFIDENT
    before = plan.decided(ids)
    known = raw.known
    replayed = PixelPool.of(channels, sure if known is None else sure & (known < 0), random)
    views = [View(raw.encoded[0], grid)]
    for encoded in raw.encoded[1:]:
        # Where nothing is replayed, nothing reads the old scores; a view needs their grid all the same.
        there = network_scores(split, encoded, device) if replayed.pixels else _unread(grid, encoded)
        views.append(View(encoded, there))
    if known is None:
        return TrainingExample(raw.name, tuple(views), replayed, before)
    return TrainingExample(raw.name, tuple(views), replayed, before, PixelPool.of(known, known >= 0, random), raw.mask)


def _unread(grid: ScoreGrid, encoded: Encoded) -> ScoreGrid:
    """A grid of the same shape, without scores."""
    nothing = np.broadcast_to(np.zeros((), grid.values.dtype), grid.values.shape)
    return ScoreGrid(nothing, encoded.frame, encoded.align_corners, encoded.mirrored)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of the items, evenly."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in sorted({round(x) for x in np.linspace(0, len(items) - 1, most)})] if most else []
