"""Where pixels go: image -> scaled -> canvas -> coarse grid of the network, and back in one bilinear interpolation.

Shapes are (height, width). Four frames, each with its own pixels:

- *image*: the photograph, (H, W).
- *scaled*: after the model card's ``resize`` and a relative scale.
- *canvas*: after padding at the bottom and the right; what the network sees. Where the card's padding leaves less than the
  network's smallest side, the last row and column go on up to it, as in ``SegmentationModel.forward``.
- *grid*: the network's coarse scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.records import Preprocessing, size_rule

Size = tuple[int, int]

#: A ``short_side:N`` rule enlarges no image beyond this many times N on its long side: a strip of 8 x 4000 px would become one of
#: 130 million pixels at N = 520.
LONGEST_SIDE = 16


@dataclass(frozen=True, slots=True)
class NetworkFrame:
    """Sizes of one image on its way through the network at one scale.

    ``content`` is the canvas without what only brings it up to the network's smallest side; None where that is all of it.
    """

    image: Size
    scaled: Size
    canvas: Size
    content: Size | None = None


def frame_for(
    image: Size,
    preprocessing: Preprocessing,
    *,
    resize: str | None = None,
    scale: float = 1.0,
    align_corners: bool,
    minimum_side: int = 1,
) -> NetworkFrame:
    """Sizes that a model card asks for.

    Args:
        image: (H, W) of the photograph.
        preprocessing: of the model card.
        resize: overrides the card's ``resize``.
        scale: relative scale of multi-scale inference.
        align_corners: of the network; decides how lengths scale (see :func:`scale_length`).
        minimum_side: of the network; no canvas is smaller.

    Raises:
        WeightsError: a malformed ``resize`` or ``padding``.
    """
    rule = resize or preprocessing.resize
    base = _resized(image, rule)
    scaled = (scale_length(base[0], scale, align_corners), scale_length(base[1], scale, align_corners))
    content = _padded(scaled, preprocessing.padding, scale, align_corners)
    canvas = max(content[0], minimum_side), max(content[1], minimum_side)
    return NetworkFrame(image, scaled, canvas, None if canvas == content else content)


def scale_length(length: int, scale: float, align_corners: bool) -> int:
    """``length`` at a relative scale, at least 1.

    Networks that align corners scale the distance between the outermost pixels, ``int((length - 1) * scale + 1)``, as
    ``scale_dimension`` in the DeepLab authors' TensorFlow code, so that 513 becomes 257 or 769; others ``round(length * scale)``.
    """
    if scale == 1.0:
        return length
    return max(1, int((length - 1) * scale + 1) if align_corners else round(length * scale))


def _resized(image: Size, rule: str) -> Size:
    kind, (height, width) = size_rule(rule, "resize")
    if kind == "native":
        return image
    if kind == "stretch":
        return height, width
    if kind == "fit":
        factor = min(height / image[0], width / image[1])
        return min(height, max(1, round(image[0] * factor))), min(width, max(1, round(image[1] * factor)))
    factor = height / (max(image) if kind == "long_side" else min(image))
    if kind == "short_side":
        factor = min(factor, max(1.0, LONGEST_SIDE * height / max(image)))
    return max(1, round(image[0] * factor)), max(1, round(image[1] * factor))


def shortened(image: Size, rule: str) -> bool:
    """Whether a ``short_side`` rule enlarges an image less than it says, because the long side would get out of hand."""
    kind, (side, _) = size_rule(rule, "resize")
    return kind == "short_side" and min(_resized(image, rule)) < side


def _padded(scaled: Size, rule: str, scale: float, align_corners: bool) -> Size:
    kind, (height, width) = size_rule(rule, "padding")
    if kind == "none":
        return scaled
    if kind == "canvas":
        sides = scale_length(height, scale, align_corners), scale_length(width, scale, align_corners)
        return max(sides[0], scaled[0]), max(sides[1], scaled[1])
    if kind == "grid":
        return _round_up(scaled[0] - 1, height) + 1, _round_up(scaled[1] - 1, height) + 1
    return _round_up(scaled[0], height), _round_up(scaled[1], height)


def _round_up(length: int, step: int) -> int:
    return math.ceil(length / step) * step


@dataclass(frozen=True, slots=True, eq=False)
class AxisTaps:
    """Bilinear interpolation along one axis: pixel i reads ``(1 - weight[i]) * grid[lower[i]] + weight[i] * grid[upper[i]]``.

    Attributes:
        lower, upper: (n,) int32 grid indices; ``upper`` is ``lower + 1`` except at the end of the grid. Monotone in i.
        weight: (n,) float32, 0..1.
    """

    lower: NDArray[np.int32]
    upper: NDArray[np.int32]
    weight: NDArray[np.float32]

    def part(self, start: int, stop: int) -> AxisTaps:
        """Taps of the pixels ``start <= i < stop``."""
        return AxisTaps(self.lower[start:stop], self.upper[start:stop], self.weight[start:stop])

    def at(self, places: NDArray[np.int64]) -> AxisTaps:
        """Taps of some pixels, in ascending order."""
        return AxisTaps(self.lower[places], self.upper[places], self.weight[places])


def axis_taps(*, image: int, scaled: int, canvas: int, grid: int, align_corners: bool, mirrored: bool = False) -> AxisTaps:
    """Taps that read a coarse grid at the pixels of the image.

    Pixel centres go to the scaled frame by the half-pixel rule of image resizing, from there to the grid by the network's own
    rule (both of ``torch.nn.functional.interpolate``). Padding is cropped exactly, because no pixel of the image maps into it.

    Args:
        image, scaled, canvas, grid: lengths of the four frames along this axis.
        align_corners: rule of the network's upsampling from grid to canvas.
        mirrored: the network saw the image mirrored along this axis.
    """
    position = np.arange(image, dtype=np.float64)
    if image != scaled:
        position = np.clip((position + 0.5) * (scaled / image) - 0.5, 0.0, scaled - 1.0)
    if mirrored:
        position = scaled - 1.0 - position
    if align_corners:
        position = position * ((grid - 1) / (canvas - 1)) if canvas > 1 else np.zeros_like(position)
    else:
        position = np.clip((position + 0.5) * (grid / canvas) - 0.5, 0.0, None)
    position = np.clip(position, 0.0, grid - 1.0)
    lower = np.floor(position).astype(np.int32)
    weight = (position - lower).astype(np.float32)
    return AxisTaps(lower, np.minimum(lower + 1, grid - 1).astype(np.int32), weight)
