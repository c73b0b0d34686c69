"""Figures as a report shows them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

NOT_MEASURED = "not measured"


def percent(score: float) -> str:
    """``71.3 %`` with a narrow space that does not break; ``not measured`` for nan."""
    return NOT_MEASURED if math.isnan(score) else f"{100 * score:.1f}\u202f%"


def pixels(count: int) -> str:
    """``1 234 567`` with narrow spaces."""
    return f"{count:,}".replace(",", "\u202f")


def interval(bounds: NDArray[np.float64]) -> str:
    """``68.0 to 74.1 %``; empty without an interval."""
    low, high = bounds.tolist()
    return "" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}\u202f%"
