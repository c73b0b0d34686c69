"""Paints one image of the list: its thumbnail with a status dot, its name and its score."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetrics, QLinearGradient, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.state.image_list import ImageRow
from app.state.image_record import ImageStatus
from app.ui.docks.image_list_model import ImageListModel
from app.ui.theme import Theme

#: Height of a row with its gap, and of the picture in it, in px.
ROW, PICTURE = 112, 104
_STATUS_TOKENS = {
    ImageStatus.NEW: "faint",
    ImageStatus.PREDICTED: "accent",
    ImageStatus.TOUCHED: "warn",
    ImageStatus.REVIEWED: "good",
}


def status_color(row: ImageRow, theme: Theme) -> QColor:
    """Colour of the status dot: red for what failed or is missing."""
    return theme.color("bad" if row.record.failed or row.record.missing else _STATUS_TOKENS[row.status])


def unreadable_text(row: ImageRow) -> str:
    """What stands in place of a thumbnail that could not be made."""
    return "not found" if row.record.missing else "cannot be read"


class ImageDelegate(QStyledItemDelegate):
    """Uniform rows; asks the model for the thumbnail only while painting, so that hidden rows load nothing."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
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
        painter.setClipPath(shape)
        painter.fillRect(box, theme.color("raised"))
        picture = model.picture(row)
        if picture is not None and not picture.isNull():
            scale = max(box.width() / picture.width(), box.height() / picture.height())
            width, height = picture.width() * scale, picture.height() * scale
            painter.drawImage(QRectF(box.center().x() - width / 2, box.center().y() - height / 2, width, height), picture)
        elif picture is not None:  # empty: no thumbnail could be made
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
        painter.restore()

    def _paint_caption(self, painter: QPainter, box: QRectF, row: ImageRow) -> None:
        theme = self.theme
        shade = QLinearGradient(0, box.bottom() - 44, 0, box.bottom())
        shade.setColorAt(0, QColor(0, 0, 0, 0))
        shade.setColorAt(0.55, QColor(0, 0, 0, 130))
        shade.setColorAt(1, QColor(0, 0, 0, 200))
        painter.fillRect(QRectF(box.left(), box.bottom() - 44, box.width(), 44), QBrush(shade))
        line = QRectF(box.left() + 9, box.bottom() - 23, box.width() - 18, 18)
        painter.setPen(QPen(QColor(0, 0, 0, 140), 1))
        painter.setBrush(status_color(row, theme))
        painter.drawEllipse(QRectF(line.left(), line.center().y() - 4, 8, 8))
        painter.setFont(theme.font("small"))
        painter.setPen(QColor("#ffffff"))
        score = "" if row.iou is None else f"{row.iou:.2f}"
        if not score and row.uncertainty is not None:
            score = f"± {row.uncertainty:.2f}"
        metrics = QFontMetrics(painter.font())
        taken = metrics.horizontalAdvance(score) + 8 if score else 0
        name = metrics.elidedText(row.title, Qt.TextElideMode.ElideMiddle, int(line.width() - 14 - taken))
        painter.drawText(line.adjusted(14, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, score)
