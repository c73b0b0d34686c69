"""Networks that segmentation_models.pytorch itself makes: what is built loads with its own logits, what is not is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from deeplab_core.errors import WeightsError
from deeplab_core.weights import load_model


@pytest.fixture(scope="module")
def smp() -> Any:
    """The package: many seconds, so it is not imported when tests are collected, which every process does."""
    return pytest.importorskip("segmentation_models_pytorch")


@pytest.mark.parametrize(
    ("network", "encoder", "options", "says"),
    [
        ("Unet", "efficientnet-b0", {}, "EfficientNet"),
        ("Unet", "vgg11", {}, "VGG"),
        ("Unet", "mit_b0", {}, "Mix Transformer"),
        ("DeepLabV3Plus", "resnext50_32x4d", {}, "ResNet with groups"),
        ("FPN", "resnet18", {}, "'FPN'"),
        ("UnetPlusPlus", "resnet18", {}, "'UnetPlusPlus'"),
        ("Unet", "resnet18", {"decoder_attention_type": "scse"}, "decoder_attention_type 'scse'"),
        ("Unet", "resnet18", {"encoder_depth": 4, "decoder_channels": (64, 32, 16, 8)}, "encoder_depth 4"),
        ("DeepLabV3Plus", "resnet18", {"encoder_depth": 4}, "encoder_depth"),
    ],
)
def test_what_is_not_built_is_named(smp: Any, network: str, encoder: str, options: dict[str, Any], says: str) -> None:
    made = getattr(smp, network)(encoder, encoder_weights=None, classes=2, **options)
    with pytest.raises(WeightsError, match=f"{says}.* is not supported.*supported: "):
        load_model(made.state_dict())


@pytest.mark.parametrize(
    "options",
    [{"encoder_output_stride": 8}, {"decoder_channels": 64}, {"aux_params": {"classes": 4}}, {"decoder_atrous_rates": (3, 6, 9)}],
)
def test_a_network_that_was_saved_whole_is_what_its_own_arguments_say(smp: Any, options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=3, **options).eval()
    torch.save(made, tmp_path / "whole.pth")
    model, card = load_model(tmp_path / "whole.pth")
    x = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        theirs = made(x)
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        torch.testing.assert_close(model(x), theirs, rtol=1e-4, atol=1e-5)
    assert "output_stride" not in card.guessed
