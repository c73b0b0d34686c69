"""A box of choices whose current text is cut in the middle where it does not fit: both ends of a name tell it apart."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter


class ElidedBox(QComboBox):
    """Shows as much of its text as there is room for; the list that opens is as wide as its longest text."""

    def shown_text(self) -> str:
        """What is painted."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        return self._fitted(option)

    def _fitted(self, option: QStyleOptionComboBox) -> str:
        field = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self)
        return self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideMiddle, room.width() - _AIR)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self._fitted(option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def showPopup(self) -> None:
        """Make room for the texts."""
        view = self.view()
        view.setMinimumWidth(max(view.sizeHintForColumn(0) + _BESIDE, self.width()))
        super().showPopup()


#: Room that styles keep around the text of the field, and what stands beside the texts of the list, px.
_AIR, _BESIDE = 4, 40
