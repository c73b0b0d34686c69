"""mIoU over the width of the band, one line per compared model. Imported late, like every plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.state.comparison import PLACE_TOKENS
from app.ui.theme import Theme


class ComparePlot(QWidget):
    """A still plot: nothing in it is dragged or zoomed by accident."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[tuple[float, ...], ...] = ()
        self._width = 1
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._plot = pg.PlotWidget()
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(False, False)
        self._plot.hideButtons()
        self._plot.setXRange(0, 41, padding=0)
        self._plot.setLabel("bottom", "band, px")
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setAccessibleName("mIoU inside the band over its width, for each model")
        column.addWidget(self._plot)
        self.set_theme(theme)

    @property
    def lines(self) -> int:
        """How many lines are drawn."""
        return len([values for values in self._shown if values])

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._plot.setBackground(theme.color("surface"))
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(pg.mkPen(theme.color("border_strong")))
            axis.setTextPen(pg.mkPen(theme.color("muted")))
            axis.setStyle(tickFont=theme.font("caption"), tickLength=-4)
            axis.label.setFont(theme.font("caption"))
        self._plot.getAxis("left").setWidth(34)
        self._plot.showGrid(x=False, y=True, alpha=0.12)
        self.show_curves(self._shown, self._width)

    def show_curves(self, curves: Sequence[tuple[float, ...]], width: int) -> None:
        """Draw the curves by place (an empty one is left out) and mark the width of the band."""
        self._shown, self._width = tuple(curves), width
        self._plot.clear()
        values = [value for curve in curves for value in curve if not np.isnan(value)]
        if not values:
            return
        for place, curve in enumerate(curves):
            if curve:
                pen = pg.mkPen(self._theme.color(PLACE_TOKENS[place]), width=2)
                self._plot.plot(np.arange(1, len(curve) + 1), np.asarray(curve), pen=pen, connect="finite")
        mark = pg.mkPen(self._theme.color("muted"), width=1, style=Qt.PenStyle.DashLine)
        self._plot.addItem(pg.InfiniteLine(pos=width, angle=90, pen=mark))
        low, high = min(values), max(values)
        room = max((high - low) * 0.12, 0.02)
        self._plot.setYRange(max(low - room, 0.0), min(high + room, 1.0), padding=0)
