"""A plot's frame as inline SVG: score axis, grid, places of points. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A rectangle with two linear axes.

    Attributes:
        width, height: of the picture, px.
        left, right, top, bottom: margins, px.
        x_range, y_range: values at the two ends.
    """

    width: int = 880
    height: int = 320
    left: int = 48
    right: int = 128
    top: int = 12
    bottom: int = 40
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)

    def x(self, value: float) -> float:
        """Horizontal place of a value, px."""
        low, high = self.x_range
        return self.left + (value - low) / ((high - low) or 1) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Vertical place of a value, px."""
        low, high = self.y_range
        return self.top + (high - value) / ((high - low) or 1) * (self.height - self.top - self.bottom)

    def frame(self, label: str, *, x_label: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[float]) -> list[str]:
        """The opening tag, grid and labels; the caller appends marks and ``</svg>``."""
        right, under = self.width - self.right, self.height - self.bottom + 18
        parts = [f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(label)}">']
        for value in y_ticks:
            parts.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{self.y(value):.1f}" y2="{self.y(value):.1f}"/>')
            parts.append(f'<text x="{self.left - 8}" y="{self.y(value) + 4:.1f}" text-anchor="end">{value:.0%}</text>')
        parts += [f'<text x="{self.x(at):.1f}" y="{under}" text-anchor="middle">{escape(text)}</text>' for at, text in x_ticks]
        middle = (self.left + right) / 2
        parts.append(f'<text x="{middle}" y="{self.height - 4}" text-anchor="middle">{escape(x_label)}</text>')
        return parts

    def whisker(self, style: str, x: float, low: float, high: float) -> str:
        """An upright interval; nothing without one."""
        if math.isnan(low) or math.isnan(high):
            return ""
        at, top, bottom = self.x(x), self.y(high), self.y(low)
        data = f"M{at:.1f} {top:.1f}V{bottom:.1f}M{at - 4:.1f} {top:.1f}h8M{at - 4:.1f} {bottom:.1f}h8"
        return f'<path class="{style} whisker" d="{data}"/>'


def score_ticks(values: Sequence[float]) -> list[float]:
    """Whole steps of a score axis that hold all values; 0..1 without values."""
    known = [value for value in values if not math.isnan(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if step == 0.2 or high - low <= 6 * step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Path data through points; a nan leaves a gap."""
    pieces, pen = [], "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        pieces.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(pieces)
