"""What the window says about mask files that it read in one go: what makes them implausible, how some were read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.masks.plausibility import MaskStatistics, hidden_by_void, shifted_by_one
from deeplab_core.notes import Note, RunNotes


class MaskCheck:
    """Counts the masks of a folder while they are read, one after the other."""

    def __init__(self, catalog: ClassCatalog, noun: str) -> None:
        """Begin; ``noun`` is what a mask is called in the sentences: ``"mask"``, ``"ground truth mask"``."""
        self._catalog = catalog
        self._masks = MaskStatistics(catalog)
        self._notes = RunNotes(noun)
        self._over_void = np.zeros(len(catalog) + 1, dtype=np.int64)

    def add(self, name: str, px: NDArray[np.int64], notes: tuple[Note, ...], over_void: NDArray[np.int64] | None = None) -> None:
        """Add a mask: its pixels by class (void last), its notes, and what was predicted where it is void."""
        self._masks.add(name, px)
        self._notes.add(name, notes)
        if over_void is not None:
            self._over_void += over_void

    def warnings(self, matrix: NDArray[np.int64] | None = None) -> list[str]:
        """What may make figures or labels wrong; ``matrix`` is the pooled (C, C + 1) confusion, if there is one."""
        notes = list(self._masks.findings())
        if matrix is not None:
            shifted = shifted_by_one(matrix, self._catalog)
            notes = [*([] if shifted is None else [shifted]), *hidden_by_void(matrix, self._over_void, self._catalog), *notes]
        serious = [note.text for note in notes if note.warning]
        return serious + (self._notes.lines() if self._notes.warning else [])

    def remarks(self) -> list[str]:
        """What is worth knowing besides: void, absent classes, files read in an unusual way."""
        found = [note.text for note in self._masks.findings() if not note.warning]
        return found + ([] if self._notes.warning else self._notes.lines())


def mask_counts(
    labels: LabelMap, catalog: ClassCatalog, prediction: LabelMap | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What :meth:`MaskCheck.add` takes: (C + 1,) pixels of a mask, and of the prediction where the mask is void."""
    px = class_histogram(labels, catalog)
    if prediction is None or not px[-1]:
        return px, np.zeros_like(px)
    return px, class_histogram(np.ascontiguousarray(prediction[labels == catalog.ignore][None]), catalog)
