"""Pairs of classes as units in the report: what each costs, what kind of mistake it is, and what fixing it would win."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from deeplab_core.analysis.kinds import PARTS
from deeplab_core.analysis.pairs import SIZE_EDGES, Bounds, CellLoss, PairClassLoss, PairLoss, pair_loss_from_dict
from deeplab_core.analysis.report.slices import INSPECTION, MAX_INSPECTION_BYTES
from deeplab_core.analysis.report.tables import Cell, Row, Table
from deeplab_core.analysis.report.text import percent, pixels
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.reading import expecting, read_json

PAIR_RULE = (
    "The loss of a class is its misses and its false alarms. A pixel of a pair is in the loss of both classes. Fixed: IoU if the "
    "pixels of the pair had their true class and nothing else changed. Intervals are over images."
)


def read_pairs(path: Path | str) -> tuple[PairLoss, ...]:
    """The pairs in a file of ``atrous inspect --json``; none in a file of another format or of an older version.

    Raises:
        MaskFormatError: the file claims to be an inspection and is none.
    """
    path = Path(path)
    remedy = "Write it again with 'atrous inspect --json'"
    data = read_json(path, limit=MAX_INSPECTION_BYTES, what="the inspection", remedy=remedy, error=MaskFormatError)
    with expecting("this is not an inspection", path=path, remedy=remedy, error=MaskFormatError):
        if data["format"] != INSPECTION:
            return ()
        return tuple(pair_loss_from_dict(row) for row in data.get("pair_losses", ()))


def pair_tables(losses: Sequence[PairLoss], catalog: ClassCatalog) -> list[Table]:
    """Two tables: what each pair costs each of its classes, and how its cells split up."""
    names = {info.id: info.name for info in catalog.classes} | {catalog.ignore: "void"}
    known = [loss for loss in losses if all(cell.truth in names and cell.prediction in names for cell in loss.cells)]
    if not known:
        return []
    costs = [row for loss in known for row in _cost_rows(loss, names)]
    splits = [row for loss in known for cell in loss.cells if cell.pixels for row in _split_rows(cell, names)]
    return [
        Table(
            head=(
                "pair", "class", "share of its loss", "missed px", "of its misses", "false px", "of its false alarms", "IoU",
                "fixed", "gain", "mIoU gained", "images", "largest image",
            ),
            rows=costs, names=(0, 1, 12),
        ),
        Table(
            head=(
                "cell", "judged as", "px", *(f"{part.value}" for part in PARTS), "occluded", "not occluded", "no object",
                *size_titles(),
            ),
            rows=splits, names=(0, 1),
        ),
    ]  # fmt: skip


def size_titles() -> list[str]:
    """Titles of the sizes that a cell is split by, without that of no object."""
    last = [f"{SIZE_EDGES[-1]:g} px or more"]
    return [f"{low:g} to {high:g} px" for low, high in pairwise(SIZE_EDGES)] + last


def _cost_rows(loss: PairLoss, names: dict[int, str]) -> Iterator[Row]:
    first = loss.cells[0]
    sign = " / " if len(loss.cells) > 1 else " called "
    title = f"{names[first.truth]}{sign}{names[first.prediction]}"
    gain = f"{points(loss.mean_gain)}{bounds_text(loss.mean_interval)}"
    shared = [Cell(gain), Cell(str(loss.images)), Cell(_largest(loss), "name")]
    for place, one in enumerate(loss.classes):
        last = [Cell("")] * len(shared) if place else shared
        yield Row([Cell("" if place else title, head=True), Cell(names[one.class_id], "name"), *_class_cells(one), *last])


def _class_cells(one: PairClassLoss) -> list[Cell]:
    texts = (
        f"{percent(one.share)}{bounds_text(one.share_interval, signed=False)}",
        pixels(one.missed_px),
        _of(one.missed_px, one.misses),
        pixels(one.false_px),
        _of(one.false_px, one.false_alarms),
        percent(one.iou),
        percent(one.repaired),
        f"{points(one.gain)}{bounds_text(one.gain_interval)}",
    )
    return [Cell(text) for text in texts]


def _split_rows(cell: CellLoss, names: dict[int, str]) -> Iterator[Row]:
    title = f"{names[cell.truth]} called {names[cell.prediction]}"
    rest = [*cell.occlusion, *cell.sizes[:-1]]
    texts = [pixels(cell.pixels), *map(pixels, cell.missed), *map(pixels, rest)]
    yield Row([Cell(title, head=True), Cell(f"missed {names[cell.truth]}", "name"), *map(Cell, texts)])
    if sum(cell.false):
        blank = [Cell("")] * len(rest)
        judged = Cell(f"false {names[cell.prediction]}", "name")
        yield Row([Cell("", head=True), judged, Cell(""), *(Cell(pixels(part)) for part in cell.false), *blank])


def _of(part: int, whole: int) -> str:
    return percent(part / whole) if whole else ""


def _largest(loss: PairLoss) -> str:
    return f"{loss.largest_image}: {percent(loss.largest_share)}" if loss.largest_image else ""


def points(gain: float) -> str:
    """A difference of scores in points: ``+1.2``; empty for nan."""
    return "" if math.isnan(gain) else f"{100 * gain:+.1f}"


def bounds_text(bounds: Bounds, *, signed: bool = True) -> str:
    """`` [+0.8, +2.1]`` in points; empty without an interval."""
    if any(math.isnan(bound) for bound in bounds):
        return ""
    low, high = (f"{100 * bound:{'+' if signed else ''}.1f}" for bound in bounds)
    return f" [{low}, {high}]"
