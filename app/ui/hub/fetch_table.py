"""The published models as a table, and what of it is shown in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QColor

from app.text import mark, tr
from app.ui.shell.theme import Theme
from app.viewmodels.hub.published_models import FetchState, FetchView

if TYPE_CHECKING:
    from deeplab_core.hub import PublishedModel

_Index = QModelIndex | QPersistentModelIndex

COLUMNS = (mark("Model"), mark("Publisher"), mark("Classes"), mark("mIoU"), mark("Size"), "")
MODEL, PUBLISHER, CLASSES, MIOU, SIZE, STATE = range(len(COLUMNS))
_NUMBERS = (MIOU, SIZE)
#: Stands for click networks in the filter of classes.
CLICKS = "clicks"
SORT_ROLE = int(Qt.ItemDataRole.UserRole)


class FetchTable(QAbstractTableModel):
    """One row for each published model; how it stands is asked for when a row is painted."""

    def __init__(self, models: Sequence[PublishedModel], view: Callable[[str], FetchView], theme: Theme) -> None:
        super().__init__()
        self.models, self._view, self.theme = list(models), view, theme
        self._rows = {model.id: row for row, model in enumerate(self.models)}

    def add(self, model: PublishedModel) -> None:
        """One more model, at the end."""
        if model.id in self._rows:
            return
        row = self._rows[model.id] = len(self.models)
        self.beginInsertRows(QModelIndex(), row, row)
        self.models.append(model)
        self.endInsertRows()

    def refresh(self, model_id: str) -> None:
        """A model stands otherwise now; an empty id means all of them."""
        first, last = (self._rows[model_id],) * 2 if model_id in self._rows else (0, len(self.models) - 1)
        self.dataChanged.emit(self.index(first, 0), self.index(last, STATE))

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.models)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(COLUMNS[section])
        if role == Qt.ItemDataRole.TextAlignmentRole and section in _NUMBERS:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        model, column = self.models[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(model, column)
        if role == SORT_ROLE:
            return self._order(model, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in _NUMBERS:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ForegroundRole:
            return self._color(model, column)
        if role == Qt.ItemDataRole.ToolTipRole and column == MIOU:
            return (
                tr("{data}. Figures on different data sets cannot be compared.", data=model.miou_on)
                if model.miou_on
                else tr("Not published")
            )
        return None

    def _text(self, model: PublishedModel, column: int) -> str:
        if column == STATE:
            return state_text(self._view(model.id), model.direct)
        return (
            model.name,
            model.publisher,
            tr("for clicks") if model.for_clicks else f"{model.data}, {model.classes}" if model.classes else tr("unknown"),
            "" if model.for_clicks else "unknown" if model.miou is None else f"{model.miou:g}",
            size_text(model.download_bytes),
        )[column]

    def _order(self, model: PublishedModel, column: int) -> float | str:
        if column == MIOU:
            return model.miou if model.miou is not None else -1.0
        if column == SIZE:
            return float(model.download_bytes or 0)
        return self._text(model, column).casefold()

    def _color(self, model: PublishedModel, column: int) -> QColor | None:
        if column == STATE:
            tones = {FetchState.HERE: "good", FetchState.FAILED: "bad", FetchState.UNUSABLE: "bad", FetchState.FETCHING: "accent"}
            return self.theme.color(tones.get(self._view(model.id).state, "muted"))
        unknown = (column == MIOU and model.miou is None) or (column == SIZE and model.download_bytes is None)
        return self.theme.color("faint") if unknown else self.theme.color("muted") if column == PUBLISHER else None


class FetchFilter(QSortFilterProxyModel):
    """Rows with the wanted words and data set, in the order of a column."""

    def __init__(self, table: FetchTable) -> None:
        super().__init__()
        self._table = table
        self._words: list[str] = []
        self._data = ""
        self.setSourceModel(table)
        self.setSortRole(SORT_ROLE)

    def want(self, text: str, data: str) -> None:
        """Show models that match every word, and know the classes of ``data`` (empty: any)."""
        self._words, self._data = text.casefold().split(), data
        self.invalidate()

    def filterAcceptsRow(self, source_row: int, source_parent: _Index) -> bool:  # noqa: ARG002 - Qt's own signature
        model = self._table.models[source_row]
        text = f"{model.title} {model.id} {model.licence}".casefold()
        return (not self._data or data_of(model) == self._data) and all(word in text for word in self._words)


def data_of(model: PublishedModel) -> str:
    """What the filter of classes asks for."""
    return CLICKS if model.for_clicks else model.data


def size_text(size: int | None) -> str:
    """A size as shown."""
    if size is None:
        return "unknown"
    return tr("{size:.1f} MB", size=size / 1000000.0) if size < 10e6 else tr("{size:,.0f} MB", size=size / 1000000.0)


def state_text(view: FetchView, direct: bool) -> str:
    """How a model stands, in a word or two."""
    match view.state:
        case FetchState.HERE:
            return "here"
        case FetchState.WAITING:
            return "waiting"
        case FetchState.CHECKING:
            return tr("testing")
        case FetchState.FAILED:
            return "failed"
        case FetchState.UNUSABLE:
            return tr("cannot be used")
        case FetchState.FETCHING:
            return f"{view.percent} %" if view.percent is not None else size_text(view.done)
    if view.done:
        return (
            tr("{percent} % downloaded", percent=view.percent)
            if view.percent is not None
            else tr("{size} downloaded", size=size_text(view.done))
        )
    return "" if direct else "browser"
