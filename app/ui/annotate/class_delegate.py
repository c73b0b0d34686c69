"""Paints one class: colour, key, name, pixel share, IoU bar, IoU and its change."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFontMetrics, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.text import percent, points, share_text
from app.ui.annotate.class_list_model import ClassListModel
from app.ui.shell.icons import icon_pixmap
from app.ui.shell.theme import Theme
from app.viewmodels.annotate.class_rows import ClassRow

ROW = 28
_SWATCH, _KEY, _SHARE, _BAR, _IOU, _DELTA = 22, 16, 50, 46, 36, 44
#: A shorter bar says nothing, in px.
_LEAST_BAR = 20
#: A lock or a brush behind a name, and its distance from it, in px.
LOCK, LOCK_GAP = 13, 4
#: Names longer than this are cut, in px.
_LONGEST = 150
#: Smallest change of IoU that can be shown.
LEAST_DELTA = 0.0005


class ClassDelegate(QStyledItemDelegate):
    """Uniform rows.

    Signals:
        clicked(row, part): a row was clicked; the part is ``"eye"``, ``"iou"`` or ``"row"``.
    """

    clicked = Signal(int, str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.current_id: int | None = None
        self.with_iou = False
        self.with_delta = False
        self._longest = 0

    def measure(self, rows: Iterable[ClassRow]) -> None:
        """Learn how wide the names are: the share, then the bar, give way before a name is cut."""
        metrics = QFontMetrics(self.theme.font("body"))
        widths = (metrics.horizontalAdvance(row.name) + (LOCK + LOCK_GAP) * (row.locked + row.over) for row in rows)
        self._longest = min(max(widths, default=0), _LONGEST)

    @property
    def columns(self) -> tuple[bool, bool, int]:
        """What decides where the figures of all rows stand."""
        return self.with_iou, self.with_delta, self._longest

    def _room(self, rect: QRect) -> tuple[int, int]:
        """Widths of the bar and of the share in a row: 0 where the names need the room."""
        left = self._figures_end(rect, folded=False) - rect.left() - _SWATCH - 6 - _KEY - 4 - self._longest
        left -= _IOU if self.with_iou else 0
        bar = min(_BAR, left) if self.with_iou and left >= _LEAST_BAR else 0
        return bar, _SHARE if left - bar >= _SHARE else 0

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:  # noqa: ARG002 - Qt's signature
        return QSize(200, ROW)

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,  # noqa: ARG002 - Qt's signature
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> bool:
        """Tell which part of a row a click meant."""
        if not (isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonRelease):
            return False
        if event.button() is not Qt.MouseButton.LeftButton:
            return False
        classes = index.model()
        if not isinstance(classes, ClassListModel):
            return False
        row = classes.class_row(index)
        self.clicked.emit(index.row(), self.part_at(event.position().toPoint(), option.rect, row))
        return True

    def part_at(self, point: QPoint, rect: QRect, row: ClassRow) -> str:
        """What a click there means, as the row looks under the pointer."""
        if point.x() > rect.right() - 28:
            return "eye"
        return "iou" if row.iou is not None and self.with_iou and self.iou_rect(rect).contains(point) else "row"

    def iou_rect(self, rect: QRect) -> QRect:
        """Where the IoU and its bar are in the row under the pointer."""
        right = self._figures_end(rect, folded=True)
        bar, _ = self._room(rect)
        return QRect(right - _IOU - bar, rect.top(), _IOU + bar, rect.height())

    def _figures_end(self, rect: QRect, *, folded: bool) -> int:
        """Right end of the figures; ``folded`` if the eye replaces the change."""
        right = rect.right() - 6 - (24 if folded else 0)
        if not (self.with_iou and self.with_delta):
            return right - 4
        return right - (_DELTA - 24 if folded else _DELTA)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        model = index.model()
        if not isinstance(model, ClassListModel):
            return
        row, theme, rect = model.class_row(index), self.theme, option.rect
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.class_id == self.current_id or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("accent_soft" if row.class_id == self.current_id else "raised"))
            painter.drawRoundedRect(QRectF(rect).adjusted(0, 1, 0, -1), 5, 5)
        self._paint_swatch(painter, rect, row)
        strong = row.present or row.class_id == self.current_id
        right = self._paint_figures(painter, rect, row, hovered, strong)
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("text" if row.fixed_key else "muted"))
        left = rect.left() + _SWATCH + 6
        painter.drawText(QRect(left, rect.top(), _KEY, rect.height()), Qt.AlignmentFlag.AlignVCenter, row.key)
        painter.setFont(theme.font("body"))
        painter.setPen(theme.color("text" if strong else "muted"))
        box = QRect(left + _KEY, rect.top(), right - left - _KEY - 4, rect.height())
        paint_name(painter, box, row.name, locked=row.locked, over=row.over, color=theme.color("text"))
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(theme.color("accent"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(rect).adjusted(1, 2, -1, -2), 5, 5)
        painter.restore()

    def _paint_swatch(self, painter: QPainter, rect: QRect, row: ClassRow) -> None:
        square = QRectF(rect.left() + 7, rect.center().y() - 5.5, 12, 12)
        color = QColor(*row.color)
        if row.visible:
            paint_swatch(painter, square, color, self.theme)
            return
        painter.setPen(QPen(color, 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(square, 3, 3)

    def _paint_figures(self, painter: QPainter, rect: QRect, row: ClassRow, hovered: bool, strong: bool) -> int:
        """Paint from the right; returns where the name has to end."""
        theme = self.theme
        right = rect.right() - 6
        painter.setFont(theme.font("small"))
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        if hovered or not row.visible:
            eye = icon_pixmap("eye" if row.visible else "eye-off", theme.color("muted"), 16, painter.device().devicePixelRatioF())
            painter.drawPixmap(right - 18, rect.center().y() - 8, eye)
        elif row.delta is not None and abs(row.delta) >= LEAST_DELTA:
            painter.setPen(theme.color("good" if row.delta > 0 else "bad"))
            painter.drawText(QRect(right - _DELTA, rect.top(), _DELTA, rect.height()), middle, points(row.delta))
        right = self._figures_end(rect, folded=hovered or not row.visible)
        bar, share_room = self._room(rect)
        if self.with_iou:
            if row.iou is not None:
                painter.setPen(theme.color("text"))
                font = theme.font("small")
                font.setUnderline(hovered)  # it leads to the errors
                painter.setFont(font)
                painter.drawText(QRect(right - _IOU, rect.top(), _IOU, rect.height()), middle, percent(row.iou))
                if bar:
                    self._paint_bar(painter, QRectF(right - _IOU - bar, rect.center().y() - 1.5, bar, 4), row)
                painter.setFont(theme.font("small"))
            right -= _IOU + bar
        if row.share > 0 and share_room:
            painter.setPen(theme.color("muted" if strong else "faint"))
            share = "<0.1 %" if row.share < 0.0005 else share_text(row.share)
            painter.drawText(QRect(right - _SHARE, rect.top(), _SHARE - 8, rect.height()), middle, share)
            right -= _SHARE
        return right

    def _paint_bar(self, painter: QPainter, box: QRectF, row: ClassRow) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.theme.color("track"))
        painter.drawRoundedRect(box, 2, 2)
        filled = QRectF(box)
        filled.setWidth(box.width() * max(0.0, min(1.0, row.iou or 0.0)))
        painter.setBrush(readable(QColor(*row.color), self.theme))
        painter.drawRoundedRect(filled, 2, 2)


def paint_swatch(painter: QPainter, square: QRectF, color: QColor, theme: Theme, radius: float = 3.0) -> None:
    """A class's colour with an edge, so that black and white can be told from the panel."""
    painter.setPen(QPen(theme.color("edge"), 1))
    painter.setBrush(color)
    painter.drawRoundedRect(square, radius, radius)


def paint_name(painter: QPainter, box: QRect, name: str, *, locked: bool, color: QColor, over: bool = False) -> None:
    """The name of a class with the painter's font and pen, cut where it has no room.

    Behind it a lock if it is locked, and a brush if it is one of the few classes that may be painted over.
    """
    metrics = QFontMetrics(painter.font())
    marks = [name for name, on in (("lock", locked), ("brush", over)) if on]
    room = box.width() - len(marks) * (LOCK + LOCK_GAP)
    text = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)
    painter.drawText(QRect(box.left(), box.top(), room, box.height()), Qt.AlignmentFlag.AlignVCenter, text)
    left = box.left() + metrics.horizontalAdvance(text) + LOCK_GAP
    for shown in marks:
        icon = icon_pixmap(shown, color, LOCK, painter.device().devicePixelRatioF())
        painter.drawPixmap(left, box.center().y() - LOCK // 2, icon)
        left += LOCK + LOCK_GAP


def readable(color: QColor, theme: Theme) -> QColor:
    """A class colour that can be seen on the panel: black (VOC's background) and near-white become a neutral grey."""
    surface = theme.color("surface")
    return theme.color("faint") if abs(color.lightnessF() - surface.lightnessF()) < 0.14 else color
