"""A box of choices whose current text is cut in the middle where it does not fit: both ends of a name tell it apart."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPaintEvent, QPalette
from PySide6.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter


class ElidedBox(QComboBox):
    """Shows as much of its text as there is room for; the list that opens is as wide as its longest text."""

    def shown_text(self) -> str:
        """What is painted: the chosen text, or the placeholder while nothing is chosen."""
        text = self.currentText() or self.placeholderText()
        return self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, self._room().width())

    def _room(self) -> QRect:
        """The place of the text: up to the arrow, which is more than styles give the field."""
        control, option, style = QStyle.ComplexControl.CC_ComboBox, QStyleOptionComboBox(), self.style()
        self.initStyleOption(option)
        field = style.subControlRect(control, option, QStyle.SubControl.SC_ComboBoxEditField, self)
        arrow = style.subControlRect(control, option, QStyle.SubControl.SC_ComboBoxArrow, self)
        return field.adjusted(0, 0, arrow.left() - field.right() - 1, 0)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        group = QPalette.ColorGroup.Active if self.isEnabled() else QPalette.ColorGroup.Disabled
        painter.setPen(self.palette().color(group, QPalette.ColorRole.ButtonText))
        painter.drawText(self._room(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.shown_text())

    def showPopup(self) -> None:
        """Make room for the texts."""
        view = self.view()
        view.setMinimumWidth(max(view.sizeHintForColumn(0) + _BESIDE, self.width()))
        super().showPopup()


#: What stands beside the texts of the list, px.
_BESIDE = 40
