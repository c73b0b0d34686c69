"""The Copy tool: what a click or an outline takes from another label map is shown in its own colours first."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter

from app.controllers.annotate.corrections import Target
from app.controllers.annotate.view import ViewState
from app.controllers.workspace import Program
from app.ui.canvas.correction_tools import CorrectionTool
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_outline
from app.ui.canvas.target_mark import draw_words
from app.ui.canvas.tools import Pointer


class CopyTool(CorrectionTool):
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

    def hover(self, pointer: Pointer) -> None:
        super().hover(pointer)
        self.program.part_copies.hover(pointer.x, pointer.y)

    def leave(self) -> None:
        super().leave()
        self.program.part_copies.hover(None, None)

    def press(self, pointer: Pointer) -> None:
        super().press(pointer)
        self.program.part_copies.hover(pointer.x, pointer.y)

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

    def abort(self) -> bool:
        had = super().abort()
        if had and self._at is not None:
            self.program.part_copies.hover(self._at.x, self._at.y)
        return had

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        if self.dragging:
            draw_outline(painter, [mapping.to_view(*point) for point in self._path], self.class_color())
        elif self._at is not None and self._at.mapping == mapping:
            draw_words(painter, mapping, self._at.view, self.program.part_copies.words())
