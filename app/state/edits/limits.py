"""What the user's own edits may change: pixels of some classes, pixels inside or outside the trimap band. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document
from app.state.edits.raster import Point
from app.state.locks import held
from app.state.tools import BandMode, ToolState
from deeplab_core.errors import MessageText, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap


@dataclass(frozen=True, slots=True, eq=False)
class EditLimits:
    """Limits of one edit.

    Attributes:
        over: overwrite only pixels that have one of these labels now; None allows every label.
        part: (H, W) bool of the image, the only pixels that may change; None allows all.
        reason: why nothing at all may be changed, for the user; None if something may be.
    """

    over: frozenset[int] | None = None
    part: NDArray[np.bool_] | None = None
    reason: MessageText | None = None

    @property
    def none(self) -> bool:
        """Whether every pixel may change."""
        return self.over is None and self.part is None

    def applied(self, where: NDArray[np.bool_], before: LabelMap, rect: Box) -> NDArray[np.bool_]:
        """(h, w) bool: pixels of ``where`` that may change.

        Args:
            where: (h, w) bool, what an edit would change in ``rect``.
            before: (h, w) labels of ``rect`` as they are.
            rect: in image px. If it is larger than the other two, each of their pixels stands for several.
        """
        if self.over is not None:
            found = np.zeros(before.shape, np.bool_)
            for value in self.over:
                found |= before == value
            where = where & found
        return where if self.part is None else where & _under(self.part, rect, where.shape)


#: Every pixel may change.
NO_LIMITS = EditLimits()


def writable(
    document: Document,
    rect: Box,
    where: NDArray[np.bool_],
    given: int | NDArray[Any] | None,
    limits: EditLimits = NO_LIMITS,
) -> NDArray[np.bool_]:
    """(h, w) bool: pixels of ``where`` that an edit of the user may write. What is shown before an edit and the edit ask here.

    Args:
        rect: in image px. If it is larger than ``where``, each pixel of that stands for several.
        where: (h, w) bool, what the edit would write.
        given: the label or (h, w) labels that it would set; None if that is open.
        limits: which pixels may change.
    """
    if limits.reason is not None:
        return np.zeros_like(where)
    if limits.none and not document.locked:
        return where
    before = _under(document.labels, rect, where.shape)
    where = limits.applied(where, before, rect)
    return where & ~held(before, before if given is None else given, document.locked) if document.locked else where


def changing(
    document: Document, rect: Box, where: NDArray[np.bool_], given: int | NDArray[Any], limits: EditLimits = NO_LIMITS
) -> NDArray[np.bool_]:
    """(h, w) bool: pixels of ``where`` that get another label; arguments as in :func:`writable`."""
    differs: NDArray[np.bool_] = _under(document.labels, rect, where.shape) != given
    return writable(document, rect, where, given, limits) & differs


def refusal(
    document: Document,
    rect: Box,
    where: NDArray[np.bool_],
    given: int | NDArray[Any] | None = None,
    limits: EditLimits = NO_LIMITS,
) -> MessageText | None:
    """Why an edit may write no pixel of ``where``, for the user; None if it may. Arguments as in :func:`writable`."""
    if limits.reason is not None or not where.any() or writable(document, rect, where, given, limits).any():
        return limits.reason
    locked, before = document.locked, _under(document.labels, rect, where.shape)
    free = where & ~held(before, before, locked)
    name = _only_name(document, before[where])
    if not free.any():
        return message("These classes are locked") if name is None else message("{name} is locked", name=name)
    if isinstance(given, int) and given in locked:
        return message("{name} is locked", name=_name(document, given))
    free &= EditLimits(limits.over).applied(free, before, rect)
    if limits.over is not None and not free.any():
        if name is None:
            return message("None of these classes may be painted over")
        return message("{name} is not among the classes that may be painted over", name=name)
    if not limits.applied(free, before, rect).any():
        return message("All of it is on the side of the trimap band that is not painted")
    return message("Locked classes keep their pixels")


def _only_name(document: Document, labels: NDArray[Any]) -> MessageText | str | None:
    """The name of the class that all of some labels have; None if they have several."""
    values = np.unique(labels).tolist()
    return _name(document, values[0]) if len(values) == 1 else None


def _name(document: Document, value: int) -> MessageText | str:
    return message("unlabelled") if value == document.catalog.ignore else document.catalog.by_id(value).name


def _under(values: NDArray[Any], rect: Box, shape: tuple[int, ...]) -> NDArray[Any]:
    """(h, w) values of (H, W) ones in a box: all of them, or those in the middles of fewer, larger pixels."""
    height, width = shape
    if (height, width) == rect.size:
        return values[rect.slices]
    rows = rect.y + (2 * np.arange(height) + 1) * rect.height // (2 * height)
    columns = rect.x + (2 * np.arange(width) + 1) * rect.width // (2 * width)
    return values[np.ix_(rows, columns)]


def edit_limits(
    document: Document, tools: ToolState, band: NDArray[np.bool_] | None, start: Point | None = None, *, whole: bool = False
) -> EditLimits:
    """What the user's own edits may change with the modes that are on.

    Args:
        band: (H, W) bool, the trimap band; None if there is none.
        start: where a stroke or outline begins, for "paint only over the class where a stroke begins"; None if it does not
            matter.
        whole: whether the edit changes only pixels of the class at ``start``, as a fill does.
    """
    over = tools.over or None
    if start is not None and (tools.within or whole):
        height, width = document.shape
        column, row = min(max(int(start[0] // 1), 0), width - 1), min(max(int(start[1] // 1), 0), height - 1)
        here = int(document.labels[row, column])
        if over is not None and here not in over:
            return EditLimits(
                reason=message("{name} is not among the classes that may be painted over", name=_name(document, here))
            )
        over = frozenset({here})
    if tools.band is BandMode.OFF:
        return EditLimits(over)
    if band is None or band.shape != document.shape:
        return EditLimits(reason=message("There is no trimap band yet. The Trimap band view (T) says why"))
    return EditLimits(over, band if tools.band is BandMode.INSIDE else ~band)
