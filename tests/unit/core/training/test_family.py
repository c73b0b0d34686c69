"""Every network of the family takes a training step by its name alone."""

from __future__ import annotations

import pytest
import torch

from deeplab_core.catalogs import get_catalog
from deeplab_core.nn import model_names
from deeplab_core.training import Recipe
from deeplab_core.training.losses import pixel_loss
from deeplab_core.training.network import build_network

CATALOG = get_catalog("camvid11")
#: Convolutions of 4096 channels, 7 x 7 wide: a step of these takes seconds, so shapes and gradients are traced without numbers.
LARGE = ("fcn", "dilatednet", "deconvnet")


@pytest.mark.parametrize("name", model_names())
def test_a_network_learns_by_its_name_alone(name: str) -> None:
    torch.manual_seed(1)
    recipe = Recipe(network=name)
    device = torch.device("meta" if name in LARGE else "cpu")
    with device:
        start = build_network(recipe, CATALOG)
        x, labels = torch.randn(2, 3, 64, 64), torch.randint(0, len(CATALOG), (2, 64, 64))
    model, lineage = start.model, start.lineage
    assert lineage == {"start": "scratch"}
    assert model.num_classes == len(CATALOG)
    assert name not in LARGE or all(parameter.requires_grad for parameter in model.parameters())
    model.train()
    logits = model(x)
    assert logits.shape == (2, len(CATALOG), 64, 64)
    total, weight = pixel_loss(logits, labels, recipe)
    (total / weight).backward()
    moved = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(moved) > 1
    if device.type != "meta":
        assert all(bool(torch.isfinite(gradient).all()) for gradient in moved)
        assert sum(bool(gradient.abs().sum() > 0) for gradient in moved) > 1


def test_a_stride_that_a_network_lacks_is_refused_with_those_that_it_has() -> None:
    from deeplab_core.errors import AtrousError

    with pytest.raises(AtrousError, match="Choose one of 1"):
        build_network(Recipe(network="segnet", output_stride=16), CATALOG)
