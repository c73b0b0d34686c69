"""A copy of labels and provenance as they were at a step boundary, taken in another thread while painting goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.state.patch import PatchRecorder
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap


class OpenStep(Protocol):
    """What has been painted, but is not a step of the journal yet: a stroke in progress, or one that waits for what follows."""

    def before_tiles(self) -> Iterator[tuple[Box, LabelMap, NDArray[np.uint8]]]:
        """Yield (rect, labels, provenance) of each tile as it was before; tiles on the grid of 64 px."""
        ...


class Snapshot:
    """The maps without what the open steps have painted, and without anything painted from now on.

    Copying a large map takes too long during painting, so :meth:`take` runs in another thread. Code that changes
    the maps during it calls :meth:`touch` first: the tiles are kept as they are and put into the copy afterwards.

    Args:
        labels, provenance: (H, W), live.
        steps: open steps, the oldest first.
    """

    def __init__(self, labels: LabelMap, provenance: NDArray[np.uint8], steps: Iterable[OpenStep]) -> None:
        self._labels = labels
        self._provenance = provenance
        self._mutex = threading.Lock()
        self._kept = PatchRecorder(labels, provenance)
        self._open = True
        for step in steps:
            for tile in step.before_tiles():
                self._kept.keep(*tile)

    @property
    def open(self) -> bool:
        """Whether changes must still be announced by :meth:`touch`."""
        return self._open

    def touch(self, rect: Box) -> None:
        """Keep the content of ``rect``, before it is changed. Called by the thread that changes the maps."""
        with self._mutex:
            if self._open:
                self._kept.touch(rect)

    def take(self) -> tuple[LabelMap, NDArray[np.uint8]]:
        """(labels, provenance) at the boundary, both (H, W) and the caller's own. Ends the snapshot; call it once."""
        labels, provenance = self._labels.copy(), self._provenance.copy()
        with self._mutex:
            self._open = False
            for rect, old_labels, old_provenance in self._kept.before_tiles():
                labels[rect.slices], provenance[rect.slices] = old_labels, old_provenance
        return labels, provenance

    def drop(self) -> None:
        """End the snapshot without a copy."""
        with self._mutex:
            self._open = False
