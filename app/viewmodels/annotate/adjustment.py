"""Brightness, contrast and gamma of the image as it is shown: a table for 256 values. Nothing but the view uses it. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.text import tr

#: Ends of brightness and contrast, and of gamma; and what a key press changes.
MOST, LEAST_GAMMA, MOST_GAMMA = 100, 0.2, 5.0
STEP, GAMMA_STEP = 10, 1.25


@dataclass(frozen=True, slots=True)
class ImageAdjustment:
    """How values of the image are shown. The default shows them as they are.

    Attributes:
        brightness: -100..100, per cent of white that is added.
        contrast: -100..100; 50 doubles the distance from middle grey, -50 halves it.
        gamma: 0.2..5; above 1 dark parts become brighter, black and white stay.
    """

    brightness: int = 0
    contrast: int = 0
    gamma: float = 1.0

    @property
    def neutral(self) -> bool:
        """Whether nothing is changed."""
        return self == NEUTRAL

    def changed(self, brightness: int = 0, contrast: int = 0, gamma: float = 1.0) -> ImageAdjustment:
        """With so much more brightness and contrast, and gamma times a factor, within the limits."""
        found = min(max(self.gamma * gamma, LEAST_GAMMA), MOST_GAMMA)
        return replace(
            self,
            brightness=min(max(self.brightness + brightness, -MOST), MOST),
            contrast=min(max(self.contrast + contrast, -MOST), MOST),
            gamma=1.0 if abs(found - 1.0) < 0.01 else round(found, 3),
        )

    def table(self) -> NDArray[np.uint8]:
        """(256,) uint8: the value that is shown for each value."""
        return _table(self)

    def text(self) -> str:
        """What is changed, in words."""
        return tr(
            "brightness {brightness:+d}, contrast {contrast:+d}, gamma {gamma:.2f}",
            brightness=self.brightness, contrast=self.contrast, gamma=self.gamma,
        )  # fmt: skip


#: Values as they are.
NEUTRAL = ImageAdjustment()


@lru_cache(maxsize=8)
def _table(adjustment: ImageAdjustment) -> NDArray[np.uint8]:
    values = (np.arange(256) / 255.0) ** (1.0 / adjustment.gamma)
    values = (values - 0.5) * 2.0 ** (adjustment.contrast / 50.0) + 0.5 + adjustment.brightness / 100.0
    table: NDArray[np.uint8] = np.round(values.clip(0.0, 1.0) * 255.0).astype(np.uint8)
    table.setflags(write=False)
    return table
