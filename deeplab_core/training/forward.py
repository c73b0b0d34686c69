"""Network and loss of a training step in one module."""

from __future__ import annotations

from torch import Tensor, nn

from deeplab_core.nn import SegmentationModel
from deeplab_core.training.losses import pixel_loss
from deeplab_core.training.recipe import Recipe


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
