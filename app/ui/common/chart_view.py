"""Any plot of plain values, drawn with pyqtgraph. Imported late: pyqtgraph costs as much time as the window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from html import escape

import numpy as np
import pyqtgraph as pg
from pyqtgraph.exporters import ImageExporter
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.text import spaced, tr
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.charts import Chart, HeatChart, Series

_GAP, _MOST = 8.0, 120.0
#: Steps between the numbers of an axis, at most; and how far apart they are beside and below a plot, px.
_LABELS, _APART_UP, _APART = 7, 24.0, 56.0


class NumberAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """Numbers at steps of 1, 2 or 5 times a power of ten, eight at most."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """The step and where it begins, for an axis of ``size`` px."""
        most = min(max(size / (_APART_UP if self.orientation == "left" else _APART), 3.0), _LABELS)
        least = (high - low) / most
        if not (math.isfinite(least) and least > 0):
            return [(1.0, 0.0)]
        unit = 10.0 ** math.floor(math.log10(least))
        return [(next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least * (1 - 1e-9)), 0.0)]


class NameAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """Names of explicit ticks, read from bottom to top."""

    def setTicks(self, ticks: Sequence[Sequence[tuple[float, str]]] | None) -> None:
        """Take the names and make room for the longest."""
        super().setTicks(ticks)
        names = [name for level in ticks or () for _, name in level]
        metrics = QFontMetricsF(self.style["tickFont"] or QFont())
        longest = max((metrics.horizontalAdvance(name) for name in names), default=0.0)
        self.setHeight(min(longest, _MOST) + _GAP + 22)

    def drawPicture(self, painter: QPainter, axis: object, ticks: object, texts: Sequence[tuple[QRectF, int, str]]) -> None:
        """Draw the line as ever, and the names turned."""
        super().drawPicture(painter, axis, ticks, [])
        if self.style["tickFont"] is not None:
            painter.setFont(self.style["tickFont"])
        painter.setPen(self.textPen())
        for rect, _flags, text in texts:
            painter.save()
            painter.translate(rect.center().x(), _GAP)
            painter.rotate(-90)
            room = QRectF(-_MOST, -rect.height() / 2, _MOST, rect.height())
            painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            painter.restore()


#: Rows of lying bars that are shown at once; the wheel brings the others.
_ROWS = 26
#: Texts longer than this are cut on an axis.
_LONGEST = 22
#: How much of its colour a bar or mark of few objects or images keeps.
_PALE = 0.35
#: Cells of a heat map hold figures up to so many columns.
_READABLE = 24
#: Width that a legend takes, as a share of the plot.
_LEGEND = 0.32


class ChartView(QWidget):
    """One plot. Lines and points stay still; bars of many classes and heat maps can be scrolled and zoomed with the wheel.

    Signals:
        chosen(object): a place that leads somewhere was clicked (``lead_at`` of the chart).
    """

    chosen = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.chart: Chart | HeatChart | None = None
        self._plot = pg.PlotWidget(axisItems={side: NumberAxis(orientation=side) for side in ("left", "bottom")})
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setAntialiasing(True)
        for side in ("left", "bottom"):  # once, while no label is there: asked again it would scale the axis after all
            self._plot.getAxis(side).enableAutoSIPrefix(False)
        self._legend = self._plot.addLegend(offset=(-12, 8), labelTextSize="11px")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._plot)
        self.setMinimumSize(240, 180)
        self._plot.scene().sigMouseMoved.connect(self._hover)
        self._plot.scene().sigMouseClicked.connect(self._click)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Paint with another theme's colours."""
        self._theme = theme
        self._plot.setBackground(theme.color("surface"))
        for side in ("left", "bottom"):
            self._dress(self._plot.getAxis(side))
        self._legend.setLabelTextColor(theme.color("text"))
        self._legend.setBrush(theme.color("surface", 0.85))
        self.show_chart(self.chart)

    def _dress(self, axis: pg.AxisItem) -> None:
        axis.setPen(pg.mkPen(self._theme.color("border_strong")))
        axis.setTextPen(pg.mkPen(self._theme.color("muted")))
        axis.setStyle(tickFont=self._theme.font("caption"), tickLength=-4, autoExpandTextSpace=True)

    def show_chart(self, chart: Chart | HeatChart | None) -> None:
        """Draw a plot, or none."""
        self.chart = chart
        plot = self._plot
        plot.clear()
        self._legend.clear()
        self._set_bottom()
        for side in ("left", "bottom"):
            plot.getAxis(side).setTicks(None)
        plot.invertY(False)
        if chart is None or chart.empty:
            plot.hideAxis("left")
            plot.hideAxis("bottom")
            return
        plot.showAxis("left")
        plot.showAxis("bottom")
        if isinstance(chart, HeatChart):
            self._draw_heat(chart)
        else:
            self._draw(chart)

    def axis(self, side: str) -> pg.AxisItem:
        """The axis at the ``"left"`` or at the ``"bottom"``."""
        return self._plot.getAxis(side)

    def draw_on(self, painter: QPainter) -> None:
        """Draw the plot with a painter of any device, at the size of the widget."""
        exporter = ImageExporter(self._plot.plotItem)
        source = QRectF(exporter.getSourceRect())
        how = {"antialias": True, "background": None, "painter": painter, "resolutionScale": 1.0}
        exporter.setExportMode(True, how)
        try:
            painter.fillRect(QRectF(0, 0, source.width(), source.height()), self._theme.color("surface"))
            self._plot.scene().render(painter, QRectF(0, 0, source.width(), source.height()), source)
        finally:
            exporter.setExportMode(False)

    # -- drawing ---------------------------------------------------------------------------------------------------------

    def _draw(self, chart: Chart) -> None:
        plot = self._plot
        self._label("bottom", chart.x_label)
        self._label("left", chart.y_label)
        lying = any(series.shape == "bars" for series in chart.series)
        plot.showGrid(x=lying, y=not lying, alpha=0.14)
        plot.setMouseEnabled(False, lying)
        if chart.x_ticks:
            plot.getAxis("bottom").setTicks([[(value, _short(text)) for value, text in chart.x_ticks]])
        if chart.y_ticks:
            plot.getAxis("left").setTicks([[(value, _short(text)) for value, text in chart.y_ticks]])
        for place, series in enumerate(chart.series):
            if any(
                series.x == later.x and np.array_equal(series.y, later.y, equal_nan=True) for later in chart.series[place + 1 :]
            ):
                series = replace(series, name="")
            {"line": self._line, "points": self._line, "bars": self._bars, "columns": self._columns}[series.shape](series)
        self._legend.setVisible(len(chart.series) > 1)
        self._fit(chart, lying=lying)
        corner = self._free_corner(chart)
        self._legend.anchor(corner, corner, (-10 if corner[0] else 10, -8 if corner[1] else 8))

    def _line(self, series: Series) -> None:
        color = self._theme.color(series.token)
        pen = pg.mkPen(color, width=2, style=Qt.PenStyle.DashLine if series.dashed else Qt.PenStyle.SolidLine)
        x, y = np.asarray(series.x), np.asarray(series.y)
        marks = {"symbol": "o", "symbolSize": 7, "symbolBrush": color, "symbolPen": None} if series.shape == "points" else {}
        self._plot.plot(x, y, pen=pen, connect="finite", name=series.name or None, antialias=True, **marks)
        if series.pale and marks:
            # Over the full marks, so that line and legend keep theirs.
            pale = sorted(series.pale)
            self._plot.addItem(pg.ScatterPlotItem(x[pale], y[pale], size=7.5, brush=pg.mkBrush(self._paled(color)), pen=None))
        if series.low and series.shape == "points":
            self._whiskers(x, y, series, lying=False)

    def _paled(self, color: QColor) -> QColor:
        """An opaque colour that looks like ``color`` shining through on the plot."""
        ground = self._theme.color("surface")
        mixed = [_PALE * part + (1 - _PALE) * under for part, under in zip(_rgb(color), _rgb(ground), strict=True)]
        return QColor(*map(round, mixed))

    def _bars(self, series: Series) -> None:
        places, values = np.asarray(series.x), np.asarray(series.y)
        colors = [QColor(*color) for color in series.colors] or [self._theme.color(series.token) for _ in values]
        for place in series.pale:
            colors[place].setAlphaF(_PALE)
        line = pg.mkPen(self._theme.color("border_strong"))
        bars = pg.BarGraphItem(x0=0, y=places, height=0.66, width=values, brushes=[pg.mkBrush(c) for c in colors], pen=line)
        self._plot.addItem(bars)
        self._plot.invertY(True)
        if series.low:
            self._whiskers(values, places, series, lying=True)

    def _columns(self, series: Series) -> None:
        x, y = np.asarray(series.x), np.asarray(series.y)
        width = 0.9 * (float(np.min(np.diff(x))) if len(x) > 1 else 0.06)
        color = self._theme.color(series.token, 0.55)
        bars = pg.BarGraphItem(x=x, height=y, width=width, brush=color, pen=pg.mkPen(self._theme.color(series.token)))
        self._plot.addItem(bars)
        self._legend.addItem(pg.PlotDataItem(pen=pg.mkPen(color, width=8)), escape(series.name))

    def _whiskers(self, x: np.ndarray, y: np.ndarray, series: Series, *, lying: bool) -> None:
        low, high = np.asarray(series.low), np.asarray(series.high)
        there = ~(np.isnan(low) | np.isnan(high))
        if not there.any():
            return
        value = (x if lying else y)[there]
        below, above = value - low[there], high[there] - value
        sides = {"left": below, "right": above} if lying else {"bottom": below, "top": above}
        for token, width in (("surface", 4.5), ("text", 1.5)):  # the rim keeps the line apart from bars of its own colour
            pen = pg.mkPen(self._theme.color(token), width=width)
            self._plot.addItem(pg.ErrorBarItem(x=x[there], y=y[there], beam=0.3 if lying else 0.1, pen=pen, **sides))

    def _draw_heat(self, chart: HeatChart) -> None:
        plot = self._plot
        self._legend.setVisible(False)
        self._label("bottom", tr("prediction"))
        self._label("left", tr("truth"))
        plot.showGrid(x=False, y=False)
        plot.setMouseEnabled(True, True)
        plot.invertY(True)
        base = self._theme.color("well")
        right, wrong = self._theme.color("right"), self._theme.color("wrong")
        hits = np.array([[row == column for column in chart.column_names] for row in chart.names])
        strength = np.sqrt(np.clip(chart.shares, 0, 1))[..., None]
        ends = np.where(hits[..., None], _rgb(right), _rgb(wrong))
        image = (_rgb(base) + (ends - _rgb(base)) * strength).astype(np.uint8)
        item = pg.ImageItem(image, axisOrder="row-major", levels=(0, 255))
        item.setRect(QRectF(-0.5, -0.5, image.shape[1], image.shape[0]))
        plot.addItem(item)
        for side, names in (("left", chart.names), ("bottom", chart.column_names)):
            plot.getAxis(side).setTicks([[(float(place), _short(name)) for place, name in enumerate(names)]])
        if len(chart.column_names) <= _READABLE:
            self._write_figures(chart, image)
        plot.setXRange(-0.5, image.shape[1] - 0.5, padding=0)
        plot.setYRange(-0.5, image.shape[0] - 0.5, padding=0)

    def _write_figures(self, chart: HeatChart, cells: np.ndarray) -> None:
        inks = self._theme.color("text"), self._theme.color("on_accent")
        for row, column in zip(*np.nonzero(chart.shares >= 0.005), strict=True):
            share = chart.shares[row, column]
            below = _luminance(cells[row, column])
            color = max(inks, key=lambda ink: _contrast(_luminance(_rgb(ink)), below))
            text = pg.TextItem(f"{100 * share:.0f}", color=color, anchor=(0.5, 0.5))
            text.setFont(self._theme.font("caption"))
            text.setPos(float(column), float(row))
            self._plot.addItem(text)

    # -- axes ------------------------------------------------------------------------------------------------------------

    def _set_bottom(self) -> None:
        kind: type[pg.AxisItem] = NumberAxis
        if isinstance(self.chart, HeatChart):
            kind = NameAxis
        if type(self._plot.getAxis("bottom")) is kind:
            return
        axis = kind(orientation="bottom")
        axis.enableAutoSIPrefix(False)
        self._dress(axis)
        self._plot.setAxisItems({"bottom": axis})

    def _label(self, side: str, text: str) -> None:
        style = {"color": self._theme.colors["muted"], "font-size": tr("{type}px", type=self._theme.type["small"])}
        axis = self._plot.getAxis(side)
        share = isinstance(self.chart, Chart) and {"left": "y", "bottom": "x"}[side] in self.chart.shares
        axis.setScale(100 if share else 1)
        axis.setLabel(f"{text}, %" if share and text else text, **style)
        axis.showLabel(bool(text))
        axis.resizeEvent(None)  # the label is centred there only, and the text before had another width

    def _fit(self, chart: Chart, *, lying: bool) -> None:
        if lying:
            rows = max(len(series.x) for series in chart.series)
            self._plot.setYRange(-0.7, min(rows, _ROWS) - 0.3, padding=0)
            self._plot.setLimits(yMin=-1, yMax=rows)
        else:
            self._plot.setLimits(yMin=None, yMax=None)
            self._range("y", chart.y_range, [v for s in chart.series for v in (*s.y, *s.low, *s.high)])
        self._range("x", chart.x_range, [value for series in chart.series for value in series.x])

    def _range(self, side: str, fixed: tuple[float, float] | None, values: list[float]) -> None:
        finite = [value for value in values if not math.isnan(value)]
        low, high = fixed or (min(finite), max(finite))
        room = 0.0 if fixed else max((high - low) * 0.08, 0.01 if side == "y" else 0.3)
        set_range = self._plot.setXRange if side == "x" else self._plot.setYRange
        set_range(low - room, high + room, padding=0.02 if fixed else 0)

    def _free_corner(self, chart: Chart) -> tuple[int, int]:
        """Where the legend covers fewest points, the corner that the chart asks for first: (right, bottom), 0 or 1 each."""
        (left, right), (low, high) = self._plot.plotItem.vb.viewRange()
        wanted = (0, 0) if chart.legend == "top left" else (1, 1)
        points = [
            ((x - left) / max(right - left, 1e-9), (high - y) / max(high - low, 1e-9))
            for series in chart.series
            for x, y in zip(series.x, series.y, strict=True)
            if not math.isnan(y)
        ]
        tall = 0.08 + 0.05 * len(chart.series)

        def covered(corner: tuple[int, int]) -> int:
            return sum(abs(corner[0] - x) < _LEGEND and abs(corner[1] - y) < tall for x, y in points)

        return min((wanted, (1, 1), (0, 0), (1, 0), (0, 1)), key=covered)

    def _lead(self, place: QPointF) -> object:
        """Where a place of the scene leads to."""
        view = self._plot.plotItem.vb
        if self.chart is None or self.chart.empty or not view.sceneBoundingRect().contains(place):
            return None
        point = view.mapSceneToView(place)
        return self.chart.lead_at(point.x(), point.y())

    def _click(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        lead = self._lead(event.scenePos()) if event.button() == Qt.MouseButton.LeftButton else None
        if lead is not None:
            self.chosen.emit(lead)

    def _hover(self, place: QPointF) -> None:
        chart = self.chart
        leads = self._lead(place) is not None
        self._plot.viewport().setCursor(Qt.CursorShape.PointingHandCursor if leads else Qt.CursorShape.ArrowCursor)
        if not isinstance(chart, HeatChart):
            self._plot.setToolTip("")
            return
        point = self._plot.plotItem.vb.mapSceneToView(place)
        row, column = round(point.y()), round(point.x())
        if 0 <= row < len(chart.names) and 0 <= column < len(chart.column_names):
            pixels = tr("{counts} px", counts=spaced(int(chart.counts[row, column])))
            share = tr("{value:.1f} % of its ground truth", value=100 * chart.shares[row, column])
            self._plot.setToolTip(
                tr(
                    "{names} predicted as {column_names}: {pixels}, {share}",
                    names=chart.names[row],
                    column_names=chart.column_names[column],
                    pixels=pixels,
                    share=share,
                )
            )
        else:
            self._plot.setToolTip("")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"


def _rgb(color: QColor) -> np.ndarray:
    return np.array([color.red(), color.green(), color.blue()], dtype=np.float64)


def _luminance(color: np.ndarray) -> float:
    """Relative luminance of 8-bit sRGB, 0..1 (WCAG 2)."""
    linear = np.where(color <= 10.3, color / 255 / 12.92, ((color / 255 + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _contrast(one: float, other: float) -> float:
    """Contrast ratio of two luminances, 1..21 (WCAG 2)."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
