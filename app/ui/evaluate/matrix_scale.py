"""What the colours of the confusion matrix mean, and how the most costly confusions compare: painted beside the matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractItemView, QSizePolicy, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.text import mark, tr
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.matrix_table import STEPS, MatrixTable, scale_texts

#: Size of a step, and gaps, in px.
_STEP, _BAR, _GAP, _LINE = 46, 10, 8, 34
_RIGHT, _WRONG = mark("right"), mark("wrong")


def _rgb(color: QColor) -> NDArray[np.float64]:
    """(3,) 0..255."""
    return np.array((color.red(), color.green(), color.blue()), np.float64)


def cell_colors(theme: Theme, strength: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(..., 3) colours of cells by how strongly they are coloured, 0..1: right ones in one hue, wrong ones in another."""
    share = np.where(right, 0.08 + 0.55 * strength, 0.08 + 0.82 * strength)
    share = np.where(strength > 0, share, 0.0)[..., None]
    base, good, bad = (_rgb(theme.color(name)) for name in ("well", "right", "wrong"))
    colors: NDArray[np.uint8] = np.round(base * (1 - share) + np.where(right[..., None], good, bad) * share).astype(np.uint8)
    return colors


class MatrixLegend(QWidget):
    """Five steps of the right and of the wrong cells with the values that they stand for."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._texts: dict[bool, tuple[str, ...]] = {}
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_LINE)

    @property
    def texts(self) -> dict[bool, tuple[str, ...]]:
        """The values of the steps, of right (True) and of wrong cells."""
        return self._texts

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_table(self, table: MatrixTable | None) -> None:
        """Show the steps of a matrix; None shows none."""
        self._texts = {} if table is None else {right: scale_texts(table, right=right) for right in (True, False)}
        spoken = [f"{tr(_RIGHT if right else _WRONG)}: {', '.join(texts)}" for right, texts in self._texts.items() if texts]
        self.setAccessibleName(tr("Scale of the colours. {steps}", steps="; ".join(spoken)))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, _LINE)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(self._theme.font("caption"))
        metrics, left = QFontMetrics(painter.font()), 0
        wide = {right: metrics.horizontalAdvance(tr(_RIGHT if right else _WRONG)) + _GAP for right in (True, False)}
        shown = [right for right, texts in self._texts.items() if texts]
        if sum(wide[right] + STEPS * _STEP + 3 * _GAP for right in shown) > self.width():
            shown = shown[-1:]  # in a narrow panel the scale of wrong pixels comes first
        step = min(_STEP, (self.width() - sum(wide[right] for right in shown)) // (STEPS * max(len(shown), 1)))
        for right in shown:
            word, texts = tr(_RIGHT if right else _WRONG), self._texts[right]
            painter.setPen(self._theme.color("muted"))
            painter.drawText(QRectF(left, 0, wide[right], _BAR + 8), Qt.AlignmentFlag.AlignVCenter, word)
            left += wide[right]
            colors = cell_colors(self._theme, np.arange(1, STEPS + 1) / STEPS, np.full(STEPS, right))
            crowded = max((metrics.horizontalAdvance(text) for text in texts), default=0) > step - 4
            for place, text in enumerate(texts):
                box = QRectF(left, 4, step - 2, _BAR)
                painter.fillRect(box, QColor(*map(int, colors[place])))
                if not crowded:
                    painter.drawText(QRectF(left, _BAR + 5, step - 2, _LINE - _BAR - 6), Qt.AlignmentFlag.AlignHCenter, text)
                elif place in (0, STEPS - 1):  # in a narrow panel the ends alone, over two steps each
                    start, side = (left, Qt.AlignmentFlag.AlignLeft) if not place else (left - step, Qt.AlignmentFlag.AlignRight)
                    painter.drawText(QRectF(start, _BAR + 5, 2 * step - 2, _LINE - _BAR - 6), side, text)
                left += step
            left += 3 * _GAP
        painter.end()


#: Role of the share of a line of the list, 0..1, of the largest.
SHARE = int(Qt.ItemDataRole.UserRole)


class CostDelegate(QStyledItemDelegate):
    """A line with a bar behind it, as long as its share of the largest."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        share = index.data(SHARE)
        if share:
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.theme.color("bad_soft"))
            box = QRectF(option.rect).adjusted(0, 1, 0, -1)
            view = option.widget
            if isinstance(view, QAbstractItemView):
                box.setRight(min(box.right(), view.viewport().width()))  # the longest line may be wider
            painter.drawRoundedRect(QRectF(box.left(), box.top(), max(box.width() * share, 3.0), box.height()), 4, 4)
            painter.restore()
        super().paint(painter, option, index)
