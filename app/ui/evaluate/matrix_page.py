"""The page of the confusion matrix: the matrix, how it is read, and what costs most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QListWidget, QListWidgetItem, QSlider, QVBoxLayout, QWidget

from app.text import plural, spaced, tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import Page, toned
from app.ui.evaluate.matrix_scale import SHARE, CostDelegate, MatrixLegend
from app.ui.evaluate.matrix_view import LARGEST, SMALLEST, MatrixView
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.error_list import ComponentQuery, class_text
from app.viewmodels.evaluate.matrix_table import (
    SCALE_TEXT,
    MatrixOrder,
    MatrixScale,
    MatrixTable,
    costly_cells,
    matrix_table,
    short_percent,
)
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog

#: Classes that the matrix shows unless all are asked for: those with most wrong pixels.
MOST_CLASSES = 40
#: A page narrower than this has its controls in two rows, in px.
_NARROW = 560


class MatrixPage(Page):
    """Shows the matrix of a folder.

    Signals:
        asked(ComponentQuery): a cell, a row, a column or a line of the list was chosen.
    """

    asked = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts: NDArray[np.int64] | None = None
        self._catalog: ClassCatalog | None = None
        self._folder: FolderAnalysis | None = None
        self._costly: list[tuple[int, int, int]] = []
        self.matrix = MatrixView(theme)
        self.scale = _choice(MatrixScale, tr("Cell values"))
        self.scale.setCurrentIndex(list(MatrixScale).index(MatrixScale.ROWS))
        self.order = _choice(MatrixOrder, tr("Class order"))
        self.background = QCheckBox(tr("With background"))
        self.empty = QCheckBox(tr("All classes"))
        self.empty.setToolTip(
            tr(
                "Include classes that occur in neither ground truth nor prediction, and with more than {most} classes also those "
                "with fewer errors",
                most=MOST_CLASSES,
            )
        )
        self.zoom = QSlider(Qt.Orientation.Horizontal)
        self.zoom.setRange(SMALLEST, LARGEST)
        self.zoom.setFixedWidth(110)
        self.zoom.setAccessibleName(tr("Cell size"))
        self.zoom.setToolTip(tr("Cell size   Ctrl+wheel"))
        self.legend = MatrixLegend(theme)
        self.readout = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.worst = QListWidget()
        self.worst.setAccessibleName(tr("Most costly confusions"))
        self._bars = CostDelegate(theme)
        self.worst.setItemDelegate(self._bars)
        self.worst.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.worst.setMinimumWidth(160)
        self.worst.setMaximumWidth(280)
        self._build()
        self.background.setChecked(True)
        self.lead_focus_to(self.matrix)
        for box in (self.scale, self.order):
            box.currentIndexChanged.connect(self._lay_out)
        for check in (self.background, self.empty):
            check.toggled.connect(self._lay_out)
        self.zoom.valueChanged.connect(self.matrix.set_side)
        self.matrix.sideChanged.connect(self._follow_side)
        self.matrix.cellPointed.connect(self._say_cell)
        self.matrix.cellChosen.connect(self._ask_cell)
        self.matrix.rowChosen.connect(self._ask_row)
        self.matrix.columnChosen.connect(self._ask_column)
        self.worst.itemClicked.connect(self._ask_line)
        self.worst.itemActivated.connect(self._ask_line)

    def _build(self) -> None:
        self._first, self._second = QHBoxLayout(), QHBoxLayout()
        for line in (self._first, self._second):
            line.setSpacing(8)
        self._size_text = toned(tr("Size"), tone="muted", size="small")
        side = QVBoxLayout()
        side.setSpacing(4)
        side.addWidget(toned(tr("MOST COSTLY"), tone="muted", size="caption", strong=True))
        side.addWidget(self.worst, 1)
        row = QHBoxLayout()
        row.setSpacing(12)
        shown = QVBoxLayout()
        shown.setSpacing(4)
        shown.addWidget(self.matrix, 1)
        shown.addWidget(self.legend)
        row.addLayout(shown, 3)
        row.addLayout(side, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._first)
        column.addLayout(self._second)
        self._arrange(narrow=False)  # in the page: what is shown without a parent would be a window
        column.addLayout(row, 1)
        column.addWidget(self.readout)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        if narrow is not self._narrow:
            self._arrange(narrow=narrow)

    def _arrange(self, *, narrow: bool) -> None:
        """The controls in one row, or in two in a narrow window, where Ctrl+wheel sets the size of the cells."""
        self._narrow = narrow
        for line in (self._first, self._second):
            while line.count():
                line.takeAt(0)
        for part in (self.scale, self.order):
            self._first.addWidget(part, 1 if narrow else 0)
        checks = self._second if narrow else self._first
        checks.addWidget(self.background)
        checks.addWidget(self.empty)
        checks.addStretch(1)
        for last in (self._size_text, self.zoom):
            checks.addWidget(last)
            last.setVisible(not narrow)

    @property
    def table(self) -> MatrixTable | None:
        """What is shown."""
        return self.matrix.table

    def set_theme(self, theme: Theme) -> None:
        self.matrix.set_theme(theme)
        self.legend.set_theme(theme)
        self._bars.theme = theme
        self.worst.viewport().update()

    def show_counts(self, counts: NDArray[np.int64] | None, catalog: ClassCatalog | None, folder: FolderAnalysis | None) -> None:
        """Show another matrix.

        Args:
            counts: (C, C + 1) int64, or None if unknown.
            catalog: its classes.
            folder: what is behind it.
        """
        self._counts, self._catalog, self._folder = counts, catalog, folder
        self._lay_out()

    def _lay_out(self) -> None:
        if self._counts is None or self._catalog is None:
            self.matrix.show_table(None)
            self.legend.show_table(None)
            self.worst.clear()
            self._say_cell(-1, -1)
            return
        self.matrix.show_table(
            matrix_table(
                self._counts,
                self._catalog,
                scale=list(MatrixScale)[self.scale.currentIndex()],
                order=list(MatrixOrder)[self.order.currentIndex()],
                background=self.background.isChecked(),
                empty=self.empty.isChecked(),
                most=MOST_CLASSES,
            )
        )
        self.legend.show_table(self.matrix.table)
        self._list_worst(self._counts, self._catalog)
        self._say_cell(*self.matrix.cell)

    def _list_worst(self, counts: NDArray[np.int64], catalog: ClassCatalog) -> None:
        self._costly = costly_cells(counts, catalog, background=self.background.isChecked())
        wrong = max(int(counts.sum()) - int(counts[:, :-1].trace()), 1)
        while self.worst.count() > len(self._costly):
            self.worst.takeItem(self.worst.count() - 1)
        for place, (truth, prediction, pixels) in enumerate(self._costly):
            names = f"{class_text(catalog, truth)} → {class_text(catalog, prediction)}"
            text = tr(
                "{names}\n{pixels} px · {short_percent} % of errors",
                names=names,
                pixels=spaced(pixels),
                short_percent=short_percent(pixels / wrong),
            )
            if place < self.worst.count():
                self.worst.item(place).setText(text)
            else:
                item = QListWidgetItem(text)
                item.setToolTip(tr("Show these errors"))
                self.worst.addItem(item)
            self.worst.item(place).setData(SHARE, pixels / self._costly[0][2])

    def _say_cell(self, row: int, column: int) -> None:
        table = self.matrix.table
        if table is None:
            self.readout.set_text("")
            return
        if row < 0:
            text = tr(SCALE_TEXT[table.scale])
            if table.known > len(table.rows):
                text = tr(
                    "The {shown} classes with most errors of {known}, '{all}' shows the rest · {text}",
                    text=text, shown=len(table.rows), known=table.known, all=self.empty.text(),
                )  # fmt: skip
            self.readout.set_text(text)
            return
        truth, prediction = table.cell(row, column)
        names = [class_text(table.catalog, one) for one in (truth, prediction)]
        pixels = spaced(int(table.counts[row, column]))
        if truth == prediction:
            self.readout.set_text(
                tr("{names}: {pixels} px correct, {share}", names=names[0], pixels=pixels, share=_share(table, row, column))
            )
            return
        query = _query(table, row, column)
        parts = [tr("{title}: {pixels} px", title=query.title(table.catalog), pixels=pixels), _share(table, row, column)]
        text = ", ".join(filter(None, parts))
        totals = None if self._folder is None else query.totals(self._folder)
        if totals is not None and totals[1]:
            text = " · ".join((text, plural("{n} component", "{n} components", totals[1])))
        self.readout.set_text(tr("{text} · click to see them", text=text) if table.counts[row, column] else text)

    def _ask_cell(self, row: int, column: int) -> None:
        table = self.matrix.table
        if table is None:
            return
        if table.on_diagonal(row, column):
            self.asked.emit(ComponentQuery(truth=table.cell(row, column)[0]))
        elif table.counts[row, column]:
            self.asked.emit(_query(table, row, column))

    def _ask_line(self, item: QListWidgetItem) -> None:
        truth, prediction, _ = self._costly[self.worst.row(item)]
        self.asked.emit(ComponentQuery(truth=truth, prediction=prediction))

    def _ask_row(self, row: int) -> None:
        table = self.matrix.table
        if table is not None:
            self.asked.emit(ComponentQuery(truth=table.class_id(int(table.rows[row]))))

    def _ask_column(self, column: int) -> None:
        table = self.matrix.table
        if table is not None:
            self.asked.emit(ComponentQuery(prediction=table.class_id(int(table.columns[column]))))

    def _follow_side(self, side: int) -> None:
        blocked = self.zoom.blockSignals(True)
        self.zoom.setValue(side)
        self.zoom.blockSignals(blocked)


def _query(table: MatrixTable, row: int, column: int) -> ComponentQuery:
    truth, prediction = table.cell(row, column)
    return ComponentQuery(truth=truth, prediction=prediction, both_ways=table.scale is MatrixScale.PAIRS)


def _choice(kinds: type[MatrixScale] | type[MatrixOrder], name: str) -> QComboBox:
    box = QComboBox()
    for kind in kinds:
        box.addItem(tr(kind.value))
    box.setAccessibleName(name)
    return box


def _share(table: MatrixTable, row: int, column: int) -> str:
    if table.scale is MatrixScale.COUNTS:
        return ""
    of = {
        MatrixScale.ROWS: tr("of {name}", name=table.name(int(table.rows[row]))),
        MatrixScale.COLUMNS: tr("of what is predicted as {name}", name=table.name(int(table.columns[column]))),
        MatrixScale.PAIRS: tr("of both"),
    }[table.scale]
    return f"{short_percent(float(table.values[row, column]))} % {of}"
