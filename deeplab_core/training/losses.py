"""Losses over pixels, and network and loss of a step in one module.

Logits are (N, C, H, W) float, labels (N, H, W) int64 *channels* with :data:`VOID` if unknown.

Every loss returns a sum and the weight it is to be divided by, both scalars, so that processes that hold different numbers of
labelled pixels add up to the loss of the whole batch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn import SegmentationModel, class_logits
from deeplab_core.training.recipe import ClassWeighting, Recipe

#: Label of pixels that take no part.
VOID = -100


def class_weights(pixels: NDArray[np.int64], present_pixels: NDArray[np.int64], rule: ClassWeighting) -> NDArray[np.float32]:
    """Weight of each class.

    Args:
        pixels: (C,) labelled pixels of each class over the set.
        present_pixels: (C,) labelled pixels of the images that hold the class.
        rule: ``median_frequency``: median(f) / f with f = pixels of the class / labelled pixels of images that hold it (Eigen
            and Fergus 2015, SegNet); ``log_c``: 1 / ln(c + p) with p the share of all pixels (ENet, ERFNet).

    Returns:
        (C,) float32; classes that never occur weigh 0 under median frequency, and as any very rare class under the logarithm.
    """
    if rule == "none":
        return np.ones(len(pixels), dtype=np.float32)
    if rule == "median_frequency":
        seen = pixels > 0
        frequency = np.divide(pixels, present_pixels, out=np.zeros(len(pixels)), where=present_pixels > 0)
        weights: NDArray[np.float32] = np.zeros(len(pixels), dtype=np.float32)
        if seen.any():
            weights[seen] = np.median(frequency[seen]) / frequency[seen]
        return weights
    share = pixels / max(1, pixels.sum())
    logarithmic: NDArray[np.float32] = (1 / np.log(float(rule.removeprefix("log_")) + share)).astype(np.float32)
    return logarithmic


def pixel_loss(logits: Tensor, labels: Tensor, recipe: Recipe, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sum of the loss over the pixels that count, and the sum of their weights.

    Args:
        logits: (N, C, H, W); computed in float32 whatever the autocast. One channel is a two-class (sigmoid) network's: its
            cross entropy is binary cross entropy.
        labels: (N, H, W) int64, :data:`VOID` if unknown.
        recipe: its ``loss`` and the numbers that belong to it.
        weights: (C,) class weights.

    Returns:
        (sum, weight): the mean loss is their quotient; (0, 0) if no pixel is labelled.
    """
    logits = class_logits(logits.float())
    known = labels != VOID
    if recipe.loss == "cross_entropy":
        total = functional.cross_entropy(logits, labels, weight=weights, ignore_index=VOID, reduction="sum")
        return total, _weight_of(labels, known, weights).sum()
    # (N, H, W) with 0 at void
    each = functional.cross_entropy(logits, labels, weight=weights, ignore_index=VOID, reduction="none")
    importance = _weight_of(labels, known, weights)
    if recipe.loss == "focal":
        plain = each if weights is None else functional.cross_entropy(logits, labels, ignore_index=VOID, reduction="none")
        return (each * (1 - torch.exp(-plain.detach())) ** 2).sum(), importance.sum()
    kept = _hardest(each.detach(), logits.detach(), labels, known, recipe)
    return (each * kept).sum(), (importance * kept).sum()


def _weight_of(labels: Tensor, known: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return known.to(torch.float32)
    return weights[labels.clamp(min=0)] * known


def _hardest(each: Tensor, logits: Tensor, labels: Tensor, known: Tensor, recipe: Recipe) -> Tensor:
    """(N, H, W) bool: the pixels that online hard example mining keeps (Shrivastava et al. 2016, per batch of a process)."""
    losses = each[known]
    least = max(1, round(recipe.ohem_keep * losses.numel())) if losses.numel() else 0
    if not least:
        return known
    bar = losses.kthvalue(losses.numel() - least + 1).values
    if recipe.loss == "top_k":
        return known & (each >= bar)
    true_class = torch.softmax(logits, dim=1).gather(1, labels.clamp(min=0).unsqueeze(1)).squeeze(1)
    return known & ((true_class < recipe.ohem_threshold) | (each >= bar))


class LossOfNetwork(nn.Module):
    """Network and loss in one, so that torch.compile sees both."""

    def __init__(self, model: SegmentationModel, recipe: Recipe, weights: Tensor | None) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.weights = weights

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the loss and its weight: inputs (N, 3, H, W), labels (N, H, W) channels."""
        logits, extra = self.scores(x)
        total, weight = pixel_loss(logits, labels, self.recipe, self.weights)
        if extra is not None:
            total = total + self.recipe.auxiliary_weight * pixel_loss(extra, labels, self.recipe, self.weights)[0]
        return total, weight

    def scores(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, C, H, W) logits, and those of the auxiliary head where the network has one."""
        if getattr(self.model, "auxiliary", None) is not None:
            both: tuple[Tensor, Tensor | None] = self.model.logits_with_auxiliary(x)  # type: ignore[operator]
            return both
        return self.model(x), None
