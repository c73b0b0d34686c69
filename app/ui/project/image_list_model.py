"""The images of a project as a list: filtered and ordered here in plain Python.

Rows are made when they are shown, or when a filter or another order than that of the names asks for all of them. Large lists are
filtered in slices, so that the window answers meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from math import inf, isnan

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel, Qt, Signal
from PySide6.QtGui import QImage

from app.services.allocator import collection_paused
from app.services.timers import single_shot
from app.text import mark
from app.viewmodels.project.image_list import ImageRow, ImageRows, Wanted

#: Images that are filtered at a time: a list of no more is arranged at once.
_SLICE = 500
#: Seconds after which a turn of filtering ends.
_TURN = 0.02

_Index = QModelIndex | QPersistentModelIndex


class SortBy(StrEnum):
    """Order of the list; the value is stored in the settings."""

    NAME = "name"
    WORST = "worst"
    UNCERTAIN = "uncertain"
    STATUS = "status"


SORT_TITLES: dict[SortBy, str] = {
    SortBy.NAME: mark("by name"),
    SortBy.WORST: mark("worst IoU first"),
    SortBy.UNCERTAIN: mark("uncertain first"),
    SortBy.STATUS: mark("by status"),
}


def _sort_values(order: SortBy, rows: ImageRows, places: Sequence[int]) -> list[float]:
    """What images are ordered by; equal ones stay in the order of their names."""

    def missing_last(value: float | None, sign: float = 1.0) -> float:
        return inf if value is None or isnan(value) else sign * value

    if order is SortBy.WORST:
        return [missing_last(rows[place].iou) for place in places]
    if order is SortBy.UNCERTAIN:
        return [missing_last(rows[place].uncertainty, -1.0) for place in places]
    if order is SortBy.STATUS:
        return [float(rows.record(place).status) for place in places]
    return []


class ImageListModel(QStringListModel):
    """Rows of the images dock.

    ``picture`` is asked for a thumbnail when a row is painted; it returns None while it is being made and the owner calls
    :meth:`refresh` when it is there. ``tint`` is asked for what is laid over it, in the same way.

    The texts of the base class stay empty. It counts the rows: a view asks for their number four times for each row when the list
    changes, which takes 0.3 s for 100,000 in Python.

    Signals:
        arranged(): a filter or an order that was set is shown now.
    """

    arranged = Signal()

    RowRole = int(Qt.ItemDataRole.UserRole)

    def __init__(
        self, picture: Callable[[ImageRow], QImage | None], tint: Callable[[ImageRow], QImage | None] = lambda _row: None
    ) -> None:
        super().__init__()
        self._picture, self._tint = picture, tint
        self._all = self._coming = ImageRows()  # shown, and to be shown once they are arranged
        self._shown: Sequence[int] = ()  # positions
        self._place: dict[int, int] = {}  # in the list, by image id
        self._wanted = Wanted("")
        self._sort = SortBy.NAME
        self._steps: Iterator[None] | None = None  # of an arrangement that is not finished
        self._go_on = single_shot(self, 0, self._arrange_further)

    @property
    def sort_by(self) -> SortBy:
        return self._sort

    @property
    def filtered(self) -> bool:
        """Whether a filter hides rows."""
        return bool(self._wanted.text)

    def set_rows(self, rows: ImageRows) -> None:
        """Show another project, or the same one after a rescan."""
        self._coming = rows
        self._arrange()

    def set_filter(self, text: str) -> None:
        """Show only rows that match; see :class:`Wanted` for what may be written. A large list follows a little later."""
        self._wanted = Wanted(text)
        self._arrange()

    def set_sort(self, order: SortBy) -> None:
        """Order the rows. A large list follows a little later."""
        self._sort = order
        self._arrange()

    @property
    def arranging(self) -> bool:
        """Whether a filter or an order that was set is not shown yet."""
        return self._steps is not None

    @property
    def rows(self) -> ImageRows:
        """All images in the project's order, whatever the filter hides."""
        return self._coming

    def class_names(self) -> list[str]:
        """Names of the classes in any image's mask, in lower case."""
        return self._coming.class_names()

    def shown_ids(self) -> list[int]:
        """Ids of the rows in the current order of the list, which 'next' follows."""
        ids = self._all.ids
        return list(ids) if isinstance(self._shown, range) else [ids[position] for position in self._shown]

    def row_of(self, image_id: int) -> int | None:
        """Place of an image in the list; None while a filter hides it."""
        return self._place.get(image_id)

    def image_row(self, index: _Index) -> ImageRow:
        return self._all[self._shown[index.row()]]

    def picture(self, row: ImageRow) -> QImage | None:
        """The thumbnail, if it is there yet."""
        return self._picture(row)

    def tint(self, row: ImageRow) -> QImage | None:
        """The mask to be laid over the thumbnail; None without one, or while it is made."""
        return self._tint(row)

    def refresh_all(self) -> None:
        """Repaint every image: the colours of masks are others."""
        if self._shown:
            self.dataChanged.emit(self.index(0), self.index(len(self._shown) - 1))

    def update_row(self, row: ImageRow) -> None:
        """Replace one image's facts; it keeps its place until the list is sorted again, so that rows do not jump."""
        self._coming.put(row)
        self.refresh(row.id)

    def refresh(self, image_id: int) -> None:
        """Repaint one image, e.g. because its thumbnail has come."""
        place = self._place.get(image_id)
        if place is not None:
            index = self.index(place)
            self.dataChanged.emit(index, index)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Rows can be chosen, not edited."""
        return Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled if index.isValid() else Qt.ItemFlag.NoItemFlags

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row = self.image_row(index)
        if role == self.RowRole:
            return row
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return row.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.tooltip
        return None

    def _arrange(self) -> None:
        self._go_on.stop()
        self._steps = self._arrangement()
        self._arrange_further()

    def _arrange_further(self) -> None:
        """Go on until the list is arranged, or a turn is over."""
        until = time.perf_counter() + _TURN
        with collection_paused():  # a filter may make 100,000 rows, and a collection would stop the window for 0.2 s
            for _ in self._steps or ():
                if time.perf_counter() > until:
                    self._go_on.start()
                    return

    def _arrangement(self) -> Iterator[None]:
        """Filter and order the rows, then show them; each step takes a slice of them."""
        rows = self._coming
        places: Sequence[int] = range(len(rows))
        if self._wanted.text or self._sort is not SortBy.NAME:
            found: list[int] = []
            values: list[float] = []
            for start in range(0, len(places), _SLICE):
                if start:
                    yield
                part = self._wanted.among(rows, places[start : start + _SLICE])
                found += part
                values += _sort_values(self._sort, rows, part)
            if values:
                found = [found[place] for place in sorted(range(len(found)), key=values.__getitem__)]
            places = found
        self._steps = None
        self._all, self._shown = rows, places
        self._place = {image: place for place, image in enumerate(self.shown_ids())}
        self.setStringList([""] * len(places))  # resets the model
        self.arranged.emit()
