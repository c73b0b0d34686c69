"""The boundary band: its rule and width, and the curve of mIoU over width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QSlider, QWidget

from app.text import mark, percent, tr
from app.ui.common.panel import Panel, toned
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.curves import CurveSet

if TYPE_CHECKING:  # numpy comes after the first frame
    from deeplab_core.records import TrimapBand

#: (rule, around) of each entry; the void rule needs truth, so it has no entry around the mask.
#: A plot that is less high (px) says nothing.
_LOWEST_PLOT = 44
_BANDS = (
    (("edge", "truth"), mark("Edges of ground truth")),
    (("edge", "prediction"), mark("Edges of the mask")),
    (("void", "truth"), mark("Void ring")),
)
_RULE_TIPS = {
    "edge": mark(
        "Euclidean distance to a class edge: a pixel next to another class has distance 1. Void is filled "
        "with the nearest class and then excluded; the image border is not an edge."
    ),
    "void": mark(
        "Chebyshev distance (square element) to void pixels of the ground truth, as in the DeepLab papers. Void is excluded."
    ),
}


class TrimapDock(Panel):
    """Controls and curve of the trimap band.

    Signals:
        bandChosen(TrimapBand): rule, width or reference changed.
        folderAsked(): curves of the folder are wanted.
    """

    bandChosen = Signal(object)
    folderAsked = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__("trimap", tr("Trimap curve"))
        self._theme = theme
        self._curves = CurveSet()
        self.figure = toned("", tone="muted", size="small")
        self.header.addWidget(self.figure)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.rule = QComboBox()
        self.rule.setAccessibleName(tr("Band rule"))
        self.rule.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for place, (key, text) in enumerate(_BANDS):
            self.rule.addItem(tr(text), key)
            self.rule.setItemData(place, tr(_RULE_TIPS[key[0]]), Qt.ItemDataRole.ToolTipRole)
        self.rule.activated.connect(self._emit_band)
        self.scope = QComboBox()
        self.scope.addItems([tr("Image"), tr("Folder")])
        self.scope.setAccessibleName(tr("Scope of the curve"))
        self.scope.setToolTip(tr("This image, or pooled over every image that has ground truth and a mask"))
        self.scope.activated.connect(self._follow_scope)
        row.addWidget(self.rule, 1)
        row.addWidget(self.scope)
        self.body.addLayout(row)
        widths = QHBoxLayout()
        widths.setSpacing(8)
        self.width_slider = QSlider(Qt.Orientation.Horizontal)
        self.width_slider.setRange(1, 40)
        self.width_slider.setAccessibleName(tr("Band width in px"))
        self.width_slider.valueChanged.connect(self._emit_band)
        self.width_text = toned("", size="small")
        self.width_text.setMinimumWidth(40)
        self.width_text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        widths.addWidget(toned(tr("Width"), tone="muted", size="small"))
        widths.addWidget(self.width_slider, 1)
        widths.addWidget(self.width_text)
        self.body.addLayout(widths)
        self.empty = toned(
            tr("Requires ground truth. The curve shows mIoU inside the band for every width."), tone="muted", size="small"
        )
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.body.addWidget(self.empty, 1)
        self._room = _PlotRoom()
        self.body.addWidget(self._room, 1)
        self.plot: QWidget | None = None
        self.width_text.setText(tr("{value} px", value=self.width_slider.value()))

    def show_band(self, band: TrimapBand) -> None:
        """Show rule and width without telling them."""
        with QSignalBlocker(self.rule), QSignalBlocker(self.width_slider):
            self.rule.setCurrentIndex(next(place for place, (key, _) in enumerate(_BANDS) if key == (band.rule, band.around)))
            self.width_slider.setValue(band.width_px)
        self._show_texts(band)

    def show_curves(self, curves: CurveSet) -> None:
        """Show mIoU over width for the image and the folder."""
        self._curves = curves
        self._draw()

    def show_figure(self, inside: float | None, outside: float | None) -> None:
        """Show the mIoU inside and outside the band at the chosen width."""
        self.figure.setText(
            ""
            if inside is None
            else tr("in {inside}", inside=percent(inside))
            if outside is None
            else tr("in {inside} · out {outside}", inside=percent(inside), outside=percent(outside))
        )
        self.figure.setToolTip(
            tr("mIoU of this image inside and outside the band, averaged over the classes that the ground truth has there")
        )

    def band(self) -> TrimapBand:
        """The band as the controls say it."""
        from deeplab_core.records import TrimapBand

        rule, around = self.rule.currentData()
        return TrimapBand(width_px=self.width_slider.value(), rule=rule, around=around)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        if self.plot is not None:
            self.plot.set_theme(theme)  # type: ignore[attr-defined]

    def build_plot(self) -> None:
        """Load the plotting library, after the first frame: it takes as long as the window itself."""
        if self.plot is None:
            from app.ui.evaluate.band_plot import CurvePlot

            plot = CurvePlot(self._theme)
            self.plot = plot
            self._room.take(plot)
            self._draw()

    def _emit_band(self) -> None:
        band = self.band()
        self._show_texts(band)
        self.bandChosen.emit(band)
        self._follow_scope()

    def _follow_scope(self) -> None:
        """Draw the curves; those of the folder are measured where they are looked at."""
        if self.scope.currentIndex() == 1:
            self.folderAsked.emit()
        self._draw()

    def _show_texts(self, band: TrimapBand) -> None:
        self.width_text.setText(tr("{width_px} px", width_px=band.width_px))
        self.rule.setToolTip(tr(_RULE_TIPS[band.rule]))

    def _draw(self) -> None:
        shown = self._curves.folder if self.scope.currentIndex() == 1 else self._curves.image
        self.empty.setVisible(not shown)
        if not shown and self.scope.currentIndex() == 1:
            self.empty.setText(tr("The folder is evaluated where it has ground truth and masks; Ctrl+J does it again."))
        elif not shown:
            self.empty.setText(tr(self._curves.why_empty))
        if self.plot is not None:
            self._room.setVisible(bool(shown))
            self.plot.show_curves(shown, self.width_slider.value())  # type: ignore[attr-defined]


class _PlotRoom(QWidget):
    """The place of the plot; a place that is too low shows none of it, and gives way to the controls."""

    def __init__(self) -> None:
        super().__init__()
        self._plot: QWidget | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)

    def take(self, plot: QWidget) -> None:
        """Show a plot here."""
        self._plot = plot
        plot.setParent(self)
        self._place()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        if self._plot is not None:
            self._plot.setGeometry(self.rect())
            self._plot.setVisible(self.height() >= _LOWEST_PLOT)
