"""One user's labels of a conflict in the dialog of a merge: a picture to click, whose parts are also chosen by keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen

from app.ui.adapt.learn_picture import LearnPicture

_STEPS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}


class MergeSide(LearnPicture):
    """A picture that can be clicked, with a frame if it was chosen; keys choose a part of it.

    Signals:
        clicked(float, float): where in the picture, 0..1; below 1.
        stepped(int): an arrow key asks for the next part, or the one before (-1).
        taken(): Enter or Space on the part.
    """

    clicked = Signal(float, float)
    stepped = Signal(int)
    taken = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.chosen = False
        self.setMinimumSize(180, 120)
        self._part: QRectF | None = None
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(240, 180)

    def show_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Show (h, w, 3) uint8, or nothing; without a picture there is nothing that the keyboard could choose."""
        super().show_picture(picture)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus if picture is None else Qt.FocusPolicy.StrongFocus)

    def set_chosen(self, on: bool) -> None:
        """Draw the frame, or not."""
        self.chosen = on
        self.update()

    def show_part(self, box: QRectF | None) -> None:
        """Frame a part of the picture, in 0..1 of it, or none."""
        self._part = box
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.empty:
            return
        painter, place = QPainter(self), self.place()
        if self.chosen or self.hasFocus():
            painter.setPen(QPen(self.palette().highlight(), 3 if self.chosen else 2))
            painter.drawRect(place.adjusted(1, 1, -2, -2))
        if self._part is not None:
            part = self._part
            x, y = place.x() + part.x() * place.width(), place.y() + part.y() * place.height()
            frame = QRectF(x, y, part.width() * place.width(), part.height() * place.height()).adjusted(-2, -2, 2, 2)
            for color, width in ((Qt.GlobalColor.black, 4), (Qt.GlobalColor.white, 2)):  # seen on any picture
                painter.setPen(QPen(color, width))
                painter.drawRect(frame)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = _STEPS.get(Qt.Key(event.key()))
        if step is not None:
            self.stepped.emit(step)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.taken.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()
        place, at = self.place(), event.position()
        if not self.empty and place.contains(at.toPoint()):
            self.clicked.emit((at.x() - place.x()) / place.width() % 1, (at.y() - place.y()) / place.height() % 1)
