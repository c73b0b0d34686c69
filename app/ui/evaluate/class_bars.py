"""Wrong pixels of every class as a bar of three parts: boundary, extent, segment."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFontMetrics, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.text import percent, spaced, tr
from app.ui.annotate.class_delegate import paint_swatch
from app.ui.evaluate.kind_table import PART_TONES
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.error_list import KIND_TITLES
from app.viewmodels.evaluate.failure_table import ClassParts
from deeplab_core.analysis.kinds import PARTS, FailureKind

_ROW, _NAME, _IOU, _PIXELS = 24, 128, 44, 84


class ClassBars(QWidget):
    """One row per class.

    Signals:
        chosen(class id, FailureKind | None): a part of a bar was clicked, or a class as a whole.
    """

    chosen = Signal(int, object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: list[ClassParts] = []
        self._row = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("Wrong pixels by class"))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_parts(self, rows: Sequence[ClassParts]) -> None:
        """Show other figures."""
        self._rows = list(rows)
        self._row = min(self._row, len(self._rows) - 1)
        self.setFixedHeight(self.sizeHint().height())
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(360, _ROW * max(len(self._rows), 1))

    def part_rect(self, row: int, part: FailureKind) -> QRect:
        """Where a part of a bar is."""
        room = self._room(row)
        most = max(self._rows[0].wrong, 1)
        left = room.left()
        for kind, pixels in zip(PARTS, self._rows[row].parts, strict=True):
            width = round(room.width() * pixels / most)
            if kind is part:
                return QRect(left, room.top(), width, room.height())
            left += width
        raise ValueError(f"{part} is not part of the partition")

    def _room(self, row: int) -> QRect:
        return QRect(_NAME + _IOU, row * _ROW + 5, max(self.width() - _NAME - _IOU - _PIXELS, 20), _ROW - 10)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row in range(len(self._rows)):
            if QRect(0, row * _ROW, self.width(), _ROW).intersects(event.rect()):
                self._paint_row(painter, row)

    def _paint_row(self, painter: QPainter, row: int) -> None:
        parts, theme = self._rows[row], self._theme
        line = QRect(0, row * _ROW, self.width(), _ROW)
        painter.setPen(Qt.PenStyle.NoPen)
        if row == self._row:
            painter.setPen(QPen(theme.color("accent"), 1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("raised"))
            painter.drawRoundedRect(QRectF(line).adjusted(1, 1, -1, -1), 5, 5)
        paint_swatch(painter, QRectF(6, line.center().y() - 5, 11, 11), QColor(*parts.color), theme)
        painter.setFont(theme.font("body"))
        painter.setPen(theme.color("text"))
        name = QFontMetrics(painter.font()).elidedText(parts.name, Qt.TextElideMode.ElideRight, _NAME - 28)
        painter.drawText(QRect(24, line.y(), _NAME - 24, _ROW), Qt.AlignmentFlag.AlignVCenter, name)
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("muted"))
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        iou = percent(parts.iou)
        painter.drawText(QRect(_NAME, line.y(), _IOU - 10, _ROW), right, iou)
        pixels = tr("{wrong} px", wrong=spaced(parts.wrong))
        painter.drawText(QRect(self.width() - _PIXELS, line.y(), _PIXELS - 6, _ROW), right, pixels)
        for kind in PARTS:
            rect = self.part_rect(row, kind)
            if rect.width():
                painter.fillRect(rect, theme.color(PART_TONES[kind]))

    def _at(self, point: QPoint) -> tuple[int, FailureKind | None]:
        row = point.y() // _ROW
        if not 0 <= row < len(self._rows):
            return -1, None
        return row, next((kind for kind in PARTS if self.part_rect(row, kind).adjusted(0, -5, 0, 5).contains(point)), None)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        row, _ = self._at(event.position().toPoint())
        self.setCursor(Qt.CursorShape.PointingHandCursor if row >= 0 else Qt.CursorShape.ArrowCursor)
        if row != self._row:
            self._row = row
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        row, kind = self._at(event.position().toPoint())
        if event.button() is Qt.MouseButton.LeftButton and row >= 0:
            self.chosen.emit(self._rows[row].class_id, kind)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The row that the keyboard works is seen."""
        self._row = min(max(self._row, 0), len(self._rows) - 1)
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if step is not None and self._rows:
            self._row = min(max(self._row + step, 0), len(self._rows) - 1)
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._row >= 0:
            self.chosen.emit(self._rows[self._row].class_id, None)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            row, kind = self._at(event.pos())
            if row >= 0:
                parts = self._rows[row]
                parts_text = [
                    tr("{kind}: {pixels} px", kind=tr(KIND_TITLES[one]), pixels=spaced(pixels))
                    for one, pixels in zip(PARTS, parts.parts, strict=True)
                    if kind is None or one is kind
                ]
                lines = [f"<b>{escape(parts.name)}</b>", *parts_text, tr("Click to see them")]
                QToolTip.showText(event.globalPos(), "<br>".join(lines), self)
            return True
        return super().event(event)
