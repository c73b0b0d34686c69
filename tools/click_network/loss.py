"""Normalised focal loss (Sofiiuk, Barinova and Konushin 2019, "AdaptIS", arXiv 1909.07829; used by RITM)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def normalised_focal_loss(logits: Tensor, target: Tensor, weight: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Mean over the batch of ``sum(w * b * -log p) / sum(w * b)`` with ``b = (1 - p) ** gamma``.

    ``p`` is the probability of the right answer. The focal factors are divided by their sum in each image, and no gradient flows
    through that sum, so an image weighs the same whether few or many of its pixels are hard.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) 0 or 1.
        weight: (N, 1, H, W) at least 0; 0 leaves a pixel out.
        gamma: of the focal factor.
    """
    cross = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    factor = (1 - torch.exp(-cross)) ** gamma * weight
    total = factor.detach().sum(dim=(1, 2, 3)) + 1e-6 * weight.sum(dim=(1, 2, 3)) + 1e-12
    found: Tensor = ((factor * cross).sum(dim=(1, 2, 3)) / total).mean()
    return found
