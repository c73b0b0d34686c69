"""Models side by side: who takes part, their figures, where two of them differ, and the images on which they do most."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.state.comparison import LETTERS, pairs_of
from app.text import tr
from app.ui.canvas.colors import DIFFERENCE_COLORS
from app.ui.common.panel import Panel, toned
from app.ui.compare.chooser import CompareChooser
from app.ui.compare.compare_plot import ComparePlot
from app.ui.compare.difference_list import DifferenceList
from app.ui.compare.table import CompareTable
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import Figures, ImageLine, ModelEntry

IMAGE, FOLDER = 0, 1


class CompareDock(Panel):
    """The dock below the picture.

    Signals:
        modelsChosen(list of Path): who takes part, in the order of the panes.
        pairChosen(first place, second place): the pair of the difference.
        scopeChosen(): image or folder.
        imageChosen(image id): bring it into view.
        fileAsked(), folderAsked(), closeAsked(): the buttons.
    """

    modelsChosen = Signal(object)
    pairChosen = Signal(object)
    scopeChosen = Signal()
    imageChosen = Signal(int)
    fileAsked = Signal()
    folderAsked = Signal()
    closeAsked = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__("compare", tr("Compare models"))
        self._theme = theme
        self.chooser = CompareChooser(theme)
        self.table = CompareTable(theme)
        self.plot = ComparePlot(theme)
        self.images = DifferenceList()
        self._build_header()
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(12)
        split.setStyleSheet("QSplitter::handle { background: transparent; }")  # within one card, not between cards
        split.addWidget(self._build_models())
        split.addWidget(self.table)
        split.addWidget(self._build_tabs())
        split.setSizes([200, 320, 300])
        for place, share in enumerate((2, 4, 4)):
            split.setStretchFactor(place, share)
        self.body.addWidget(split, 1)
        self.setMinimumHeight(196)
        self.chooser.chosen.connect(self.modelsChosen)
        self.images.chosen.connect(self.imageChosen)
        self.set_theme(theme)

    # -- what is shown ---------------------------------------------------------------------------------------------------

    @property
    def folder_scope(self) -> bool:
        """Whether the folder's figures are wanted."""
        return self.scope.currentIndex() == FOLDER

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.close_button.setIcon(make_icon("close", theme))
        for part in (self.chooser, self.table, self.plot):
            part.set_theme(theme)

    def show_models(self, entries: Sequence[ModelEntry], pair: tuple[int, int], *, can_run: bool) -> None:
        """The compared models, and the pair of the difference."""
        self.chooser.show_entries(entries)
        taking = len([entry for entry in entries if entry.letter])
        with QSignalBlocker(self.pair):
            self.pair.clear()
            for one, other in pairs_of(taking):
                self.pair.addItem(tr("{first} and {second}", first=LETTERS[one], second=LETTERS[other]), (one, other))
            places = [place for place in range(self.pair.count()) if tuple(self.pair.itemData(place)) == pair]
            self.pair.setCurrentIndex(places[0] if places else 0)
        self.pair.setVisible(taking > 2)
        self.run_folder.setEnabled(can_run)

    def show_figures(self, figures: Figures, width: int) -> None:
        """The table, the curves with the chosen width of the band, and the difference; without curves the plot shows a note."""
        self.table.show_rows(figures.heading, figures.names, figures.rows)
        self._plot_place.setCurrentIndex(0 if any(figures.curves) else 1)
        self.plot.show_curves(figures.curves, width)
        words = []
        for role, text in figures.difference:
            red, green, blue = DIFFERENCE_COLORS[role]
            words.append(f'<span style="color: rgb({red},{green},{blue})">■</span> {escape(text)}')
        self.difference.setText("&nbsp; ".join(words))
        self.difference.setToolTip(figures.tip)

    def show_images(self, lines: Sequence[ImageLine], note: str) -> None:
        """The list of images, or what to do to get one."""
        self.images.show_lines(lines)
        self._list_note.setText(note)
        self._list_place.setCurrentIndex(0 if lines else 1)
        self.tabs.setTabText(1, tr("Most different ({lines})", lines=len(lines)) if lines else tr("Most different"))

    # -- building --------------------------------------------------------------------------------------------------------

    def _build_header(self) -> None:
        self.difference = toned("", tone="muted", size="small")
        self.difference.setTextFormat(Qt.TextFormat.RichText)
        self.pair = QComboBox()
        self.pair.setAccessibleName(tr("Two models to compare"))
        self.pair.setToolTip(tr("Pair of models in the difference view"))
        self.pair.activated.connect(lambda place: self.pairChosen.emit(tuple(self.pair.itemData(place))))
        self.scope = QComboBox()
        self.scope.addItems([tr("Image"), tr("Folder")])
        self.scope.setAccessibleName(tr("Scope of the metrics"))
        self.scope.setToolTip(tr("Metrics of this image, or pooled over all compared images"))
        self.scope.activated.connect(lambda _place: self.scopeChosen.emit())
        self.close_button = QToolButton()
        self.close_button.setProperty("quiet", True)
        self.close_button.setAccessibleName(tr("Stop comparing"))
        self.close_button.setToolTip(tr("Stop comparing and restore the previous views"))
        self.close_button.clicked.connect(self.closeAsked)
        for widget in (self.difference, self.pair, self.scope, self.close_button):
            self.header.addWidget(widget)

    def _build_models(self) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.chooser, 1)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.add_file = QPushButton(tr("Add file…"))
        self.add_file.setToolTip(tr("Compare with a model file that is not in the list"))
        self.add_file.clicked.connect(self.fileAsked)
        self.run_folder = QPushButton(tr("Run folder"))
        self.run_folder.setToolTip(tr("Compare on every image of the folder; predictions are kept for the next run"))
        self.run_folder.clicked.connect(self.folderAsked)
        for button in (self.add_file, self.run_folder):
            button.setProperty("tight", True)
            row.addWidget(button, 1)
        column.addLayout(row)
        return box

    def _build_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        needs = tr("Requires ground truth. Shows mIoU inside the boundary band for every width, one line per model.")
        curve, self._plot_place, _ = _either(self.plot, needs)
        images, self._list_place, self._list_note = _either(self.images, "")
        self.tabs.addTab(curve, tr("Trimap curves"))
        self.tabs.addTab(images, tr("Most different"))
        return self.tabs


def _either(widget: QWidget, note: str) -> tuple[QWidget, QStackedLayout, QLabel]:
    """A widget, or a note in its place."""
    box = QWidget()
    place = QStackedLayout(box)
    label = toned(note, tone="muted", size="small")
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    label.setContentsMargins(8, 8, 8, 8)
    place.addWidget(widget)
    place.addWidget(label)
    place.setCurrentIndex(1)
    return box, place, label
