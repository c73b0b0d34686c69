"""After a model has learned: before and after, in figures and pictures, and the user's decision."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPixmap
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.text import mark, percent, points, spaced, tr
from app.ui.adapt.learn_picture import LearnPicture, composed
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import plain_table
from app.ui.common.panel import toned
from app.viewmodels.adapt.learned_view import LearnedImage, Pair, change_text, figures, sentence
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.learning import GainInterval, LearnReport

_COLUMNS = (mark("Class"), mark("Your pixels"), mark("Held out: before"), mark("after"), mark("Corrected: before"), mark("after"))
_PANES = (mark("Before"), mark("After"), mark("Yours"))
_SWATCH = 12


class LearnResultDialog(FittedDialog):
    """Stays open beside the window; closing it decides nothing.

    Signals:
        acceptAsked(), discardAsked(): the decision.
    """

    acceptAsked = Signal()
    discardAsked = Signal()

    def __init__(self, report: LearnReport, catalog: ClassCatalog, parent: QWidget | None = None) -> None:
        super().__init__(tr("Review learned model"), parent, size=QSize(980, 720))
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)  # the user may be painting
        self._report, self._catalog = report, catalog
        self._images: tuple[LearnedImage, ...] = ()
        self._place = 0
        column = self.column
        self.verdict = toned(sentence(report), tone="warn" if report.verdict == "worse" else "")
        self.verdict.setWordWrap(True)
        column.addWidget(self.verdict)
        column.addLayout(self._build_figures())
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self._build_pictures())
        self.table = self._build_table()
        split.addWidget(self.table)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        column.addWidget(split, 1)
        self._build_buttons()

    def show_images(self, images: tuple[LearnedImage, ...]) -> None:
        """Pictures of some corrected images; they are read in the background and come later than the figures."""
        self._images, self._place = images, 0
        self._show_image()

    def step(self, direction: int) -> None:
        """Show the next or the previous image."""
        if self._images:
            self._place = (self._place + direction) % len(self._images)
            self._show_image()

    # -- building --------------------------------------------------------------------------------------------------------

    def _build_figures(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(32)
        grid.setVerticalSpacing(2)
        self.figures = {}
        for column, (title, value, tip) in enumerate(figures(self._report)):
            number, label = toned(value, size="display"), toned(title, tone="muted", size="small")
            number.setToolTip(tip)
            label.setToolTip(tip)
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            self.figures[title] = number
            grid.addWidget(number, 0, column)
            grid.addWidget(label, 1, column)
            grid.setColumnStretch(column, 1)
        return grid

    def _build_pictures(self) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        panes = QGridLayout()
        panes.setSpacing(8)
        self.panes = [LearnPicture(tr(name)) for name in _PANES]
        for place, (name, pane) in enumerate(zip(_PANES, self.panes, strict=True)):
            panes.addWidget(toned(tr(name), tone="muted", size="small"), 0, place)
            panes.addWidget(pane, 1, place)
            panes.setColumnStretch(place, 1)
        panes.setRowStretch(1, 1)
        column.addLayout(panes, 1)
        row = QHBoxLayout()
        self.previous, self.next = QToolButton(), QToolButton()
        for button, text, direction in ((self.previous, "‹", -1), (self.next, "›", 1)):
            button.setText(text)
            button.setProperty("quiet", True)
            button.setAccessibleName(tr("Next image") if direction > 0 else tr("Previous image"))
            button.clicked.connect(lambda _checked, direction=direction: self.step(direction))
        self.caption = toned(tr("Loading images…"), tone="muted", size="small")
        row.addWidget(self.previous)
        row.addWidget(self.next)
        row.addWidget(self.caption, 1)
        column.addLayout(row)
        return box

    def _build_table(self) -> QTableWidget:
        rows = self._report.classes
        table = plain_table([tr(title) for title in _COLUMNS], wide=0, row=28, numbers=range(1, len(_COLUMNS)))
        table.setRowCount(len(rows))
        table.setAccessibleName(tr("IoU of each class before and after"))
        for row, gain in enumerate(rows):
            name = QTableWidgetItem(tr("{name} (new)", name=gain.name) if gain.new else gain.name)
            swatch = QPixmap(_SWATCH, _SWATCH)
            swatch.fill(QColor(*gain.color))
            name.setIcon(swatch)
            table.setItem(row, 0, name)
            pixels = spaced(gain.pixels)
            for place, text in enumerate((pixels, *map(percent, (*gain.held_out, *gain.corrected))), start=1):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                table.setItem(row, place, item)
            _mark(table.item(row, 3), gain.held_out, gain.change)
            _mark(table.item(row, 5), gain.corrected)
        return table

    def _build_buttons(self) -> None:
        row = self.buttons
        later = QPushButton(tr("Decide later"))
        later.clicked.connect(self.close)
        self.discard = QPushButton(tr("Discard"))
        self.discard.clicked.connect(self.discardAsked)
        self.accept_button = QPushButton(tr("Accept"))
        self.accept_button.setToolTip(tr("Switches to this model and predicts the images that you have not edited again"))
        self.accept_button.clicked.connect(self.acceptAsked)
        advised = {"better": self.accept_button, "worse": self.discard}.get(self._report.verdict)
        if advised is not None:
            advised.setProperty("primary", True)
        row.addWidget(later)
        row.addStretch(1)
        row.addWidget(self.discard)
        row.addWidget(self.accept_button)

    # -- following -------------------------------------------------------------------------------------------------------

    def _show_image(self) -> None:
        several = len(self._images) > 1
        self.previous.setVisible(several)
        self.next.setVisible(several)
        if not self._images:
            self.caption.setText("")
            return
        image = self._images[self._place]
        for pane, labels in zip(self.panes, (image.before, image.after, image.yours), strict=True):
            pane.show_picture(composed(image.rgb, labels, self._catalog))
        seen = tr("by a model that had not seen it") if image.held_out else tr("by the model that learned from it")
        self.caption.setText(
            tr(
                "{name} · {place} of {images} · after: {seen}",
                name=image.name,
                place=self._place + 1,
                images=len(self._images),
                seen=seen,
            )
        )


def _mark(item: QTableWidgetItem | None, pair: Pair, interval: GainInterval | None = None) -> None:
    """A gain is bold, on images left out only where its interval excludes 0; the tooltip has the change."""
    before, after = pair
    if item is None or before is None or after is None:
        return
    change = after - before
    item.setToolTip(tr("{change} points", change=points(change)) if interval is None else change_text(interval))
    if change >= 0.0005 and (interval is None or interval.certain):
        font = item.font()
        font.setWeight(QFont.Weight.DemiBold)
        item.setFont(font)
