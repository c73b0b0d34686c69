"""What a real camera adds: sensor noise, motion blur, white balance, vignetting, JPEG."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray


def degrade(picture: NDArray[np.uint8], random: Random) -> tuple[NDArray[np.uint8], int]:
    """Return the (H, W, 3) uint8 picture as a camera would have taken it, and the JPEG quality to store it with."""
    r = random
    height, width = picture.shape[:2]
    image = picture.astype(np.float32)
    if r.random() < 0.2:
        length, angle = r.uniform(2, 6) * width / 640, r.uniform(0, math.pi)
        image = cv2.filter2D(image, -1, _motion_kernel(length, angle), borderType=cv2.BORDER_REFLECT)
    if r.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), r.uniform(0.4, 1.1) * width / 640)
    image *= np.array([r.gauss(1, 0.05), 1.0, r.gauss(1, 0.06)], dtype=np.float32)
    if r.random() < 0.4:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        image *= (1 - r.uniform(0.05, 0.3) * (x**2 + y**2) / 2)[..., None]
    noise = np.random.default_rng(r.getrandbits(32))
    image += noise.normal(0, 1, image.shape).astype(np.float32) * np.sqrt(np.maximum(image, 4)) * r.uniform(0.0, 0.35)
    return np.clip(np.round(image), 0, 255).astype(np.uint8), r.randint(72, 96)


def _motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    size = 2 * math.ceil(length / 2) + 3
    kernel = np.zeros((size, size), dtype=np.float32)
    middle, reach = (size - 1) / 2, length / 2
    start = (middle - reach * math.cos(angle), middle - reach * math.sin(angle))
    end = (middle + reach * math.cos(angle), middle + reach * math.sin(angle))
    fixed = [tuple(round(part * 16) for part in point) for point in (start, end)]
    cv2.line(kernel, fixed[0], fixed[1], 1.0, 1, cv2.LINE_AA, 4)
    return kernel / kernel.sum()
