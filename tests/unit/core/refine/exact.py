"""The full O(N^2) mean field, in float64: what the lattice approximates."""

from __future__ import annotations

import numpy as np

from deeplab_core.records import CRFParams


def kernel_matrices(rgb: np.ndarray, params: CRFParams) -> list[tuple[float, np.ndarray]]:
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    colour = rgb.reshape(-1, 3).astype(np.float64)
    position = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    difference = ((colour[:, None] - colour[None]) ** 2).sum(axis=2)
    smooth = np.exp(-position / (2 * params.gaussian_sxy**2))
    appearance = np.exp(-position / (2 * params.bilateral_sxy**2) - difference / (2 * params.bilateral_srgb**2))
    return [(params.gaussian_compat, smooth), (params.bilateral_compat, appearance)]


def normalised(kernel: np.ndarray, normalization: str) -> np.ndarray:
    mass = kernel.sum(axis=1)
    if normalization == "symmetric":
        return kernel / np.sqrt(mass[:, None] * mass[None])
    return kernel / mass[:, None] if normalization == "after" else kernel


def exact_mean_field(rgb: np.ndarray, probabilities: np.ndarray, params: CRFParams) -> np.ndarray:
    logits = np.log(np.maximum(probabilities.astype(np.float64), params.clip)).reshape(probabilities.shape[0], -1).T
    logits /= params.temperature
    kernels = [(weight, normalised(kernel, params.normalization)) for weight, kernel in kernel_matrices(rgb, params)]
    q = softmax(logits)
    for _ in range(params.iterations):
        q = softmax(logits + sum(weight * kernel @ q for weight, kernel in kernels))
    return q.T.reshape(probabilities.shape)


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
