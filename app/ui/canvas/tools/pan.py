"""Pan: moves the picture under the pointer. Space or the middle button are always this tool."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.ui.canvas.tools.base import CanvasTool, Pointer


class PanTool(CanvasTool):
    """The image point that was grabbed stays under the pointer."""

    cursor = Qt.CursorShape.OpenHandCursor

    def __init__(self, edit: EditController, view: ViewState) -> None:
        super().__init__(edit, view)
        self._from: QPointF | None = None

    @property
    def dragging(self) -> bool:
        return self._from is not None

    def press(self, pointer: Pointer) -> None:
        self._from = pointer.view

    def move(self, pointer: Pointer) -> None:
        if self._from is not None:
            moved = pointer.view - self._from
            step = pointer.mapping.ratio / pointer.mapping.scale
            self._from = pointer.view
            self.view.pan_by(-moved.x() * step, -moved.y() * step)

    def release(self) -> None:
        self._from = None
