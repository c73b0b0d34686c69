"""Paints one image of the list: its thumbnail with a status dot, its name and its score."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetrics, QLinearGradient, QPainter, QPainterPath, QPen, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.state.image_record import ImageStatus
from app.text import tr
from app.ui.project.image_list_model import ImageListModel
from app.ui.shell.theme import Theme, load_theme
from app.viewmodels.project.image_list import ImageRow

#: Height of a row with its gap, and of the picture in it, in px.
ROW, PICTURE = 112, 104
#: Side of the mark of a status, in px, and the room that it takes before the name.
_MARK, _BESIDE = 13.0, 19
#: Shape and colour of each status. The marks are on the dark foot of a thumbnail in both themes.
_STATUS_MARKS = {
    ImageStatus.NEW: ("ring", "muted"),
    ImageStatus.PREDICTED: ("disk", "accent"),
    ImageStatus.TOUCHED: ("diamond", "warn"),
    ImageStatus.REVIEWED: ("check", "good"),
}


def paint_status(painter: QPainter, box: QRectF, row: ImageRow, theme: Theme) -> None:
    """The status as a shape and a colour: ring, disk, diamond, tick; a cross for what failed or is missing."""
    shape, token = _STATUS_MARKS[row.status]
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


def unreadable_text(row: ImageRow) -> str:
    """What replaces a thumbnail that could not be made."""
    return tr("not found") if row.record.missing else tr("cannot be read")


class ImageDelegate(QStyledItemDelegate):
    """Uniform rows; asks the model for the thumbnail only while painting, so that hidden rows load nothing."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
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
        paint_status(painter, QRectF(line.left() - 1, line.center().y() - _MARK / 2, _MARK, _MARK), row, self.on_photo)
        painter.setFont(theme.font("small"))
        painter.setPen(QColor("#ffffff"))
        score = "" if row.iou is None else f"{row.iou:.2f}"
        if not score and row.uncertainty is not None:
            score = f"± {row.uncertainty:.2f}"
        metrics = QFontMetrics(painter.font())
        taken = metrics.horizontalAdvance(score) + 8 if score else 0
        name = metrics.elidedText(row.title, Qt.TextElideMode.ElideMiddle, int(line.width() - _BESIDE - taken))
        painter.drawText(line.adjusted(_BESIDE, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, score)
