"""Tools that are lines, and look at the image: two-class scribble, border snap, a lasso that snaps."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter

from app.controllers.annotate.corrections import Target
from app.controllers.annotate.view import ViewState
from app.controllers.workspace import Program
from app.services.jobs import LatestWork
from app.text import tr
from app.ui.canvas.correction_tools import CorrectionTool
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_outline, draw_path
from app.ui.canvas.target_mark import draw_words
from app.ui.canvas.tools import LassoTool, Pointer


class ScribbleTool(CorrectionTool):
    """A stroke of two classes; the wheel sets its reach while the button is down, and what it would change is shown."""

    has_ring = True
    turns = True

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program, view)
        program.scribble_lines.targetChanged.connect(self.changed.emit)

    @property
    def target(self) -> Target | None:
        return self.program.scribble_lines.target

    @property
    def holds_wheel(self) -> bool:
        return self.busy

    def press(self, pointer: Pointer) -> None:
        super().press(pointer)
        self.program.scribble_lines.draw(self._path)

    def move(self, pointer: Pointer) -> None:
        before = len(self._path)
        super().move(pointer)
        if len(self._path) != before:
            self.program.scribble_lines.draw(self._path)

    def release(self) -> None:
        self._pressed, self._path = None, []
        self.program.scribble_lines.end()

    def turn(self, steps: int, pointer: Pointer) -> None:
        self._at = pointer
        self.program.scribble_lines.turn(steps)

    def abort(self) -> bool:
        had = super().abort()  # in any case: the pointer may move on with the button down
        return self.program.scribble_lines.drop() or had

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        if self.busy:
            draw_path(painter, [mapping.to_view(*point) for point in self._path], self.class_color())
            if self._at is not None and self._at.mapping == mapping:
                reach = tr("Reach: {reach} px", reach=round(self.program.scribble_lines.reach))
                draw_words(painter, mapping, self._at.view, (reach, tr("Wheel: farther or nearer")))


class SnapTool(CorrectionTool):
    """Click a component, or draw around an object: its outline, smoothed or at edges; click or Enter: apply; Esc: drop."""

    turns = True
    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program, view)
        program.border_snap.targetChanged.connect(self.changed.emit)

    @property
    def busy(self) -> bool:
        return self.program.border_snap.open

    @property
    def target(self) -> Target | None:
        return self.program.border_snap.target

    def clicked(self, pointer: Pointer) -> None:
        if self.program.border_snap.open:
            self.program.border_snap.accept()
        else:
            self.program.border_snap.show(pointer.x, pointer.y)

    def dragged(self, start: Pointer, path: list[tuple[float, float]]) -> None:  # noqa: ARG002 - the base's signature
        self.program.border_snap.show_outline(path)

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        if self.dragging:
            draw_outline(painter, [mapping.to_view(*point) for point in self._path], self.class_color())

    def turn(self, steps: int, pointer: Pointer) -> None:
        self._at = pointer
        self.program.border_snap.turn(steps)

    def finish(self) -> bool:
        return self.program.border_snap.accept()

    def abort(self) -> bool:
        super().abort()
        return self.program.border_snap.drop()


#: So far (px of the image) a lasso moves to an edge, and the least number of points that is snapped.
_SNAP, _LEAST = 10.0, 8


class SnappingLasso(LassoTool):
    """A lasso; while snapping is on, it shows and fills its outline at the edges of the image."""

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program.edit, view)
        self._corrections = program.corrections
        self._work = LatestWork(program.jobs, program.notifier.report_or_raise)
        self._snapped: list[tuple[float, float]] = []

    def press(self, pointer: Pointer) -> None:
        self._snapped = []
        super().press(pointer)

    def move(self, pointer: Pointer) -> None:
        super().move(pointer)
        corrector, points = self._corrections.corrector, list(self._points)
        if self.edit.tools.snapping and corrector is not None and len(points) >= _LEAST and self._work.idle:
            self._work.ask(lambda: corrector.snapped(points, _SNAP).tolist(), self._take)

    def closed(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        corrector = self._corrections.corrector
        self._work.stop()
        self._snapped = []
        if not self.edit.tools.snapping or corrector is None or len(points) < _LEAST:
            return points
        return [(x, y) for x, y in corrector.snapped(points, _SNAP).tolist()]

    def shown(self) -> list[tuple[float, float]]:
        return self._snapped or self._points

    def _take(self, snapped: list[list[float]]) -> None:
        if self._points:
            self._snapped = [(x, y) for x, y in snapped]
            self.changed.emit()
