"""Images too large for the available memory: refined at a smaller scale, and the correction carried up.

What is carried is not the result but what the CRF changed: ``log q - log p`` per label on the small image, upsampled bilinearly
and added to ``log p`` of the large one. Where the CRF changes nothing, nothing changes; where the network is undecided, its own
fine structure stays. It is an approximation, and the result records it. Measured on photographs: docs/adr/0030.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import Cancelled
from deeplab_core.kernels.filter import padded
from deeplab_core.parallel import IsCancelled
from deeplab_core.records import CRFParams
from deeplab_core.refine.marginals import Marginals
from deeplab_core.refine.unary import FORBIDDEN, ProbabilitySource

#: Bytes that a computation may take before it is done at a smaller scale: with the rest of a process it stays below 2 GB.
MEMORY_LIMIT = 1600 << 20
#: The same for the torch engine and pydensecrf, which keep the marginals of all pixels.
OTHERS_LIMIT = 3 << 30
#: Vertices and weights of both lattices, factors and mass: 9 corners of 8 bytes, 6 floats.
_POINT_BYTES = 9 * 8 + 6 * 4
#: Vertices of both lattices per pixel at most, as measured on photographs (0.94 at 500x375, less on larger ones), and rows.
_VERTICES_PER_POINT = 1.1
_ROW_BYTES = 4 * 6


def needed_bytes(pixels: int, labels: int, threads: int = 1) -> int:
    """Upper estimate of the memory that refining takes: lattices, vertex tables, unary terms, marginals."""
    row = 4 * padded(labels)
    vertex = row + (threads - 1) * 32 + _ROW_BYTES
    return int(pixels * (_POINT_BYTES + 2 * row + _VERTICES_PER_POINT * vertex))


def scale_for(pixels: int, labels: int, threads: int, limit: int) -> float:
    """1 where the computation fits into ``limit`` bytes, otherwise the largest scale of the sides that does."""
    needed = needed_bytes(pixels, labels, threads)
    return 1.0 if needed <= limit else float(np.sqrt(limit / needed))


def scaled_params(params: CRFParams, scale: float) -> CRFParams:
    """The same kernels on a smaller image: deviations in px shrink with it, colours do not."""
    return replace(params, gaussian_sxy=params.gaussian_sxy * scale, bilateral_sxy=params.bilateral_sxy * scale)


def shrunk_probabilities(source: ProbabilitySource, active: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Area means of the active labels, (A, h, w) float32, read in strips that fall on whole rows of the result."""
    height, width = size
    edges = np.round(np.linspace(0, source.size[0], height + 1)).astype(int)
    out = np.empty((active.size, height, width), np.float32)
    step = max(1, (1 << 22) // max(1, source.size[1] * source.classes) * height // source.size[0])
    for top in range(0, height, step):
        bottom = min(height, top + step)
        strip = source.read(int(edges[top]), int(edges[bottom]))
        for index, channel in enumerate(active):
            plane = np.ascontiguousarray(strip[channel])
            out[index, top:bottom] = cv2.resize(plane, (width, bottom - top), interpolation=cv2.INTER_AREA)
    return out


def shrunk_strokes(strokes: NDArray[Any], size: tuple[int, int], ignore: int) -> NDArray[Any]:
    """Strokes on the small image: a small pixel is clamped where any of its large ones is; the smallest channel wins."""
    height, width = size
    out = np.full(size, ignore, strokes.dtype)
    rows, columns = np.nonzero(strokes != ignore)
    values = strokes[rows, columns]
    order = np.argsort(values)[::-1]
    y = rows[order] * height // strokes.shape[0]
    x = columns[order] * width // strokes.shape[1]
    out[y, x] = values[order]
    return out


def carried_up(
    source: ProbabilitySource,
    small: Marginals,
    small_probabilities: NDArray[np.float32],
    channels: NDArray[np.int64],
    params: CRFParams,
    clamp: NDArray[Any] | None,
    ignore: int,
    cancel: IsCancelled | None = None,
) -> Marginals:
    """Marginals of the large image from those of the small one.

    Args:
        source: probabilities of the large image.
        small: marginals of the small one.
        small_probabilities: (A, h, w): what went into it, of ``channels``.
        channels: (A,) channels of ``small_probabilities``.
        params: for clip and temperature.
        clamp: strokes on the large image.
        ignore: what marks a pixel without stroke.
        cancel: asked before every strip.
    """
    height, width = source.size
    active = small.active
    row = padded(active.size)
    planes = small.q.reshape(*small.size, -1)
    clip = np.float32(params.clip)
    change = np.empty((active.size, *small.size), np.float32)
    for column, channel in enumerate(active):
        before = small_probabilities[int(np.searchsorted(channels, channel))]
        change[column] = np.log(np.maximum(planes[..., column], np.float32(1e-8)))
        change[column] -= np.log(np.maximum(before, clip)) / np.float32(params.temperature)
    q = np.zeros((height * width, row), np.float32)
    out = q.reshape(height, width, row)
    down, across = small.size[0] / height, small.size[1] / width
    for first, last, strip in source.strips():
        y = (np.arange(first, last, dtype=np.float32) + 0.5) * np.float32(down) - 0.5
        x = (np.arange(width, dtype=np.float32) + 0.5) * np.float32(across) - 0.5
        map_x, map_y = np.meshgrid(x, y)
        logits = np.full((active.size, last - first, width), FORBIDDEN, np.float32)
        for column, channel in enumerate(active):
            logits[column] = np.log(np.maximum(strip[channel], clip)) / np.float32(params.temperature)
            logits[column] += cv2.remap(change[column], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        out[first:last, :, : active.size] = np.moveaxis(logits, 0, 2)
        if cancel is not None and cancel():
            raise Cancelled
    if clamp is not None:
        rows, columns = np.nonzero(clamp != ignore)
        out[rows, columns] = 0.0
        out[rows, columns, np.searchsorted(active, clamp[rows, columns].astype(np.int64))] = 1.0
    note = f"Refined at {100 * small.size[0] / height:.0f} % of the size, for memory; the correction was carried up."
    return Marginals.of(q, active, source.classes, source.size, note)
