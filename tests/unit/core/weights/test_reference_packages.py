"""Networks that the reference packages themselves build here, through load_model, against the packages' own logits.

The stored cases (test_peers.py) are wider, but come from older releases; these come from the releases that are installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deeplab_core.weights import load_model

SMP = (
    ("DeepLabV3Plus", {"encoder_name": "mobilenet_v2", "encoder_output_stride": 16}, 16),
    ("DeepLabV3Plus", {"encoder_name": "resnet18", "encoder_output_stride": 8}, 8),
    ("DeepLabV3", {"encoder_name": "resnet34", "encoder_output_stride": 8}, 8),
    ("Unet", {"encoder_name": "resnet18"}, None),
)
#: With the auxiliary head that its published checkpoints have.
TORCHVISION = (
    ("deeplabv3_mobilenet_v3_large", {"aux_loss": True}),
    ("deeplabv3_resnet50", {"aux_loss": True}),
    ("fcn_resnet50", {"aux_loss": True}),
    ("lraspp_mobilenet_v3_large", {}),
)


def settle(network: nn.Module) -> nn.Module:
    """Weights and statistics of a network that has seen something: nothing is zero, one, or the same twice."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.weight, 0.8, 1.2), (module.bias, -0.1, 0.1), (module.running_mean, -0.1, 0.1)):
                assert tensor is not None
                tensor.data.uniform_(low, high, generator=generator)
            assert module.running_var is not None
            module.running_var.uniform_(0.8, 1.2, generator=generator)
    return network.eval()


def agree(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max() / theirs.std()) < 1e-4


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "options", "stride"), SMP, ids=lambda value: value if isinstance(value, str) else "")
def test_segmentation_models_pytorch(name: str, options: dict[str, Any], stride: int | None, x: Tensor, tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    torch.manual_seed(0)
    theirs = settle(getattr(smp, name)(encoder_weights=None, classes=21, **options))
    path = tmp_path / "checkpoint.pth"
    torch.save(theirs.state_dict(), path)
    model, card = load_model(path, stride)
    assert card.extra["family"] == "smp"
    with torch.no_grad():
        agree(model.native_logits(x), theirs(x))


@pytest.mark.parametrize(("name", "options"), TORCHVISION, ids=[name for name, _ in TORCHVISION])
def test_torchvision(name: str, options: dict[str, Any], x: Tensor, tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    torch.manual_seed(0)
    theirs = settle(models.get_model(name, weights=None, weights_backbone=None, num_classes=21, **options))
    path = tmp_path / "checkpoint.pth"
    torch.save(theirs.state_dict(), path)
    model, card = load_model(path)
    assert card.extra["family"] == "torchvision"
    with torch.no_grad():
        agree(model.native_logits(x), theirs(x)["out"])
