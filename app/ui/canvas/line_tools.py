"""Tools that are lines, and look at the image: two-class scribble, border snap, a lasso that snaps."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter

from app.controllers.annotate.corrections import Target
from app.controllers.annotate.view import ViewState
from app.text import tr
from app.ui.canvas.correction_tools import CorrectionFeatures, CorrectionTool
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.marks import draw_path
from app.ui.canvas.target_mark import draw_words
from app.ui.canvas.tools import LassoTool, Pointer


class ScribbleTool(CorrectionTool):
    """A stroke of two classes; the wheel sets its reach while the button is down, and what it would change is shown."""

    has_ring = True
    turns = True

    @property
    def target(self) -> Target | None:
        return self.features.scribble_lines.target

    @property
    def holds_wheel(self) -> bool:
        return self.busy

    def press(self, pointer: Pointer) -> None:
        super().press(pointer)
        self.features.scribble_lines.draw(self._path)

    def move(self, pointer: Pointer) -> None:
        before = len(self._path)
        super().move(pointer)
        if len(self._path) != before:
            self.features.scribble_lines.draw(self._path)

    def release(self) -> None:
        self._pressed, self._path = None, []
        self.features.scribble_lines.end()

    def turn(self, steps: int, pointer: Pointer) -> None:
        self._at = pointer
        self.features.scribble_lines.turn(steps)

    def abort(self) -> bool:
        return self.features.scribble_lines.drop() or super().abort()

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        if self.busy:
            draw_path(painter, [mapping.to_view(*point) for point in self._path], self.class_color())
            if self._at is not None and self._at.mapping == mapping:
                reach = tr("Reach: {reach} px", reach=round(self.features.scribble_lines.reach))
                draw_words(painter, mapping, self._at.view, (reach, tr("Wheel: farther or nearer")))


class SnapTool(CorrectionTool):
    """Click: the outline of a component at the edges of the image; click again or Enter: apply; Esc: drop."""

    turns = True
    cursor = Qt.CursorShape.PointingHandCursor

    @property
    def busy(self) -> bool:
        return self.features.border_snap.open

    @property
    def target(self) -> Target | None:
        return self.features.border_snap.target

    def clicked(self, pointer: Pointer) -> None:
        if self.features.border_snap.open:
            self.features.border_snap.accept()
        else:
            self.features.border_snap.show(pointer.x, pointer.y)

    def turn(self, steps: int, pointer: Pointer) -> None:
        self._at = pointer
        self.features.border_snap.turn(steps)

    def finish(self) -> bool:
        return self.features.border_snap.accept()

    def abort(self) -> bool:
        super().abort()
        return self.features.border_snap.drop()


#: So far (px of the image) a lasso moves to an edge, and the least number of points that is snapped.
_SNAP, _LEAST = 10.0, 8


class SnappingLasso(LassoTool):
    """A lasso; while snapping is on, it shows and fills its outline at the edges of the image."""

    def __init__(self, features: CorrectionFeatures, view: ViewState, repaint: Callable[[], None]) -> None:
        super().__init__(features.corrections.edit, view)
        self._features, self._repaint = features, repaint
        self._snapped: list[tuple[float, float]] = []

    def press(self, pointer: Pointer) -> None:
        self._snapped = []
        super().press(pointer)

    def move(self, pointer: Pointer) -> None:
        super().move(pointer)
        corrector, points = self._features.corrections.corrector, list(self._points)
        if self.edit.tools.snapping and corrector is not None and len(points) >= _LEAST and self._features.snapping.idle:
            self._features.snapping.ask(lambda: corrector.snapped(points, _SNAP).tolist(), self._take)

    def closed(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        corrector = self._features.corrections.corrector
        self._features.snapping.stop()
        self._snapped = []
        if not self.edit.tools.snapping or corrector is None or len(points) < _LEAST:
            return points
        return [(x, y) for x, y in corrector.snapped(points, _SNAP).tolist()]

    def shown(self) -> list[tuple[float, float]]:
        return self._snapped or self._points

    def _take(self, snapped: list[list[float]]) -> None:
        if self._points:
            self._snapped = [(x, y) for x, y in snapped]
            self._repaint()
