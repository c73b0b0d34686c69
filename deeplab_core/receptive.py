"""What a network looks at when it labels one pixel, as plain values: :mod:`deeplab_core.inference.receptive_field` fills them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Extent


@dataclass(frozen=True, slots=True)
class TheoreticalField:
    """A theoretical receptive field.

    Attributes:
        name: what it belongs to, for users: ``"network"``, or a branch of the pyramid such as ``"rate 12"``.
        extent: what the score can depend on at all, in px of the image; may reach beyond it.
        radius: of one coarse score in px of the network's input, by layer arithmetic.
    """

    name: str
    extent: Extent
    radius: int


@dataclass(frozen=True, slots=True, eq=False)
class ReceptiveField:
    """What the score of one class at one pixel depends on.

    Attributes:
        x, y: the pixel of the image.
        class_id: the class of the score, in the model's ids: the most probable one there.
        theoretical: theoretical fields, the whole network's first, then the pyramid's branches from narrow to wide.
        gradient: (h, w) float32 >= 0, |d score / d input| summed over the three channels, on the network's input; sums to 1, or
            is all zero where the score depends on nothing.
        extent: what ``gradient`` covers, in px of the image.
        radii: (share, Chebyshev radius in px of the network's input) of the smallest centred square that holds this share of the
            gradient, for :data:`SHARES`.
        milliseconds: that it took.
        note: what was left out of the gradient, and why; empty if nothing was.
    """

    x: int
    y: int
    class_id: int
    theoretical: tuple[TheoreticalField, ...]
    gradient: NDArray[np.float32]
    extent: Extent
    radii: tuple[tuple[float, int], ...]
    milliseconds: float = 0.0
    note: str = ""


#: Shares of the gradient with a drawn outline.
SHARES = (0.5, 0.95)


def mass_level(gradient: NDArray[np.float32], share: float) -> float:
    """The level above which a map of density holds ``share`` of its mass: the border of the smallest such region.

    Args:
        gradient: (h, w) >= 0.
        share: 0..1.

    Returns:
        Pixels with at least this value hold at least the share; infinity for a map without any mass.
    """
    falling = np.sort(gradient, axis=None)[::-1].astype(np.float64)
    mass = np.cumsum(falling)
    if mass[-1] <= 0:
        return float("inf")
    place = int(np.searchsorted(mass, share * mass[-1] * (1 - 1e-9)))
    return float(falling[min(place, falling.size - 1)])


def centred_radius(gradient: NDArray[np.float32], row: int, column: int, share: float) -> int:
    """Chebyshev radius in px of the smallest square around a pixel that holds ``share`` of the map's mass; 0 without any mass."""
    height, width = gradient.shape
    away = np.maximum(np.abs(np.arange(height) - row)[:, None], np.abs(np.arange(width) - column)[None, :])
    mass = np.cumsum(np.bincount(away.ravel(), weights=gradient.ravel().astype(np.float64)))
    return 0 if mass[-1] <= 0 else int(np.searchsorted(mass, share * mass[-1] * (1 - 1e-9)))
