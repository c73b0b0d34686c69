"""The kinds of failure as a table: how much, how often, and what fixing them would gain."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.text import mark, points, share_text, spaced, tr
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.failure_table import FailureLine
from deeplab_core.analysis.kinds import PARTS, FailureKind

_COLUMNS = (
    mark("Kind"),
    mark("Share of the errors"),
    mark("Pixels"),
    mark("Instances"),
    mark("Images"),
    mark("IoU gain if fixed"),
)
_SHARE, _GAIN, _ROW = 1, 5, 28
#: Columns that give way in a narrow window, first one first: instances, images, pixels.
_LESS = (3, 4, 2)
_LEFT, _RIGHT = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
#: Tokens of the three parts, also used by the bars of the classes.
PART_TONES: dict[FailureKind, str] = dict(zip(PARTS, ("accent", "warn_fill", "bad"), strict=True))


def list_rows(table: QTableWidget) -> None:
    """Make a table of the failure board a list of rows to choose from, as high as its rows."""
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(_ROW)
    table.setShowGrid(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)


def leave_out(table: QTableWidget, order: Sequence[int]) -> bool:
    """Hide columns in this order as far as the texts of the others need their room; whether they have it then."""
    header = table.horizontalHeader()
    for column in order:
        table.setColumnHidden(column, False)  # the width of a hidden title is not known
    needs = [max(table.sizeHintForColumn(place), header.sectionSizeHint(place)) for place in range(table.columnCount())]
    for column in order:
        if sum(needs) > table.viewport().width():
            table.setColumnHidden(column, True)
            needs[column] = 0
    return sum(needs) <= table.viewport().width()


def row_figures(table: QTableWidget, texts: Sequence[str]) -> str:
    """The figures of a row with their titles, one a line, for a tooltip: columns may be hidden."""
    titles = [table.horizontalHeaderItem(place) for place in range(table.columnCount())]
    named = zip(titles[1:], texts[1:], strict=True)
    return "\n".join(f"{title.text()}: {text}" for title, text in named if title is not None and text)


class KindTable(QTableWidget):
    """Ten rows; a click on one leads to its components.

    Signals:
        kindChosen(FailureKind): a row was clicked, or Enter was pressed on it.
    """

    kindChosen = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self._lines: list[FailureLine] = []
        self._bars = _BarDelegate(theme)
        self.setItemDelegateForColumn(_SHARE, self._bars)
        self.setItemDelegateForColumn(_GAIN, self._bars)
        list_rows(self)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setAccessibleName(tr("Kinds of failure"))
        self.setTabKeyNavigation(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_SHARE, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_GAIN, QHeaderView.ResizeMode.Stretch)
        header.setSectionsClickable(False)
        for place, title in enumerate(_COLUMNS):
            heading = QTableWidgetItem(tr(title))
            heading.setTextAlignment((_LEFT if place in (0, _SHARE, _GAIN) else _RIGHT) | Qt.AlignmentFlag.AlignVCenter)
            self.setHorizontalHeaderItem(place, heading)
        self.cellClicked.connect(self._choose)
        self.cellActivated.connect(self._choose)

    def set_theme(self, theme: Theme) -> None:
        self._bars.theme = theme
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window columns give way, and the tooltip has their figures; in a very narrow one they are scrolled."""
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()  # the widths of texts are known by now

    def _fit(self) -> None:
        header = self.horizontalHeader()
        fits = leave_out(self, _LESS)
        bar = 0 if fits else self.horizontalScrollBar().sizeHint().height()
        self.setFixedHeight(header.sizeHint().height() + _ROW * self.rowCount() + 2 + bar)
        shown = [place for place in range(self.columnCount()) if not self.isColumnHidden(place)]
        needs = {place: max(self.sizeHintForColumn(place), header.sectionSizeHint(place)) for place in shown}
        even = (self.viewport().width() - sum(needs.values()) + needs[_SHARE] + needs[_GAIN]) // 2
        modes = QHeaderView.ResizeMode
        for place in (_SHARE, _GAIN):  # one that needs more than half of the room takes it from the other
            header.setSectionResizeMode(place, modes.Stretch if fits and needs[place] <= even else modes.ResizeToContents)

    def show_lines(self, lines: Sequence[FailureLine]) -> None:
        """Show other figures; the selected row stays."""
        self._lines = list(lines)
        self.setRowCount(len(lines))
        for row, line in enumerate(lines):
            instances = "" if line.instances is None else spaced(line.instances)
            shown = "" if isnan(line.share) else share_text(line.share)
            won = "" if isnan(line.gain) else points(line.gain)
            texts = (line.title, shown, spaced(line.pixels), instances, spaced(line.images), won)
            if line.missing:
                texts = (line.title, tr("not measured"), "", "", "", "")
            share, gain = (nan, nan) if line.missing else (line.share, line.gain)
            figures = "" if line.missing else row_figures(self, texts)
            bars = {_SHARE: (share, PART_TONES.get(line.kind, "faint")), _GAIN: (gain, "good")}
            for column, text in enumerate(texts):
                item = self.item(row, column) or QTableWidgetItem()
                if item.tableWidget() is None:
                    self.setItem(row, column, item)
                item.setText(text)
                unmeasured = tr("Not measured: {missing}.", missing=line.missing) if line.missing else ""
                item.setToolTip(f"{line.title}: {line.text}. {unmeasured}\n{figures}".rstrip())
                if column in bars:
                    item.setData(Qt.ItemDataRole.UserRole, bars[column])
                elif column:
                    item.setTextAlignment(_RIGHT | Qt.AlignmentFlag.AlignVCenter)
        self._fit()

    def _choose(self, row: int, _column: int) -> None:
        if row < len(self._lines) and self._lines[row].pixels:
            self.kindChosen.emit(self._lines[row].kind)


class _BarDelegate(QStyledItemDelegate):
    """A share as a bar with its figure at the left."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().paint(painter, option, index)
        value, tone = index.data(Qt.ItemDataRole.UserRole) or (0.0, "faint")
        if isnan(value) or value <= 0:
            return
        room = QRectF(option.rect).adjusted(64, 0, -10, 0)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        bar = QRectF(room.left(), room.center().y() - 4, room.width(), 8)
        painter.setBrush(self.theme.color("track"))
        painter.drawRoundedRect(bar, 3, 3)
        bar.setWidth(max(bar.width() * min(value, 1.0), 2))
        painter.setBrush(self.theme.color(tone))
        painter.drawRoundedRect(bar, 3, 3)
        painter.restore()
