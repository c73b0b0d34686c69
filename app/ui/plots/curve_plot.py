"""mIoU over the width of the band, drawn with pyqtgraph. Imported late: it costs as much time as the window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.state.curves import Curve
from app.ui.theme import Theme

_TOKENS = {"model": "muted", "now": "good", "with CRF": "accent"}


class CurvePlot(QWidget):
    """A still plot: nothing in it is dragged or zoomed by accident."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[Curve, ...] = ()
        self._width = 1
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._legend = QHBoxLayout()
        self._legend.setSpacing(10)
        self._legend.addStretch(1)
        column.addLayout(self._legend)
        self._labels: dict[str, QLabel] = {}
        for name in _TOKENS:
            label = QLabel(name)
            label.setProperty("textSize", "small")
            self._labels[name] = label
            self._legend.addWidget(label)
        self._plot = pg.PlotWidget()
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(False, False)
        self._plot.hideButtons()
        self._plot.setXRange(0, 41, padding=0)
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column.addWidget(self._plot, 1)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._plot.setBackground(theme.color("surface"))
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(pg.mkPen(theme.color("border_strong")))
            axis.setTextPen(pg.mkPen(theme.color("muted")))
            axis.setStyle(tickFont=theme.font("caption"), tickLength=-4)
        self._plot.getAxis("left").setWidth(34)
        self._plot.showGrid(x=False, y=True, alpha=0.12)
        for name, token in _TOKENS.items():
            self._labels[name].setStyleSheet(f"color: {theme.colors[token]}")
        self.show_curves(self._shown, self._width)

    def show_curves(self, curves: Sequence[Curve], width: int) -> None:
        """Draw the lines and mark the chosen width."""
        self._shown, self._width = tuple(curves), width
        self._plot.clear()
        values = [value for curve in curves for value in curve.values if not np.isnan(value)]
        for name, label in self._labels.items():
            label.setVisible(any(curve.name == name for curve in curves))
        if not values:
            return
        for curve in curves:
            pen = pg.mkPen(self._theme.color(_TOKENS[curve.name]), width=2)
            self._plot.plot(np.arange(1, len(curve.values) + 1), np.asarray(curve.values), pen=pen, connect="finite")
        mark = pg.mkPen(self._theme.color("muted"), width=1, style=Qt.PenStyle.DashLine)
        self._plot.addItem(pg.InfiniteLine(pos=width, angle=90, pen=mark))
        low, high = min(values), max(values)
        room = max((high - low) * 0.12, 0.02)
        self._plot.setYRange(max(low - room, 0.0), min(high + room, 1.0), padding=0)
