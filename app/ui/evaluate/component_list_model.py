"""Error components as rows of a list view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QImage

from app.text import tr
from deeplab_core.analysis.components import ErrorComponent


@dataclass(frozen=True, slots=True)
class ComponentTile:
    """What is painted of one component: where it is, what it is, how large."""

    component: ErrorComponent
    name: str
    label: str


class ComponentListModel(QAbstractListModel):
    """Components, largest first.

    Args:
        picture: gives the picture of a component, or None while it is made.
    """

    def __init__(self, picture: Callable[[ErrorComponent], QImage | None]) -> None:
        super().__init__()
        self._picture = picture
        self._tiles: list[ComponentTile] = []

    @property
    def components(self) -> list[ErrorComponent]:
        """All of them, in their order."""
        return [tile.component for tile in self._tiles]

    def tile(self, index: QModelIndex | QPersistentModelIndex) -> ComponentTile:
        """What a row shows."""
        return self._tiles[index.row()]

    def picture(self, index: QModelIndex | QPersistentModelIndex) -> QImage | None:
        """The picture of a row, or None while it is made."""
        return self._picture(self._tiles[index.row()].component)

    def set_tiles(self, tiles: Sequence[ComponentTile]) -> None:
        """Show others; where only the end differs, the rest stays as it is scrolled and selected."""
        new = list(tiles)
        if new == self._tiles:
            return
        same = next((n for n, (old, now) in enumerate(zip(self._tiles, new, strict=False)) if old != now), None)
        kept = min(len(self._tiles), len(new)) if same is None else same
        if kept < len(self._tiles):
            self.beginRemoveRows(QModelIndex(), kept, len(self._tiles) - 1)
            del self._tiles[kept:]
            self.endRemoveRows()
        if kept < len(new):
            self.beginInsertRows(QModelIndex(), kept, len(new) - 1)
            self._tiles += new[kept:]
            self.endInsertRows()

    def refresh(self) -> None:
        """Pictures have arrived."""
        if self._tiles:
            self.dataChanged.emit(self.index(0), self.index(len(self._tiles) - 1), [Qt.ItemDataRole.DecorationRole])

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._tiles)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        tile = self._tiles[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"{tile.name}: {tile.label}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return tr("{name}\n{label}\nClick to correct it", name=tile.name, label=tile.label)
        return None
