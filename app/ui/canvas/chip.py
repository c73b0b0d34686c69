"""The chip in a pane's corner: title, figures, and the menu to choose what the pane shows; and the legend of the errors view."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QMenu, QWidget

from app.text import mark, tr
from app.ui.canvas.colors import ERROR_COLORS
from app.ui.canvas.style import CHIP_TEXT, CanvasStyle, chip_ground
from app.viewmodels.annotate.panes import PANE_TITLES, PaneKind

_PAD_X, _PAD_Y, _GAP, _ARROW = 9.0, 5.0, 9.0, 8.0
#: Figures with less room than this, in px, are left to the tooltip.
_LEAST_CAPTION = 40.0


class PaneChip(QAbstractButton):
    """Title in bold, figures beside it; a click opens the menu of kinds.

    Signals:
        kindChosen: (PaneKind) the user wants to see something else here.
        errorColorsChosen: ("kind" or "class") how errors are to be coloured.
    """

    kindChosen = Signal(object)
    errorColorsChosen = Signal(str)

    def __init__(self, style: CanvasStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self._kind = PaneKind.IMAGE
        self._caption = ""
        self._title = ""
        self._error_colors = "kind"
        self._most = 10_000
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.clicked.connect(self.open_menu)

    def set_style(self, style: CanvasStyle) -> None:
        self._style = style
        self._fit()

    def show_kind(self, kind: PaneKind, caption: str, title: str | None = None) -> None:
        """Say what the pane shows; ``caption`` are its figures, ``title`` replaces the kind's own (while blinking)."""
        wanted = title or tr(PANE_TITLES[kind])
        if (kind, caption, wanted) != (self._kind, self._caption, self._title):
            self._kind, self._caption, self._title = kind, caption, wanted
            self.setAccessibleName(f"{wanted} {caption}".strip())
            self.setToolTip(f"{wanted} {caption}".strip() + tr("\nChoose what this view shows"))
            self._fit()

    def show_error_colors(self, by: str) -> None:
        """Say how errors are coloured: by ``"kind"`` or by ``"class"``."""
        self._error_colors = by

    def fit_into(self, width: int) -> None:
        """Cut the figures, then the title, so that the chip is at most so many px wide."""
        if width != self._most:
            self._most = width
            self._fit()

    def _shown(self) -> tuple[str, str]:
        """Title and figures as far as there is room."""
        strong, plain = QFontMetricsF(self._style.strong), QFontMetricsF(self._style.font)
        room = self._most - 2 * _PAD_X - _GAP * 0.6 - _ARROW
        title = strong.elidedText(self._title, Qt.TextElideMode.ElideRight, max(room, 0))
        left = room - strong.horizontalAdvance(title) - _GAP
        caption = plain.elidedText(self._caption, Qt.TextElideMode.ElideRight, left) if left >= _LEAST_CAPTION else ""
        return title, caption

    def sizeHint(self) -> QSize:
        strong, plain = QFontMetricsF(self._style.strong), QFontMetricsF(self._style.font)
        title, caption = self._shown()
        width = strong.horizontalAdvance(title) + _GAP * 0.6 + _ARROW
        if caption:
            width += _GAP + plain.horizontalAdvance(caption)
        return QSize(round(width + 2 * _PAD_X), round(max(strong.height(), plain.height()) + 2 * _PAD_Y))

    def open_menu(self) -> None:
        """Show the menu of kinds under the chip."""
        menu = self.make_menu()
        menu.popup(self.mapToGlobal(self.rect().bottomLeft()))

    def make_menu(self) -> QMenu:
        """The menu of kinds; it deletes itself when it closes."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        group = QActionGroup(menu)
        for kind, title in PANE_TITLES.items():
            action = QAction(tr(title), menu, checkable=True)
            action.setChecked(kind is self._kind)
            action.triggered.connect(lambda _checked, chosen=kind: self.kindChosen.emit(chosen))
            group.addAction(action)
            menu.addAction(action)
        if self._kind is PaneKind.ERRORS:
            menu.addSeparator()
            ways = QActionGroup(menu)
            for by, title in (("kind", tr("Colour errors by kind")), ("class", tr("Colour errors by class"))):
                action = QAction(title, menu, checkable=True)
                action.setChecked(by == self._error_colors)
                action.triggered.connect(lambda _checked, by=by: self.errorColorsChosen.emit(by))
                ways.addAction(action)
                menu.addAction(action)
        return menu

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.HoverEnter, QEvent.Type.HoverLeave):
            self.update()
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        hot = self.underMouse() or self.isDown()
        painter.setPen(QPen(self._style.accent, 1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.setBrush(chip_ground(hot=hot))
        radius = self._style.chip_radius
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.75, 0.75, -0.75, -0.75), radius, radius)
        x = _PAD_X
        strong, plain = QFontMetricsF(self._style.strong), QFontMetricsF(self._style.font)
        baseline = self.height() / 2 + (strong.ascent() - strong.descent()) / 2
        painter.setFont(self._style.strong)
        painter.setPen(CHIP_TEXT)
        title, caption = self._shown()
        painter.drawText(QPointF(x, baseline), title)
        x += strong.horizontalAdvance(title)
        if caption:
            painter.setFont(self._style.font)
            painter.setPen(QColor(196, 202, 212))
            painter.drawText(QPointF(x + _GAP, baseline), caption)
            x += _GAP + plain.horizontalAdvance(caption)
        x, middle = x + _GAP * 0.6, self.height() / 2
        painter.setPen(QPen(QColor(245, 247, 250, 255 if hot else 150), 1.3))
        painter.drawPolyline(QPolygonF([QPointF(x, middle - 1.5), QPointF(x + 3.5, middle + 2), QPointF(x + 7, middle - 1.5)]))

    def _fit(self) -> None:
        self.resize(self.sizeHint())
        self.update()


#: Kinds of errors in the order of the legend. In a narrow pane they stand below each other.
_WORDS = {"false": mark("false"), "missed": mark("missed"), "swapped": mark("class swap")}
#: No legend reaches lower, in view px.
_LOWEST = 160
_AWAY, _NEAR, _SWATCH = 8.0, 6.0, 10.0


def draw_legend(painter: QPainter, right: int, chip: QRect, style: CanvasStyle, dirty: QRect) -> None:
    """Say what the colours of errors by kind mean, where ``dirty`` touches it.

    It stands in the upper right corner, since messages come at the bottom.

    Args:
        right: width of the pane in view px.
        chip: where its chip is; the legend stands below that if there is no room beside it.
    """
    if dirty.top() > _LOWEST:
        return
    metrics = QFontMetricsF(style.font)
    line = metrics.height() + 8
    words = [tr(text) for text in _WORDS.values()]
    widths = [_SWATCH + _NEAR + metrics.horizontalAdvance(word) for word in words]
    width, height = sum(widths) + 2 * _NEAR * (len(words) - 1) + 2 * _PAD_X, line
    stacked = width > right - 2 * _AWAY
    if stacked:
        width, height = max(widths) + 2 * _PAD_X, metrics.height() * len(words) + 8
    box = QRectF(right - _AWAY - width, _AWAY, width, height)
    if box.left() < chip.right() + _AWAY:
        box.moveTop(chip.bottom() + _AWAY)
    if box.left() < 0 or not box.toAlignedRect().intersects(dirty):
        return
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(chip_ground(hot=False))
    painter.drawRoundedRect(box, style.chip_radius, style.chip_radius)
    painter.setFont(style.font)
    x, top = box.left() + _PAD_X, box.top()
    for kind, word, wide in zip(_WORDS, words, widths, strict=True):
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*ERROR_COLORS[kind]))
        painter.drawRoundedRect(QRectF(x, top + (line - _SWATCH) / 2, _SWATCH, _SWATCH), 2, 2)
        painter.setPen(CHIP_TEXT)
        painter.drawText(QPointF(x + _SWATCH + _NEAR, top + (line + metrics.ascent() - metrics.descent()) / 2), word)
        if stacked:
            top += metrics.height()
        else:
            x += wide + 2 * _NEAR
