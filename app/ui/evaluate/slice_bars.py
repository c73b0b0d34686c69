"""One small chart: a score by slices of one axis."""

from __future__ import annotations

from html import escape
from math import isnan

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetrics, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.text import percent, tr
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.failure_table import SliceBar, SliceChart

_TOP, _BOTTOM, _LABEL, _HEIGHT = 24, 32, 16, 142
#: How much of its colour a bar of few objects keeps.
_MUTED = 0.35


class SliceBars(QWidget):
    """Bars from 0 to 1; what each is over and how many objects or images it rests on is shown below it.

    A bar of few is muted; everything else is in its tooltip.

    Signals:
        chosen(Slice): a bar was clicked, or chosen by keys.
    """

    chosen = Signal(object)

    def __init__(self, theme: Theme, chart: SliceChart, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._chart = theme, chart
        self._place = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
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
            self._place = min(self._place, len(chart.bars) - 1)
            self._name()
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(260, _HEIGHT)

    def _name(self) -> None:
        values = "; ".join(f"{bar.label} {bar.text}" for bar in self._chart.bars)
        self.setAccessibleName(f"{self._chart.title}, {self._chart.measure}")
        self.setAccessibleDescription(f"{self._chart.text}: {values}")

    def bar_rect(self, place: int) -> QRect:
        """Where a bar and its label are."""
        return self._column(place).adjusted(0, 0, 0, _BOTTOM)

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
        painter.setPen(theme.color("muted"))
        painter.drawText(QRect(0, 0, self.width(), 18), Qt.AlignmentFlag.AlignRight, self._chart.measure)
        painter.setFont(theme.font("caption"))
        for place, bar in enumerate(self._chart.bars):
            room = self._column(place)
            marked = place == self._place and (self.underMouse() or self.hasFocus())
            painter.setPen(theme.color("text" if marked else "muted"))
            below = QRect(room.x(), room.bottom() + 2, room.width(), _LABEL)
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, bar.label)
            count = self._count(painter, bar, room.width())
            painter.drawText(below.translated(0, _LABEL - 2), Qt.AlignmentFlag.AlignCenter, count)
            focused = place == self._place and self.hasFocus()
            painter.setPen(QPen(theme.color("accent"), 1.5) if focused else Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("raised" if marked else "track"))
            track = QRectF(room).adjusted(3, 0, -3, 0)
            painter.drawRoundedRect(track, 3, 3)
            painter.setPen(Qt.PenStyle.NoPen)
            if isnan(bar.value):
                continue
            filled = QRectF(track)
            filled.setTop(track.bottom() - max(track.height() * min(bar.value, 1.0), 2))
            painter.setBrush(theme.color("accent", _MUTED if bar.few else 1.0))
            painter.drawRoundedRect(filled, 3, 3)
            if not isnan(bar.low):
                self._whisker(painter, track, bar)
            painter.setPen(theme.color("text"))
            top = filled.top() - 15 if filled.top() - 15 > track.top() else filled.top() + 2
            if top > filled.top() and not bar.few:
                painter.setPen(theme.color("on_accent"))
            painter.drawText(QRectF(track.x() - 3, top, track.width() + 6, 14), Qt.AlignmentFlag.AlignCenter, percent(bar.value))

    def _whisker(self, painter: QPainter, track: QRectF, bar: SliceBar) -> None:
        """The interval as an upright line at the right edge of the bar, clear of the figure."""
        low, high = (track.bottom() - track.height() * min(max(end, 0.0), 1.0) for end in (bar.low, bar.high))
        x = track.right() - 4
        for tone, width in (("surface", 3.2), ("text", 1.2)):  # seen on the bar and above it
            painter.setPen(QPen(self._theme.color(tone), width))
            painter.drawLine(QPointF(x, low), QPointF(x, high))
            for end in (low, high):
                painter.drawLine(QPointF(x - 2, end), QPointF(x + 2, end))
        painter.setPen(Qt.PenStyle.NoPen)

    def _count(self, painter: QPainter, bar: SliceBar, room: int) -> str:
        """How many the bar rests on, as far as there is room to say it; nothing where it has no score."""
        if isnan(bar.value):
            return ""
        text = f"{bar.count / 1000:.0f}k" if bar.count >= 10_000 else str(bar.count)
        return f"n {text}" if painter.fontMetrics().horizontalAdvance(f"n {text}") <= room else text

    def _at(self, point: QPoint) -> int:
        """The bar at a point that has figures; -1 for none."""
        bars = self._chart.bars
        return next((n for n, bar in enumerate(bars) if not isnan(bar.value) and self.bar_rect(n).contains(point)), -1)

    def _mark(self, place: int) -> None:
        if place != self._place:
            self._place = place
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._mark(self._at(event.position().toPoint()))
        self.setCursor(Qt.CursorShape.PointingHandCursor if self._place >= 0 else Qt.CursorShape.ArrowCursor)

    def leaveEvent(self, event: QEvent) -> None:
        self._mark(-1)
        super().leaveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        place = self._at(event.position().toPoint())
        if event.button() is Qt.MouseButton.LeftButton and place >= 0:
            self.chosen.emit(self._chart.bars[place].within)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The bar that the keyboard works is seen."""
        if self._place < 0:
            self._mark(next((n for n, bar in enumerate(self._chart.bars) if not isnan(bar.value)), -1))
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        filled = [n for n, bar in enumerate(self._chart.bars) if not isnan(bar.value)]
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is not None and filled:
            start = 0 if self._place not in filled else filled.index(self._place) + step
            self._mark(filled[min(max(start, 0), len(filled) - 1)])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._place in filled:
            self.chosen.emit(self._chart.bars[self._place].within)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            bar = next((bar for n, bar in enumerate(self._chart.bars) if self.bar_rect(n).contains(event.pos())), None)
            text = escape(self._chart.text if bar is None else f"{bar.label}: {bar.text}")
            if bar is not None and not isnan(bar.value):
                text += tr("<br>Click to see the errors")
            # Qt reads a text without tags as plain text, and would show the escapes of one without a second line.
            QToolTip.showText(event.globalPos(), f"<span>{text}</span>", self)
            return True
        return super().event(event)
