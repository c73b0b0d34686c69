"""What the wheel does: zoom at the cursor, brush size with Shift, opacity with Alt."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QWheelEvent

from app.controllers.annotate.view import WHEEL_STEP, ViewState
from app.state.tools import ToolState

#: Qt's unit: a notch of a mouse wheel is 120 eighths of a degree; touchpads send fractions of it.
_NOTCH = 120.0
#: Opacity per notch.
_OPACITY_STEP = 0.05


class WheelVerbs:
    """Turns wheel events into verbs; fractions of a notch add up."""

    def __init__(self, view: ViewState, tools: ToolState) -> None:
        self._view = view
        self._tools = tools
        self._rest = 0.0

    def turn(self, event: QWheelEvent, at: tuple[float, float]) -> None:
        """Act on one event; ``at`` is the image point under the cursor."""
        # Alt turns the wheel sideways on some systems, Shift on others: the direction that moved counts.
        delta = event.angleDelta().y() or event.angleDelta().x()
        modifiers = event.modifiers()
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            self._rest += delta / _NOTCH
            steps = int(self._rest)
            self._rest -= steps
            if steps:
                self._tools.scale_diameter(steps)
        elif modifiers & Qt.KeyboardModifier.AltModifier:
            self._view.set_opacity(self._view.overlay.opacity + delta / _NOTCH * _OPACITY_STEP)
        elif delta:
            self._view.zoom_at(*at, WHEEL_STEP ** (delta / _NOTCH))
