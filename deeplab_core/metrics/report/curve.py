"""The trimap curve as inline SVG."""

from __future__ import annotations

import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from deeplab_core.boundary.band import WIDEST
from deeplab_core.boundary.histogram import BandCurve
from deeplab_core.metrics.report.axes import Axes, polyline, score_ticks

_TICKS = (1, 5, 10, 15, 20, 25, 30, 35, 40)
_LABEL_GAP = 15.0


def curve_svg(
    curve: BandCurve,
    *,
    whole_iou: float,
    whole_accuracy: float,
    widths: tuple[int, ...],
    intervals: NDArray[np.float64] | None = None,
) -> str:
    """Mean IoU and pixel accuracy inside the band over its width, with the figures of all pixels as dashed lines.

    Args:
        curve: 40 points; gaps where the band is empty.
        whole_iou, whole_accuracy: of all labelled pixels, 0..1.
        widths: widths in px that get a dot with its figures.
        intervals: (K, 2) of the mean IoU at each of ``widths``; nan where there is none.
    """
    series = (
        ("a", "mIoU", curve.mean_iou, whole_iou),
        ("b", "pixel accuracy", curve.pixel_accuracy, whole_accuracy),
    )
    bounds = np.full((len(widths), 2), np.nan) if intervals is None else intervals
    values = [*curve.mean_iou, *curve.pixel_accuracy, whole_iou, whole_accuracy, *bounds.ravel()]
    ticks = score_ticks(values)
    axes = Axes(x_range=(1, WIDEST), y_range=(ticks[0], ticks[-1]))
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
                place = f'cx="{axes.x(width):.1f}" cy="{axes.y(score):.1f}"'
                parts.append(f'<circle class="{style}" {place} r="4"><title>{tip}</title></circle>')
    ends = [(axes.y(float(scores[-1])), style, name) for style, name, scores, _ in series if not math.isnan(scores[-1])]
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < _LABEL_GAP:
        middle = (ends[0][0] + ends[1][0]) / 2
        first, second = sorted(ends)
        ends = [(middle - _LABEL_GAP / 2, *first[1:]), (middle + _LABEL_GAP / 2, *second[1:])]
    parts.extend(f'<text class="{style}" x="{right + 10}" y="{at + 4:.1f}">{escape(name)}</text>' for at, style, name in ends)
    return "".join([*parts, "</svg>"])
