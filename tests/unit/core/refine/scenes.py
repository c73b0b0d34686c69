"""Small pictures with probabilities that a network might give."""

from __future__ import annotations

import numpy as np


def blob(height: int = 24, width: int = 30, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A coloured disk on another colour, noise on both; probabilities of the disk moved by two pixels, and noisy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 3) ** 2
    rgb = np.where(inside[..., None], (200, 60, 50), (60, 120, 180)).astype(np.float64)
    rgb = np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)
    scores = rng.normal(0, 0.7, (classes, height, width))
    scores[1] += np.where(np.roll(inside, (1, 2), (0, 1)), 2.0, -1.0)
    scores[0] += 0.5
    e = np.exp(scores - scores.max(axis=0))
    return rgb, np.ascontiguousarray(e / e.sum(axis=0), dtype=np.float32)
