"""Polygon: corner by corner around what gets the class in hand."""

from __future__ import annotations

import math

from PySide6.QtGui import QPainter

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_corners, draw_outline
from app.ui.canvas.tools.base import CanvasTool, Pointer

#: A click this close (view px) to the first corner closes the polygon.
_CLOSE = 8.0


class PolygonTool(CanvasTool):
    """Click adds a corner; Enter, a double click or a click on the first corner closes; Backspace takes the last corner back."""

    def __init__(self, edit: EditController, view: ViewState) -> None:
        super().__init__(edit, view)
        self._points: list[tuple[float, float]] = []
        self._tip: tuple[float, float] | None = None
        edit.documentChanged.connect(self.abort)

    @property
    def busy(self) -> bool:
        return bool(self._points)

    def press(self, pointer: Pointer) -> None:
        if len(self._points) >= 3 and self._near_first(pointer):
            self.finish()
        else:
            self._points.append((pointer.x, pointer.y))
            self._tip = None

    def double_click(self) -> None:
        # The first press of the double click has added this corner already.
        self.finish()

    def move(self, pointer: Pointer) -> None:
        self._tip = pointer.x, pointer.y

    def release(self) -> None:
        self._tip = None

    def hover(self, pointer: Pointer) -> None:
        self._tip = (pointer.x, pointer.y) if self._points else None

    def finish(self) -> bool:
        if not self._points:
            return False
        if len(self._points) >= 3:
            points, self._points = self._points, []
            self._tip = None
            self.edit.polygon(points)
        return True

    def shorten(self) -> bool:
        if not self._points:
            return False
        self._points.pop()
        return True

    def abort(self) -> bool:
        had, self._points, self._tip = bool(self._points), [], None
        return had

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        if not self._points:
            return
        corners = [mapping.to_view(*point) for point in self._points]
        outline = [*corners, mapping.to_view(*self._tip)] if self._tip is not None else corners
        draw_outline(painter, outline, self.class_color())
        draw_corners(painter, corners, self.class_color())

    def _near_first(self, pointer: Pointer) -> bool:
        away = pointer.mapping.to_view(*self._points[0]) - pointer.view
        return math.hypot(away.x(), away.y()) <= _CLOSE
