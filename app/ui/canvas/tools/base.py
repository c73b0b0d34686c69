"""What every tool of the canvas can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.ui.canvas.geometry import Mapping


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

    def __init__(self, edit: EditController, view: ViewState) -> None:
        self.edit = edit
        self.view = view

    @property
    def busy(self) -> bool:
        """Whether something is in hand that Esc would take back."""
        return False

    def press(self, pointer: Pointer) -> None:
        """The button went down."""

    def move(self, pointer: Pointer) -> None:
        """The pointer moved with the button down."""

    def release(self) -> None:
        """The button went up."""

    def hover(self, pointer: Pointer) -> None:
        """The pointer moved without a button."""

    def double_click(self) -> None:
        """The button went down twice at one place."""

    def finish(self) -> bool:
        """Enter: close what is open. Whether there was something to close."""
        return False

    def shorten(self) -> bool:
        """Backspace: take the last point back. Whether there was one."""
        return False

    def abort(self) -> bool:
        """Esc: take back what is in hand. Whether there was something."""
        return False

    def paint(self, painter: QPainter, mapping: Mapping) -> None:
        """Draw what is in hand, in px of the pane."""

    def class_color(self) -> QColor:
        """Colour of the class in hand."""
        document = self.edit.document
        class_id = self.edit.tools.class_id
        if document is None or class_id == document.catalog.ignore:
            return QColor(235, 235, 235)
        return QColor(*document.catalog.by_id(class_id).color)
