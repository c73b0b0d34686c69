"""The two fields for numbers, the only ones in the window: they read and show numbers alike in every language."""

from __future__ import annotations

from PySide6.QtCore import QLocale
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox

from app.text import plain_number

_State = tuple[QValidator.State, str, int]


class DecimalField(QDoubleSpinBox):
    """A number with decimals: ``0.5``, ``0,5`` and ``٠٫٥`` are a half; it shows a dot. Thousands have no separator."""

    def __init__(self) -> None:
        super().__init__()
        _settle(self)

    def validate(self, text: str, place: int) -> _State:
        return super().validate(plain_number(text), place)

    def valueFromText(self, text: str) -> float:
        return super().valueFromText(plain_number(text))


class WholeField(QSpinBox):
    """A whole number. With a separator in it the last value comes back: ``1.024`` is neither 1 nor 1024."""

    def __init__(self) -> None:
        super().__init__()
        _settle(self)
        self.lineEdit().setTextMargins(8, 0, 8, 0)  # style sheets do not reach the sides of a field without arrows

    def validate(self, text: str, place: int) -> _State:
        plain = plain_number(text)
        state, shown, at = super().validate(plain, place)
        digits = plain.removeprefix(self.prefix()).removesuffix(self.suffix()).strip()
        if state == QValidator.State.Invalid and "." in digits and digits.replace(".", "").isdigit():
            return QValidator.State.Intermediate, plain, place
        return state, shown, at

    def valueFromText(self, text: str) -> int:
        return super().valueFromText(plain_number(text))


def _settle(field: QAbstractSpinBox) -> None:
    locale = QLocale.c()
    locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator | QLocale.NumberOption.RejectGroupSeparator)
    field.setLocale(locale)
    field.setKeyboardTracking(False)  # a value counts when it is finished, and until then the last one can come back
    field.setCorrectionMode(QAbstractSpinBox.CorrectionMode.CorrectToPreviousValue)
