"""Bars, heat map, reliability diagram and slice curves as inline SVG. Names are escaped; tips say the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from deeplab_core.analysis.report.axes import Axes, polyline, score_ticks
from deeplab_core.analysis.report.slices import SliceCurve
from deeplab_core.analysis.report.text import percent, pixels
from deeplab_core.metrics.bootstrap import Intervals
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.precision_recall import OperatingPoint, PrecisionRecall
from deeplab_core.metrics.scores import FEW_IMAGES

#: Up to so many classes the heat map's cells hold figures and its edge holds names on both sides.
_READABLE = 24
_SERIES = ("a", "b", "c", "d")


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
    """Curves of one title: scores over a property, evenly spaced where the points have names."""
    points = [point for curve in curves for point in curve.points]
    ticks = score_ticks([value for point in points for value in (point.score, point.low, point.high)])
    positions = sorted({point.x for point in points})
    labels = {point.x: point.label for point in points if point.label}
    counts = {point.x: point.count for point in points if point.count}
    place = {x: float(index) for index, x in enumerate(positions)} if labels else {x: x for x in positions}
    ends = (place[positions[0]], place[positions[-1]]) if positions else (0.0, 1.0)
    axes = Axes(height=300, x_range=ends, y_range=(ticks[0], ticks[-1]), left=60, right=160, top=26)
    names = [(place[x], labels.get(x, f"{x:g}")) for x in positions]
    tops = {x: f"n {count.partition(' ')[0]}" for x, count in counts.items()}
    parts = axes.frame(curves[0].title, x_label=curves[0].x_label, x_ticks=names, y_ticks=ticks)
    parts += [
        f'<text class="tick" x="{axes.x(place[x]):.1f}" y="{axes.top - 4}" text-anchor="middle">{escape(text)}</text>'
        for x, text in tops.items()
    ]
    for index, curve in enumerate(curves):
        style = _SERIES[index % len(_SERIES)]
        parts += _slice_curve(curve, style, axes, place)
        at = f'x="{axes.width - axes.right + 16}" y="{axes.top + 16 + 18 * index}"'
        parts.append(f'<text class="{style}" {at}>{escape(curve.series)}</text>')
    return "".join([*parts, "</svg>"])


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
