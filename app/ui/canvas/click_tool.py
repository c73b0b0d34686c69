"""The Click tool: clicks on and beside an object, a box first; the click network's candidate is shown until it is accepted."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.controllers.annotate.corrections import Target
from app.controllers.annotate.view import ViewState
from app.controllers.workspace import Program
from app.text import tr
from app.ui.canvas.correction_tools import CorrectionTool
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.target_mark import draw_words
from app.ui.canvas.tools import Pointer

_ON, _BESIDE, _EDGE = QColor(52, 199, 89), QColor(255, 69, 58), QColor(255, 255, 255)
#: Radius of a click's mark, view px.
_DOT = 6.0


class ClickTool(CorrectionTool):
    """Left: on the object; right or Shift: beside it; drag first: a box; Alt+wheel: candidates; Enter: apply; Esc: drop."""

    takes_right = True
    turns = True

    def __init__(self, program: Program, view: ViewState) -> None:
        super().__init__(program, view)
        program.clicks.changed.connect(self.changed.emit)

    @property
    def target(self) -> Target | None:
        return self.program.clicks.target

    @property
    def busy(self) -> bool:
        return super().busy or self.program.clicks.open

    def clicked(self, pointer: Pointer) -> None:
        self.program.clicks.click(pointer.x, pointer.y, positive=not pointer.shift)

    def dragged(self, start: Pointer, path: list[tuple[float, float]]) -> None:
        if start.shift:
            self.program.clicks.click(*path[-1], positive=False)
        else:
            self.program.clicks.drag(path[0], path[-1])

    def turn(self, steps: int, pointer: Pointer) -> None:
        self._at = pointer
        self.program.clicks.turn(steps)

    def finish(self) -> bool:
        return self.program.clicks.accept()

    def shorten(self) -> bool:
        return self.program.clicks.take_back()

    def abort(self) -> bool:
        pressed = super().abort()
        return self.program.clicks.drop() or pressed

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        super().paint(painter, mapping)
        clicks = self.program.clicks
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = clicks.box
        if box is not None:
            _draw_box(painter, mapping.to_view(box[0], box[1]), mapping.to_view(box[2], box[3]))
        elif self.dragging and not clicks.open and self._pressed is not None and not self._pressed.shift:
            _draw_box(painter, mapping.to_view(*self._path[0]), mapping.to_view(*self._path[-1]))
        for place, positive in clicks.clicks:
            _draw_click(painter, mapping.to_view(*place), positive=positive)
        if clicks.waiting and clicks.target is None and self._at is not None and self._at.mapping == mapping:
            draw_words(painter, mapping, self._at.view, (tr("The click network is working…"),))


def _draw_box(painter: QPainter, first: QPointF, second: QPointF) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    rect = QRectF(first, second).normalized()
    for pen in (QPen(QColor(0, 0, 0, 170), 3.4), QPen(_EDGE, 1.6, Qt.PenStyle.DashLine)):
        painter.setPen(pen)
        painter.drawRect(rect)


def _draw_click(painter: QPainter, at: QPointF, *, positive: bool) -> None:
    """A disk with plus or minus: told apart without its colour, too."""
    painter.setPen(QPen(_EDGE, 1.6))
    painter.setBrush(_ON if positive else _BESIDE)
    painter.drawEllipse(at, _DOT, _DOT)
    arm = _DOT - 2.5
    painter.drawLine(at - QPointF(arm, 0), at + QPointF(arm, 0))
    if positive:
        painter.drawLine(at - QPointF(0, arm), at + QPointF(0, arm))
