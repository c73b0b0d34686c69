"""Curves of a score over a property of the objects (size, occlusion, distance to the boundary), read from JSON for the report.

The layout, ``atrous-slices-1``::

    {"format": "atrous-slices-1",
     "curves": [{"title": "IoU by size", "x_label": "area, px", "series": "model A",
                 "points": [{"x": 1024, "label": "up to 32^2", "score": 0.31, "low": 0.22, "high": 0.4, "objects": 117}]}]}

``x`` is a number (points are drawn in its order), ``score`` 0..1 or null; ``label``, ``low``, ``high`` and ``objects`` may be
left out. Curves of one title share a plot. Marks of points on fewer than ten objects (six images) are drawn muted.

The file that ``atrous inspect --json`` writes is read too: IoU and recall of objects, mean IoU and accuracy of pixels, by its
axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeplab_core.errors import MaskFormatError
from deeplab_core.metrics.scores import FEW_IMAGES, FEW_OBJECTS
from deeplab_core.reading import expecting, read_json, shorten

FORMAT = "atrous-slices-1"
INSPECTION = "atrous-inspection-1"
#: Largest file of an inspection or of curves that is read.
MAX_INSPECTION_BYTES = 512 << 20

#: Scores of an inspection's slices, what they rest on, and what the report calls them.
_INSPECTED = {
    "object_slices": (("iou", "IoU"), ("recall", "recall")),
    "pixel_slices": (("mean_iou", "mIoU"), ("accuracy", "pixel accuracy")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePoint:
    """A point of a curve; nan without a score or an interval.

    Attributes:
        x: position, in the unit that the curve's ``x_label`` names.
        label: what the point stands for.
        score: 0..1.
        low, high: interval of the score.
        objects: how many objects it rests on; None where it is not known.
        images: how many images, where pixels were measured and not objects; None else.
    """

    x: float
    label: str = ""
    score: float = math.nan
    low: float = math.nan
    high: float = math.nan
    objects: int | None = None
    images: int | None = None

    @property
    def count(self) -> str:
        """``"117 objects"``, ``"8 images"``; empty where it is not known."""
        number, thing = (self.objects, "object") if self.objects is not None else (self.images, "image")
        return "" if number is None else f"{number:,} {thing}{'' if number == 1 else 's'}"

    @property
    def few(self) -> bool:
        """Whether so few objects or images are behind it that it may be any other score next time."""
        if self.objects is not None:
            return self.objects < FEW_OBJECTS
        return self.images is not None and self.images < FEW_IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCurve:
    """A score over a property.

    Attributes:
        title: of the plot; curves of one title share it.
        x_label: the property and its unit.
        series: name of the curve.
        points: by rising x.
    """

    title: str
    x_label: str
    series: str
    points: tuple[SlicePoint, ...]


def read_slices(path: Path | str) -> tuple[SliceCurve, ...]:
    """Read a file of curves. Raises MaskFormatError naming what is wrong with it."""
    path = Path(path)
    remedy = f"Expected is the layout '{FORMAT}'"
    data = read_json(path, limit=MAX_INSPECTION_BYTES, what="the file of curves", remedy=remedy, error=MaskFormatError)
    with expecting("these are not curves for the report", path=path, remedy=remedy, error=MaskFormatError):
        if data["format"] == INSPECTION:
            return tuple(_inspected(data))
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {shorten(data['format'])}")
        return tuple(_curve(row) for row in data["curves"])


def _inspected(data: dict[str, Any]) -> Iterator[SliceCurve]:
    for group, scores in _INSPECTED.items():
        for axis, table in data[group].items():
            rows = [row for row in table["rows"] if row["pixels"]]
            for key, series in scores if rows else ():
                points = tuple(
                    SlicePoint(
                        x=_number(row["low"]),
                        label=_span(row),
                        score=_number(row[key]),
                        **_ends(row.get(f"{key}_interval")),
                        objects=row.get("objects"),
                        images=row.get("images"),
                    )
                    for row in rows
                )
                yield SliceCurve(title=f"By {axis.replace('_', ' ')}", x_label=str(table["text"]), series=series, points=points)

    for name, table in data.get("own_slices", {}).items():
        objects = table["unit"] == "object"
        points = tuple(
            SlicePoint(
                x=float(place),
                label=str(row["label"]),
                score=_number(row["score"]),
                **_ends(row["interval"]),
                objects=int(row["count"]) if objects else None,
                images=None if objects else int(row["count"]),
            )
            for place, row in enumerate(table["rows"])
            if row["count"]
        )
        if points:
            yield SliceCurve(title=f"By {name}", x_label=str(table["text"]), series="IoU" if objects else "mIoU", points=points)


def _ends(bounds: list[float] | None) -> dict[str, float]:
    return {} if bounds is None else {"low": _number(bounds[0]), "high": _number(bounds[1])}


def _span(row: dict[str, Any]) -> str:
    """``from 32 to 96``, short enough for an axis."""
    low = f"{float(row['low']):g}"
    return f"{low} or more" if row["high"] is None else f"{low} \u2013 {float(row['high']):g}"


def _curve(row: dict[str, Any]) -> SliceCurve:
    points = (
        SlicePoint(
            x=float(point["x"]),
            label=str(point.get("label", "")),
            score=_number(point["score"]),
            low=_number(point.get("low")),
            high=_number(point.get("high")),
            objects=None if point.get("objects") is None else int(point["objects"]),
        )
        for point in row["points"]
    )
    return SliceCurve(
        title=str(row["title"]),
        x_label=str(row["x_label"]),
        series=str(row.get("series", "")),
        points=tuple(sorted(points, key=lambda point: point.x)),
    )


def _number(value: float | None) -> float:
    number = math.nan if value is None else float(value)
    if math.isinf(number):
        raise ValueError("a score is infinite")
    return number
