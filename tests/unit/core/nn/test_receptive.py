from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn import create_model, effective_radius, receptive_radius


class Chain(nn.Module):
    """A few operations with a support that can be measured by a gradient."""

    def __init__(self, *layers: nn.Module, scale: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.scale = scale

    def coarse_logits(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        if self.scale != 1:
            y = functional.interpolate(y, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return y


def measured_radius(model: Chain, side: int) -> int:
    for parameter in model.parameters():
        parameter.data.abs_().add_(0.1)
    x = torch.rand(1, 3, side, side, requires_grad=True)
    y = model.coarse_logits(x)
    middle = y.shape[-1] // 2
    (gradient,) = torch.autograd.grad(y[..., middle, middle].sum(), x)
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    return -(-int(columns.max() - columns.min()) // 2)


@pytest.mark.parametrize(
    "model",
    [
        Chain(nn.Conv2d(3, 4, 3, padding=1)),
        Chain(nn.Conv2d(3, 4, 3, padding=6, dilation=6), nn.Conv2d(4, 2, 1)),
        Chain(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.Conv2d(4, 2, 3, padding=2, dilation=2)),
        Chain(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.AvgPool2d(2, 2), nn.Conv2d(4, 2, 3, padding=1)),
        Chain(nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)),
    ],
)
def test_layer_arithmetic_equals_the_measured_support(model: Chain) -> None:
    assert receptive_radius(model, 65) == pytest.approx(measured_radius(model, 65), abs=1)


def test_layer_arithmetic_never_underestimates_upsampling() -> None:
    model = Chain(nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.Conv2d(4, 2, 3, padding=1), scale=2)
    assert receptive_radius(model, 64) >= measured_radius(model, 64)


def test_receptive_field_of_resnet_101_by_hand() -> None:
    """Stem 3 + 2, then per 3x3 convolution the jump at its input: 3 x 4, 4 + 3 x 8, 8 + 22 x 16, 16 + 2 x 32."""
    model = create_model("deeplabv2", backbone="resnet101", output_stride=32, atrous_rates=[])
    assert model.receptive_radius() == 3 + 2 + 12 + 28 + 360 + 80


def test_image_pooling_does_not_count_and_stride_does() -> None:
    pooled = create_model("deeplabv3", backbone="resnet18")
    plain = create_model("deeplabv3", backbone="resnet18", image_pooling=False)
    assert pooled.receptive_radius() == plain.receptive_radius()
    # The widest branch looks 18 features of 16 px, and 36 of 8 px.
    assert pooled.receptive_radius() >= 288
    naive = create_model("deeplabv3", backbone="resnet18", atrous_rates=[])
    assert pooled.receptive_radius() - naive.receptive_radius() == 288


def test_the_effective_radius_is_inside_the_theoretical_one() -> None:
    torch.manual_seed(0)
    model = create_model("deeplabv3", backbone="resnet18", atrous_rates=[], image_pooling=False)
    assert 0 < effective_radius(model, side=129, mass=0.5) < effective_radius(model, side=129, mass=0.95) <= 64
    assert not any(parameter.grad is not None for parameter in model.parameters())
