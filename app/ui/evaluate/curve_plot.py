"""mIoU over the width of the band, of the model and the mask. Imported late: pyqtgraph costs as much time as the window."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QWidget

from app.ui.evaluate.band_plot import BandPlot
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.curves import Curve

#: Height of the axis of widths below the curves, px.
_AXIS = 22
_TOKENS = {"model": "muted", "now": "good", "with CRF": "accent"}


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
            label = QLabel(name)
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
        for name, label in self._labels.items():
            label.setVisible(any(curve.name == name for curve in curves))
        self._plot.show_lines([(curve.values, self._theme.color(_TOKENS[curve.name])) for curve in curves], width)
