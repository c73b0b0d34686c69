"""One small chart: a score by slices of one axis."""

from __future__ import annotations

from math import isnan

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.state.failure_table import SliceChart
from app.ui.theme import Theme

_TOP, _BOTTOM, _HEIGHT = 24, 18, 128


class SliceBars(QWidget):
    """Bars from 0 to 1; what each is over is said below it, everything else in its tooltip."""

    def __init__(self, theme: Theme, chart: SliceChart, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._chart = theme, chart
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setMinimumWidth(190)
        self._name()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_chart(self, chart: SliceChart) -> None:
        """Show other figures."""
        if chart != self._chart:
            self._chart = chart
            self._name()
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(260, _HEIGHT)

    def _name(self) -> None:
        values = "; ".join(f"{bar.label} {bar.text}" for bar in self._chart.bars)
        self.setAccessibleName(f"{self._chart.title}, {self._chart.measure}")
        self.setAccessibleDescription(f"{self._chart.text}: {values}")

    def _column(self, place: int) -> QRect:
        width = self.width() / max(len(self._chart.bars), 1)
        left = round(place * width)
        return QRect(left, _TOP, round((place + 1) * width) - left, self.height() - _TOP - _BOTTOM)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, theme = QPainter(self), self._theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font("small"))
        painter.setPen(theme.color("text"))
        title = QFontMetrics(painter.font()).elidedText(self._chart.title, Qt.TextElideMode.ElideRight, self.width() - 64)
        painter.drawText(QRect(0, 0, self.width(), 18), Qt.AlignmentFlag.AlignLeft, title)
        painter.setPen(theme.color("faint"))
        painter.drawText(QRect(0, 0, self.width(), 18), Qt.AlignmentFlag.AlignRight, self._chart.measure)
        painter.setFont(theme.font("caption"))
        for place, bar in enumerate(self._chart.bars):
            room = self._column(place)
            painter.setPen(theme.color("faint"))
            painter.drawText(QRect(room.x(), room.bottom() + 2, room.width(), _BOTTOM), Qt.AlignmentFlag.AlignCenter, bar.label)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("track"))
            track = QRectF(room).adjusted(3, 0, -3, 0)
            painter.drawRoundedRect(track, 3, 3)
            if isnan(bar.value):
                continue
            filled = QRectF(track)
            filled.setTop(track.bottom() - max(track.height() * min(bar.value, 1.0), 2))
            painter.setBrush(theme.color("accent"))
            painter.drawRoundedRect(filled, 3, 3)
            painter.setPen(theme.color("text"))
            top = filled.top() - 15 if filled.top() - 15 > track.top() else filled.top() + 2
            if top > filled.top():
                painter.setPen(theme.color("on_accent"))
            painter.drawText(QRectF(track.x() - 3, top, track.width() + 6, 14), Qt.AlignmentFlag.AlignCenter, f"{bar.value:.2f}")

    def event(self, event: object) -> bool:
        if isinstance(event, QHelpEvent):
            bar = next((bar for n, bar in enumerate(self._chart.bars) if self._column(n).contains(event.pos())), None)
            said = self._chart.text if bar is None else f"{bar.label}: {bar.text}"
            QToolTip.showText(event.globalPos(), said, self)
            return True
        return super().event(event)
