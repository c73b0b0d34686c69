"""Fill: gives a connected region of equal labels the class in hand."""

from __future__ import annotations

from app.ui.canvas.tools.base import CanvasTool, Pointer


class FillTool(CanvasTool):
    """One click, one step."""

    def press(self, pointer: Pointer) -> None:
        self.edit.fill(pointer.x, pointer.y)
