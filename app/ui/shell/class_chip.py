"""The selected class: its colour, name and key, in the top bar, where it is seen whatever else is hidden."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton

from app.text import tr
from app.ui.annotate.class_delegate import paint_swatch
from app.ui.shell.theme import Theme

#: Usual and in a narrow window.
_WIDTHS = (150, 96)
_HEIGHT, _PAD, _SWATCH, _GAP = 30, 9, 14, 8


class ClassChip(QAbstractButton):
    """A button that looks like a row of the class list; a click finds another class. Its width does not follow the name."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self._name, self._key, self._color = "", "", QColor()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedSize(_WIDTHS[0], _HEIGHT)
        self.show_class("", "", None)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def set_narrow(self, on: bool) -> None:
        """Take less room in a narrow window."""
        self.setFixedWidth(_WIDTHS[1] if on else _WIDTHS[0])

    def show_class(self, name: str, key: str, color: tuple[int, int, int] | None) -> None:
        """Show a class; without a colour there is none to select."""
        self._name, self._key = name, key
        self._color = QColor(*color) if color is not None else QColor()
        said = tr("Selected class: {name}", name=name) + (tr(", key {key}", key=key) if key else "")
        self.setAccessibleName(said if color is not None else tr("No class selected"))
        self.setToolTip(tr("{said}. Click or press / to find another class", said=said) if color is not None else "")
        self.setEnabled(color is not None)
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.HoverEnter, QEvent.Type.HoverLeave):
            self.update()
        return super().event(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = self.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("border_strong"), 1))
        painter.setBrush(theme.color("raised" if self.underMouse() and self.isEnabled() else "surface"))
        radius = theme.radius["control"]
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)
        if not self._color.isValid():
            return
        paint_swatch(painter, QRectF(_PAD, (self.height() - _SWATCH) / 2, _SWATCH, _SWATCH), self._color, theme)
        right = self.width() - _PAD
        middle = Qt.AlignmentFlag.AlignVCenter
        if self._key:
            painter.setFont(theme.font("small"))
            painter.setPen(theme.color("muted"))
            painter.drawText(QRect(0, 0, right, self.height()), middle | Qt.AlignmentFlag.AlignRight, self._key)
            right -= QFontMetrics(painter.font()).horizontalAdvance(self._key) + _GAP
        left = _PAD + _SWATCH + _GAP
        painter.setFont(theme.font("body", bold=True))
        painter.setPen(theme.color("text"))
        name = QFontMetrics(painter.font()).elidedText(self._name, Qt.TextElideMode.ElideRight, right - left)
        painter.drawText(QRect(left, 0, right - left, self.height()), middle, name)
