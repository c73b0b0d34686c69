"""Models side by side: who takes part, their figures, where two of them differ, and the images on which they do most."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.state.comparison import LETTERS, PLACE_TOKENS, ModelSetting, pairs_of
from app.text import tr
from app.ui.canvas.colors import DIFFERENCE_COLORS
from app.ui.common.panel import Panel, toned
from app.ui.compare.compare_table import CompareTable
from app.ui.compare.difference_list import DifferenceList
from app.ui.compare.verdict_table import VerdictTable
from app.ui.evaluate.band_plot import BandPlot
from app.ui.shell.icons import make_icon, swatch
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import ComparedFigures, ImageLine, ModelLine, VerdictRow

#: A panel narrower than this, or than what it needs, has everything behind tabs, in px; and its least width.
_NARROW, _LEAST = 680, 240
#: Widths of models, figures and tabs in a panel of 820 px: names and three figures, verdicts of two models.
_SHARES = (192, 276, 352)


_ROW = 26


class CompareChooser(QListWidget):
    """Models that may take part, the chosen ones with the letter of their pane.

    Signals:
        chosen(list of ModelSetting): who takes part now, in the order of the panes.
    """

    chosen = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._entries: tuple[ModelLine, ...] = ()
        self.setAccessibleName(tr("Models to compare"))
        self.setToolTip(tr("Check two to {most} models", most=len(LETTERS)))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setIconSize(QSize(10, 10))
        self.itemChanged.connect(self._emit_models)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.show_entries(self._entries)

    def show_entries(self, entries: Sequence[ModelLine]) -> None:
        """Show models with their check marks; emits no signal."""
        self._entries = tuple(entries)
        full = len([entry for entry in entries if entry.letter]) >= len(LETTERS)
        with QSignalBlocker(self):
            self.clear()
            for entry in entries:
                item = QListWidgetItem(f"{entry.letter}  {entry.title}" if entry.letter else entry.title)
                item.setData(Qt.ItemDataRole.UserRole, entry.setting)
                flags = Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable
                if entry.letter or not full:
                    flags |= Qt.ItemFlag.ItemIsEnabled
                item.setFlags(flags)
                item.setCheckState(Qt.CheckState.Checked if entry.letter else Qt.CheckState.Unchecked)
                item.setSizeHint(QSize(0, _ROW))
                if entry.letter:
                    item.setIcon(swatch(self._theme.color(PLACE_TOKENS[LETTERS.index(entry.letter)])))
                if entry.trouble:
                    item.setForeground(QColor(self._theme.color("warn")))
                item.setToolTip("\n".join(part for part in (entry.title, entry.state, str(entry.setting.path)) if part))
                self.addItem(item)

    def _emit_models(self, changed: QListWidgetItem) -> None:
        """A newly checked model goes behind the others; the rest keeps its order."""
        setting = changed.data(Qt.ItemDataRole.UserRole)
        order = [entry.setting for entry in sorted(self._entries, key=lambda entry: entry.letter) if entry.letter]
        if changed.checkState() == Qt.CheckState.Checked and setting not in order:
            order.append(setting)
        elif changed.checkState() == Qt.CheckState.Unchecked and setting in order:
            order.remove(setting)
        self.chosen.emit(order)

    @property
    def selected(self) -> ModelSetting | None:
        """The line that is selected; None if none is."""
        items = self.selectedItems()
        found: ModelSetting | None = items[0].data(Qt.ItemDataRole.UserRole) if items else None
        return found


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
        lines = [(curve, self._theme.color(PLACE_TOKENS[place]), False) for place, curve in enumerate(curves) if curve]
        self._plot.show_lines(lines, width)


IMAGE, FOLDER = 0, 1


class CompareDock(Panel):
    """The dock below the picture.

    Signals:
        modelsChosen(list of ModelSetting): who takes part, in the order of the panes.
        settingsAsked(ModelSetting | None): the menu of settings opens, for this line of the list.
        settingChosen(ModelSetting): let a model take part with this setting.
        pairChosen(first place, second place): the pair of the difference.
        scopeChosen(): image or folder.
        imageChosen(image id): bring it into view.
        fileAsked(), folderAsked(), errorsAsked(), closeAsked(): the buttons.
    """

    modelsChosen = Signal(object)
    settingsAsked = Signal(object)
    settingChosen = Signal(object)
    pairChosen = Signal(object)
    scopeChosen = Signal()
    imageChosen = Signal(int)
    fileAsked = Signal()
    folderAsked = Signal()
    errorsAsked = Signal()
    closeAsked = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__("compare", tr("Compare models"))
        self._theme = theme
        self.chooser = CompareChooser(theme)
        self.table = CompareTable(theme)
        self.plot = ComparePlot(theme)
        self.images = DifferenceList()
        self.verdicts = VerdictTable(theme)
        self._build_header()
        self._split = split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.setHandleWidth(12)
        split.setStyleSheet("QSplitter::handle { background: transparent; }")  # within one card, not between cards
        self._models = self._build_models()
        split.addWidget(self._models)
        split.addWidget(self.table)
        split.addWidget(self._build_tabs())
        split.setSizes(_SHARES)
        for place, share in enumerate((2, 3, 4)):
            split.setStretchFactor(place, share)
        self.body.addWidget(split, 1)
        self._narrow, self._listed, self._beside = False, 0, _NARROW
        self.widget().setMinimumWidth(_LEAST)  # else the window makes room for what does not fit, and lays this over other panels
        self._header.least = _LEAST
        self.tabs.installEventFilter(self)
        self.setMinimumHeight(196)
        self.chooser.chosen.connect(self.modelsChosen)
        self.images.chosen.connect(self.imageChosen)
        self.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give the figures the width that they need, or put everything behind tabs."""
        if not self._narrow:
            parts = (self._models, self.tabs)
            widths = sum(max(part.minimumWidth(), part.minimumSizeHint().width()) for part in parts)
            margins = self.body.contentsMargins()
            self._beside = widths + 2 * self._split.handleWidth() + margins.left() + margins.right()
        narrow = self.width() < max(_NARROW, self._row.minimumSize().width(), self._beside + self.table.least)
        self._arrange(narrow)
        # A page behind a tab would hold the panel open.
        self.table.setMinimumWidth(0 if narrow else min(self.table.needed, self.width() - self._beside))

    def _arrange(self, narrow: bool) -> None:
        """Models and figures beside curves and list, or behind tabs of their own in a narrow window."""
        if narrow is self._narrow:
            return
        self._narrow = narrow
        self.difference.setVisible(not narrow)  # the pane of the difference says it, too
        self._title.setVisible(not narrow)
        for place, (part, title) in enumerate(((self._models, tr("Models")), (self.table, tr("Metrics")))):
            if narrow:
                self.tabs.insertTab(place, part, title)
            else:
                self.tabs.removeTab(self.tabs.indexOf(part))
                self._split.insertWidget(place, part)
                part.show()
        self._name_tabs(self._listed)
        self.tabs.setCurrentIndex(1 if narrow else 0)
        if not narrow:
            self._split.setSizes(_SHARES)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.tabs and event.type() == QEvent.Type.Resize:
            self._name_tabs(self._listed)
        return super().eventFilter(watched, event)

    def _name_tabs(self, listed: int) -> None:
        """Titles in full, or short ones where they would be cut."""
        self._listed = listed
        curves, images = self.tabs.count() - 3, self.tabs.count() - 2
        most = tr("Most different ({lines})", lines=listed) if listed else tr("Most different")
        titles = {curves: (tr("Trimap curves"), tr("Curves")), images: (most, tr("Images"))}
        for short in (False, True):
            for place, texts in titles.items():
                self.tabs.setTabText(place, texts[short])
            if self.tabs.tabBar().sizeHint().width() <= self.tabs.width():
                break
        for place, texts in titles.items():
            self.tabs.setTabToolTip(place, texts[0])

    # -- what is shown ---------------------------------------------------------------------------------------------------

    @property
    def folder_scope(self) -> bool:
        """Whether the folder's figures are wanted."""
        return self.scope.currentIndex() == FOLDER

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.close_button.setIcon(make_icon("close", theme))
        for part in (self.chooser, self.table, self.plot, self.verdicts):
            part.set_theme(theme)

    def show_models(self, entries: Sequence[ModelLine], pair: tuple[int, int], *, can_run: bool) -> None:
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
        self.errors.setEnabled(can_run)

    def show_figures(self, figures: ComparedFigures, width: int) -> None:
        """The table, the curves with the chosen width of the band, and the difference; without curves the plot shows a note."""
        self.table.show_rows(figures.heading, figures.names, figures.rows)
        self._fit()
        self._plot_place.setCurrentIndex(0 if any(figures.curves) else 1)
        self.plot.show_curves(figures.curves, width)
        words = []
        for role, text in figures.difference:
            red, green, blue = DIFFERENCE_COLORS[role]
            words.append(f'<span style="color: rgb({red},{green},{blue})">■</span> {escape(text)}')
        self.difference.setText("&nbsp; ".join(words))
        self.difference.setToolTip(figures.tip)

    def offer(self, settings: Sequence[ModelSetting], model: str) -> None:
        """Fill the menu of settings, for a model with this title."""
        self.settings.clear()
        self.settings.addAction(model).setEnabled(False)  # style sheets draw no heading of a section
        self.settings.addSeparator()
        for setting in settings:
            action = self.settings.addAction(setting.words)
            action.triggered.connect(lambda _checked=False, setting=setting: self.settingChosen.emit(setting))
        if not settings:
            self.settings.addAction(tr("No other setting")).setEnabled(False)

    def show_verdicts(self, names: Sequence[str], rows: Sequence[VerdictRow], note: str) -> None:
        """What the models do to the figures of the first one.

        Args:
            names: letters of the models after the first.
            note: shown without rows.
        """
        self.verdicts.show_rows(names, rows)
        self._verdict_note.setText(note)
        self._verdict_place.setCurrentIndex(0 if rows else 1)

    def show_images(self, lines: Sequence[ImageLine], note: str) -> None:
        """The list of images, or what to do to get one."""
        self.images.show_lines(lines)
        self._list_note.setText(note)
        self._list_place.setCurrentIndex(0 if lines else 1)
        self._name_tabs(len(lines))

    # -- building --------------------------------------------------------------------------------------------------------

    def _build_header(self) -> None:
        self.difference = toned("", tone="muted", size="small")
        self.difference.setTextFormat(Qt.TextFormat.RichText)
        self.pair = QComboBox()
        self.pair.setAccessibleName(tr("Two models to compare"))
        self.pair.setToolTip(tr("Pair of models in the difference view"))
        self.pair.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
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
        self.add_setting = QPushButton(tr("Add setting"))
        self.add_setting.setToolTip(
            tr(
                "Compare the selected model with itself mirrored, at other scales or strides, with a CRF, another threshold or "
                "engine. A line that has a setting gets one more. Masks stay as they are."
            )
        )
        self.settings = QMenu(self.add_setting)
        self.add_setting.setMenu(self.settings)
        self.settings.aboutToShow.connect(lambda: self.settingsAsked.emit(self.chooser.selected))
        self.add_file = QPushButton(tr("Add file…"))
        self.add_file.setToolTip(tr("Compare with a model file that is not in the list"))
        self.add_file.clicked.connect(self.fileAsked)
        self.run_folder = QPushButton(tr("Run folder"))
        self.run_folder.setToolTip(tr("Compare on every image of the folder; predictions are kept for the next run"))
        self.run_folder.clicked.connect(self.folderAsked)
        self.errors = QPushButton(tr("Errors…"))
        self.errors.setAccessibleName(tr("Errors fixed and made"))
        self.errors.setToolTip(
            tr("Which errors of the first model the second fixes and which it makes, on the images with ground truth")
        )
        self.errors.clicked.connect(self.errorsAsked)
        for button in (self.add_setting, self.errors, self.add_file, self.run_folder):
            button.setProperty("tight", True)
        row.addWidget(self.add_file, 1)
        row.addWidget(self.run_folder, 1)
        first = QHBoxLayout()
        first.setSpacing(6)
        first.addWidget(self.add_setting, 1)
        first.addWidget(self.errors, 1)
        column.addLayout(first)
        column.addLayout(row)
        return box

    def _build_tabs(self) -> QTabWidget:
        self.tabs = QTabWidget()
        for part in (self.tabs, self.tabs.tabBar()):
            part.setAccessibleName(tr("Views of the comparison"))
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        needs = tr("Requires ground truth. Shows mIoU inside the boundary band for every width, one line per model.")
        curve, self._plot_place, _ = _either(self.plot, needs)
        images, self._list_place, self._list_note = _either(self.images, "")
        verdicts, self._verdict_place, self._verdict_note = _either(self.verdicts, "")
        self.tabs.addTab(curve, tr("Trimap curves"))
        self.tabs.addTab(images, tr("Most different"))
        self.tabs.addTab(verdicts, tr("Verdicts"))
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
