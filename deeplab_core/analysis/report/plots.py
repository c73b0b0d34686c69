"""Bars, heat map, reliability diagram, trimap and slice curves as inline SVG, with their axes.

Names are escaped, tips show the figures, and colours come from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.report.reading import OtherCurve
from deeplab_core.analysis.report.slices import SliceCurve
from deeplab_core.analysis.report.text import percent, pixels
from deeplab_core.metrics.bootstrap import Intervals
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.precision_recall import OperatingPoint, PrecisionRecall
from deeplab_core.metrics.scores import FEW_IMAGES
from deeplab_core.metrics.trimap import WIDEST
from deeplab_core.metrics.trimap_histogram import BandCurve

#: Up to so many classes the heat map's cells hold figures and its edge holds names on both sides.
_READABLE = 24
_SERIES = ("a", "b", "c", "d")
_TICKS = (1, 5, 10, 15, 20, 25, 30, 35, 40)
_LABEL_GAP = 15.0
#: Styles of the other models' lines, and the longest name that fits beside the plot.
_OTHERS, _LONGEST = ("c", "d", "e"), 18


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


def bars_svg(matrix: ConfusionMatrix, intervals: Intervals) -> str:
    """IoU of every class that occurs, lowest first, with its interval, and the mean as an upright line."""
    iou = matrix.iou()
    order = [channel for channel in np.argsort(iou, kind="stable").tolist() if not math.isnan(iou[channel])]
    row, left, right, top = 20, 150, 240, 6
    axes = Axes(left=left, right=right, top=top, bottom=36, height=top + row * len(order) + 36)
    ticks = [(tenth / 5, f"{20 * tenth}%") for tenth in range(6)]
    parts = axes.frame("IoU by class with intervals", x_label="IoU", x_ticks=ticks, y_ticks=())
    floor = axes.height - axes.bottom
    parts += [f'<line class="grid" x1="{axes.x(at):.1f}" x2="{axes.x(at):.1f}" y1="{top}" y2="{floor}"/>' for at, _ in ticks]
    for place, channel in enumerate(order):
        info, score = matrix.catalog.classes[channel], float(iou[channel])
        low, high = intervals.iou[channel].tolist()
        middle = top + row * place + row / 2
        interval = "" if math.isnan(low) else f", {percent(low)} to {percent(high)}"
        number = int(intervals.images_with[channel])
        tip = escape(f"{info.name}: {percent(score)}{interval}, {number} {'image' if number == 1 else 'images'}")
        color = "rgb({},{},{})".format(*info.color)
        few = ' style="opacity:0.35"' if number < FEW_IMAGES else ""
        parts.append(f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(info.name)}</text>')
        parts.append(
            f'<rect class="bar" x="{left}" y="{middle - 6}" width="{max(axes.x(score) - left, 0.5):.1f}" height="12" rx="2"{few}>'
            f"<title>{tip}</title></rect>"
            f'<rect class="chip" x="{left}" y="{middle - 6}" width="4" height="12" style="fill:{color}"/>'
        )
        if not math.isnan(low):
            a, b = axes.x(low), axes.x(high)
            parts.append(f'<path class="whisker" d="M{a:.1f} {middle}H{b:.1f}M{a:.1f} {middle - 4}v8M{b:.1f} {middle - 4}v8"/>')
        figures = percent(score) if math.isnan(low) else f"{percent(score)} ({100 * low:.1f} to {percent(high)})"
        figures += f", n {number:,}"
        parts.append(f'<text x="{axes.width - right + 12}" y="{middle + 4}">{figures}</text>')
    mean = matrix.mean_iou("union").value
    if not math.isnan(mean):
        parts.append(f'<path class="a whole" d="M{axes.x(mean):.1f} {top}V{floor}"><title>mIoU {percent(mean)}</title></path>')
    return "".join([*parts, "</svg>"])


def heat_svg(matrix: ConfusionMatrix) -> str:
    """The matrix, rows as shares of their truth class; classes that occur, then void where predicted."""
    counts = matrix.counts
    shown = np.flatnonzero((counts[:, :-1].sum(axis=0) + counts.sum(axis=1)) > 0).tolist()
    columns = [*shown, counts.shape[0]] if matrix.void_predictions else shown
    names = [*matrix.catalog.names, "void"]
    small = len(columns) > _READABLE
    size = max(5.0, min(34.0, (980 if len(columns) > 2 * _READABLE else 700) / max(len(columns), 1)))
    left, top = 130, 110
    width, height = left + size * len(columns) + 4, top + size * len(shown) + 4
    style = f' style="max-width:{width:.0f}px"'
    parts = [f'<svg class="heat" viewBox="0 0 {width:.0f} {height:.0f}"{style} role="img" aria-label="Confusion matrix">']
    font = min(12.0, max(size, 5.0))
    for place, row in enumerate(shown):
        y = top + size * (place + 0.5) + font / 3
        label = escape(names[row])
        parts.append(f'<text x="{left - 6}" y="{y:.1f}" text-anchor="end" style="font-size:{font:.0f}px">{label}</text>')
    for place, column in enumerate(columns):
        x = left + size * (place + 0.5) + font / 3
        turn = f'transform="translate({x:.1f} {top - 6}) rotate(-90)"'
        parts.append(f'<text {turn} style="font-size:{font:.0f}px">{escape(names[column])}</text>')
    for down, row in enumerate(shown):
        total = int(counts[row].sum())
        for across, column in enumerate(columns):
            count = int(counts[row, column])
            if not count:
                continue
            share = count / total
            kind, shade = ("hit" if row == column else "miss"), 0.06 + 0.86 * math.sqrt(share)
            side = f'width="{size - 0.5:.1f}" height="{size - 0.5:.1f}"'
            box = f'x="{left + size * across:.1f}" y="{top + size * down:.1f}" {side}'
            tip = escape(f"{names[row]} called {names[column]}: {percent(share)} of its truth, {pixels(count)} px")
            parts.append(f'<rect class="{kind}" {box} style="--v:{shade:.2f}"><title>{tip}</title></rect>')
            if not small and share >= 0.005:
                at = f'x="{left + size * (across + 0.5):.1f}" y="{top + size * (down + 0.5) + 4:.1f}"'
                parts.append(f'<text class="figure" {at} text-anchor="middle">{100 * share:.0f}</text>')
    box = f'x="{left}" y="{top}" width="{size * len(columns):.1f}" height="{size * len(shown):.1f}"'
    return "".join([*parts, f'<rect class="frame" {box}/></svg>'])


def reliability_svg(calibration: Calibration) -> str:
    """Accuracy over confidence, the diagonal of a calibrated model, and the share of the pixels in each bin."""
    bins = calibration.bins()
    axes = Axes(width=440, height=320, right=24)
    ticks = [tenth / 5 for tenth in range(6)]
    parts = axes.frame(
        "Reliability diagram", x_label="confidence", x_ticks=[(tick, f"{tick:.0%}") for tick in ticks], y_ticks=ticks
    )
    floor = axes.y(0)
    for low, high, number, confidence, accuracy in zip(
        bins.low.tolist(), bins.high.tolist(), bins.pixels.tolist(), bins.confidence.tolist(), bins.accuracy.tolist(), strict=True
    ):
        if not number:
            continue
        x, width = axes.x(low) + 1, axes.x(high) - axes.x(low) - 2
        share = number / calibration.total
        tip = escape(f"confidence {percent(confidence)}: {percent(accuracy)} are right, {percent(share)} of the pixels")
        top = axes.y(accuracy)
        gap, end = sorted((top, axes.y(confidence)))
        parts.append(
            f"<g><title>{tip}</title>{_column('bar', x, width, top, floor)}{_column('gap', x, width, gap, end)}"
            f"{_column('share', x, width, floor - 40 * share, floor)}</g>"
        )
    parts.append(f'<path class="whole" d="M{axes.x(0):.1f} {floor:.1f}L{axes.x(1):.1f} {axes.y(1):.1f}"/>')
    return "".join([*parts, "</svg>"])


def precision_recall_svg(found: PrecisionRecall, predicted: OperatingPoint) -> str:
    """Precision over recall; a dot where the masks stand, a ring at the threshold of the largest IoU."""
    axes = Axes(width=440, height=320, right=24)
    ticks = [tenth / 5 for tenth in range(6)]
    parts = axes.frame("Precision and recall", x_label="recall", x_ticks=[(tick, f"{tick:.0%}") for tick in ticks], y_ticks=ticks)
    levels, precision, recall, iou = found.curve()
    parts.append(f'<path class="a" d="{polyline([(axes.x(r), axes.y(p)) for r, p in zip(recall, precision, strict=True)])}"/>')
    for level, p, r, i in zip(levels.tolist(), precision.tolist(), recall.tolist(), iou.tolist(), strict=True):
        tip = escape(f"probability {level / 255:.3f} and more: precision {percent(p)}, recall {percent(r)}, IoU {percent(i)}")
        parts.append(f'<circle cx="{axes.x(r):.1f}" cy="{axes.y(p):.1f}" r="5" fill-opacity="0"><title>{tip}</title></circle>')
    marks = [("b", "as predicted", predicted), *([("c", "largest IoU", found.best)] if found.best is not None else [])]
    for style, name, point in marks:
        if not (math.isnan(point.precision) or math.isnan(point.recall)):
            at = "" if math.isnan(point.threshold) else f", threshold {point.threshold:g}"
            scores = f"precision {percent(point.precision)}, recall {percent(point.recall)}, IoU {percent(point.iou)}"
            tip = escape(f"{name}{at}: {scores}")
            place = f'cx="{axes.x(point.recall):.1f}" cy="{axes.y(point.precision):.1f}"'
            parts.append(f'<circle class="{style}" {place} r="5"><title>{tip}</title></circle>')
    return "".join([*parts, "</svg>"])


def slices_svg(curves: Sequence[SliceCurve]) -> str:
    """Curves of one title: scores over a property, evenly spaced where the points have names.

    Above each place stands how many objects or images its points rest on, one number for each curve where they differ.
    """
    points = [point for curve in curves for point in curve.points]
    ticks = score_ticks([value for point in points for value in (point.score, point.low, point.high)])
    positions = sorted({point.x for point in points})
    labels = {point.x: point.label for point in points if point.label}
    place = {x: float(index) for index, x in enumerate(positions)} if labels else {x: x for x in positions}
    ends = (place[positions[0]], place[positions[-1]]) if positions else (0.0, 1.0)
    axes = Axes(height=300, x_range=ends, y_range=(ticks[0], ticks[-1]), left=60, right=160, top=26)
    names = [(place[x], labels.get(x, f"{x:g}")) for x in positions]
    parts = axes.frame(curves[0].title, x_label=curves[0].x_label, x_ticks=names, y_ticks=ticks)
    parts += [
        f'<text class="tick" x="{axes.x(place[x]):.1f}" y="{axes.top - 4}" text-anchor="middle">{escape(text)}</text>'
        for x in positions
        if (text := _counts(curves, x))
    ]
    for index, curve in enumerate(curves):
        style = _SERIES[index % len(_SERIES)]
        parts += _slice_curve(curve, style, axes, place)
        at = f'x="{axes.width - axes.right + 16}" y="{axes.top + 16 + 18 * index}"'
        parts.append(f'<text class="{style}" {at}>{escape(curve.series)}</text>')
    return "".join([*parts, "</svg>"])


def _counts(curves: Sequence[SliceCurve], x: float) -> str:
    """``n 90``, or ``n 172 / 24`` in the order of the curves; a dash for a curve without a point there."""
    found = [next((point.count.partition(" ")[0] for point in curve.points if point.x == x), "") for curve in curves]
    shown = found[:1] if len(set(found)) == 1 else [count or "–" for count in found]
    return f"n {' / '.join(shown)}" if any(found) else ""


def _slice_curve(curve: SliceCurve, style: str, axes: Axes, place: dict[float, float]) -> list[str]:
    """The line of one series with its intervals and points; ``place`` is where each value of the property stands."""
    parts = [axes.whisker(style, place[point.x], point.low, point.high) for point in curve.points]
    parts.append(f'<path class="{style}" d="{polyline([(axes.x(place[p.x]), axes.y(p.score)) for p in curve.points])}"/>')
    for point in curve.points:
        if not math.isnan(point.score):
            rest = f", {point.count}" if point.count else ""
            tip = escape(f"{curve.series} {point.label or format(point.x, 'g')}: {percent(point.score)}{rest}")
            at = f'cx="{axes.x(place[point.x]):.1f}" cy="{axes.y(point.score):.1f}"'
            few = ' style="opacity:0.35"' if point.few else ""
            parts.append(f'<circle class="{style}" {at} r="4"{few}><title>{tip}</title></circle>')
    return parts


def _column(style: str, x: float, width: float, top: float, bottom: float) -> str:
    return f'<rect class="{style}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{max(bottom - top, 0.5):.1f}"/>'


def curve_svg(
    curve: BandCurve,
    *,
    whole_iou: float,
    whole_accuracy: float,
    widths: tuple[int, ...],
    intervals: NDArray[np.float64] | None = None,
    others: Sequence[OtherCurve] = (),
) -> str:
    """Mean IoU and pixel accuracy inside the band over its width, with the figures of all pixels as dashed lines.

    Args:
        curve: 40 points; gaps where the band is empty.
        whole_iou, whole_accuracy: of all labelled pixels, 0..1.
        widths: widths in px that get a dot with its figures.
        intervals: (K, 2) of the mean IoU at each of ``widths``; nan if undefined.
        others: mean IoU of other models, by the same rule.
    """
    series = [("a", "mIoU", curve.mean_iou, whole_iou), ("b", "pixel accuracy", curve.pixel_accuracy, whole_accuracy)]
    for number, other in enumerate(others):
        series.append((_OTHERS[number % len(_OTHERS)], f"mIoU, {_short(other.name)}", other.mean_iou, math.nan))
    bounds = np.full((len(widths), 2), np.nan) if intervals is None else intervals
    values = [*(score for line in series for score in line[2]), whole_iou, whole_accuracy, *bounds.ravel()]
    ticks = score_ticks(values)
    axes = Axes(x_range=(1, WIDEST), y_range=(ticks[0], ticks[-1]), right=200 if others else 128)
    right = axes.width - axes.right
    parts = axes.frame(
        "Scores inside the boundary band over its width",
        x_label="band width, px",
        x_ticks=[(width, str(width)) for width in _TICKS],
        y_ticks=ticks,
    )
    parts += [axes.whisker("a", width, low, high) for width, (low, high) in zip(widths, bounds.tolist(), strict=True)]
    for style, name, scores, whole in series:
        places = [(axes.x(width), axes.y(score)) for width, score in enumerate(scores.tolist(), start=1)]
        parts.append(f'<path class="{style}" d="{polyline(places)}"/>')
        if not math.isnan(whole):
            parts.append(f'<path class="{style} whole" d="M{axes.left} {axes.y(whole):.1f}H{right}"/>')
        for width in widths:
            score = float(scores[width - 1])
            if not math.isnan(score):
                tip = escape(f"{name} {score:.1%} within {width} px, {curve.share[width - 1]:.1%} of the pixels")
                centre = f'cx="{axes.x(width):.1f}" cy="{axes.y(score):.1f}"'
                parts.append(f'<circle class="{style}" {centre} r="4"><title>{tip}</title></circle>')
    lines = sorted((axes.y(float(scores[-1])), style, name) for style, name, scores, _ in series if not math.isnan(scores[-1]))
    heights = spread([at for at, _, _ in lines], _LABEL_GAP)
    parts.extend(
        f'<text class="{style}" x="{right + 10}" y="{at + 4:.1f}">{escape(name)}</text>'
        for at, (_, style, name) in zip(heights, lines, strict=True)
    )
    return "".join([*parts, "</svg>"])


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Rising places moved as little as they must be to lie ``gap`` apart: neighbours that collide share their middle."""
    groups: list[tuple[float, int]] = []  # middle, members
    for place in places:
        middle, members = place, 1
        while groups and middle - groups[-1][0] < gap * (members + groups[-1][1]) / 2:
            before, count = groups.pop()
            middle, members = (before * count + middle * members) / (count + members), count + members
        groups.append((middle, members))
    return [middle + gap * (place - (members - 1) / 2) for middle, members in groups for place in range(members)]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\u2026"
