"""mIoU over the width of the band, one line per compared model. Imported late, like every plot."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.state.comparison import PLACE_TOKENS
from app.text import tr
from app.ui.evaluate.band_plot import BandPlot
from app.ui.shell.theme import Theme


class ComparePlot(QWidget):
    """The curves of the models that take part, each in the colour of its pane."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: tuple[tuple[float, ...], ...] = ()
        self._width = 1
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._plot = BandPlot()
        self._plot.setLabel("bottom", tr("band, px"))
        self._plot.setAccessibleName(tr("mIoU inside the band by band width, for each model"))
        column.addWidget(self._plot)
        self.set_theme(theme)

    @property
    def lines(self) -> int:
        """How many lines are drawn."""
        return len([values for values in self._shown if values])

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._plot.set_theme(theme)
        self.show_curves(self._shown, self._width)

    def show_curves(self, curves: Sequence[tuple[float, ...]], width: int) -> None:
        """Draw the curves by place (an empty one is left out) and mark the width of the band."""
        self._shown, self._width = tuple(curves), width
        lines = [(curve, self._theme.color(PLACE_TOKENS[place])) for place, curve in enumerate(curves) if curve]
        self._plot.show_lines(lines, width)
