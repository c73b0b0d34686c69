"""Small marks over the picture at the places that have notes; the text is shown beside the pointer."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

from app.state.reviews import RegionNote
from app.text import tr
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.target_mark import draw_words

#: Side of a mark, distance of the marks of whole images from the corner of the pane, and how far around counts as on it, view px.
_SIDE, _EDGE, _NEAR = 16.0, 10.0, 4.0
#: A box with sides shorter than this, in view px, gets a mark and no frame.
_FRAMED = 12.0
_PAPER, _INK = QColor(255, 214, 64), QColor(20, 20, 24)
#: Characters in a line of a note's text, and lines that are shown.
_LINE, _LINES = 60, 6


class NoteMarks:
    """The notes of the image in view.

    Args:
        notes: in the order of the list.
    """

    def __init__(self, notes: Sequence[RegionNote]) -> None:
        self.notes = tuple(notes)

    def paint(self, painter: QPainter, mapping: Mapping, hovered: int | None) -> None:
        """Paint all marks, and the text of the one that the pointer is on."""
        if not self.notes:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for place, (note, box) in enumerate(zip(self.notes, self._boxes(mapping), strict=True)):
            frame = _frame(note, mapping)
            if frame is not None:
                painter.setBrush(Qt.BrushStyle.NoBrush)
                for color, width in ((QColor(0, 0, 0, 190), 3.0), (_PAPER, 1.5)):
                    painter.setPen(QPen(color, width))
                    painter.drawRect(frame)
            _draw_bubble(painter, box, strong=place == hovered)
        painter.restore()
        if hovered is not None and hovered < len(self.notes):
            at = self._boxes(mapping)[hovered].bottomLeft()
            draw_words(painter, mapping, at, (tr("Note"), *wrapped(self.notes[hovered].text)))

    def at(self, point: QPointF, mapping: Mapping) -> int | None:
        """The place of the note with a mark under a point of the pane; of several the one on top."""
        found = None
        for place, box in enumerate(self._boxes(mapping)):
            if box.adjusted(-_NEAR, -_NEAR, _NEAR, _NEAR).contains(point):
                found = place
        return found

    def _boxes(self, mapping: Mapping) -> list[QRectF]:
        """Where the marks are in the pane: at the upper left corner of their place, or in a row at the right edge."""
        boxes, further = [], 0
        right = mapping.width / mapping.ratio - _EDGE
        for note in self.notes:
            if note.box is None:
                further += 1
                boxes.append(QRectF(right - further * (_SIDE + 4), _EDGE, _SIDE, _SIDE))
            else:
                point = note.box.width == note.box.height == 1
                middle = 0.5 if point else 0.0
                at = mapping.to_view(note.box.x + middle, note.box.y + middle)
                boxes.append(QRectF(at.x(), at.y() - _SIDE, _SIDE, _SIDE))
        return boxes


def wrapped(text: str) -> tuple[str, ...]:
    """A note in lines that fit beside the pointer; what is left out is marked."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    more = "\N{HORIZONTAL ELLIPSIS}" if len(lines) > _LINES else ""
    return (*lines[: _LINES - 1], *([lines[_LINES - 1] + more] if len(lines) >= _LINES else []))


def _frame(note: RegionNote, mapping: Mapping) -> QRectF | None:
    """The place of a note in the pane; None for a point, a small place and a whole image."""
    if note.box is None:
        return None
    corner, end = mapping.to_view(note.box.x, note.box.y), mapping.to_view(note.box.right, note.box.bottom)
    found = QRectF(corner, end)
    return found if min(found.width(), found.height()) >= _FRAMED and note.box.area > 1 else None


def _draw_bubble(painter: QPainter, box: QRectF, *, strong: bool) -> None:
    """A sheet with two lines of writing and a tip at the place that it is about."""
    grown = box.adjusted(-1.5, -1.5, 1.5, 1.5) if strong else box
    shape = QPainterPath()
    shape.addRoundedRect(QRectF(grown.left() + 1, grown.top(), grown.width() - 1, grown.height() - 4), 3, 3)
    tip = QPainterPath()
    tip.moveTo(grown.left() + 3, grown.bottom() - 6)
    tip.lineTo(grown.left(), grown.bottom())
    tip.lineTo(grown.left() + 8, grown.bottom() - 5)
    tip.closeSubpath()
    painter.setPen(QPen(_INK, 1.2))
    painter.setBrush(_PAPER)
    painter.drawPath(shape.united(tip))
    painter.setPen(QPen(_INK, 1.3))
    for row in (0.3, 0.52):
        y = grown.top() + grown.height() * row
        painter.drawLine(QPointF(grown.left() + 4, y), QPointF(grown.right() - 3, y))
