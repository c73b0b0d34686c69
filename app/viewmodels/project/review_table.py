"""The images with everything that a review has said and measured of them, and the days of work, as tables for files. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.state.activity import QUARTER, DayProgress, ImageActivity
from app.state.reviews import ImageReview, RegionNote
from app.viewmodels.evaluate.charts import csv_text
from app.viewmodels.project.image_list import ImageRow

IMAGE_COLUMNS = (
    "image", "status", "reason", "notes", "miou", "uncertainty", "classes", "active_minutes", "actions", "first_active",
    "last_active", "reviewed_at", "rejected_at",
)  # fmt: skip
DAY_COLUMNS = ("day", "images", "reviewed", "rejected", "actions", "active_minutes")


@dataclass(frozen=True, slots=True)
class ReviewedImage:
    """One image: what the list shows of it, what was said about it, and what was done with it."""

    row: ImageRow
    review: ImageReview
    activity: ImageActivity

    def to_dict(self) -> dict[str, Any]:
        """JSON values. Times are ISO 8601 with the offset of this computer's time zone; boxes are x, y, width, height in px."""
        row, activity = self.row, self.activity
        return {
            "image": row.record.relative_path,
            "status": row.status_title,
            "reason": row.why,
            "notes": [_note(note) for note in self.review.notes],
            "miou": row.iou,
            "uncertainty": row.uncertainty,
            "classes": sorted(row.classes),
            "active_minutes": round(activity.seconds / 60, 2),
            "actions": activity.actions,
            "first_active": iso(activity.first),
            "last_active": iso(activity.last),
            "reviewed_at": iso(max((s.quarter * QUARTER for s in activity.spells if s.reviewed), default=0)),
            "rejected_at": iso(self.review.rejected if row.record.rejected else 0),
        }

    def cells(self) -> tuple[str, ...]:
        """The same as text, one cell for each of :data:`IMAGE_COLUMNS`."""
        values = self.to_dict()
        values["notes"] = " | ".join(_note_cell(note) for note in self.review.notes)
        values["classes"] = " | ".join(values["classes"])
        return tuple(_cell(values[name]) for name in IMAGE_COLUMNS)


def images_csv(images: Sequence[ReviewedImage]) -> bytes:
    """A line for each image."""
    return _encoded([IMAGE_COLUMNS, *(image.cells() for image in images)])


def days_csv(days: Sequence[DayProgress]) -> bytes:
    """A line for each day on which something was done."""
    return _encoded([DAY_COLUMNS, *([_cell(value) for value in day_values(day)] for day in days)])


def day_values(day: DayProgress) -> tuple[str | int | float, ...]:
    """One value for each of :data:`DAY_COLUMNS`; the day in ISO 8601, time in minutes."""
    return day.day.isoformat(), day.images, day.reviewed, day.rejected, day.actions, round(day.seconds / 60, 2)


def iso(seconds: float) -> str:
    """A moment (Unix seconds) in this computer's time zone with its offset; empty for 0."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds") if seconds else ""


def _note(note: RegionNote) -> dict[str, Any]:
    return {"text": note.text, "box": None if note.box is None else list(note.box), "time": iso(note.time)}


def _note_cell(note: RegionNote) -> str:
    return note.text if note.box is None else f"{note.text} @ {','.join(map(str, note.box))}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _encoded(table: Sequence[Sequence[str]]) -> bytes:
    """UTF-8; bytes of file names that are none stay as they are. The mark lets spreadsheets read it so."""
    return b"\xef\xbb\xbf" + csv_text(table).encode("utf-8", "surrogateescape")
