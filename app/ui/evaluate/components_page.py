"""The list of error components behind a number: thumbnails, those that win most first.

A click leads to the place in its image; keys fix the selected one without leaving the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QImage, QKeyEvent, QPainter, QPainterPath, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QListView,
    QMenu,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.state.next_errors import ErrorFix
from app.text import plural, points, spaced, tr
from app.ui.common.elided_box import ElidedBox
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import Page, toned
from app.ui.evaluate.pair_panel import PairPanel
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.error_list import KIND_TITLES, ComponentQuery, class_text
from app.viewmodels.evaluate.pair_table import pair_table
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.error_gain import ERROR_ORDERS, WITH_TRUTH
from deeplab_core.analysis.kinds import PARTS
from deeplab_core.analysis.pairs import PairLoss
from deeplab_core.catalogs.catalog import ClassCatalog


@dataclass(frozen=True, slots=True)
class ComponentTile:
    """What is painted of one component: where it is, what it is, how large."""

    component: ErrorComponent
    name: str
    label: str


class ComponentListModel(QAbstractListModel):
    """Components in their order.

    Args:
        picture: gives the picture of a component, or None while it is made.
    """

    def __init__(self, picture: Callable[[ErrorComponent], QImage | None]) -> None:
        super().__init__()
        self._picture = picture
        self._tiles: list[ComponentTile] = []

    @property
    def components(self) -> list[ErrorComponent]:
        """All of them, in their order."""
        return [tile.component for tile in self._tiles]

    def tile(self, index: QModelIndex | QPersistentModelIndex) -> ComponentTile:
        """What a row shows."""
        return self._tiles[index.row()]

    def picture(self, index: QModelIndex | QPersistentModelIndex) -> QImage | None:
        """The picture of a row, or None while it is made."""
        return self._picture(self._tiles[index.row()].component)

    def set_tiles(self, tiles: Sequence[ComponentTile]) -> None:
        """Show others; where only the end differs, the rest stays as it is scrolled and selected."""
        new = list(tiles)
        if new == self._tiles:
            return
        same = next((n for n, (old, now) in enumerate(zip(self._tiles, new, strict=False)) if old != now), None)
        kept = min(len(self._tiles), len(new)) if same is None else same
        if kept < len(self._tiles):
            self.beginRemoveRows(QModelIndex(), kept, len(self._tiles) - 1)
            del self._tiles[kept:]
            self.endRemoveRows()
        if kept < len(new):
            self.beginInsertRows(QModelIndex(), kept, len(new) - 1)
            self._tiles += new[kept:]
            self.endInsertRows()

    def refresh(self) -> None:
        """Pictures have arrived."""
        if self._tiles:
            self.dataChanged.emit(self.index(0), self.index(len(self._tiles) - 1), [Qt.ItemDataRole.DecorationRole])

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._tiles)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        tile = self._tiles[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"{tile.name}: {tile.label}"
        if role == Qt.ItemDataRole.ToolTipRole:
            keys = tr("Shift+Enter: right class, Shift+Z: second guess, Delete: surroundings, Shift+Delete: prediction")
            return tr("{name}\n{label}\nClick to correct it\n{keys}", name=tile.name, label=tile.label, keys=keys)
        return None


#: Side of the picture, px, and room for the text below.
PICTURE, _TEXT, _GAP = 148, 36, 6
#: A page narrower than this has its head in two rows, px, and letters of the order that it shows at least.
_NARROW, _ORDER = 600, 12


class ComponentDelegate(QStyledItemDelegate):
    """Tiles of one size."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: ARG002 - Qt's signature
        return QSize(PICTURE + 2 * _GAP, PICTURE + _TEXT + 2 * _GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        model, theme = index.model(), self.theme
        if not isinstance(model, ComponentListModel):
            return
        tile, picture = model.tile(index), model.picture(index)
        rect = option.rect
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if chosen or hovered:
            painter.setPen(QPen(theme.color("accent"), 1.5) if chosen else Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("accent_soft" if chosen else "raised"))
            painter.drawRoundedRect(QRectF(rect).adjusted(1, 1, -1, -1), 6, 6)
        box = QRect(rect.x() + _GAP, rect.y() + _GAP, PICTURE, PICTURE)
        well = QPainterPath()
        well.addRoundedRect(QRectF(box), 4, 4)
        painter.fillPath(well, theme.color("well"))
        if picture is None or picture.isNull():
            painter.setPen(theme.color("faint"))
            painter.setFont(theme.font("small"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, "…" if picture is None else tr("no picture"))
        else:
            size = picture.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRect(0, 0, size.width(), size.height())
            target.moveCenter(box.center())
            painter.setClipPath(well)
            painter.drawImage(target, picture)
            painter.setClipping(False)
        text = QRect(box.x() + 2, box.bottom() + 3, box.width() - 4, _TEXT)
        for line, tone, top in ((tile.name, "text", 0), (tile.label, "muted", _TEXT // 2)):
            font = theme.font("small")
            painter.setFont(font)
            painter.setPen(theme.color(tone))
            mode = Qt.TextElideMode.ElideMiddle if tone == "text" else Qt.TextElideMode.ElideRight
            shown = QFontMetrics(font).elidedText(line, mode, text.width())
            place = QRect(text.x(), text.y() + top, text.width(), _TEXT // 2)
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()


_SHIFT, _PLAIN = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
#: What a key of the list does with the selected error.
_FIXES = {
    (Qt.Key.Key_Return, _SHIFT): ErrorFix.GIVE, (Qt.Key.Key_Enter, _SHIFT): ErrorFix.GIVE,
    (Qt.Key.Key_Z, _SHIFT): ErrorFix.GUESS, (Qt.Key.Key_Delete, _PLAIN): ErrorFix.DISSOLVE,
    (Qt.Key.Key_Delete, _SHIFT): ErrorFix.RESTORE,
}  # fmt: skip


class _ErrorList(QListView):
    """Tiles; keys that fix an error are the list's own.

    Signals:
        fixAsked(ErrorFix): of the selected error.
    """

    fixAsked = Signal(object)

    def wants_key(self, event: QKeyEvent) -> bool:
        """Whether a key is the list's, whatever command it belongs to otherwise."""
        return _fix_of(event) is not None and self.currentIndex().isValid()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        fix = _fix_of(event)
        if fix is None:
            super().keyPressEvent(event)
        elif self.currentIndex().isValid():
            self.fixAsked.emit(fix)


def _fix_of(event: QKeyEvent) -> ErrorFix | None:
    return _FIXES.get((Qt.Key(event.key()), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier))


def cutout_image(pixels: NDArray[np.uint8] | None) -> QImage | None:
    """A cut-out of (H, W, 3) RGB pixels to be painted; they must outlive it. None while there is none."""
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    return QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)


class ComponentsPage(Page):
    """One list at a time.

    Args:
        picture: gives the picture of a component, or None while it is made.
        name: gives the name of the image of a component.

    Signals:
        chosen(int): the place in the list that was clicked.
        queryChanged(ComponentQuery): another list is wanted.
        fixAsked(int, ErrorFix): fix the error at this place of the list, and stay in the list.
        ambiguousAsked(int): the error at this place of the list cannot be decided.
        backAsked(): back to the page before.
    """

    chosen = Signal(int)
    queryChanged = Signal(object)
    fixAsked = Signal(int, object)
    ambiguousAsked = Signal(int)
    backAsked = Signal()

    def __init__(
        self,
        theme: Theme,
        picture: Callable[[ErrorComponent], QImage | None],
        name: Callable[[ErrorComponent], str],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._name = name
        self.query = ComponentQuery()
        self.model = ComponentListModel(picture)
        self._delegate = ComponentDelegate(theme)
        self.back = QPushButton(tr("‹ Back"))
        self.back.setToolTip(tr("Esc"))
        self.title = toned(size="title")
        self.detail = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.detail.setProperty("tone", "muted")
        self.both_ways = QCheckBox(tr("Both directions"))
        self.both_ways.setToolTip(tr("Include the opposite confusion"))
        self.pair = PairPanel()
        self.pair.hide()
        self._largest = ""
        self.order = ElidedBox()
        for place, order in enumerate(WITH_TRUTH):
            self.order.addItem(tr(ERROR_ORDERS[order].title), order)
            self.order.setItemData(place, tr(ERROR_ORDERS[order].text), Qt.ItemDataRole.ToolTipRole)
        self.order.setAccessibleName(tr("Order of the errors"))
        self.order.setToolTip(tr("Order of the errors"))
        self.list = _ErrorList()
        self.list.setModel(self.model)
        self.list.setItemDelegate(self._delegate)
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(4)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.list.setGridSize(self._delegate.sizeHint(QStyleOptionViewItem(), QModelIndex()) + QSize(6, 6))
        self.list.setAccessibleName(tr("Error components"))
        self.nothing = toned(tr("No errors of this kind remain."), tone="muted")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._head, self._below = QHBoxLayout(), QHBoxLayout()
        for row in (self._head, self._below):
            row.setSpacing(10)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._head)
        column.addLayout(self._below)
        self._narrow = False
        self._place_head()
        column.addWidget(self.pair)
        column.addWidget(self.nothing)
        column.addWidget(self.list, 1)
        self.lead_focus_to(self.list)
        self.back.clicked.connect(self.backAsked)
        self.list.clicked.connect(lambda index: self.chosen.emit(index.row()))
        self.list.activated.connect(lambda index: self.chosen.emit(index.row()))
        self.list.fixAsked.connect(lambda fix: self.fixAsked.emit(self.list.currentIndex().row(), fix))
        self.both_ways.toggled.connect(self._mirror)
        self.pair.imageAsked.connect(self.select_largest)
        self.order.activated.connect(self._arrange)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._show_menu)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        if narrow is not self._narrow:
            self._narrow = narrow
            self._place_head()

    def _place_head(self) -> None:
        """The head in one row, or in two in a narrow window, where a long title takes two lines."""
        for row in (self._head, self._below):
            while row.count():
                row.takeAt(0)
        below = self._below if self._narrow else self._head
        self.title.setWordWrap(self._narrow)
        self.order.setMinimumContentsLength(_ORDER if self._narrow else 0)
        policy = QComboBox.SizeAdjustPolicy
        self.order.setSizeAdjustPolicy(
            policy.AdjustToMinimumContentsLengthWithIcon if self._narrow else policy.AdjustToContentsOnFirstShow
        )
        self._head.addWidget(self.back)
        self._head.addWidget(self.title, 1 if self._narrow else 0)
        below.addWidget(self.detail, 1)
        below.addWidget(self.both_ways)
        self._head.addWidget(self.order)

    @property
    def components(self) -> list[ErrorComponent]:
        """What is listed."""
        return self.model.components

    def set_theme(self, theme: Theme) -> None:
        self._delegate.theme = theme
        self.list.viewport().update()

    def show_components(
        self,
        query: ComponentQuery,
        components: Sequence[ErrorComponent],
        catalog: ClassCatalog,
        totals: tuple[int, int] | None,
        loss: PairLoss | None = None,
        gains: Sequence[float] = (),
    ) -> None:
        """Show the list of a query.

        Args:
            query: what is listed.
            components: the first of them.
            catalog: the classes.
            totals: (pixels, components) of all of them, where they are counted.
            loss: what the cell, or the pair, costs; None for other queries.
            gains: what fixing each adds to the mean IoU that the order is about; empty where it is about sizes.
        """
        self.query = query
        blocked = self.both_ways.blockSignals(True)
        self.both_ways.setVisible(query.can_mirror)
        self.both_ways.setChecked(query.both_ways)
        self.both_ways.blockSignals(blocked)
        self.order.setCurrentIndex(self.order.findData(query.order))
        self.title.setText(query.title(catalog))
        self.detail.set_text(_detail(components, totals, by_size=query.order == "size"))
        known: Sequence[float | None] = gains or [None] * len(components)
        selected = self.list.currentIndex().row()
        self.model.set_tiles([self._tile(one, catalog, gain) for one, gain in zip(components, known, strict=True)])
        if selected >= 0 and not self.list.currentIndex().isValid():
            self.select(min(selected, len(components) - 1))  # its error was fixed: the next one takes its place
        self.nothing.setVisible(not components)
        self.pair.setVisible(loss is not None and loss.pixels > 0)
        if loss is not None:
            self.show_loss(loss, catalog)

    def show_loss(self, loss: PairLoss, catalog: ClassCatalog) -> None:
        """Show what the cell, or the pair, of the list costs."""
        self._largest = loss.largest_image
        first = next((one for one in self.components if one.image == self._largest), None)
        self.pair.show_table(pair_table(loss, catalog), "" if first is None else self._name(first))

    def select_largest(self) -> None:
        """Mark the first error of the image that holds most of the pair."""
        place = next((place for place, one in enumerate(self.components) if one.image == self._largest), None)
        if place is not None:
            self.select(place)
            self.list.setFocus()

    def select(self, place: int) -> None:
        """Mark a place of the list and bring it into view."""
        index = self.model.index(place, 0)
        if index.isValid():
            self.list.setCurrentIndex(index)
            self.list.scrollTo(index)

    def refresh(self) -> None:
        """Pictures have arrived."""
        self.model.refresh()

    def _tile(self, component: ErrorComponent, catalog: ClassCatalog, gain: float | None) -> ComponentTile:
        parts = [] if gain is None else [points(gain) if gain >= 0.0005 else tr("under +0.1")]
        parts.append(tr("{pixels} px", pixels=spaced(component.pixels)))
        if self.query.truth is None or self.query.prediction is None or self.query.both_ways:
            truth, prediction = (class_text(catalog, one) for one in (component.truth, component.prediction))
            parts.append(f"{truth} → {prediction}")
        kinds = [tr(KIND_TITLES[kind]) for kind in component.kinds if kind not in PARTS]
        return ComponentTile(component, self._name(component), " · ".join([*parts, *kinds]))

    def _show_menu(self, point: QPoint) -> None:
        index = self.list.indexAt(point)
        if index.isValid():
            self.list.setCurrentIndex(index)
            self.menu_of(index.row()).popup(self.list.viewport().mapToGlobal(point))

    def menu_of(self, place: int) -> QMenu:
        """What can be done with the error at a place of the list."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Correct"), lambda: self.chosen.emit(place))
        for text, fix in (
            (tr("Give it the right class"), ErrorFix.GIVE),
            (tr("Give it its second guess"), ErrorFix.GUESS),
            (tr("Give it to its surroundings"), ErrorFix.DISSOLVE),
            (tr("Restore it to the prediction"), ErrorFix.RESTORE),
        ):
            menu.addAction(text, partial(self.fixAsked.emit, place, fix))
        menu.addAction(tr("Mark ambiguous"), lambda: self.ambiguousAsked.emit(place))
        return menu

    def _mirror(self, on: bool) -> None:
        self.queryChanged.emit(replace(self.query, both_ways=on))

    def _arrange(self) -> None:
        self.queryChanged.emit(replace(self.query, order=self.order.currentData()))


def _detail(components: Sequence[ErrorComponent], totals: tuple[int, int] | None, *, by_size: bool) -> str:
    images = len({component.image for component in components})
    if not by_size and components and (totals is None or len(components) < totals[1]):
        first = tr(
            "the {components} that win most, in {images}",
            components=len(components),
            images=plural("{n} image", "{n} images", images),
        )
        if totals is None:
            return first
        all_of_them = plural("{n} component", "{n} components", totals[1])
        return tr("{pixels} px in {number}; {first}", pixels=spaced(totals[0]), number=all_of_them, first=first)
    if totals is None:
        return (
            tr(
                "the {components} largest, in {images}",
                components=len(components),
                images=plural("{n} image", "{n} images", images),
            )
            if components
            else ""
        )
    pixels, number = totals
    text = tr("{pixels} px in {number}", pixels=spaced(pixels), number=plural("{n} component", "{n} components", number))
    if len(components) < number:
        return tr(
            "{text}; the {components} largest, in {images}",
            text=text,
            components=len(components),
            images=plural("{n} image", "{n} images", images),
        )
    return ", ".join((text, plural("{n} image", "{n} images", images)))
