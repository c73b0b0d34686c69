"""A plot over the width of the band, 1 to 40 px. Imported late, like every plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt

from app.ui.shell.theme import Theme


class BandPlot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """A still plot: nothing in it is dragged or zoomed by accident."""

    def __init__(self) -> None:
        super().__init__()
        self._mark = pg.mkPen()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.setXRange(0, 41, padding=0)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

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

    def show_lines(self, lines: Sequence[tuple[Sequence[float], object]], width: int) -> None:
        """Draw lines and mark a width.

        Args:
            lines: values of the widths from 1 px on, each 0..1 or nan, and the colour. Without any number nothing is drawn.
            width: in px.
        """
        self.clear()
        known = [value for values, _ in lines for value in values if not np.isnan(value)]
        if not known:
            return
        for values, color in lines:
            self.plot(np.arange(1, len(values) + 1), np.asarray(values), pen=pg.mkPen(color, width=2), connect="finite")
        self.addItem(pg.InfiniteLine(pos=width, angle=90, pen=self._mark))
        low, high = min(known), max(known)
        room = max((high - low) * 0.12, 0.02)
        self.setYRange(max(low - room, 0.0), min(high + room, 1.0), padding=0)
