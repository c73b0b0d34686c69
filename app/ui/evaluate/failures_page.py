"""The failure board: which kinds of mistake there are, what fixing each would gain, and where the model is weak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QToolButton,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from app.text import mark, tr
from app.ui.common.panel import Page, toned
from app.ui.evaluate.class_bars import ClassBars
from app.ui.evaluate.kind_table import PART_TONES, KindTable
from app.ui.evaluate.pair_list import PairList
from app.ui.evaluate.slice_bars import SliceBars
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.error_list import ComponentQuery, OwnSlice
from app.viewmodels.evaluate.failure_table import (
    SliceChart,
    class_parts,
    failure_lines,
    own_charts,
    slice_charts,
    with_intervals,
)
from app.viewmodels.evaluate.pair_table import pair_lines
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import FailureKind
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.slices import Slice
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics.scores import FEW_IMAGES, FEW_OBJECTS

_HINT = mark(
    "For each class, boundary, extent and segment errors add up to 100 %. Over all classes they add up "
    "to more, because a wrong pixel is a miss of one class and a false alarm of another. The other kinds "
    "overlap."
)

_COUNTS = mark("n: objects, or images for pixel slices. Pale bars are based on fewer than {objects} objects or {images} images.")

#: How long figures have rested before their intervals are found, ms.
_REST = 400
#: Width of one small chart that the grid aims at, px.
_CHART = 280


class FailuresPage(Page):
    """Kinds, classes and slices of a folder, over all classes or one.

    Signals:
        asked(ComponentQuery): a kind, a class, a kind of a class or a slice was chosen.
        intervalsAsked(Callable): a function whose result :meth:`show_intervals` is to get; for a thread.
        tableAsked(): a table of attributes is to be chosen.
        tableRemoved(str): the table in this file of the project is to be forgotten.
    """

    asked = Signal(object)
    tableAsked = Signal()
    intervalsAsked = Signal(object)
    tableRemoved = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._folder: FolderAnalysis | None = None
        self._own: OwnSlices | None = None
        self.tables = QPushButton(tr("Your attributes"))
        self.tables.setProperty("tight", True)
        self.tables.setToolTip(tr("A CSV of your own properties of images or objects: every column becomes slices"))
        self.tables.setMenu(QMenu(self.tables))
        self._charts: list[SliceBars] = []
        self.classes = QComboBox()
        self.classes.addItem(tr("All classes"), None)
        self.classes.setAccessibleName(tr("Class to show"))
        self.kinds = KindTable(theme)
        self.pairs = PairList()
        self.bars = ClassBars(theme)
        self._find: Callable[[], list[SliceChart]] | None = None
        self._rest = QTimer(self)  # intervals take half a second: they come when the figures have settled
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(self._ask_intervals)
        self._grid = QGridLayout()
        self._grid.setSpacing(16)
        self._build()
        self.lead_focus_to(self.kinds)
        self.classes.currentIndexChanged.connect(self._lay_out)
        self.kinds.kindChosen.connect(self._ask_kind)
        self.pairs.pairChosen.connect(lambda one, other: self.asked.emit(ComponentQuery(one, other, both_ways=True)))
        self.bars.chosen.connect(lambda class_id, kind: self.asked.emit(ComponentQuery(concerning=class_id, kind=kind)))

    def _build(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self.classes)
        self.hint = QToolButton()
        self.hint.setObjectName("hint")
        self.hint.setToolTip(tr(_HINT))
        self.hint.setAccessibleName(tr("How the kinds add up"))
        self.hint.setAccessibleDescription(tr(_HINT))
        self.hint.clicked.connect(self._show_hint)
        head.addWidget(self.hint)
        head.addStretch(1)
        column.addLayout(head)
        column.addWidget(self.kinds)
        self._legend = QHBoxLayout()
        self._legend.setSpacing(14)
        self._legend.addWidget(toned(tr("WRONG PIXELS BY CLASS"), tone="muted", size="caption", strong=True))
        self._keys = []
        for kind in PART_TONES:
            key = toned("", size="small")
            key.setTextFormat(Qt.TextFormat.RichText)
            self._keys.append((key, kind))
            self._legend.addWidget(key)
        self._legend.addStretch(1)
        column.addSpacing(8)
        self._pair_title = toned(tr("CONFUSED CLASSES"), tone="muted", size="caption", strong=True)
        column.addWidget(self._pair_title)
        column.addWidget(self.pairs)
        column.addSpacing(8)
        column.addLayout(self._legend)
        column.addWidget(self.bars)
        column.addSpacing(8)
        weak = QHBoxLayout()
        weak.setSpacing(14)
        weak.addWidget(toned(tr("WEAK SPOTS"), tone="muted", size="caption", strong=True))
        counts = toned(tr(_COUNTS, objects=FEW_OBJECTS, images=FEW_IMAGES), tone="muted", size="small")
        counts.setWordWrap(True)  # in one line it would be wider than the page of a small screen, whose end would be cut
        weak.addWidget(counts, 1)
        weak.addWidget(self.tables)
        column.addLayout(weak)
        column.addLayout(self._grid)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    @property
    def class_id(self) -> int | None:
        """The class that the figures are about; None for all."""
        found: int | None = self.classes.currentData()
        return found

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        parts: tuple[KindTable | ClassBars | SliceBars, ...] = (self.kinds, self.bars, *self._charts)
        for part in parts:
            part.set_theme(theme)
        self.hint.setIcon(make_icon("info", theme, color="muted"))
        for key, kind in self._keys:
            key.setText(f'<span style="color: {theme.colors[PART_TONES[kind]]}">■</span> {escape(kind.value)}')

    def show_tables(self, tables: Mapping[str, str]) -> None:
        """The kept tables of attributes, by their files, to remove or replace."""
        menu = self.tables.menu()
        menu.clear()
        menu.addAction(tr("Choose a table…"), self.tableAsked.emit)
        if tables:
            menu.addSeparator()
        for file, name in tables.items():
            menu.addAction(tr("Remove {name}", name=name), partial(self.tableRemoved.emit, file))

    def show_folder(self, folder: FolderAnalysis | None, shown: ClassCatalog | None = None, own: OwnSlices | None = None) -> None:
        """Show another folder, or the same with other figures.

        Args:
            shown: its catalog with other colours.
            own: the user's attributes.
        """
        self._folder, self._own = folder, own
        kept = self.class_id
        parts = [] if folder is None else class_parts(folder, shown)
        with QSignalBlocker(self.classes):
            self.classes.clear()
            self.classes.addItem(tr("All classes"), None)
            for part in parts:
                self.classes.addItem(part.name, part.class_id)
            self.classes.setCurrentIndex(max(self.classes.findData(kept), 0))
        self.bars.show_parts(parts)
        self._lay_out()

    def _show_hint(self) -> None:
        """For those who do not rest the pointer on it."""
        QToolTip.showText(self.hint.mapToGlobal(self.hint.rect().bottomLeft()), tr(_HINT), self.hint)

    def _lay_out(self) -> None:
        folder = self._folder
        self.kinds.show_lines([] if folder is None else failure_lines(folder, self.class_id))
        pairs = [] if folder is None else pair_lines(folder, self.class_id)
        self.pairs.show_lines(pairs)
        self.pairs.setVisible(bool(pairs))
        self._pair_title.setVisible(bool(pairs))
        charts = [] if folder is None else self._slices(folder)
        self._find = None
        self._rest.start()
        for chart, shown in zip(charts, self._charts, strict=False):
            shown.show_chart(chart)
        for left in self._charts[len(charts) :]:
            self._grid.removeWidget(left)
            left.hide()
            left.deleteLater()
        del self._charts[len(charts) :]
        for chart in charts[len(self._charts) :]:
            bars = SliceBars(self._theme, chart)
            bars.chosen.connect(self._ask_slice)
            self._charts.append(bars)
        self._place_charts()

    def _slices(self, folder: FolderAnalysis) -> list[SliceChart]:
        return [*slice_charts(folder, self.class_id), *own_charts(folder, self._own, self.class_id)]

    def _ask_intervals(self) -> None:
        if self._folder is not None and self.isVisible():
            still, class_id, own = self._folder.for_scores(), self.class_id, self._own
            charts = self._slices(self._folder)
            find = self._find = partial(with_intervals, charts, still, class_id, own)
            self.intervalsAsked.emit(find)

    def show_intervals(self, find: Callable[[], list[SliceChart]], charts: Sequence[SliceChart]) -> None:
        """What was asked for with :attr:`intervalsAsked`; nothing happens if other figures are shown since."""
        if find is not self._find:
            return
        for chart, shown in zip(charts, self._charts, strict=False):
            shown.show_chart(chart)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._rest.start()

    def _place_charts(self) -> None:
        across = max(self.width() // _CHART, 1)
        for place, chart in enumerate(self._charts):
            self._grid.addWidget(chart, place // across, place % across)

    def _ask_kind(self, kind: FailureKind) -> None:
        self.asked.emit(ComponentQuery(kind=kind, concerning=self.class_id))

    def _ask_slice(self, within: Slice | OwnSlice) -> None:
        self.asked.emit(ComponentQuery(within=within, concerning=self.class_id))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_charts()
