"""IoU of every class before and after the CRF: what it wins and what it destroys."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.text import spaced, tr
from app.ui.shell.theme import Theme

if TYPE_CHECKING:  # numpy comes after the first frame
    from app.state.refinement import RefineFigures

_ROW, _SWATCH, _NUMBER, _GAP = 20, 9, 44, 10
#: A difference that two decimals would show as none.
_NOTHING = 0.0005


class CRFFigures(QWidget):
    """A painted table: class, IoU before, after, and the difference in points."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._figures: RefineFigures | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(tr("IoU before and after the CRF"))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_figures(self, figures: RefineFigures | None) -> None:
        """Show the figures of a preview, or nothing."""
        self._figures = figures
        self.setAccessibleDescription("" if figures is None else "; ".join(self._spoken(figures)))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        rows = 0 if self._figures is None else len(self._figures.classes) + 2
        return QSize(200, rows * _ROW)

    def paintEvent(self, _event: QPaintEvent) -> None:
        figures = self._figures
        if figures is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_row(painter, 0, tr("mIoU"), None, figures.before, figures.after, strong=True)
        for place, row in enumerate(figures.classes, start=1):
            self._paint_row(painter, place, row.name, QColor(*row.color), row.before, row.after)
        painter.setFont(self._theme.font("small"))
        painter.setPen(self._theme.color("muted"))
        room = QRectF(0, (len(figures.classes) + 1) * _ROW, self.width(), _ROW)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, balance(figures))
        painter.end()

    def _paint_row(
        self, painter: QPainter, place: int, name: str, color: QColor | None, before: float, after: float, *, strong: bool = False
    ) -> None:
        theme = self._theme
        top, width = place * _ROW, self.width()
        left = 0.0
        if color is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRoundedRect(QRectF(0, top + (_ROW - _SWATCH) / 2, _SWATCH, _SWATCH), 2, 2)
            left = _SWATCH + 8
        font = theme.font("small")
        font.setBold(strong)
        painter.setFont(font)
        numbers = width - 3 * _NUMBER - _GAP
        painter.setPen(theme.color("text"))
        elided = QFontMetrics(font).elidedText(name, Qt.TextElideMode.ElideRight, round(numbers - left))
        painter.drawText(QRectF(left, top, numbers - left, _ROW), Qt.AlignmentFlag.AlignVCenter, elided)
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.setPen(theme.color("muted"))
        painter.drawText(QRectF(numbers, top, _NUMBER, _ROW), right, _iou(before))
        painter.setPen(theme.color("text"))
        painter.drawText(QRectF(numbers + _NUMBER, top, _NUMBER, _ROW), right, _iou(after))
        text, tone = difference(before, after)
        painter.setPen(theme.color(tone))
        painter.drawText(QRectF(numbers + 2 * _NUMBER, top, _NUMBER + _GAP, _ROW), right, text)

    def _spoken(self, figures: RefineFigures) -> list[str]:
        rows = [
            tr("{name} {before} to {after}", name=row.name, before=_iou(row.before), after=_iou(row.after))
            for row in figures.classes
        ]
        return [tr("mean {before} to {after}", before=_iou(figures.before), after=_iou(figures.after)), *rows, balance(figures)]


def difference(before: float, after: float) -> tuple[str, str]:
    """Text in points (hundredths of IoU) and tone of a difference."""
    change = (0.0 if isnan(after) else after) - (0.0 if isnan(before) else before)
    if abs(change) < _NOTHING:
        return "0.0", "faint"
    return f"{100 * change:+.1f}".replace("-", "\u2212"), "good" if change > 0 else "bad"


def balance(figures: RefineFigures) -> str:
    """How many pixels are put right and how many are spoiled."""
    won, lost = (spaced(pixels) for pixels in (figures.won, figures.lost))
    return tr("fixes {won} px, breaks {lost}", won=won, lost=lost)


def _iou(value: float) -> str:
    return "–" if isnan(value) else f"{value:.3f}"
