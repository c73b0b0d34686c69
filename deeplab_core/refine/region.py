"""Refining a part of an image: what a stroke touched, in the time of a blink."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.parallel import IsCancelled
from deeplab_core.records import CRFParams
from deeplab_core.refine.dense_crf import DenseCRF
from deeplab_core.refine.marginals import Marginals

#: Probability that a stroked class has at least at the stroke; it falls with distance (:func:`with_strokes`).
STROKE_BELIEF = 0.7


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
    cancel: IsCancelled | None = None,
) -> Marginals:
    """Refine one box of an image; pixels around it take part as context.

    Args:
        rgb: (H, W, 3) uint8 of the whole image.
        probabilities: (C, H, W) float32 of the whole image.
        box: what is refined.
        params: of the CRF.
        clamp: (H, W) integers of the whole image: channels that the user has set, ``ignore`` elsewhere.
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
    if box.empty or not Box.whole(size).holds(box):
        raise ValueError(f"{box} is not within the image of {size[1]} x {size[0]}")
    if probabilities.shape[1:] != size or (clamp is not None and clamp.shape != size):
        raise ValueError(f"picture {size}, probabilities {probabilities.shape[1:]} and strokes differ in size")
    outer = box.grown(margin, size)
    rows, columns = outer.slices
    part = probabilities[:, rows, columns]
    strokes = None if clamp is None else clamp[rows, columns]
    if strokes is not None and reach is not None:
        part = with_strokes(part, strokes, reach, ignore)
    crf = DenseCRF.of_part(rgb[rows, columns], (origin[0] + outer.y, origin[1] + outer.x), params, threads=threads)
    whole = crf.marginals(part, clamp=strokes, ignore=ignore, scale=scale, cancel=cancel)
    inner = box.within(outer)
    planes = whole.q.reshape(*whole.size, -1)[inner.slices]
    return Marginals.of(
        np.ascontiguousarray(planes).reshape(-1, planes.shape[2]),
        whole.active,
        whole.classes,
        box.size,
    )


def with_strokes(probabilities: NDArray[np.float32], strokes: LabelMap, reach: float, ignore: int = 255) -> NDArray[np.float32]:
    """Probabilities in which the classes of strokes are believable near them.

    Where a network is sure of the wrong class, clamped pixels alone do not change it: the unary energy of their class is too high
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
