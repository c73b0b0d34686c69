"""How slices read: titles of their axes, labels of their bars."""

from __future__ import annotations

import math

from app.text import mark, tr
from deeplab_core.analysis.slices import ObjectAxis, PixelAxis, Slice

AXIS_TITLES = {
    "size": mark("Size of the object"),
    "border_share": mark("Hidden by neighbours"),
    "visible_fraction": mark("Visible share"),
    "brightness": mark("Brightness"),
    "contrast": mark("Contrast"),
    "distance": mark("Distance to an edge"),
}


def bar_label(within: Slice) -> str:
    """The short label below a bar: ``"32²+"``, ``"25 %+"``, ``"1"``."""
    low, high = within.edges
    text = _value(within.axis, low)
    return text if within.axis is not ObjectAxis.SIZE and high == low + 1 else f"{text}+"


def slice_text(within: Slice) -> str:
    """The slice in words: ``"visible share 25 % to 50 %"``."""
    low, high = within.edges
    title = tr(AXIS_TITLES[within.axis.value]).lower()
    if math.isinf(high):
        return tr("{title} from {value}", title=title, value=_value(within.axis, low))
    if within.axis is PixelAxis.DISTANCE:  # whole pixels, and the upper edge belongs to the next slice
        last = int(high) - 1
        return (
            tr("{title} {low:g} px", title=title, low=low)
            if last == low
            else tr("{title} {low:g} to {last} px", title=title, low=low, last=last)
        )
    return tr("{title} {value} to {end}", title=title, value=_value(within.axis, low), end=_value(within.axis, high))


def _value(axis: ObjectAxis | PixelAxis, value: float) -> str:
    if axis is ObjectAxis.SIZE:
        return f"{round(math.sqrt(value))}²"
    if axis in (ObjectAxis.BORDER_SHARE, ObjectAxis.VISIBLE_FRACTION):
        return f"{value:.0%}".replace("%", " %")
    return f"{value:g}"
