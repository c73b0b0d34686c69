"""Plots over the width of the band, 1 to 40 px. Imported late: pyqtgraph costs as much time as the window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QWidget

from app.text import mark, tr
from app.ui.common.chart_view import NumberAxis
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.curves import Curve

#: Height of the axis of widths below the curves, px.
_AXIS = 22
_TOKENS = {"model": "muted", "now": "good", "with CRF": "accent"}
_NAMES = {"model": mark("model"), "now": mark("now"), "with CRF": mark("with CRF")}


class CurvePlot(QWidget):
    """The curves of model and mask, with the names of those that are drawn."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[Curve, ...] = ()
        self._width = 1
        place = QGridLayout(self)  # the names lie over the plot, where the curves do not go: they rise from left to right
        place.setContentsMargins(0, 0, 0, 0)
        self._plot = BandPlot()
        place.addWidget(self._plot, 0, 0)
        names = QWidget()
        names.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._legend = QHBoxLayout(names)
        self._legend.setContentsMargins(0, 0, 8, _AXIS)
        self._legend.setSpacing(10)
        place.addWidget(names, 0, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
        self._labels: dict[str, QLabel] = {}
        for name in _TOKENS:
            label = QLabel(tr(_NAMES[name]))
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setProperty("textSize", "small")
            self._labels[name] = label
            self._legend.addWidget(label)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._plot.set_theme(theme)
        for name, token in _TOKENS.items():
            self._labels[name].setStyleSheet(f"color: {theme.colors[token]}")
        self.show_curves(self._shown, self._width)

    def show_curves(self, curves: Sequence[Curve], width: int) -> None:
        """Draw the lines and mark the chosen width."""
        self._shown, self._width = tuple(curves), width
        names = {curve.name for curve in in_sight(curves)}
        for name, label in self._labels.items():
            label.setVisible(name in names)
        lines = [(curve.values, self._theme.color(_TOKENS[curve.name]), curve.name == "model") for curve in curves]
        self._plot.show_lines(lines, width)


def in_sight(curves: Sequence[Curve]) -> list[Curve]:
    """The curves that can be seen: a line that lies under a later one of the same values cannot."""
    values = [np.asarray(curve.values) for curve in curves]
    return [
        curve
        for place, curve in enumerate(curves)
        if not any(np.array_equal(values[place], later, equal_nan=True) for later in values[place + 1 :])
    ]


class BandPlot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """A still plot: nothing in it is dragged or zoomed by accident."""

    def __init__(self) -> None:
        super().__init__(axisItems={side: NumberAxis(orientation=side) for side in ("left", "bottom")})
        self._mark = pg.mkPen()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.setXRange(0, 41, padding=0)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def set_theme(self, theme: Theme) -> None:
        """Paint with another theme's colours; what is drawn keeps its own until it is drawn again."""
        self._mark = pg.mkPen(theme.color("muted"), width=1, style=Qt.PenStyle.DashLine)
        self.setBackground(theme.color("surface"))
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(pg.mkPen(theme.color("border_strong")))
            axis.setTextPen(pg.mkPen(theme.color("muted")))
            axis.setStyle(tickFont=theme.font("caption"), tickLength=-4)
            axis.label.setFont(theme.font("caption"))
        self.getAxis("left").setWidth(34)
        self.showGrid(x=False, y=True, alpha=0.12)

    def show_lines(self, lines: Sequence[tuple[Sequence[float], object, bool]], width: int) -> None:
        """Draw lines and mark a width.

        Args:
            lines: values of the widths from 1 px on, each 0..1 or nan, the colour, and whether it is dashed. Without any number
                nothing is drawn.
            width: in px.
        """
        self.clear()
        known = [value for values, *_ in lines for value in values if not np.isnan(value)]
        if not known:
            return
        for values, color, dashed in lines:
            style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine  # told apart without their colours, too
            pen = pg.mkPen(color, width=2, style=style)
            self.plot(np.arange(1, len(values) + 1), 100 * np.asarray(values), pen=pen, connect="finite")
        self.addItem(pg.InfiniteLine(pos=width, angle=90, pen=self._mark))
        low, high = min(known), max(known)
        room = max((high - low) * 0.12, 0.02)
        self.setYRange(100 * max(low - room, 0.0), 100 * min(high + room, 1.0), padding=0)
