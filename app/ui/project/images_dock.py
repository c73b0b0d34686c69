"""The images of the folder: thumbnails, status, score; filter and order."""

from __future__ import annotations

from collections import OrderedDict

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QActionGroup,
    QBrush,
    QColor,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QLinearGradient,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.state.image_record import ImageStatus
from app.text import mark, percent, plural, spaced, tr
from app.ui.common.panel import Panel, toned
from app.ui.project.image_list_model import SORT_TITLES, ImageListModel, SortBy
from app.ui.shell.theme import Theme, load_theme
from app.viewmodels.project.image_list import ImageRow, filter_terms

#: Height of a row with its gap, and of the picture in it, in px.
ROW, PICTURE = 112, 104
#: Side of the mark of a status, in px, and the room that it takes before the name.
_MARK, _BESIDE = 13.0, 19
#: Thumbnails that are kept as they fill a row.
_SCALED = 64
#: Side of the sign of notes, px.
_NOTE = 11.0
#: Shape and colour of each status. The marks are on the dark foot of a thumbnail in both themes.
_STATUS_MARKS = {
    ImageStatus.NEW: ("ring", "muted"),
    ImageStatus.PREDICTED: ("disk", "accent"),
    ImageStatus.TOUCHED: ("diamond", "warn"),
    ImageStatus.REVIEWED: ("check", "good"),
}


def paint_status(painter: QPainter, box: QRectF, row: ImageRow, theme: Theme) -> None:
    """The status as a shape and a colour: ring, disk, diamond, tick; barred if rejected, a cross if failed or missing."""
    shape, token = ("stroke", "bad") if row.record.rejected else _STATUS_MARKS[row.status]
    if row.record.failed or row.record.missing:
        shape, token = "cross", "bad"
    color, center, half = theme.color(token), box.center(), box.width() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 150))
    painter.drawEllipse(box.adjusted(-1.5, -1.5, 1.5, 1.5))
    if shape == "ring":
        painter.setPen(QPen(color, 1.8))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(center, half - 2.5, half - 2.5)
    elif shape == "stroke":
        painter.setPen(QPen(color, 2.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(center, half - 2, half - 2)
        side = (half - 2) * 0.7
        painter.drawLine(center + QPointF(-side, side), center + QPointF(side, -side))
    elif shape == "disk":
        painter.setBrush(color)
        painter.drawEllipse(center, half - 2, half - 2)
    elif shape == "diamond":
        painter.setBrush(color)
        side = half - 1
        painter.drawPolygon(QPolygonF([center + QPointF(*at) for at in ((0, -side), (side, 0), (0, side), (-side, 0))]))
    else:
        pen = QPen(color, 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        step = half * 0.5
        lines = (
            (((-step, 0.0), (-step * 0.2, step * 0.8), (step, -step * 0.8)),)
            if shape == "check"
            else (((-step, -step), (step, step)), ((-step, step), (step, -step)))
        )
        for line in lines:
            painter.drawPolyline(QPolygonF([center + QPointF(x, y) for x, y in line]))


def paint_note(painter: QPainter, box: QRectF, theme: Theme) -> None:
    """The sign of an image with notes: a sheet with two lines."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color("warn"))
    painter.drawRoundedRect(box, 2, 2)
    painter.setPen(QPen(QColor(0, 0, 0, 210), 1.2))
    for part in (0.35, 0.65):
        y = box.top() + box.height() * part
        painter.drawLine(QPointF(box.left() + 2.5, y), QPointF(box.right() - 2.5, y))


def unreadable_text(row: ImageRow) -> str:
    """What replaces a thumbnail that could not be made."""
    return tr("not found") if row.record.missing else tr("cannot be read")


class ImageDelegate(QStyledItemDelegate):
    """Uniform rows; asks the model for the thumbnail only while painting, so that hidden rows load nothing."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._pictures: OrderedDict[tuple[object, ...], QPixmap] = OrderedDict()
        self.on_photo = load_theme("dark")  # light on the dark foot of a thumbnail, whatever the window's theme
        self.current_id: int | None = None

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: ARG002 - Qt's signature
        return QSize(120, ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        model = index.model()
        if not isinstance(model, ImageListModel):
            return
        row = model.image_row(index)
        theme = self.theme
        box = QRectF(option.rect.x() + 1, option.rect.y() + 1, option.rect.width() - 2, PICTURE - 2)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        shape = QPainterPath()
        shape.addRoundedRect(box, theme.radius["control"], theme.radius["control"])
        picture = model.picture(row)
        shown = picture is not None and not picture.isNull()
        if shown and picture is not None:
            ratio = painter.device().devicePixelRatioF()
            painter.drawPixmap(box.topLeft(), self._rounded(picture, model.tint(row), box.size(), ratio))
        painter.setClipPath(shape)
        if not shown:
            painter.fillRect(box, theme.color("raised"))
        if picture is not None and not shown:  # empty: no thumbnail could be made
            painter.setFont(theme.font("small"))
            painter.setPen(theme.color("bad"))
            place = box.adjusted(8, 8, -8, -30)
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, unreadable_text(row))
        self._paint_caption(painter, box, row)
        painter.setClipping(False)
        if row.id == self.current_id:
            painter.setPen(QPen(theme.color("accent"), 2))
        elif option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(theme.color("text"), 2, Qt.PenStyle.DotLine))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(theme.color("border_strong"), 1))
        else:
            painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), theme.radius["control"], theme.radius["control"])
        if row.id == self.current_id and option.state & QStyle.StateFlag.State_HasFocus:
            for width, color in ((4, QColor(12, 12, 12)), (2, QColor(255, 255, 255))):  # on any image
                painter.setPen(QPen(color, width))
                painter.drawRect(box.adjusted(4, 4, -4, -4))
        painter.restore()

    def _rounded(self, picture: QImage, tint: QImage | None, size: QSizeF, ratio: float) -> QPixmap:
        """A thumbnail with its mask as it fills a row; scaled once, since all rows are painted with each change of image."""
        laid = tint if tint is not None and not tint.isNull() else None
        radius = self.theme.radius["control"]
        key = picture.cacheKey(), None if laid is None else laid.cacheKey(), size.width(), size.height(), ratio, radius
        found = self._pictures.get(key)
        if found is None:
            found = QPixmap((size * ratio).toSize())
            found.setDevicePixelRatio(ratio)
            found.fill(Qt.GlobalColor.transparent)
            box = QRectF(QPointF(0, 0), size)
            scale = max(box.width() / picture.width(), box.height() / picture.height())
            width, height = picture.width() * scale, picture.height() * scale
            place = QRectF(box.center().x() - width / 2, box.center().y() - height / 2, width, height)
            shape = QPainterPath()
            shape.addRoundedRect(box, radius, radius)
            painter = QPainter(found)
            painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
            painter.setClipPath(shape)
            painter.drawImage(place, picture)
            if laid is not None:
                painter.drawImage(place, laid)
            painter.end()
            self._pictures[key] = found
            while len(self._pictures) > _SCALED:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(key)
        return found

    def _paint_caption(self, painter: QPainter, box: QRectF, row: ImageRow) -> None:
        theme = self.theme
        shade = QLinearGradient(0, box.bottom() - 44, 0, box.bottom())
        shade.setColorAt(0, QColor(0, 0, 0, 0))
        shade.setColorAt(0.55, QColor(0, 0, 0, 130))
        shade.setColorAt(1, QColor(0, 0, 0, 200))
        painter.fillRect(QRectF(box.left(), box.bottom() - 44, box.width(), 44), QBrush(shade))
        line = QRectF(box.left() + 9, box.bottom() - 23, box.width() - 18, 18)
        paint_status(painter, QRectF(line.left() - 1, line.center().y() - _MARK / 2, _MARK, _MARK), row, self.on_photo)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor("#ffffff"))
        score = "" if row.iou is None else percent(row.iou)
        if not score and row.uncertainty is not None:
            score = f"± {percent(row.uncertainty)}"
        metrics = QFontMetrics(painter.font())
        taken = metrics.horizontalAdvance(score) + 8.0 if score else 0.0
        if row.notes:
            taken += _NOTE + 4
            paint_note(painter, QRectF(line.right() - taken, line.center().y() - _NOTE / 2, _NOTE, _NOTE), self.on_photo)
            painter.setPen(QColor("#ffffff"))
        name = metrics.elidedText(row.caption, Qt.TextElideMode.ElideMiddle, int(line.width() - _BESIDE - taken))
        painter.drawText(line.adjusted(_BESIDE, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, score)


class _Skeleton(QWidget):
    """Where the thumbnails will be, while a folder is opened."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color("raised"))
        radius = self.theme.radius["control"]
        for top in range(0, self.height(), ROW):
            painter.drawRoundedRect(QRectF(1, top + 1, self.width() - 2, PICTURE - 2), radius, radius)
        painter.end()


_FILTER_HELP = mark(
    "Words of the path, or: new, predicted, corrected, reviewed, rejected, unreviewed, failed, missing,\n"
    "truth, note, class:chair, note:glare, reason:blurred, iou<50, iou:30..60, minutes>5.\n"
    "All of them must hold. A leading - means 'not', | divides alternatives: class:chair|sofa."
)


class ImagesDock(Panel):
    """List of images.

    Signals:
        chosen(id): the user wants to see this image.
        arranged(): filter or order changed, and with it what 'next' means.
        sortChosen(SortBy): for the settings.
    """

    chosen = Signal(int)
    arranged = Signal()
    sortChosen = Signal(object)

    def __init__(self, model: ImageListModel, theme: Theme) -> None:
        super().__init__("images", tr("Images"))
        self.model = model
        self.order_button = QToolButton()
        self.order_button.setProperty("quiet", True)
        self.order_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.order_button.setMenu(self._order_menu())
        self.header.addWidget(self.order_button)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(tr("Filter: name, status…"))
        self.filter.setToolTip(tr(_FILTER_HELP))
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName(tr("Filter the images"))
        self.filter.textChanged.connect(self._apply_filter)
        self.terms = QToolButton()
        self.terms.setText("\N{BLACK DOWN-POINTING SMALL TRIANGLE}")
        self.terms.setProperty("quiet", True)
        self.terms.setToolTip(tr("Filter by status, note, class or score"))
        self.terms.setAccessibleName(tr("Filter by status, note, class or score"))
        self.terms.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.terms.setMenu(QMenu(self))
        self.terms.menu().aboutToShow.connect(self._fill_terms)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.filter, 1)
        row.addWidget(self.terms)
        self.body.addLayout(row)
        self.view = QListView()
        self.view.setModel(model)
        self.delegate = ImageDelegate(theme)
        self.view.setItemDelegate(self.delegate)
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.verticalScrollBar().setSingleStep(28)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.view.setAccessibleName(tr("Images"))
        self.view.clicked.connect(self._choose)
        self.view.activated.connect(self._choose)
        self.filter.returnPressed.connect(self._open_first)
        self.filter.installEventFilter(self)
        self.body.addWidget(self.view, 1)
        self.skeleton = _Skeleton(theme)
        self.skeleton.hide()
        self.body.addWidget(self.skeleton, 1)
        self.nothing = self._build_nothing()
        self.body.addWidget(self.nothing, 1)
        self.nothing.hide()
        self.count = toned("", tone="faint", size="caption")
        self.body.addWidget(self.count)
        self.body.setContentsMargins(8, 2, 8, 8)
        self.setMinimumWidth(150)
        self._show_order()
        self._opens_first = False  # Enter was pressed before the filter was through
        model.modelReset.connect(self._show_count)
        model.arranged.connect(self._follow_arrangement)

    def show_opening(self, on: bool) -> None:
        """Show places of thumbnails while a folder is opened, unless the list shows images."""
        self.skeleton.setVisible(on and not self.model.rowCount())
        self._show_count()

    def show_current(self, image_id: int | None) -> None:
        """Mark the image in view and bring it into sight."""
        self.delegate.current_id = image_id
        row = None if image_id is None else self.model.row_of(image_id)
        if row is not None:
            index = self.model.index(row)
            if not self.view.viewport().rect().contains(self.view.visualRect(index)):
                self.view.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)
        self.view.viewport().update()

    def open_filter(self) -> None:
        """Type a filter: Enter opens the first match, Down goes into the list, Esc returns to the picture."""
        self.show()
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def _fill_terms(self) -> None:
        """The words that a filter may have, with a check at those that it has; a click adds one or takes it away."""
        menu, has = self.terms.menu(), self.filter.text().split()
        menu.clear()
        for group in filter_terms(self.model.class_names()):
            for term in group:
                action = menu.addAction(term.title)
                action.setCheckable(True)
                action.setChecked(term.word in has)
                action.triggered.connect(lambda _on, word=term.word: self._toggle_term(word))
            menu.addSeparator()

    def _toggle_term(self, word: str) -> None:
        has = self.filter.text().split()
        rest = [other for other in has if other != word]
        self.filter.setText(" ".join(rest if word in has else [*has, word]))

    def set_theme(self, theme: Theme) -> None:
        self.delegate.theme = self.skeleton.theme = theme
        self.view.viewport().update()

    def set_sort(self, order: SortBy) -> None:
        """Order the list; also what the menu calls."""
        self.model.set_sort(order)
        self._show_order()
        self.sortChosen.emit(order)

    def _order_menu(self) -> QMenu:
        menu = QMenu(self)
        group = QActionGroup(menu)
        for order, title in SORT_TITLES.items():
            action = menu.addAction(tr(title)[:1].upper() + tr(title)[1:])
            action.setCheckable(True)
            action.setChecked(order is self.model.sort_by)
            action.setData(order)
            group.addAction(action)
        group.triggered.connect(lambda action: self.set_sort(action.data()))
        return menu

    def _show_order(self) -> None:
        self.order_button.setText(tr(SORT_TITLES[self.model.sort_by]))
        for action in self.order_button.menu().actions():
            action.setChecked(action.data() == self.model.sort_by)

    def _apply_filter(self, text: str) -> None:
        self._opens_first = False
        self.model.set_filter(text)

    def _follow_arrangement(self) -> None:
        self.show_current(self.delegate.current_id)
        self.arranged.emit()
        if self._opens_first:
            self._open_first()

    def _build_nothing(self) -> QWidget:
        """What is shown instead of the list if the filter matches nothing."""
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 4, 6, 0)
        text = toned(tr("No image matches the filter."), tone="muted", size="small")
        text.setWordWrap(True)
        column.addWidget(text)
        self.clear_filter = QPushButton(tr("Clear filter"))
        self.clear_filter.clicked.connect(self.filter.clear)
        column.addWidget(self.clear_filter, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        return box

    def _show_count(self) -> None:
        shown = self.model.rowCount()
        nothing = self.model.filtered and not shown
        if shown:
            self.skeleton.hide()
        opening = not self.skeleton.isHidden()
        self.nothing.setVisible(nothing and not opening)
        self.view.setVisible(not (nothing or opening))
        self.count.setText(
            ""
            if opening
            else tr("{shown} shown", shown=spaced(shown))
            if self.model.filtered
            else plural("{n} image", "{n} images", shown)
        )

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Down goes from the filter into the list, to its first match."""
        down = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Down
        if watched is self.filter and down and self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(0))
            self.view.setFocus(Qt.FocusReason.TabFocusReason)
            return True
        return super().eventFilter(watched, event)

    def _open_first(self) -> None:
        self._opens_first = self.model.arranging
        if not self._opens_first and self.filter.text().strip() and self.model.rowCount():
            self._choose(self.model.index(0))

    def _choose(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.image_row(index).id)
