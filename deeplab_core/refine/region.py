"""Refining a part of an image: what a stroke touched, in the time of a blink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.labels import LabelMap
from deeplab_core.records import CRFParams
from deeplab_core.refine.dense_crf import DenseCRF
from deeplab_core.refine.marginals import Marginals

#: Probability that a stroked class has at least at the stroke; it falls with distance (:func:`with_strokes`).
STROKE_BELIEF = 0.7


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def around(cls, mask: NDArray[np.bool_]) -> Self | None:
        """The smallest box that holds all true pixels; None where there is none."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return None
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    def grown(self, margin: int, size: tuple[int, int]) -> Self:
        """The box with ``margin`` more pixels on every side, within an image of ``size`` (H, W)."""
        height, width = size
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        return type(self)(top, left, min(height, self.bottom + margin), min(width, self.right + margin))

    def within(self, outer: Box) -> Self:
        """The same box in the coordinates of ``outer``."""
        return type(self)(self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for indexing (H, W) arrays."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def refine_region(
    rgb: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    box: Box,
    params: CRFParams | None = None,
    *,
    clamp: NDArray[Any] | None = None,
    ignore: int = 255,
    margin: int = 24,
    reach: float | None = None,
    threads: int = 1,
    origin: tuple[int, int] = (0, 0),
    scale: float | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Marginals:
    """Refine one box of an image; pixels around it take part as context.

    Args:
        rgb: (H, W, 3) uint8 of the whole image.
        probabilities: (C, H, W) float32 of the whole image.
        box: what is refined.
        params: of the CRF.
        clamp: (H, W) integers of the whole image: channels that a person has set, ``ignore`` elsewhere.
        ignore: what marks a pixel without stroke.
        margin: context in px on every side. Positions are those of the whole image, so only mass from beyond the context is
            missing.
        reach: px over which a stroke makes its class believable (:func:`with_strokes`); None leaves the network's word.
        threads: threads of the engine.
        origin: (row, column) of the arrays' first pixel, where they are a part of the image already.
        scale: of the sides, 0..1, at which it is computed, for the time's sake; None is exact.
        cancel: asked before every step.

    Returns:
        Marginals of the box's pixels.

    Raises:
        ValueError: the box is empty or outside, or shapes do not fit.
    """
    size = (rgb.shape[0], rgb.shape[1])
    if not (0 <= box.top < box.bottom <= size[0] and 0 <= box.left < box.right <= size[1]):
        raise ValueError(f"{box} is not within the image of {size[1]} x {size[0]}")
    if probabilities.shape[1:] != size or (clamp is not None and clamp.shape != size):
        raise ValueError(f"picture {size}, probabilities {probabilities.shape[1:]} and strokes differ in size")
    outer = box.grown(margin, size)
    rows, columns = outer.slices
    part = probabilities[:, rows, columns]
    strokes = None if clamp is None else clamp[rows, columns]
    if strokes is not None and reach is not None:
        part = with_strokes(part, strokes, reach, ignore)
    crf = DenseCRF(rgb[rows, columns], params, threads=threads, origin=(origin[0] + outer.top, origin[1] + outer.left))
    whole = crf.marginals(part, clamp=strokes, ignore=ignore, scale=scale, cancel=cancel)
    inner = box.within(outer)
    planes = whole.q.reshape(*whole.size, -1)[inner.slices]
    return Marginals(
        np.ascontiguousarray(planes).reshape(-1, planes.shape[2]),
        whole.active,
        whole.classes,
        (box.bottom - box.top, box.right - box.left),
    )


def with_strokes(probabilities: NDArray[np.float32], strokes: LabelMap, reach: float, ignore: int = 255) -> NDArray[np.float32]:
    """Probabilities in which the classes of strokes are believable near them.

    Where a network is sure of the wrong class, clamped pixels alone persuade nobody: the unary energy of their class is too high
    all around. So a stroked class has at least the probability ``STROKE_BELIEF * exp(-d^2 / (2 reach^2))`` at distance d from its
    stroke; the image's edges then decide how far it spreads. Where several strokes claim a pixel, each keeps its claim and the
    sum is scaled to 1.

    Args:
        probabilities: (C, H, W) float32; not changed.
        strokes: (H, W) integers: channels, ``ignore`` elsewhere.
        reach: px.
        ignore: what marks a pixel without stroke.

    Returns:
        (C, H, W) float32 that sum to 1.
    """
    out: NDArray[np.float32] = np.array(probabilities, dtype=np.float32)
    for channel in np.unique(strokes):
        if channel == ignore:
            continue
        distance = cv2.distanceTransform((strokes != channel).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        floor = np.float32(STROKE_BELIEF) * np.exp(-(distance**2) / np.float32(2.0 * reach * reach))
        raised = np.maximum(out[channel], floor)
        rest = 1.0 - out[channel]
        out *= ((1.0 - raised) / np.maximum(rest, np.float32(1e-6)))[None]
        out[channel] = raised
    out /= np.maximum(out.sum(axis=0, keepdims=True), np.float32(1e-12))
    return out
