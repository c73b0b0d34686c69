"""What the list of notes shows, and how a place and a time are written. No Qt."""

from __future__ import annotations

from datetime import datetime

from app.state.reviews import RegionNote
from app.text import tr
from deeplab_core.geometry import Box


def place_text(box: Box | None) -> str:
    """Where a note belongs, in words: a point, a box with its size, or the whole image."""
    if box is None:
        return tr("whole image")
    if box.width == box.height == 1:
        return tr("at {x}, {y}", x=box.x, y=box.y)
    return tr("{width} × {height} px at {x}, {y}", width=box.width, height=box.height, x=box.x, y=box.y)


def local_time(seconds: float) -> str:
    """A moment (Unix seconds) as date and time of this computer's time zone; empty for 0, and for what is none."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M") if seconds else ""
    except (OverflowError, OSError, ValueError):  # a project of someone else may hold any number
        return ""


def note_row(name: str, note: RegionNote) -> tuple[str, str, str, str]:
    """Image, place, text, time."""
    return name, place_text(note.box), note.text, local_time(note.time)
