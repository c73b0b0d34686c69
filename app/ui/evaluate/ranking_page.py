"""The page of rankings: the ranking that 'next worst' follows, its images, and how well it finds the errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.state.doubtful_places import FOLDER_ORDERS
from app.text import plural, spaced, tr
from app.ui.common.chart_view import ChartView
from app.ui.common.panel import Page, toned
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.charts import Chart
from app.viewmodels.evaluate.rankings import RankingRow
from deeplab_core.analysis.ranking import RANKINGS

_Index = QModelIndex | QPersistentModelIndex
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


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
        if role == Qt.ItemDataRole.ToolTipRole and column == 0:  # of columns without room, too
            others = (f"{title}: {cell}" for title, cell in zip(self._columns[1:], row.cells[1:], strict=True) if cell)
            return "\n".join((row.cells[0], *others))
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


_NAME = int(Qt.ItemDataRole.UserRole)
#: From this width in px on the plot is beside the table.
_BESIDE = 900
#: Below this width, px, there is room for the rankings and the images only.
_NARROW = 560
#: Width of the list of rankings, px, and in a narrow page.
_ORDERS, _ORDERS_NARROW = 232, 150
#: Room that picture and name of an image have before the last columns get any, px; the first two are always there.
_IMAGE, _KEPT = 150, 2


class RankingPage(Page):
    """Orders at the left, the images in the middle, the cumulative gain at the right.

    Signals:
        orderChosen(str): 'next worst' is to go by this order.
        opened(RankingRow): a row is to be looked at.
        placesAsked(bool): places of images are wanted instead of images, or images again.
    """

    orderChosen = Signal(str)
    opened = Signal(object)
    placesAsked = Signal(bool)

    def __init__(self, theme: Theme, picture: Callable[[int], QImage | None]) -> None:
        super().__init__()
        self.orders = QListWidget()
        self.orders.setFixedWidth(_ORDERS)
        self.orders.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.orders.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.orders.setAccessibleName(tr("Ranking"))
        for name, text in RANKINGS.items():
            item = QListWidgetItem(tr(text.title))
            item.setData(_NAME, name)
            item.setToolTip(tr(text.text))
            self.orders.addItem(item)
        self.what = toned("", tone="muted", size="small")
        self.what.setWordWrap(True)
        self.what.setFixedWidth(_ORDERS)
        self.places = QCheckBox(tr("Places instead of images"))
        self.places.setAccessibleName(self.places.text())
        self.places.setToolTip(
            tr("Places that may be wrong, of images without ground truth; Next error goes on from the one that you open")
        )
        self.rows = RankingTable(picture)
        self.table = QTableView()
        self.table.setModel(self.rows)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(38)
        self.table.setIconSize(QSize(44, 32))
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.setAccessibleName(tr("Images, worst first"))
        self.table.viewport().installEventFilter(self)
        self.empty = toned("", tone="muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.gain = ChartView(theme)
        self.gain_note = toned("", tone="muted", size="small")
        self.gain_note.setWordWrap(True)
        left = QVBoxLayout()
        left.addWidget(self.orders, 1)
        left.addWidget(self.places)
        left.addWidget(self.what)
        middle, right = QWidget(), QWidget()
        for widget, parts in ((middle, (self.table, self.empty)), (right, (self.gain, self.gain_note))):
            column = QVBoxLayout(widget)
            column.setContentsMargins(0, 0, 0, 0)
            for place, part in enumerate(parts):
                column.addWidget(part, 0 if isinstance(part, QLabel) and place and part is self.gain_note else 1)
        self.right = right
        self._has_gain = False
        self.split = QSplitter()
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(middle)
        self.split.addWidget(right)
        self.split.setSizes([560, 420])
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addLayout(left)
        row.addWidget(self.split, 1)
        self.lead_focus_to(self.table)
        self.places.toggled.connect(self.placesAsked)
        self.orders.currentItemChanged.connect(self._choose_order)
        self.table.clicked.connect(self._open)

    @property
    def order(self) -> str:
        """The order that is chosen."""
        item = self.orders.currentItem()
        return "" if item is None else str(item.data(_NAME))

    @property
    def shows_places(self) -> bool:
        """Whether places are wanted, and the chosen order has them."""
        return self.places.isChecked() and self.order in FOLDER_ORDERS

    def set_theme(self, theme: Theme) -> None:
        self.gain.set_theme(theme)

    def show_order(self, order: str, counts: Mapping[str, int], images: int) -> None:
        """Show which order is chosen, and of how many of all ``images`` each has a figure."""
        self.orders.blockSignals(True)
        for place in range(self.orders.count()):
            item = self.orders.item(place)
            name = str(item.data(_NAME))
            count = counts.get(name, 0)
            item.setText(f"{tr(RANKINGS[name].title)}   {count}" if count else tr(RANKINGS[name].title))
            item.setForeground(self.palette().text() if count else self.palette().placeholderText())
            if name == order:
                self.orders.setCurrentRow(place)
        self.orders.blockSignals(False)
        self.places.setVisible(order in FOLDER_ORDERS)
        known = plural(
            "{known} of {n} image has this score",
            "{known} of {n} images have this score",
            images,
            known=spaced(counts.get(order, 0)),
        )
        self.what.setText(
            tr("{text}. {known}. Press N for the next unreviewed image.", text=tr(RANKINGS[order].text), known=known)
        )

    def show_rows(self, columns: tuple[str, ...], numbers: frozenset[int], rows: Sequence[RankingRow], measuring: bool) -> None:
        """Show the images of the chosen order, worst first."""
        selected = self.rows.row(self.table.currentIndex().row())
        self.rows.show(columns, numbers, rows)
        header = self.table.horizontalHeader()
        for column in range(len(columns)):
            stretch = column == 0
            mode = QHeaderView.ResizeMode.Stretch if stretch else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, mode)
        self._fit_columns()
        if selected is not None:
            place = self.rows.place_of(selected.image)
            if place is not None:
                self.table.selectRow(place)
        self.table.setVisible(bool(rows))
        self.empty.setVisible(not rows)
        self.empty.setText(tr("Measuring…") if measuring else tr(RANKINGS[self.order].needs) if self.order else "")

    def show_gain(self, chart: Chart | None) -> None:
        """Show how well the order finds errors; None without truth."""
        self._has_gain = chart is not None
        self.right.setVisible(self._has_gain and self.width() >= _NARROW)
        self.gain.show_chart(chart)
        self.gain_note.setText("" if chart is None else chart.note)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the plot goes below the table, so that names stay readable; in a very narrow one it is left out."""
        super().resizeEvent(event)
        beside, narrow = self.width() >= _BESIDE, self.width() < _NARROW
        self.orders.setFixedWidth(_ORDERS_NARROW if narrow else _ORDERS)
        self.places.setText(tr("Places") if narrow else self.places.accessibleName())  # the long text was wider than the list
        self.what.setVisible(not narrow)
        self.right.setVisible(self._has_gain and not narrow)
        self.split.setOrientation(Qt.Orientation.Horizontal if beside else Qt.Orientation.Vertical)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.table.viewport() and event.type() == QEvent.Type.Resize:
            self._fit_columns()
        return super().eventFilter(watched, event)

    def _fit_columns(self) -> None:
        """Leave out the last columns where names would have no room; tooltips of the names have all of them."""
        header, columns = self.table.horizontalHeader(), self.rows.columnCount()
        widths = [max(self.table.sizeHintForColumn(place), header.sectionSizeHint(place)) for place in range(columns)]
        shown = columns
        while shown > _KEPT and _IMAGE + sum(widths[1:shown]) > self.table.viewport().width():
            shown -= 1
        for place in range(columns):
            self.table.setColumnHidden(place, place >= shown)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.table.currentIndex().isValid():
            self._open(self.table.currentIndex())
        else:
            super().keyPressEvent(event)

    def _choose_order(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.orderChosen.emit(str(item.data(_NAME)))

    def _open(self, index: QModelIndex) -> None:
        row = self.rows.row(index.row())
        if row is not None:
            self.opened.emit(row)
