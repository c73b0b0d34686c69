"""Kinds of failure of an inspection, read from its JSON for the report, and what fixing each would gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeplab_core.analysis.kinds import PARTS
from deeplab_core.analysis.report.slices import INSPECTION, MAX_INSPECTION_BYTES
from deeplab_core.analysis.report.tables import Cell, Row, Table
from deeplab_core.analysis.report.text import NOT_MEASURED, percent, pixels
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.reading import expecting, read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfFailure:
    """One kind.

    Attributes:
        kind, text: its name and what it means.
        pixels: wrong pixels of it, over all classes.
        share: of all wrong pixels, 0..1; kinds overlap.
        images: images that have it.
        gain: mean IoU that fixing it would gain, 0..1.
        class_gain: IoU that each class (id) would gain; nan where the class has no IoU.
        class_px: misses and false alarms of each class (id) that are of this kind.
        measured: whether the data says anything of this kind; else there are no figures.
    """

    kind: str
    text: str
    pixels: int
    share: float
    images: int
    gain: float
    class_gain: dict[int, float]
    class_px: dict[int, int] = field(default_factory=dict)
    measured: bool = True


def read_failures(path: Path | str) -> tuple[KindOfFailure, ...]:
    """The kinds with wrong pixels in a file of ``atrous inspect --json``, and those that could not be measured.

    None where the file is of another format.

    Raises:
        MaskFormatError: the file claims to be an inspection and is none.
    """
    path = Path(path)
    remedy = "Write it again with 'atrous inspect --json'"
    data = read_json(path, limit=MAX_INSPECTION_BYTES, what="the inspection", remedy=remedy, error=MaskFormatError)
    with expecting("this is not an inspection", path=path, remedy=remedy, error=MaskFormatError):
        if data["format"] != INSPECTION:
            return ()
        return tuple(_kind(row) for row in data["failures"] if row["pixels"] or not row.get("measured", True))


def failure_table(kinds: tuple[KindOfFailure, ...], catalog: ClassCatalog) -> Table:
    """The kinds as a table; the last column names the class that would gain most."""
    names = {info.id: info.name for info in catalog.classes}
    rows = []
    for row in kinds:
        kind = [Cell(row.kind.replace("_", " "), head=True), Cell(row.text, "name")]
        if not row.measured:
            rows.append(Row([*kind, Cell(NOT_MEASURED, "name", span=5)], quiet=True))
            continue
        known = {class_id: gain for class_id, gain in row.class_gain.items() if class_id in names and not math.isnan(gain)}
        most = max(known, key=lambda class_id: known[class_id], default=None)
        won = "" if most is None else f"{names[most]} {_points(known[most])}"
        figures = pixels(row.pixels), percent(row.share), str(row.images), _points(row.gain), won
        rows.append(Row([*kind, *map(Cell, figures)]))
    return Table(
        head=("kind", "what it is", "px", "of the wrong px", "images", "mIoU gained", "most for"), rows=rows, names=(0, 1)
    )


def class_failure_table(kinds: tuple[KindOfFailure, ...], catalog: ClassCatalog) -> Table:
    """Share of the loss of each class (its misses and false alarms) that each kind holds, the largest loss first."""
    shown = [kind for kind in kinds if kind.measured]
    parts = [kind for kind in shown if kind.kind in map(str, PARTS)]
    loss = {info.id: sum(kind.class_px.get(info.id, 0) for kind in parts) for info in catalog.classes}
    rows = []
    for info in sorted(catalog.classes, key=lambda info: -loss[info.id]):
        if loss[info.id]:
            shares = [Cell(percent(kind.class_px.get(info.id, 0) / loss[info.id])) for kind in shown]
            rows.append(Row([Cell(info.name, head=True, color=info.color), Cell(pixels(loss[info.id])), *shares]))
    note = "Boundary, extent and segment add up to the loss of a class. The other kinds overlap."
    return Table(head=("class", "loss, px", *(kind.kind.replace("_", " ") for kind in shown)), rows=rows, note=note)


def _kind(row: dict[str, Any]) -> KindOfFailure:
    return KindOfFailure(
        kind=str(row["kind"]),
        text=str(row["text"]),
        pixels=int(row["pixels"] or 0),
        share=_number(row["share"]),
        images=int(row["images"] or 0),
        measured=bool(row.get("measured", True)),
        gain=_number(row["mean_gain"]),
        class_gain={int(one["id"]): _number(one["gain"]) for one in row["classes"]},
        class_px={int(one["id"]): int(one["missed_px"]) + int(one["false_px"]) for one in row["classes"]},
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _points(gain: float) -> str:
    return "" if math.isnan(gain) else f"{100 * gain:+.1f}"
