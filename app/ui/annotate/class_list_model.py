"""The classes of the catalog as a list model; figures change in place."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from app.text import percent, points, share_text, tr
from app.viewmodels.annotate.class_rows import ClassRow, matching

_Index = QModelIndex | QPersistentModelIndex


class ClassListModel(QAbstractListModel):
    """Rows of the classes dock, filtered by what was typed."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[ClassRow] = []
        self._shown: list[int] = []
        self._text = ""

    def set_rows(self, rows: Sequence[ClassRow]) -> None:
        """Show these rows. Where only figures changed, the list keeps its scroll place, and only those rows are painted again."""
        same = [row.class_id for row in rows] == [row.class_id for row in self.rows]
        if same and not self._text:
            before, self.rows = self.rows, list(rows)
            for place, (old, new) in enumerate(zip(before, self.rows, strict=True)):
                if old != new:
                    self.dataChanged.emit(self.index(place), self.index(place))
            return
        self.beginResetModel()
        self.rows = list(rows)
        self._shown = matching(self.rows, self._text)
        self.endResetModel()

    def set_text(self, text: str) -> None:
        """Show only classes with a name that contains ``text``."""
        self.beginResetModel()
        self._text = text.strip()
        self._shown = matching(self.rows, text)
        self.endResetModel()

    def class_row(self, index: _Index) -> ClassRow:
        return self.rows[self._shown[index.row()]]

    def place_of(self, class_id: int) -> int | None:
        """Row of a class in the list; None while it is filtered away."""
        return next((place for place, at in enumerate(self._shown) if self.rows[at].class_id == class_id), None)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row = self.class_row(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return row.name
        if role == Qt.ItemDataRole.AccessibleTextRole:
            name = tr("{name}, locked", name=row.name) if row.locked else row.name
            return tr("{name}, may be painted over", name=name) if row.over else name
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tooltip(row)
        return None


def _tooltip(row: ClassRow) -> str:
    lines = [
        tr("{name} (id {class_id})", name=row.name, class_id=row.class_id),
        tr("{share} of the image", share=share_text(row.share)),
    ]
    if row.locked:
        lines.append(tr("Locked: no tool, job or import changes its pixels."))
    if row.over:
        lines.append(tr("Only the classes with a brush behind their names may be painted over."))
    if row.iou is not None:
        lines.append(
            tr("IoU {iou}", iou=percent(row.iou))
            if row.delta is None
            else tr("IoU {iou}, {delta} since the image was opened", iou=percent(row.iou), delta=points(row.delta))
        )
        lines.append(tr("Click the IoU to see its errors."))
    if row.key:
        lines.append(
            tr("Key {key}, always", key=row.key)
            if row.fixed_key
            else tr("Key {key}, on this image only; right-click to assign a fixed key", key=row.key)
        )
    lines.append(
        tr("Click to select, click the square to change the colour, click the eye to show or hide, right-click for more.")
    )
    return "\n".join(lines)
