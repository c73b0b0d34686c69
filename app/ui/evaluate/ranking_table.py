"""The images of a ranking, worst first, or the possible label errors of the ground truth, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QImage

from deeplab_core.geometry import Box

_Index = QModelIndex | QPersistentModelIndex
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


@dataclass(frozen=True, slots=True)
class RankingRow:
    """One line: an image, or a place in it.

    Attributes:
        image: id.
        cells: the text of the columns.
        box: the place; None for the whole image.
    """

    image: int
    cells: tuple[str, ...]
    box: Box | None = None


class RankingTable(QAbstractTableModel):
    """Rows as they are given. ``picture`` is asked for a thumbnail when a row is painted; None while it is being made."""

    def __init__(self, picture: Callable[[int], QImage | None]) -> None:
        super().__init__()
        self._picture = picture
        self._columns: tuple[str, ...] = ()
        self._numbers: frozenset[int] = frozenset()
        self._rows: Sequence[RankingRow] = ()

    def show(self, columns: tuple[str, ...], numbers: frozenset[int], rows: Sequence[RankingRow]) -> None:
        """Show other rows; ``numbers`` are the columns that stand right."""
        self.beginResetModel()
        self._columns, self._numbers, self._rows = columns, numbers, rows
        self.endResetModel()

    def row(self, place: int) -> RankingRow | None:
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def place_of(self, image: int) -> int | None:
        """First row of an image."""
        return next((place for place, row in enumerate(self._rows) if row.image == image), None)

    def refresh(self, image: int) -> None:
        """A thumbnail has come."""
        for place, row in enumerate(self._rows):
            if row.image == image:
                self.dataChanged.emit(self.index(place, 0), self.index(place, 0))

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        if orientation is not Qt.Orientation.Horizontal or section >= len(self._columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._columns[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if section in self._numbers else _LEFT
        return None

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        row, column = self._rows[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return row.cells[column]
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            picture = self._picture(row.image)
            if picture is None:
                return None
            return picture.scaled(
                QSize(44, 32), Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
            ).copy(0, 0, 44, 32)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in self._numbers:
            return _RIGHT
        return None
