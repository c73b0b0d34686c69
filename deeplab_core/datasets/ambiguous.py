"""Ambiguous truth: pixels that the user has declared undecidable (chair or sofa?), kept out of every score.

Marks are pixels, never polygons: exact runs of the oriented image. They change no mask; they only say what not to count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, MaskFormatError, ProjectError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.reading import convert, expecting, parse_json, read_bytes, shorten, whole
from deeplab_core.regions import Mask

#: Name and version of the JSON form.
FORMAT = "atrous-ambiguous-1"
#: Ending of files with the regions of an image.
AMBIGUOUS_SUFFIX = ".ambiguous.json"
#: Largest list of marks that is read.
MAX_MARKS_BYTES = 64 << 20
_WHAT = "the file of ambiguous regions"


@dataclass(frozen=True, slots=True)
class AmbiguousMark:
    """One marked region.

    Attributes:
        box: its bounding box.
        runs: lengths of alternating runs over the box row by row, the first one of pixels that do *not* belong to the region
            (it may be 0); they add up to ``box.width * box.height``.
        classes: ids that the region may be, for the record; may be empty.
        reason: what the user wrote.
    """

    box: Box
    runs: tuple[int, ...]
    classes: tuple[int, ...] = ()
    reason: str = ""

    @property
    def pixels(self) -> int:
        """Size of the region."""
        return sum(self.runs[1::2])

    def mask(self) -> Mask:
        """(height, width) bool: the region within its box."""
        inside = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(inside, self.runs).reshape(self.box.height, self.box.width)


@dataclass(frozen=True, slots=True)
class AmbiguousMarks:
    """All marks of one image.

    Attributes:
        height, width: size of the oriented image, px.
        marks: in the order in which they were made; they may overlap.
    """

    height: int
    width: int
    marks: tuple[AmbiguousMark, ...] = ()

    def marked(
        self, mask: NDArray[Any], *, offset: tuple[int, int] = (0, 0), classes: tuple[int, ...] = (), reason: str = ""
    ) -> AmbiguousMarks:
        """A copy with one more mark.

        Args:
            mask: (h, w), true inside; of the whole image, or of a box (an error component's).
            offset: x and y of the mask's first pixel in the image.
            classes, reason: see :class:`AmbiguousMark`.

        Raises:
            ValueError: an empty mask, or one that leaves the image.
        """
        inside = np.asarray(mask, dtype=bool)
        around = Box.around(inside)
        if around is None:
            raise ValueError("a mark needs at least one pixel")
        inside = inside[around.slices]
        box = around.moved(*offset)
        if not Box(0, 0, self.width, self.height).holds(box):
            raise ValueError(f"the mark {tuple(box)} leaves the image of {self.width} x {self.height} px")
        mark = AmbiguousMark(box, _runs(inside), tuple(int(class_id) for class_id in classes), reason)
        return replace(self, marks=(*self.marks, mark))

    def without(self, position: int) -> AmbiguousMarks:
        """A copy without one mark. Raises IndexError if it does not exist."""
        if not 0 <= position < len(self.marks):
            raise IndexError(f"there is no mark {position}")
        return replace(self, marks=self.marks[:position] + self.marks[position + 1 :])

    def at(self, x: int, y: int) -> tuple[int, ...]:
        """Positions of the marks that hold a pixel."""
        return tuple(
            position
            for position, mark in enumerate(self.marks)
            if mark.box.holds(Box(x, y, 1, 1)) and mark.mask()[y - mark.box.y, x - mark.box.x]
        )

    def mask(self) -> Mask:
        """(H, W) bool: pixels of any mark, the ``exclude`` of the other functions of this package."""
        whole = np.zeros((self.height, self.width), dtype=bool)
        for mark in self.marks:
            whole[mark.box.slices] |= mark.mask()
        return whole

    def exclude_from(self, truth: LabelMap, ignore: int) -> NDArray[Any]:
        """A copy of the truth in which marked pixels are void.

        Measure boundary bands on the truth as it is and then count on this copy: new void would make bands of its own.

        Raises:
            ValueError: a truth of another size.
        """
        if truth.shape != (self.height, self.width):
            raise ValueError(
                f"the marks are of {self.width} x {self.height} px, the truth of {truth.shape[1]} x {truth.shape[0]} px"
            )
        copy = truth.copy()
        copy[self.mask()] = ignore
        return copy

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` is the inverse."""
        return {
            "format": FORMAT,
            "width": self.width,
            "height": self.height,
            "marks": [
                {"box": list(mark.box), "runs": list(mark.runs), "classes": list(mark.classes), "reason": mark.reason}
                for mark in self.marks
            ],
        }

    @classmethod
    def from_dict(cls, data: Any) -> AmbiguousMarks:
        """Rebuild from :meth:`to_dict`. Raises ProjectError naming what is malformed; nothing is taken on trust."""
        remedy = f"This program reads {FORMAT}; a newer one may have written it"
        with expecting("not a list of ambiguous regions", remedy=remedy, error=ProjectError):
            if data["format"] != FORMAT:
                raise ValueError(f"it is of the form {shorten(data['format'])}")
            height, width = whole(data["height"], least=0), whole(data["width"], least=0)
            marks = tuple(_mark(row, height, width) for row in data["marks"])
        return cls(height, width, marks)


def read_ambiguous(path: Path, shape: tuple[int, ...]) -> AmbiguousMarks:
    """Read ``NAME.ambiguous.json`` for an image of ``shape`` (H, W).

    Raises:
        ProjectError: the file holds something else.
        MaskFormatError: it cannot be read, or is of another size.
    """
    return decode_ambiguous(read_bytes(path, limit=MAX_MARKS_BYTES, what=_WHAT, error=MaskFormatError), path, shape)


def decode_ambiguous(data: bytes, path: Path, shape: tuple[int, ...]) -> AmbiguousMarks:
    """As :func:`read_ambiguous`, for a file that is in memory already; ``path`` is what errors name."""
    values = parse_json(
        data, path=path, limit=MAX_MARKS_BYTES, what=_WHAT, remedy="Mark them again", error=MaskFormatError
    )  # fmt: skip
    try:
        marks = AmbiguousMarks.from_dict(values)
    except AtrousError as error:
        error.path = path
        raise
    if (marks.height, marks.width) != tuple(shape[:2]):
        raise MaskFormatError(
            message(
                "the ambiguous regions are of {width} x {height} px, the truth of {other_width} x {other_height} px",
                width=marks.width,
                height=marks.height,
                other_width=shape[1],
                other_height=shape[0],
            ),
            remedy=message("Mark them again on this image"),
            path=path,
        )
    return marks


def _mark(row: object, height: int, width: int) -> AmbiguousMark:
    mark = convert(row, AmbiguousMark)
    if mark.box.empty or not Box(0, 0, width, height).holds(mark.box):
        raise ValueError(f"the box {tuple(mark.box)} leaves the image of {width} x {height} px")
    if min((*mark.runs, *mark.classes), default=0) < 0:
        raise ValueError("a run or a class is negative")
    if sum(mark.runs) != mark.box.area or not sum(mark.runs[1::2]):
        raise ValueError(f"the runs of the box {tuple(mark.box)} do not fill it")
    return mark


def _runs(inside: Mask) -> tuple[int, ...]:
    flat = inside.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return tuple(runs if not flat[0] else [0, *runs])
