"""One parameter: its name, a slider, and a field for typing it exactly."""

from __future__ import annotations

from math import exp, log

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from app.text import tr
from app.ui.common.number_field import DecimalField
from app.ui.common.panel import toned

_STEPS = 200
_NAME_WIDTH, _FIELD_WIDTH = 118, 46


class ParamSlider(QWidget):
    """A number between ``low`` and ``high`` on the slider; the field takes numbers beyond.

    Args:
        text: its name.
        low, high: ends of the slider.
        decimals: shown and kept.
        logarithmic: whether equal ways on the slider are equal factors.
        tip: what the parameter does.

    Signals:
        changed(value, dragging): ``dragging`` while the handle is held; once more without it when it is let go.
    """

    changed = Signal(float, bool)

    def __init__(
        self, text: str, low: float, high: float, *, decimals: int = 1, logarithmic: bool = False, tip: str = ""
    ) -> None:
        super().__init__()
        self._low, self._high, self._logarithmic = low, high, logarithmic
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        name = toned(text, tone="muted", size="small")
        name.setFixedWidth(_NAME_WIDTH)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setPageStep(_STEPS // 20)
        self.slider.setMinimumWidth(60)
        self.slider.setAccessibleName(text)
        self.field = DecimalField()
        self.field.setProperty("compact", True)
        self.field.setDecimals(decimals)
        self.field.setRange(0.0 if low == 0 else 10**-decimals, 10 * high)
        self.field.setSingleStep(10**-decimals)
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.setFixedWidth(_FIELD_WIDTH)
        self.field.setAccessibleName(tr("{text}, exact", text=text))
        for widget in (name, self.slider, self.field):
            widget.setToolTip(tip)
        row.addWidget(name)
        row.addWidget(self.slider, 1)
        row.addWidget(self.field)
        self.slider.valueChanged.connect(self._slide)
        self.slider.sliderReleased.connect(self._let_go)
        self.field.valueChanged.connect(self._type)

    @property
    def value(self) -> float:
        return self.field.value()

    def show_value(self, value: float) -> None:
        """Show a value without telling it."""
        with QSignalBlocker(self.field):
            self.field.setValue(value)
        if not self.slider.isSliderDown():
            with QSignalBlocker(self.slider):
                self.slider.setValue(self._place(value))

    def _slide(self, place: int) -> None:
        with QSignalBlocker(self.field):
            self.field.setValue(self._at(place))
        self.changed.emit(self.value, self.slider.isSliderDown())

    def _let_go(self) -> None:
        self.changed.emit(self.value, False)

    def _type(self, value: float) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(self._place(value))
        self.changed.emit(value, False)

    def _at(self, place: int) -> float:
        share = place / _STEPS
        if self._logarithmic:
            return exp(log(self._low) + share * (log(self._high) - log(self._low)))
        return self._low + share * (self._high - self._low)

    def _place(self, value: float) -> int:
        value = min(max(value, self._low), self._high)
        if self._logarithmic:
            return round(_STEPS * (log(value) - log(self._low)) / (log(self._high) - log(self._low)))
        return round(_STEPS * (value - self._low) / (self._high - self._low))
