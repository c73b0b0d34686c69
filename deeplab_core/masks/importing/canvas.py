"""The pixels of one image while its regions are drawn: which class, what was there before, what could not be drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError
from deeplab_core.masks.importing.records import Unread
from deeplab_core.notes import Note
from deeplab_core.reading import VALUE_ERRORS, reason, shorten

#: Value of a pixel that no region covers, and of one that the source itself calls void.
NOTHING, VOID = 0, 65535


class Canvas:
    """Regions are drawn one over the other; the last one has the pixel.

    Attributes:
        width, height: in px.
        values: (H, W) uint16: 0 outside the regions, 1 + the place of the class in ``names``, 65535 for void.
        names: classes that can be drawn.
        regions: how many were drawn, void left out.
        notes: what was read in an unusual way.
    """

    def __init__(self, width: int, height: int, names: Sequence[str]) -> None:
        self.width, self.height = width, height
        self.values = np.zeros((height, width), np.uint16)
        self.names = tuple(names)
        self.regions = 0
        self.notes: list[Note] = []
        self._codes = {name: number + 1 for number, name in enumerate(self.names)}
        self._disputed: NDArray[np.bool_] | None = None
        self._objects: set[Hashable] = set()
        self._skipped: Counter[tuple[str, str, bool]] = Counter()
        self._missing = 0

    @property
    def instances(self) -> int:
        """How many objects the regions told apart."""
        return len(self._objects)

    @property
    def overlaps(self) -> int:
        """How many px regions of different classes claimed."""
        return 0 if self._disputed is None else int(np.count_nonzero(self._disputed))

    @property
    def skipped(self) -> tuple[Unread, ...]:
        """What was not drawn, counted by kind and reason."""
        return tuple(Unread(what, why, count, damaged=damaged) for (what, why, damaged), count in self._skipped.items())

    @property
    def lost(self) -> bool:
        """Whether all pixels of the image are without a label only because its regions were not drawn."""
        return bool(self._missing) and not self.regions and not np.any(self.values == VOID)

    def code(self, name: str | None) -> int:
        """Value of a class in :attr:`values`; None is void. Raises KeyError for a class that the source did not list."""
        return VOID if name is None else self._codes[name]

    def paint(self, name: str | None, mask: NDArray[np.bool_], *, top: int = 0, left: int = 0, instance: Hashable = None) -> None:
        """Draw one region; what is outside of the image is left out.

        Args:
            name: its class, or None for void.
            mask: (h, w) bool.
            top, left: place of the mask's first pixel in the image.
            instance: which object the region belongs to; None counts as none.
        """
        code = self.code(name)
        rows = slice(max(top, 0), max(min(top + mask.shape[0], self.height), 0))
        columns = slice(max(left, 0), max(min(left + mask.shape[1], self.width), 0))
        inside = mask[max(-top, 0) : max(rows.stop - top, 0), max(-left, 0) : max(columns.stop - left, 0)]
        part = self.values[rows, columns]
        clash = inside & (part != NOTHING) & (part != code)
        if clash.any():
            if self._disputed is None:
                self._disputed = np.zeros(self.values.shape, np.bool_)
            self._disputed[rows, columns] |= clash
        part[inside] = code
        self.regions += name is not None
        if instance is not None:
            self._objects.add(instance)

    def fill(self, codes: NDArray[np.uint16]) -> None:
        """Set every pixel at once, for formats that hold pixels.

        Args:
            codes: (H, W) uint16, as :attr:`values`. Raises ValueError for another size.
        """
        if codes.shape != self.values.shape:
            raise ValueError(f"a mask of {codes.shape[1]} x {codes.shape[0]} px for {self.width} x {self.height} px")
        self.values = np.ascontiguousarray(codes, np.uint16)

    def count_instances(self, objects: Sequence[Hashable]) -> None:
        """Count objects that masks tell apart."""
        self._objects.update(objects)

    def skip(self, what: str, why: str, *, area: bool = True, damaged: bool = False) -> None:
        """Count something that is not drawn.

        Args:
            what: its kind (``"a point"``).
            why: a sentence without a full stop.
            area: whether it marks a place in the image, rather than being about the image as a whole.
            damaged: see :class:`Unread`.
        """
        self._skipped[what, why, damaged] += 1
        self._missing += area

    @contextmanager
    def drawing(self, what: str) -> Iterator[None]:
        """One region: values of the wrong form leave this region out, and the others are drawn."""
        try:
            yield
        except AtrousError as problem:
            self.skip(what, problem.what if not problem.why else f"{problem.what}: {problem.why}", damaged=True)
        except VALUE_ERRORS as problem:
            self.skip(what, shorten(reason(problem), 200).strip("'\""), damaged=True)
