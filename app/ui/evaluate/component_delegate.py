"""Paints one error component: its cut-out with the outline, and two lines below."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.text import tr
from app.ui.evaluate.component_list_model import ComponentListModel
from app.ui.shell.theme import Theme

#: Side of the picture, px, and room for the text below.
PICTURE, _TEXT, _GAP = 148, 36, 6


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
