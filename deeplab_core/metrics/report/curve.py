"""The trimap curve as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

import numpy as np
from numpy.typing import NDArray

from deeplab_core.boundary.band import WIDEST
from deeplab_core.boundary.histogram import BandCurve

_WIDTH, _HEIGHT = 880, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 128, 12, 40
_TICKS = (1, 5, 10, 15, 20, 25, 30, 35, 40)
_LABEL_GAP = 15.0


def curve_svg(curve: BandCurve, *, whole_iou: float, whole_accuracy: float, widths: tuple[int, ...]) -> str:
    """Mean IoU and pixel accuracy inside the band over its width, with the figures of all pixels as dashed lines.

    Args:
        curve: 40 points; gaps where the band is empty.
        whole_iou, whole_accuracy: of all labelled pixels, 0..1.
        widths: widths in px that get a dot with its figures.
    """
    series = (
        ("a", "mIoU", curve.mean_iou, whole_iou),
        ("b", "pixel accuracy", curve.pixel_accuracy, whole_accuracy),
    )
    low, high, step = _range(np.concatenate([curve.mean_iou, curve.pixel_accuracy, [whole_iou, whole_accuracy]]))

    def x(width: float) -> float:
        return _LEFT + (width - 1) / (WIDEST - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _TOP + (high - score) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    right = _WIDTH - _RIGHT
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Scores inside the boundary band over its width">']
    for index in range(round((high - low) / step) + 1):
        score = low + index * step
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y(score):.1f}" y2="{y(score):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(score) + 4:.1f}" text-anchor="end">{score:.0%}</text>')
    ticks = _HEIGHT - _BOTTOM + 18
    parts.extend(f'<text x="{x(width):.1f}" y="{ticks}" text-anchor="middle">{width}</text>' for width in _TICKS)
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">band width, px</text>')
    for style, name, scores, whole in series:
        parts.append(f'<path class="{style}" d="{_path(scores, x, y)}"/>')
        if not math.isnan(whole):
            parts.append(f'<path class="{style} whole" d="M{_LEFT} {y(whole):.1f}H{right}"/>')
        for width in widths:
            score = scores[width - 1]
            if not math.isnan(score):
                tip = escape(f"{name} {score:.1%} within {width} px, {curve.share[width - 1]:.1%} of the pixels")
                place = f'cx="{x(width):.1f}" cy="{y(score):.1f}"'
                parts.append(f'<circle class="{style}" {place} r="4"><title>{tip}</title></circle>')
    ends = [(y(float(scores[-1])), style, name) for style, name, scores, _ in series if not math.isnan(scores[-1])]
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < _LABEL_GAP:
        middle = (ends[0][0] + ends[1][0]) / 2
        first, second = sorted(ends)
        ends = [(middle - _LABEL_GAP / 2, *first[1:]), (middle + _LABEL_GAP / 2, *second[1:])]
    parts.extend(f'<text class="{style}" x="{right + 10}" y="{at + 4:.1f}">{escape(name)}</text>' for at, style, name in ends)
    return "".join([*parts, "</svg>"])


def _path(scores: NDArray[np.float64], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    pieces, pen = [], "M"
    for width, score in enumerate(scores.tolist(), start=1):
        if math.isnan(score):
            pen = "M"
            continue
        pieces.append(f"{pen}{x(width):.1f} {y(score):.1f}")
        pen = "L"
    return "".join(pieces)


def _range(scores: NDArray[np.float64]) -> tuple[float, float, float]:
    """Bounds of the score axis on whole steps, and the step."""
    known = scores[~np.isnan(scores)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if step == 0.2 or high - low <= 6 * step)
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return bottom, max(top, bottom + step), step
