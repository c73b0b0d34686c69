"""A confusion matrix as it is looked at: which classes in which order, what each cell says and how strongly it is coloured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.text import mark
from app.viewmodels.evaluate.error_list import class_text
from deeplab_core.analysis.views import (
    background_channel,
    by_column,
    by_row,
    neighbourly_order,
    pair_scores,
    worst_cells,
)
from deeplab_core.catalogs.catalog import ClassCatalog


class MatrixScale(StrEnum):
    """What a cell shows; the value is its title."""

    COUNTS = mark("Pixels")
    ROWS = mark("Share of ground truth")
    COLUMNS = mark("Share of prediction")
    PAIRS = mark("Pair score")


class MatrixOrder(StrEnum):
    """The order of the classes; the value is its title."""

    CATALOG = mark("Class order")
    COST = mark("Most wrong pixels first")
    NEIGHBOURS = mark("Confused classes side by side")


#: What the scales mean, for display beside the matrix.
SCALE_TEXT: dict[MatrixScale, str] = {
    MatrixScale.COUNTS: mark("Rows are ground truth, columns predictions. Cell colours follow the logarithm of the pixels."),
    MatrixScale.ROWS: mark("Where the pixels of each ground truth class went: rows add up to 100 %, the diagonal is recall."),
    MatrixScale.COLUMNS: mark("What the pixels predicted as each class are: columns add up to 100 %, the diagonal is precision."),
    MatrixScale.PAIRS: mark("How often two classes are confused, in both directions, as a share of their ground truth pixels."),
}


@dataclass(frozen=True, slots=True, eq=False)
class MatrixTable:
    """What a view paints; channels are those of the catalog, and C stands for void.

    Attributes:
        catalog: the classes.
        scale: what a cell says.
        rows: (R,) int64 channels of the truth, top to bottom.
        columns: (K,) int64 channels of the prediction, left to right; void comes last, and only where it occurs.
        counts: (R, K) int64 pixels of each cell; for pair scores of both directions.
        values: (R, K) float64: pixels, or a share 0..1; nan if undefined.
        strength: (R, K) float64, 0..1: how strongly a cell is coloured.
        known: how many classes there are to show; more than R where only those with most errors are shown.
    """

    catalog: ClassCatalog
    scale: MatrixScale
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    counts: NDArray[np.int64]
    values: NDArray[np.float64]
    strength: NDArray[np.float64]
    known: int = 0

    def class_id(self, channel: int) -> int:
        """Class id of a channel; the void id for C."""
        return self.catalog.ignore if channel == len(self.catalog) else int(self.catalog.ids[channel])

    def name(self, channel: int) -> str:
        """Name of a channel."""
        return class_text(self.catalog, self.class_id(channel))

    def cell(self, row: int, column: int) -> tuple[int, int]:
        """Class ids of truth and prediction of a cell, by its place."""
        return self.class_id(int(self.rows[row])), self.class_id(int(self.columns[column]))

    def on_diagonal(self, row: int, column: int) -> bool:
        """Whether a cell holds right pixels."""
        return bool(self.rows[row] == self.columns[column])

    def text(self, row: int, column: int) -> str:
        """What a cell says, in at most five characters; empty where it says nothing."""
        value = float(self.values[row, column])
        if math.isnan(value) or not self.counts[row, column]:
            return ""
        return short_count(round(value)) if self.scale is MatrixScale.COUNTS else short_percent(value)


def matrix_table(
    counts: NDArray[np.int64],
    catalog: ClassCatalog,
    *,
    scale: MatrixScale = MatrixScale.ROWS,
    order: MatrixOrder = MatrixOrder.CATALOG,
    background: bool = True,
    empty: bool = False,
    most: int | None = None,
) -> MatrixTable:
    """Lay a confusion matrix out.

    Args:
        counts: (C, C + 1), rows = truth, columns = prediction, the last one void.
        catalog: the classes.
        scale, order: what cells say, and where classes stand.
        background: False leaves the catalog's background out of rows and columns. Shares are of all pixels either way.
        empty: True keeps classes that occur in neither truth nor prediction.
        most: where more classes occur, only so many with most wrong pixels stay, in the same order; None keeps all.
    """
    classes = len(catalog)
    values = _values(counts, scale)
    occurs = counts.sum(axis=1) + counts[:, :classes].sum(axis=0) > 0
    hidden = None if background else background_channel(catalog)
    places = [c for c in _order(counts, order).tolist() if (empty or occurs[c]) and c != hidden]
    known = len(places)
    if most is not None and known > most and not empty:
        kept = set(places)
        costly = set([c for c in _order(counts, MatrixOrder.COST).tolist() if c in kept][:most])
        places = [c for c in places if c in costly]
    rows = np.array(places, dtype=np.int64)
    void = bool(counts[:, classes].any()) and scale is not MatrixScale.PAIRS
    columns = np.array([*places, classes] if void else places, dtype=np.int64)
    pixels = counts
    if scale is MatrixScale.PAIRS:
        square = counts[:, :classes]
        pixels = np.column_stack((square + square.T - np.diag(np.diag(square)), counts[:, -1]))
    index = np.ix_(rows, columns)
    shown = values[index]
    return MatrixTable(catalog, scale, rows, columns, pixels[index], shown, _strength(shown, rows, columns, scale), known)


def costly_cells(
    counts: NDArray[np.int64], catalog: ClassCatalog, *, background: bool, limit: int = 60
) -> list[tuple[int, int, int]]:
    """(truth id, prediction id, pixels) of the cells with most wrong pixels; ``background`` False leaves its cells out."""
    channel = background_channel(catalog)
    rest = counts.copy()
    if not background and channel is not None:
        rest[channel, :] = 0
        rest[:, channel] = 0
    ids = [*catalog.ids.tolist(), catalog.ignore]
    return [(ids[row], ids[column], int(counts[row, column])) for row, column in worst_cells(rest, limit=limit)]


def short_count(number: int) -> str:
    """A number of pixels in at most five characters: ``"812"``, ``"12.3k"``, ``"4.6M"``."""
    for limit, unit in ((1_000, ""), (1_000_000, "k"), (1_000_000_000, "M")):
        if number < limit * 0.9995 or (not unit and number < limit):
            part = number / (limit / 1000)
            return f"{number}" if not unit else f"{part:.0f}{unit}" if part >= 99.95 else f"{part:.1f}{unit}"
    return f"{number / 1e9:.1f}G"


def short_percent(share: float) -> str:
    """A share in at most four characters, without the sign: ``"8.1"``, ``"92"``, ``"<0.1"``."""
    percent = share * 100
    if percent < 0.05:
        return "<0.1" if percent > 0 else "0"
    return f"{percent:.1f}" if percent < 9.95 else f"{percent:.0f}"


def _values(counts: NDArray[np.int64], scale: MatrixScale) -> NDArray[np.float64]:
    if scale is MatrixScale.ROWS:
        return by_row(counts)
    if scale is MatrixScale.COLUMNS:
        return by_column(counts)
    if scale is MatrixScale.PAIRS:
        return np.column_stack((pair_scores(counts), np.full(len(counts), np.nan)))
    return counts.astype(np.float64)


def _order(counts: NDArray[np.int64], order: MatrixOrder) -> NDArray[np.int64]:
    if order is MatrixOrder.NEIGHBOURS:
        return neighbourly_order(counts)
    if order is MatrixOrder.COST:
        classes = len(counts)
        wrong = counts.sum(axis=1) + counts[:, :classes].sum(axis=0) - 2 * np.diag(counts)
        return np.argsort(-wrong, kind="stable")
    return np.arange(len(counts), dtype=np.int64)


#: Steps of the scale of colours.
STEPS = 5


def scale_texts(table: MatrixTable, *, right: bool) -> tuple[str, ...]:
    """What the :data:`STEPS` strengths of colour, weakest first, stand for in the right or the wrong cells; empty without any.

    The inverse of how strongly a cell is coloured, see :func:`matrix_table`.
    """
    part = (table.rows[:, None] == table.columns[None, :]) == right
    most = float(np.nan_to_num(table.values)[part].max(initial=0.0))
    if most <= 0:
        return ()
    steps = [(place + 1) / STEPS for place in range(STEPS)]
    if table.scale is MatrixScale.COUNTS:
        return tuple(short_count(round(math.expm1(math.log1p(most) * step))) for step in steps)
    top = 1.0 if table.scale in (MatrixScale.ROWS, MatrixScale.COLUMNS) else most
    return tuple(f"{short_percent(top * step * step)} %" for step in steps)


def _strength(
    values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64], scale: MatrixScale
) -> NDArray[np.float64]:
    """Errors are seen beside a diagonal that is far larger: counts by their logarithm, shares by their root, each up to 1."""
    known = np.nan_to_num(values)
    if scale is MatrixScale.COUNTS:
        known = np.log1p(known)
    off = rows[:, None] != columns[None, :]
    strength = np.zeros_like(known)
    for part in (off, ~off):
        top = known[part].max(initial=0.0) if scale is not MatrixScale.ROWS and scale is not MatrixScale.COLUMNS else 1.0
        if top > 0:
            strength[part] = known[part] / top
    return strength if scale is MatrixScale.COUNTS else np.sqrt(strength)
