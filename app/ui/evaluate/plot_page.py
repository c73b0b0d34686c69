"""The page of plots: a list at the left, the plot, what it is over, and its export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout

from app.text import mark, tr
from app.ui.common.chart_export import export_chart
from app.ui.common.chart_view import ChartView
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import Page, toned
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.charts import AnyChart
from deeplab_core.errors import AtrousError

_KINDS = {".png": mark("PNG picture (*.png)"), ".svg": mark("SVG drawing (*.svg)"), ".csv": mark("Table (*.csv)")}

#: Widths of the list of plots: usual and at least; and what the plot keeps beside it, px.
_LIST, _LEAST_LIST, _PLOT = 190, 90, 256


class PlotPage(Page):
    """Shows one plot at a time.

    Signals:
        wanted(str): this plot is to be shown; answer with :meth:`show_chart`.
        exported(Path): a file was written.
        failed(AtrousError): it could not be.
        chosen(object): a place of the plot that leads somewhere was clicked.
    """

    wanted = Signal(str)
    exported = Signal(object)
    failed = Signal(object)
    chosen = Signal(object)

    def __init__(self, theme: Theme, names: Sequence[str]) -> None:
        super().__init__()
        self.list = QListWidget()
        for name in names:
            item = QListWidgetItem(tr(name), self.list)
            item.setData(Qt.ItemDataRole.UserRole, name)
        self.list.setFixedWidth(_LIST)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName(tr("Plots"))
        self.list.setUniformItemSizes(True)
        self.view = ChartView(theme)
        self.title = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.title.setProperty("tone", "")
        self.title.setProperty("strong", True)
        self.note = toned("", tone="muted", size="small")
        self.note.setWordWrap(True)
        self.empty = toned("", tone="muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.export_button = QPushButton(tr("Export…"))
        self.export_button.setToolTip(tr("Save the plot as PNG or SVG, or its data as CSV"))
        self.export_button.clicked.connect(self.ask_export)
        self.view.chosen.connect(self.chosen)
        header = QHBoxLayout()
        header.addWidget(self.title, 1)
        header.addWidget(self.export_button)
        column = QVBoxLayout()
        column.setSpacing(6)
        column.addLayout(header)
        column.addWidget(self.view, 1)
        column.addWidget(self.empty, 1)
        column.addWidget(self.note)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        row.addWidget(self.list)
        row.addLayout(column, 1)
        self.lead_focus_to(self.list)
        self.list.currentItemChanged.connect(lambda _item, _before: self._want(self.name))
        self.empty.hide()

    @property
    def name(self) -> str:
        """The plot that is chosen, by its name in English; empty before one is."""
        item = self.list.currentItem()
        return "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))

    def sizeHint(self) -> QSize:
        return QSize(800, 500)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow panel the plot comes first."""
        super().resizeEvent(event)
        self.list.setFixedWidth(min(_LIST, max(self.width() - _PLOT, _LEAST_LIST)))

    def begin(self) -> None:
        """The page came to the front: show the plot that was chosen last."""
        if not self.name:
            self.list.setCurrentRow(0)
        else:
            self.refresh()

    def refresh(self) -> None:
        """Ask for the chosen plot again."""
        if self.name:
            self.wanted.emit(self.name)

    def set_theme(self, theme: Theme) -> None:
        self.view.set_theme(theme)

    def show_chart(self, name: str, chart: AnyChart) -> None:
        """Show a plot, unless another one has been chosen."""
        if name != self.name:
            return
        if chart.empty:
            self._show_empty(chart.title, chart.note or tr("Nothing to show yet: no image has ground truth and a mask."))
            return
        self.title.set_text(chart.title)
        self.export_button.setEnabled(True)
        self.empty.hide()
        self.view.show()
        self.note.setText(chart.note)
        self.view.setAccessibleName(chart.title)
        self.view.show_chart(chart)

    def _want(self, name: str) -> None:
        self._show_empty(tr(name), tr("Counting…"))
        self.wanted.emit(name)

    def _show_empty(self, title: str, text: str) -> None:
        self.title.set_text(title)
        self.export_button.setEnabled(False)
        self.view.hide()
        self.view.show_chart(None)
        self.empty.setText(text)
        self.empty.show()
        self.note.setText("")

    def ask_export(self) -> None:
        """Ask where to, and write the file."""
        chart = self.view.chart
        if chart is None:
            return
        start = chart.title.lower().replace(",", "").replace(" ", "-") + ".png"
        filters = {tr(kind): ending for ending, kind in _KINDS.items()}
        path, chosen = QFileDialog.getSaveFileName(self, tr("Export the plot"), start, ";;".join(filters))
        if path:
            ending = filters.get(chosen, ".png")
            self.export(Path(path) if Path(path).suffix else Path(path + ending))

    def export(self, path: Path) -> None:
        """Write the plot to a file of the kind that its ending says."""
        try:
            export_chart(self.view, path)
        except AtrousError as error:
            self.failed.emit(error)
        else:
            self.exported.emit(path)
