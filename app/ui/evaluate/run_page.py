"""The page of two runs: which errors the second fixed and which it made, with pictures that lead to the places."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QModelIndex, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListView,
    QPushButton,
    QSplitter,
    QStyleOptionViewItem,
    QTabBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.state.run_sides import RunSide
from app.text import mark, tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import Page, toned
from app.ui.evaluate.components_page import ComponentDelegate, ComponentListModel, ComponentTile
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.run_changes import ChangeGroup, ChangeQuery, ChangeRow, run_facts
from deeplab_core.analysis.components import ErrorComponent

_COLUMNS = (mark("Before"), mark("After"), mark("Fixed"), mark("Made"), mark("Fixed − made"), "")
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_ROW = 24
#: A table narrower than this, px, leaves a column out, so that the names of its rows can be read.
_WHOLE = 640
#: A page narrower than this, px, has its buttons in a row of their own.
_NARROW = 640
#: A page narrower or lower than this, px, shows rows or errors, not both beside each other.
_BOTH = 640, 400


class ChangeTable(QTableWidget):
    """Rows of one group; a row leads to its errors.

    Signals:
        chosen(ChangeQuery): the errors of this row are wanted.
    """

    chosen = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(0, 1 + len(_COLUMNS), parent)
        self._theme, self._narrow = theme, False
        self._rows: list[ChangeRow] = []
        self.setAccessibleName(tr("What the second run changed"))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.horizontalHeader()
        header.setSectionsClickable(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        for place, title in enumerate(("", *_COLUMNS)):
            heading = QTableWidgetItem(tr(title) if title else "")
            heading.setTextAlignment(_RIGHT if place else Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            self.setHorizontalHeaderItem(place, heading)
        self.currentCellChanged.connect(lambda row, *_rest: self._choose(row))
        self.cellClicked.connect(lambda row, _column: self._choose(row))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.show_rows(self._rows)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._hide_columns()

    def set_narrow(self, narrow: bool) -> None:
        """Whether there is room for the most important columns only."""
        self._narrow = narrow
        self._hide_columns()

    def _hide_columns(self) -> None:
        counted = not self._rows or any(row.cells[2] for row in self._rows)
        change = self.horizontalHeaderItem(5)
        assert change is not None
        change.setText(tr("Fixed − made") if counted else tr("Change, points"))
        of_pixels, of_scores = tr("Pixels, with the 95 % interval over images"), tr("Score, with the 95 % interval over images")
        change.setToolTip(of_pixels if counted else of_scores)
        self.setColumnHidden(1, self._narrow and counted)  # the tooltip has both
        self.setColumnHidden(2, counted and self.width() < _WHOLE)
        for place in (3, 4):  # slices have no counts: their titles get the room
            self.setColumnHidden(place, not counted)

    def show_rows(self, rows: Sequence[ChangeRow]) -> None:
        """Show other rows; none is selected."""
        self._rows = list(rows)
        self._hide_columns()
        with QSignalBlocker(self):
            self.setRowCount(len(rows))
            for line, row in enumerate(rows):
                for place, text in enumerate((row.title, *row.cells)):
                    item = QTableWidgetItem(text)
                    item.setToolTip(row.tip or row.title)
                    if place:
                        item.setTextAlignment(_RIGHT)
                    if place >= len(_COLUMNS) - 1:
                        item.setForeground(self._theme.color(row.tone))
                    if row.query is None:
                        item.setForeground(self._theme.color("muted"))
                    self.setItem(line, place, item)
            self.clearSelection()
            self.setCurrentCell(-1, -1)

    def query(self, row: int) -> ChangeQuery | None:
        """The errors of a row; None where they are not listed."""
        return self._rows[row].query if 0 <= row < len(self._rows) else None

    def _choose(self, row: int) -> None:
        query = self.query(row)
        if query is not None:
            self.chosen.emit(query)


class RunPage(Page):
    """Two runs side by side, as counts on the left and as pictures of errors on the right.

    Args:
        picture: gives the picture of an error, or None while it is made; fixed or made as :attr:`fixed` says.

    Signals:
        startAsked(RunSide, RunSide): compare these.
        stopAsked(): do not wait for the rest.
        takeInAsked(), removeLostAsked(): the buttons beside the line about a lost run.
        exportAsked(): write the difference to a file.
        keepAsked(RunSide): keep the second run with the project, or if it is kept, remove it.
        groupChosen(): other rows are wanted.
        listChanged(): other errors are wanted: :attr:`query`, :attr:`fixed`.
        opened(int): the error at this place of the list was clicked.
    """

    startAsked = Signal(object, object)
    stopAsked = Signal()
    takeInAsked = Signal()
    removeLostAsked = Signal()
    exportAsked = Signal()
    keepAsked = Signal(object)
    groupChosen = Signal()
    listChanged = Signal()
    opened = Signal(int)

    def __init__(self, theme: Theme, picture: Callable[[ErrorComponent], QImage | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.query = ChangeQuery()
        self.before, self.after = QComboBox(), QComboBox()
        self.before.setAccessibleName(tr("First run"))
        self.after.setAccessibleName(tr("Second run"))
        for box in (self.before, self.after):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
        self.start = QPushButton()
        self.start.setAccessibleName(tr("Compare errors"))
        self.start.setToolTip(tr("On every image with ground truth; predictions are kept for the next time"))
        self.stop = QPushButton(tr("Stop"))
        self.keep = QPushButton()
        self.export_button = QPushButton(tr("Export…"))
        self.export_button.setAccessibleName(tr("Export the comparison"))
        self.export_button.setToolTip(tr("Writes scores, kinds, pairs, cells, slices and errors as HTML, JSON or CSV"))
        self.export_button.setEnabled(False)
        self.export_button.clicked.connect(lambda: self.exportAsked.emit())
        self.facts = toned("", tone="muted", size="small")
        self.facts.setWordWrap(True)
        self.summary = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.remarks = toned("", tone="warn", size="small")
        self.remarks.setWordWrap(True)
        self.remarks.hide()
        self._make_lost()
        self.note = toned("", tone="muted")
        self.note.setWordWrap(True)
        self.groups = QTabBar()
        self.groups.setDrawBase(False)
        self.groups.setExpanding(False)
        self.groups.setAccessibleName(tr("What the rows are"))
        for group in ChangeGroup:
            self.groups.addTab(tr(group.value))
        self.table = ChangeTable(theme)
        self.sort = QTabBar()
        self.sort.setDrawBase(False)
        self.sort.setExpanding(False)
        self.sort.setAccessibleName(tr("Fixed or made errors"))
        self.sort.addTab(tr("Fixed"))
        self.sort.addTab(tr("Made"))
        self.shown = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.shown.setProperty("tone", "muted")
        self.model = ComponentListModel(picture)
        self._delegate = ComponentDelegate(theme)
        self._narrow = self._compact = False
        self.to_errors, self.to_rows = QPushButton(tr("Show errors")), QPushButton(tr("Show rows"))
        for button, listing in ((self.to_errors, True), (self.to_rows, False)):
            button.setProperty("link", True)
            button.clicked.connect(lambda _checked=False, listing=listing: self.show_side(listing=listing))
        self.list = self._make_list()
        self._build()
        self.lead_focus_to(self.table)
        self.start.clicked.connect(self._ask_start)
        self.stop.clicked.connect(self.stopAsked)
        self.keep.clicked.connect(lambda: self.keepAsked.emit(self.after.currentData()))
        for box in (self.before, self.after):
            box.currentIndexChanged.connect(lambda _place: self._show_facts())
        self.groups.currentChanged.connect(lambda _place: self.groupChosen.emit())
        self.sort.currentChanged.connect(lambda _place: self.listChanged.emit())
        self.table.chosen.connect(self._follow_row)
        self.table.cellClicked.connect(lambda row, _column: self._drill(row))
        self.list.clicked.connect(lambda index: self.opened.emit(index.row()))
        self.list.activated.connect(lambda index: self.opened.emit(index.row()))

    def _make_lost(self) -> None:
        """The line about a run whose facts are lost."""
        self.lost = QWidget()
        self.lost_text = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.lost_text.setProperty("tone", "warn")
        self.take_in, self.remove_lost = QPushButton(tr("Keep again…")), QPushButton(tr("Delete…"))
        row = QHBoxLayout(self.lost)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.lost_text, 1)
        for button, asked in ((self.take_in, self.takeInAsked), (self.remove_lost, self.removeLostAsked)):
            button.setProperty("link", True)
            button.clicked.connect(lambda _checked=False, asked=asked: asked.emit())
            row.addWidget(button)
        self.lost.hide()

    def _make_list(self) -> QListView:
        tiles = QListView()
        tiles.setModel(self.model)
        tiles.setItemDelegate(self._delegate)
        tiles.setViewMode(QListView.ViewMode.IconMode)
        tiles.setResizeMode(QListView.ResizeMode.Adjust)
        tiles.setMovement(QListView.Movement.Static)
        tiles.setUniformItemSizes(True)
        tiles.setSpacing(4)
        tiles.setMouseTracking(True)
        tiles.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        tiles.setGridSize(self._delegate.sizeHint(QStyleOptionViewItem(), QModelIndex()) + QSize(6, 6))
        tiles.setAccessibleName(tr("Errors fixed or made"))
        return tiles

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.before, 1)
        head.addWidget(QLabel("→"))
        head.addWidget(self.after, 1)
        self._head, self._second = head, QHBoxLayout()
        self._second.setSpacing(8)
        self._place_buttons(narrow=False)
        left, right = self._left, self._right = QWidget(), QWidget()
        for side, parts in ((left, (self.groups, self.table, self.to_errors)), (right, (self.sort, self.list, self.to_rows))):
            column = QVBoxLayout(side)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(6)
            row = QHBoxLayout()
            row.addWidget(parts[0])
            row.addWidget(self.shown if side is right else QWidget(), 1)
            row.addWidget(parts[2])
            parts[2].hide()
            column.addLayout(row)
            column.addWidget(parts[1], 1)
        self.body = QSplitter(Qt.Orientation.Horizontal)
        self.body.setChildrenCollapsible(False)
        self.body.setHandleWidth(12)
        self.body.setStyleSheet("QSplitter::handle { background: transparent; }")
        self.body.addWidget(left)
        self.body.addWidget(right)
        self.body.setSizes([570, 220])
        self.body.setStretchFactor(0, 1)
        self.body.setStretchFactor(1, 1)
        self._rest = QWidget()  # keeps the texts at the top while there is nothing below them
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        column.addLayout(self._second)
        column.addWidget(self.facts)
        column.addWidget(self.remarks)
        column.addWidget(self.lost)
        column.addWidget(self.summary)
        column.addWidget(self.note)
        column.addWidget(self.body, 1)
        column.addWidget(self._rest, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the buttons have a row of their own; in a small one rows and errors take each other's place."""
        super().resizeEvent(event)
        narrow, compact = self.width() < _NARROW, self.width() < _BOTH[0] or self.height() < _BOTH[1]
        if narrow is not self._narrow:
            self._place_buttons(narrow=narrow)
            self.table.set_narrow(narrow)
        if compact is not self._compact:
            self._compact = compact
            self.show_side(listing=False)
            self._show_facts()
            if not compact:
                self.body.setSizes([570, 220])

    def show_side(self, *, listing: bool) -> None:
        """In a small window: the errors, or the rows. Both are there in a large one."""
        self._left.setVisible(not (self._compact and listing))
        self._right.setVisible(not self._compact or listing)
        self.to_errors.setVisible(self._compact)
        self.to_rows.setVisible(self._compact)

    def _place_buttons(self, *, narrow: bool) -> None:
        self._narrow = narrow
        self.start.setText(tr("Compare") if narrow else tr("Compare errors"))
        for button in (self.start, self.stop, self.keep, self.export_button):
            button.setProperty("tight", narrow)
            (self._second if narrow else self._head).addWidget(button, 1 if narrow else 0)

    # -- what is shown ---------------------------------------------------------------------------------------------------

    @property
    def group(self) -> ChangeGroup:
        """What the rows are."""
        return list(ChangeGroup)[self.groups.currentIndex()]

    @property
    def fixed(self) -> bool:
        """Whether errors that were fixed are listed, or those that were made."""
        return self.sort.currentIndex() == 0

    def set_theme(self, theme: Theme) -> None:
        self._delegate.theme = theme
        self.table.set_theme(theme)
        self.list.viewport().update()

    def show_sides(self, sides: Sequence[RunSide], chosen: tuple[RunSide, RunSide] | None, *, running: bool) -> None:
        """The runs to choose from; ``chosen`` were compared last."""
        for place, box in enumerate((self.before, self.after)):
            known = box.currentData()
            wanted = known.key if known is not None else "" if chosen is None else chosen[place].key
            keys = [side.key for side in sides]
            listed: list[RunSide] = [box.itemData(at) for at in range(box.count())]
            if [(side.key, side.title) for side in listed] != [(side.key, side.title) for side in sides]:
                box.clear()
                for side in sides:
                    box.addItem(side.title, side)
            box.setCurrentIndex(keys.index(wanted) if wanted in keys else min(place, len(sides) - 1))
            box.setEnabled(not running)
        self.start.setVisible(not running)
        self.start.setEnabled(len(sides) > 1)
        self.stop.setVisible(running)
        self._show_facts()

    def _show_facts(self) -> None:
        """What is known of the kept runs, and what can be done with the second run."""
        sides: list[RunSide] = [side for side in (self.before.currentData(), self.after.currentData()) if side is not None]
        texts = [run_facts(side.kept) for side in sides if side.kept is not None]
        self.facts.setText("\n".join(texts))
        self.facts.setVisible(bool(texts) and not self._compact)
        for box in (self.before, self.after):  # a small window has no room for them
            side = box.currentData()
            box.setToolTip(run_facts(side.kept) if side is not None and side.kept is not None else box.currentText())
        kept = len(sides) == 2 and sides[1].kept is not None
        self.keep.setText(tr("Remove run…") if kept else tr("Keep run…"))
        self.keep.setToolTip(
            tr("Deletes the second run from the project")
            if kept
            else tr("Keeps the labels of the second run with the project, under a name, with date, settings and figures")
        )
        self.keep.setEnabled(len(sides) == 2 and not self.stop.isVisible())

    def show_lost(self, text: str) -> None:
        """Say that a run's facts are lost; empty: none are."""
        self.lost_text.set_text(text)
        self.lost.setVisible(bool(text))

    def choose(self, sides: tuple[RunSide, RunSide]) -> None:
        """Select two of the runs."""
        for side, box in zip(sides, (self.before, self.after), strict=True):
            keys = [box.itemData(at).key for at in range(box.count())]
            if side.key in keys:
                box.setCurrentIndex(keys.index(side.key))

    def show_note(self, summary: tuple[str, ...], note: str, *, whole: bool, remarks: Sequence[str] = ()) -> None:
        """What was found in a sentence and shorter ones, or what to do; ``whole``: there is something to look at.

        Args:
            remarks: what a reader must know of what was compared, in sentences.
        """
        self.remarks.setText("\n".join(remarks))
        self.remarks.setVisible(bool(remarks))
        self.export_button.setEnabled(whole)
        self.summary.set_text(*(summary or ("",)))
        self.summary.setVisible(bool(summary))
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.body.setVisible(whole)
        self._rest.setVisible(not whole)

    def show_rows(self, rows: Sequence[ChangeRow], *, keep: bool = False) -> None:
        """Rows of the group in front, and all errors; ``keep``: the same rows, with what is selected and listed."""
        selected = self.table.currentRow()
        self.table.show_rows(rows)
        if keep and 0 <= selected < len(rows):
            with QSignalBlocker(self.table):
                self.table.setCurrentCell(selected, 0)
        if not keep:
            self.query = ChangeQuery()

    def select(self, place: int) -> None:
        """Bring an error of the list into view."""
        index = self.model.index(place)
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)

    def show_errors(self, title: str, short: str, tiles: Sequence[ComponentTile]) -> None:
        """The errors of the query; ``short`` if their title does not fit."""
        self.shown.set_text(title, short)
        self.model.set_tiles(tiles)

    def refresh(self) -> None:
        """Pictures have arrived."""
        self.model.refresh()

    def _ask_start(self) -> None:
        before, after = self.before.currentData(), self.after.currentData()
        if before is not None and after is not None:
            self.startAsked.emit(before, after)

    def _follow_row(self, query: ChangeQuery) -> None:
        if query != self.query:
            self.query = query
            self.listChanged.emit()
            self.list.scrollToTop()

    def _drill(self, row: int) -> None:
        """A row was clicked: in a small window its errors take the rows' place."""
        if self._compact and self.table.query(row) is not None:
            self.show_side(listing=True)
