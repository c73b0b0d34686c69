"""From a distance to the index of the band that a pixel belongs to.

A band of width w holds the pixels at a distance <= w. ``band_map`` gives the smallest such w for every pixel, so that all
widths come from one map: the band of width w is ``(1 <= index) & (index <= w)``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import IGNORE
from deeplab_core.kernels.compiled import use_compiled
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.distance import fill_void, near_distances
from deeplab_core.records import TrimapBand

BandRule = Literal["void", "edge"]
BandAround = Literal["truth", "prediction"]

#: Widest band in px (the DeepLab papers' figures run from 1 to 40).
WIDEST = 40
#: Index of labelled pixels farther away than the widest band.
OUTSIDE = WIDEST + 1
#: Index of pixels that no band and no outside holds: void of the truth.
EXCLUDED = 0

#: The rule in words, for display beside a figure.
BAND_RULE_TEXT: dict[BandRule, str] = {
    "void": "distance to void: square element around the truth's void pixels, void excluded",
    "edge": "distance to class edge: Euclidean, 1 px = touches another class; void filled by the nearest class, then excluded",
}


def band_map(
    *,
    truth: LabelMap | None,
    prediction: LabelMap | None = None,
    ignore: int = IGNORE,
    rule: BandRule,
    around: BandAround = "truth",
) -> NDArray[np.uint8]:
    """Smallest band width, in px, that holds each pixel.

    Args:
        truth: (H, W) ids; None only for the edge rule around a prediction without truth, so that nothing is excluded.
        prediction: (H, W) ids, needed with ``around="prediction"``. Its void is filled for the edges but not excluded: on
            labelled truth an unlabelled pixel is an error like any other.
        ignore: id of void in both maps.
        rule: see :class:`deeplab_core.records.TrimapBand`.
        around: the source of the edges.

    Returns:
        (H, W) uint8: 1..40, :data:`OUTSIDE` farther away, :data:`EXCLUDED` on void of the truth. Without any void (void rule) or
        edge (edge rule) every labelled pixel is outside: its band is empty and a score in it is not available, not 0.

    Raises:
        ValueError: a map is missing for the rule, or shapes differ.
    """
    TrimapBand(rule=rule, around=around)  # refuses the void rule around a prediction
    source = truth if around == "truth" else prediction
    if source is None:
        raise ValueError(f"a band around the {around} needs the {around}")
    if truth is not None and truth.shape != source.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {source.shape}")
    index = _compiled_map(source, ignore, rule)
    if index is None:
        index = np.full(source.shape, OUTSIDE, np.uint8)
        for place, distance in near_distances(source, ignore, OUTSIDE, to_void=rule == "void"):
            # Distances are square roots of integers: beyond a whole w <= 40 the next one is at least 0.0124 larger, so the slack
            # only absorbs rounding of the square root.
            index[place] = np.ceil(np.minimum(distance, OUTSIDE) - np.float32(0.005)).astype(np.uint8)
    if truth is not None:
        index[truth == ignore] = EXCLUDED
    return index


def _compiled_map(source: LabelMap, ignore: int, rule: BandRule) -> NDArray[np.uint8] | None:
    """The index by compiled loops, without exclusions; None where they may not be used."""
    if source.dtype not in (np.uint8, np.uint16) or not source.size or not use_compiled(source.size):
        return None
    from deeplab_core.kernels.distance import edge_steps, void_steps

    if rule == "void":
        return void_steps(np.ascontiguousarray(source), ignore, WIDEST)
    return edge_steps(fill_void(source, ignore), WIDEST)


def band_mask(index: NDArray[np.uint8], width_px: int) -> NDArray[np.bool_]:
    """(H, W) bool: the band of one width, 1..40 px, from :func:`band_map`."""
    check_width(width_px)
    inside: NDArray[np.bool_] = (index != EXCLUDED) & (index <= width_px)
    return inside


def check_width(width_px: int) -> int:
    """The width itself. Raises ValueError outside 1..40."""
    if not 1 <= width_px <= WIDEST:
        raise ValueError(f"band width {width_px} is outside 1..{WIDEST} px")
    return width_px
