"""The trimap curve as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.report.axes import Axes, polyline, score_ticks
from deeplab_core.analysis.report.reading import OtherCurve
from deeplab_core.metrics.trimap import WIDEST
from deeplab_core.metrics.trimap_histogram import BandCurve

_TICKS = (1, 5, 10, 15, 20, 25, 30, 35, 40)
_LABEL_GAP = 15.0
#: Styles of the other models' lines, and the longest name that fits beside the plot.
_OTHERS, _LONGEST = ("c", "d", "e"), 18


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
