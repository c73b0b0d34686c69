"""What the left button does: one strategy per tool, chosen by the selected tool. They speak image px and call EditController."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter

from app.controllers.annotate.edit import EditController, StrokeMode
from app.controllers.annotate.view import ViewState
from app.signal import Signal
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_corners, draw_line, draw_outline


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where mouse or pen is.

    Attributes:
        x, y: image px, sub-pixel exact; may lie outside the image.
        view: the same place in px of the pane.
        mapping: of the pane that the pointer is in.
        modifiers: keys held.
        pressure: 0..1; 1 for a mouse.
        eraser: the pen's other end.
    """

    x: float
    y: float
    view: QPointF
    mapping: Mapping
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
    pressure: float = 1.0
    eraser: bool = False

    @property
    def shift(self) -> bool:
        return bool(self.modifiers & Qt.KeyboardModifier.ShiftModifier)


class CanvasTool:
    """Base of all tools: does nothing, paints nothing.

    A tool gets ``press``, then moves, then ``release`` of the button that it was given; ``hover`` is a move without a button.
    """

    #: Whether the brush ring is drawn at the pointer.
    has_ring = False
    #: Whether the ring is drawn as one that takes away.
    erases = False
    cursor = Qt.CursorShape.CrossCursor
    #: Whether the tool says itself which class is under the pointer.
    names_class = False
    #: Whether Alt+wheel is the tool's own.
    turns = False
    #: Whether the right button is the tool's own, as the left one with Shift.
    takes_right = False
    #: Commands of the menu that a right click opens; empty where the right button restores the prediction.
    menu: tuple[str, ...] = ()

    def __init__(self, edit: EditController, view: ViewState) -> None:
        self.edit = edit
        self.view = view
        #: Emitted where what it draws changed without the pointer.
        self.changed: Signal[[]] = Signal()

    @property
    def busy(self) -> bool:
        """Whether there is an action that Esc would revert."""
        return False

    def press(self, pointer: Pointer) -> None:
        """The button went down."""

    def move(self, pointer: Pointer) -> None:
        """The pointer moved with the button down."""

    def release(self) -> None:
        """The button went up."""

    def hover(self, pointer: Pointer) -> None:
        """The pointer moved without a button."""

    @property
    def holds_wheel(self) -> bool:
        """Whether the plain wheel is the tool's now, too."""
        return False

    def leave(self) -> None:
        """The pointer left the picture."""

    def turn(self, steps: int, pointer: Pointer) -> None:
        """The wheel was turned with Alt by whole notches, where :attr:`turns` says so."""

    def double_click(self) -> None:
        """The button went down twice at one place."""

    def finish(self) -> bool:
        """Enter: close what is open. Whether there was something to close."""
        return False

    def shorten(self) -> bool:
        """Backspace: take the last point back. Whether there was one."""
        return False

    def abort(self) -> bool:
        """Esc: revert the current action. Whether there was one."""
        return False

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        """Draw the current action, in px of the pane."""

    def class_color(self) -> QColor:
        """Colour of the selected class."""
        document = self.edit.document
        class_id = self.edit.tools.class_id
        if document is None or class_id == document.catalog.ignore:
            return QColor(235, 235, 235)
        return QColor(*self.view.overlay.shown(document.catalog).by_id(class_id).color)


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


class FillTool(CanvasTool):
    """One click, one step."""

    def press(self, pointer: Pointer) -> None:
        self.edit.fill(pointer.x, pointer.y)


class PickTool(CanvasTool):
    """Follows the pointer while the button is down."""

    cursor = Qt.CursorShape.PointingHandCursor

    def press(self, pointer: Pointer) -> None:
        self.edit.pick(pointer.x, pointer.y)

    def move(self, pointer: Pointer) -> None:
        self.edit.pick(pointer.x, pointer.y)


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


class EraserTool(BrushTool):
    """A brush that paints the background class of the catalog, or void if it has none."""

    erases = True
    mode: StrokeMode = "erase"

    def class_color(self) -> QColor:
        return QColor(255, 90, 90)


class RestoreTool(BrushTool):
    """A brush that brings the prediction back. The right button is always this tool."""

    erases = True
    mode: StrokeMode = "restore"

    def class_color(self) -> QColor:
        return QColor(120, 200, 255)


#: Points closer than this (device px) to the last one add nothing that can be seen.
_STEP = 1.0


class LassoTool(CanvasTool):
    """Drawn while the button is down; the outline closes where it is let go."""

    def closed(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """The outline that is filled."""
        return points

    def shown(self) -> list[tuple[float, float]]:
        """The outline that is drawn."""
        return self._points

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
            self.edit.lasso(self.closed(points))

    def abort(self) -> bool:
        had, self._points = bool(self._points), []
        return had

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        if self._points:
            draw_outline(painter, [mapping.to_view(*point) for point in self.shown()], self.class_color())


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
