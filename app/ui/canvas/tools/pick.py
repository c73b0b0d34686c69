"""Pick: takes the class under the pointer in hand."""

from __future__ import annotations

from PySide6.QtCore import Qt

from app.ui.canvas.tools.base import CanvasTool, Pointer


class PickTool(CanvasTool):
    """Follows the pointer while the button is down."""

    cursor = Qt.CursorShape.PointingHandCursor

    def press(self, pointer: Pointer) -> None:
        self.edit.pick(pointer.x, pointer.y)

    def move(self, pointer: Pointer) -> None:
        self.edit.pick(pointer.x, pointer.y)
