"""The images of a project as a list: filtered and ordered here in plain Python.

Rows are made when they are shown, or when a filter or another order than that of the names asks for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from math import inf, isnan

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QImage

from app.text import mark
from app.viewmodels.project.image_list import ImageRow, ImageRows, Wanted

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


def _sort_key(order: SortBy) -> Callable[[ImageRow], object]:
    def missing_last(value: float | None, sign: float = 1.0) -> float:
        return inf if value is None or isnan(value) else sign * value

    if order is SortBy.WORST:
        return lambda row: (missing_last(row.iou), row.position)
    if order is SortBy.UNCERTAIN:
        return lambda row: (missing_last(row.uncertainty, -1.0), row.position)
    if order is SortBy.STATUS:
        return lambda row: (row.status, row.position)
    return lambda row: row.position


class ImageListModel(QAbstractListModel):
    """Rows of the images dock.

    ``picture`` is asked for a thumbnail when a row is painted; it returns None while it is being made and the owner calls
    :meth:`refresh` when it is there. ``tint`` is asked for what is laid over it, in the same way.
    """

    RowRole = int(Qt.ItemDataRole.UserRole)

    def __init__(
        self, picture: Callable[[ImageRow], QImage | None], tint: Callable[[ImageRow], QImage | None] = lambda _row: None
    ) -> None:
        super().__init__()
        self._picture, self._tint = picture, tint
        self._all = ImageRows()
        self._shown: Sequence[int] = ()  # positions
        self._place: dict[int, int] = {}  # in the list, by image id
        self._wanted = Wanted("")
        self._sort = SortBy.NAME

    @property
    def sort_by(self) -> SortBy:
        return self._sort

    @property
    def filtered(self) -> bool:
        """Whether a filter hides rows."""
        return bool(self._wanted.text)

    def set_rows(self, rows: ImageRows) -> None:
        """Show another project, or the same one after a rescan."""
        self._all = rows
        self._arrange()

    def set_filter(self, text: str) -> None:
        """Show only rows that match; see :class:`Wanted` for what may be written."""
        self._wanted = Wanted(text)
        self._arrange()

    def set_sort(self, order: SortBy) -> None:
        self._sort = order
        self._arrange()

    @property
    def rows(self) -> ImageRows:
        """All images in the project's order, whatever the filter hides."""
        return self._all

    def class_names(self) -> list[str]:
        """Names of the classes in any image's mask, in lower case."""
        return sorted(set().union(*(row.classes for row in self._all)))

    def shown_ids(self) -> list[int]:
        """Ids of the rows in the current order of the list, which 'next' follows."""
        return [self._all.ids[position] for position in self._shown]

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
        self._all.put(row)
        self.refresh(row.id)

    def refresh(self, image_id: int) -> None:
        """Repaint one image, e.g. because its thumbnail has come."""
        place = self._place.get(image_id)
        if place is not None:
            index = self.index(place)
            self.dataChanged.emit(index, index)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._shown)

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
        self.beginResetModel()
        self._shown = range(len(self._all))
        if self._wanted.text or self._sort is not SortBy.NAME:
            rows = [row for row in self._all if self._wanted.matches(row)]
            rows.sort(key=_sort_key(self._sort))  # type: ignore[arg-type]
            self._shown = [row.position for row in rows]
        self._place = {image: place for place, image in enumerate(self.shown_ids())}
        self.endResetModel()
