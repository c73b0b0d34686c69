"""Brush: paints the class in hand where it goes."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter

from app.controllers.annotate.edit import EditController, StrokeMode
from app.controllers.annotate.view import ViewState
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_line
from app.ui.canvas.tools.base import CanvasTool, Pointer


class BrushTool(CanvasTool):
    """Paints while the button is down; Shift+click draws a straight line from where the last stroke ended."""

    has_ring = True
    mode: StrokeMode = "paint"

    def __init__(self, edit: EditController, view: ViewState) -> None:
        super().__init__(edit, view)
        self._last: tuple[float, float] | None = None
        self._line_to: QPointF | None = None
        edit.documentChanged.connect(self._forget)

    @property
    def busy(self) -> bool:
        return self.edit.busy

    def press(self, pointer: Pointer) -> None:
        mode: StrokeMode = "erase" if pointer.eraser and self.mode == "paint" else self.mode
        if pointer.shift and self._last is not None:
            begun = self.edit.begin_stroke(*self._last, mode, pointer.pressure)
            self.edit.extend_stroke([(pointer.x, pointer.y)], pointer.pressure)
        else:
            begun = self.edit.begin_stroke(pointer.x, pointer.y, mode, pointer.pressure)
        self._line_to = None
        if begun:
            self._last = pointer.x, pointer.y

    def move(self, pointer: Pointer) -> None:
        if self.edit.busy:
            self.edit.extend_stroke([(pointer.x, pointer.y)], pointer.pressure)
            self._last = pointer.x, pointer.y

    def release(self) -> None:
        self.edit.end_stroke()

    def hover(self, pointer: Pointer) -> None:
        self._line_to = pointer.view if pointer.shift and self._last is not None else None

    def abort(self) -> bool:
        self._line_to = None
        return self.edit.abort_stroke()

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        if self._line_to is not None and self._last is not None and not self.edit.busy:
            draw_line(painter, mapping.to_view(*self._last), self._line_to, self.class_color())

    def _forget(self) -> None:
        self._last = None
        self._line_to = None
