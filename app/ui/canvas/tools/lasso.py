"""Lasso: a freehand outline around what gets the class in hand."""

from __future__ import annotations

import math

from PySide6.QtGui import QPainter

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_outline
from app.ui.canvas.tools.base import CanvasTool, Pointer

#: Points closer than this (device px) to the last one add nothing that can be seen.
_STEP = 1.0


class LassoTool(CanvasTool):
    """Drawn while the button is down; the outline closes where it is let go."""

    def __init__(self, edit: EditController, view: ViewState) -> None:
        super().__init__(edit, view)
        self._points: list[tuple[float, float]] = []
        edit.documentChanged.connect(self.abort)

    @property
    def busy(self) -> bool:
        return bool(self._points)

    def press(self, pointer: Pointer) -> None:
        self._points = [(pointer.x, pointer.y)]

    def move(self, pointer: Pointer) -> None:
        if self._points:
            last = self._points[-1]
            if math.hypot(pointer.x - last[0], pointer.y - last[1]) * pointer.mapping.scale >= _STEP:
                self._points.append((pointer.x, pointer.y))

    def release(self) -> None:
        points, self._points = self._points, []
        if len(points) >= 3:
            self.edit.lasso(points)

    def abort(self) -> bool:
        had, self._points = bool(self._points), []
        return had

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        if self._points:
            draw_outline(painter, [mapping.to_view(*point) for point in self._points], self.class_color())
