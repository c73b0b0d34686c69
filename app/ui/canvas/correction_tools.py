"""Tools that act on what is under the pointer: components, regions, parts of other labels; see :mod:`app.ui.canvas.tools`."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter

from app.controllers.annotate.corrections import Target
from app.controllers.annotate.view import ViewState
from app.controllers.workspace import Program
from app.text import tr
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_line, draw_outline, draw_path
from app.ui.canvas.target_mark import TargetMark, draw_words
from app.ui.canvas.tools import CanvasTool, Pointer

#: So far (view px) the pointer moves before a press is a drag.
_DRAG = 4.0


class CorrectionTool(CanvasTool):
    """Base: outlines a target, says a few words beside the pointer, and tells a click from a drag."""

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program.edit, view)
        self.program = program
        self._mark = TargetMark()
        self._at: Pointer | None = None
        self._pressed: Pointer | None = None
        self._path: list[tuple[float, float]] = []
        self.edit.documentChanged.connect(self.abort)

    @property
    def target(self) -> Target | None:
        """What is outlined."""
        return None

    @property
    def busy(self) -> bool:
        return self._pressed is not None

    @property
    def dragging(self) -> bool:
        """Whether the button is down and the pointer has left the place where it went down."""
        return len(self._path) > 1

    def press(self, pointer: Pointer) -> None:
        self._pressed = self._at = pointer
        self._path = [(pointer.x, pointer.y)]

    def move(self, pointer: Pointer) -> None:
        self._at = pointer
        if self._pressed is not None:
            away = pointer.view - self._pressed.view
            if self.dragging or math.hypot(away.x(), away.y()) >= _DRAG:
                self._path.append((pointer.x, pointer.y))

    def release(self) -> None:
        pressed, path, self._pressed, self._path = self._pressed, self._path, None, []
        if pressed is not None and len(path) > 1:
            self.dragged(pressed, path)
        elif pressed is not None:
            self.clicked(pressed)

    def hover(self, pointer: Pointer) -> None:
        self._at = pointer

    def leave(self) -> None:
        self._at = None

    def abort(self) -> bool:
        had, self._pressed, self._path = self._pressed is not None, None, []
        return had

    def clicked(self, pointer: Pointer) -> None:
        """The button went down and up at one place."""

    def dragged(self, start: Pointer, path: list[tuple[float, float]]) -> None:
        """The button went down, moved along a path in image px, and up."""

    names_class = True

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        target = self.target
        if target is not None:
            document = self.edit.document
            if target.ids is not None and document is not None:
                self._mark.paint(painter, mapping, target, self.view.overlay.shown(document.catalog))
            else:
                self._mark.paint(painter, mapping, target, None if target.class_id is None else self.color_of(target.class_id))
            if self._at is not None and self._at.mapping == mapping and not self.dragging:
                draw_words(painter, mapping, self._at.view, target.lines)

    def color_of(self, class_id: int) -> QColor:
        """The colour of a class."""
        document = self.edit.document
        if document is None or class_id == document.catalog.ignore:
            return QColor(235, 235, 235)
        return QColor(*self.view.overlay.shown(document.catalog).by_id(class_id).color)


class HoverTool(CorrectionTool):
    """Base of the tools whose feature outlines what is under the pointer, and what a drag has come over so far."""

    def look(self, x: float | None, y: float | None) -> None:
        """Tell the feature the point under the pointer in image px, or that there is none."""
        raise NotImplementedError

    def hover(self, pointer: Pointer) -> None:
        super().hover(pointer)
        self.look(pointer.x, pointer.y)

    def leave(self) -> None:
        super().leave()
        self.look(None, None)

    def press(self, pointer: Pointer) -> None:
        super().press(pointer)
        self.look(pointer.x, pointer.y)

    def abort(self) -> bool:
        had = super().abort()
        if had and self._at is not None:
            self.look(self._at.x, self._at.y)
        return had


class ComponentTool(HoverTool):
    """Click: the selected class; Shift+click: the second guess; drag: cut along the line; Ctrl+drag: join two components."""

    menu = (
        "components.guess", "components.dissolve", "components.drop_islands", "components.fill_holes",
        "components.keep_largest", "components.grow", "components.shrink", "components.smooth",
    )  # fmt: skip

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program, view)
        program.components.targetChanged.connect(self.changed.emit)

    @property
    def target(self) -> Target | None:
        return self.program.components.target

    def look(self, x: float | None, y: float | None) -> None:
        self.program.components.hover(x, y)

    def clicked(self, pointer: Pointer) -> None:
        self.program.components.reassign(pointer.x, pointer.y, guess=pointer.shift)

    def dragged(self, start: Pointer, path: list[tuple[float, float]]) -> None:
        if _joins(start):
            self.program.components.merge(path[0], path[-1])
        else:
            self.program.components.split(path)

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        if not self.dragging:  # a line changes only a part of what is outlined, or another component
            super().paint(painter, mapping)
        elif self._pressed is not None:
            points = [mapping.to_view(*point) for point in self._path]
            if _joins(self._pressed):
                draw_line(painter, points[0], points[-1], self.class_color())
            else:
                draw_path(painter, points, self.class_color())


class RegionTool(HoverTool):
    """Click: the region under the pointer; drag: all regions on the way; Shift: the likeliest class; Alt+wheel: how coarse."""

    turns = True

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program, view)
        program.regions.targetChanged.connect(self.changed.emit)
        program.corrections.prepared.connect(self.changed.emit)

    @property
    def target(self) -> Target | None:
        return self.program.regions.target

    def look(self, x: float | None, y: float | None) -> None:
        self.program.regions.hover(x, y)

    def move(self, pointer: Pointer) -> None:
        super().move(pointer)
        if self.dragging:
            self.program.regions.cross(self._path)

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        if self.program.corrections.computing_regions and self._at is not None and self._at.mapping == mapping:
            draw_words(painter, mapping, self._at.view, (tr("The regions of this image are being computed…"),))

    def turn(self, steps: int, pointer: Pointer) -> None:
        if not self.dragging:
            self.hover(pointer)
            self.program.regions.turn(steps)

    def clicked(self, pointer: Pointer) -> None:
        self.program.regions.assign([(pointer.x, pointer.y)], guess=pointer.shift)

    def dragged(self, start: Pointer, path: list[tuple[float, float]]) -> None:
        self.program.regions.assign(path, guess=start.shift)
        self.program.regions.hover(*path[-1])


def _joins(pointer: Pointer) -> bool:
    return bool(pointer.modifiers & Qt.KeyboardModifier.ControlModifier)


class CopyTool(HoverTool):
    """Click: the component or region under the pointer; drag: everything inside; Alt+wheel: next source, or coarser regions."""

    turns = True
    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program, view)
        program.part_copies.targetChanged.connect(self.changed.emit)
        program.part_copies.changed.connect(self.changed.emit)

    @property
    def target(self) -> Target | None:
        return self.program.part_copies.target

    def look(self, x: float | None, y: float | None) -> None:
        self.program.part_copies.hover(x, y)

    def move(self, pointer: Pointer) -> None:
        super().move(pointer)
        if self.dragging:
            self.program.part_copies.draw(self._path)

    def clicked(self, pointer: Pointer) -> None:
        self.program.part_copies.copy_at(pointer.x, pointer.y)

    def dragged(self, start: Pointer, path: list[tuple[float, float]]) -> None:  # noqa: ARG002 - the base's signature
        self.program.part_copies.copy_inside(path)

    def turn(self, steps: int, pointer: Pointer) -> None:
        if not self.dragging:
            self.hover(pointer)
            self.program.part_copies.turn(steps)

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        if self.dragging:
            draw_outline(painter, [mapping.to_view(*point) for point in self._path], self.class_color())
        elif self._at is not None and self._at.mapping == mapping:
            draw_words(painter, mapping, self._at.view, self.program.part_copies.words())
