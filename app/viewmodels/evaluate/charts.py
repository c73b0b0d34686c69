"""Plots as plain values: what is drawn, and the same numbers as a table. No Qt."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, set of points or set of bars.

    Attributes:
        name: for legend and table; empty for none.
        x, y: values; nan in ``y`` breaks a line.
        low, high: interval of each ``y``; empty if none.
        shape: ``"line"``, ``"points"`` (a line with marks), ``"bars"`` (lying, one row per ``x``) or ``"columns"`` (upright).
        token: colour of the theme.
        colors: one per value for bars; empty takes ``token``.
        dashed: drawn as a reference.
        pale: places with a value based on few objects or images; drawn muted.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    shape: Literal["line", "points", "bars", "columns"] = "line"
    token: str = "accent"
    colors: tuple[Color, ...] = ()
    dashed: bool = False
    pale: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Chart:
    """One plot.

    Attributes:
        title: also the name of its files.
        x_label, y_label: what the axes say.
        series: drawn in this order.
        x_range, y_range: fixed ends; None fits the values.
        x_ticks, y_ticks: (value, text) in place of numbers.
        note: one line below: figures that belong to it, and what they are over.
        legend: the corner that the lines leave free.
        shares: axes with values of 0..1 that are shown in per cent.
        leads: where a click leads to, one for each place on the axis of values (bars: of names); empty for nowhere.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_ticks: tuple[tuple[float, str], ...] = ()
    y_ticks: tuple[tuple[float, str], ...] = ()
    note: str = ""
    legend: Literal["top left", "bottom right"] = "top left"
    leads: tuple[Any, ...] = ()
    shares: Literal["", "x", "y", "xy"] = ""

    @property
    def empty(self) -> bool:
        """Whether there is no value to draw."""
        return not any(not math.isnan(value) for series in self.series for value in series.y)

    def lead_at(self, x: float, y: float) -> Any:
        """Where a click at these values leads to: the nearest place on the axis, None if none is near."""
        lying = any(series.shape == "bars" for series in self.series)
        at = y if lying else x
        places = max((series.x for series in self.series), key=len, default=())
        if not self.leads or not places:
            return None
        nearest = min(range(len(places)), key=lambda place: abs(places[place] - at))
        return self.leads[nearest] if abs(places[nearest] - at) <= 0.5 and nearest < len(self.leads) else None

    def table(self) -> list[list[str]]:
        """The same data as rows, with a header."""
        lying = any(series.shape == "bars" for series in self.series)
        labels = (self.y_label or "class", self.x_label) if lying else (self.x_label, self.y_label)
        rows = [["series", *labels, "low", "high"]]
        names = dict(self.y_ticks if lying else self.x_ticks)
        for series in self.series:
            lows = series.low or (math.nan,) * len(series.x)
            highs = series.high or (math.nan,) * len(series.x)
            for x, y, low, high in zip(series.x, series.y, lows, highs, strict=True):
                rows.append([series.name, names.get(x, _plain(x)), _plain(y), _plain(low), _plain(high)])
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class HeatChart:
    """A matrix as colours.

    Attributes:
        title: also the name of its files.
        names, column_names: of rows (truth) and columns (prediction).
        counts: (R, K) int64.
        shares: (R, K) float64, what is drawn: 0..1.
        note: one line below.
        ids, column_ids: of the classes of rows and columns; empty where cells lead nowhere.
    """

    title: str
    names: tuple[str, ...]
    column_names: tuple[str, ...]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    note: str = ""
    ids: tuple[int, ...] = ()
    column_ids: tuple[int, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.counts.any()

    def lead_at(self, x: float, y: float) -> Any:
        """The errors behind the cell at these values: ``(truth, prediction)``, of the diagonal ``(truth, None)``; else None."""
        row, column = round(y), round(x)
        if not (0 <= row < len(self.ids) and 0 <= column < len(self.column_ids)) or not self.counts[row, column]:
            return None
        truth, prediction = self.ids[row], self.column_ids[column]
        return truth, None if truth == prediction else prediction

    def table(self) -> list[list[str]]:
        """Pixel counts with names at both sides."""
        rows = [["truth \\ prediction", *self.column_names]]
        rows += [[name, *map(str, line)] for name, line in zip(self.names, self.counts.tolist(), strict=True)]
        return rows


AnyChart = Chart | HeatChart


def csv_text(table: Sequence[Sequence[str]]) -> str:
    """A table as CSV (RFC 4180 with line feeds); text that a spreadsheet would take for a formula is quoted by an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([[_harmless(cell) for cell in row] for row in table])
    return buffer.getvalue()


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"


def _harmless(cell: str) -> str:
    try:
        float(cell)
    except ValueError:
        return "'" + cell if cell.startswith(("=", "+", "-", "@")) else cell
    return cell


def floats(values: NDArray[Any] | Sequence[float]) -> tuple[float, ...]:
    """Numbers as a series holds them."""
    return tuple(float(value) for value in values)
