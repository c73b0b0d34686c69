"""Two PyTorch listings of tutorials: DeepLabv1 over VGG-16 against an independent network, both by their keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeplab_core.nn import count_parameters, create_model
from deeplab_core.nn.models.deeplab_v1 import LargeFOV
from deeplab_core.weights import load_model
from deeplab_core.weights.families import recognise
from deeplab_core.weights.reading import Checkpoint
from tests.unit.core.weights.peers import MODELS, manifest

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def _stage(channels: int, width: int, count: int, rate: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            nn.Sequential(nn.Conv2d(width if index else channels, width, 3, padding=rate, dilation=rate), nn.ReLU())
            for index in range(count)
        )
    )


class Listing(nn.Module):
    """DeepLabv1 as tutorials print it, written from its description: floor pooling, fc7 with padding 1."""

    def __init__(self, classes: int, width: int = 1024) -> None:
        super().__init__()
        self.backbone = nn.Module()
        channels = 3
        for number, (out, count) in enumerate(_STAGES, start=1):
            self.backbone.add_module(f"features{number}", _stage(channels, out, count, 2 if number == 5 else 1))
            channels = out
        self.classifier = nn.Module()
        self.classifier.classifier = nn.Sequential(
            nn.Sequential(nn.Conv2d(512, width, 3, padding=12, dilation=12), nn.ReLU()),
            nn.Dropout(),
            nn.Sequential(nn.Conv2d(width, width, 1, padding=1), nn.ReLU()),
            nn.Dropout(),
            nn.Conv2d(width, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        for number, stride in enumerate((2, 2, 2, 1, 1), start=1):
            x = functional.max_pool2d(self.backbone.get_submodule(f"features{number}")(x), 3, stride, 1)
        x = functional.avg_pool2d(x, 3, 1, 1)
        size = (x.shape[-2] * 8, x.shape[-1] * 8)
        scores: Tensor = self.classifier.classifier(x)
        return functional.interpolate(scores, size, mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def listing() -> Listing:
    torch.manual_seed(4)
    return Listing(11, width=64).eval()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 81), (9, 17), (3, 4)])
def test_logits_equal_the_listings(listing: Listing, height: int, width: int, tmp_path: Path) -> None:
    torch.save(listing.state_dict(), tmp_path / "deeplab.pth")
    model, card = load_model(tmp_path / "deeplab.pth")
    assert card.extra["family"] == "large_fov_listing"
    assert card.catalog.name == "camvid11"
    x = torch.randn(1, 3, height, width)
    with torch.no_grad():
        want = listing(x)
        got = model.native_logits(x)
        assert got.shape == want.shape
        assert float((got - want).abs().max() / want.std()) < 1e-4
        assert model(x).shape == (1, 11, height, width)
        if height % 8 == 0 and width % 8 == 0:
            assert torch.equal(model(x), got)


def test_an_image_below_the_smallest_side_is_continued() -> None:
    model = create_model("deeplabv1", num_classes=2, fc7_padded=True, channels=8)
    assert isinstance(model, LargeFOV)
    assert model.minimum_side == 3
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 3, 1, 2)).shape == (1, 2, 1, 2)


@pytest.mark.skipif(
    not (MODELS / "manifests" / "seed_deconvnet.json").is_file(), reason=f"no manifests here ({MODELS} is absent)"
)
@pytest.mark.parametrize(
    ("name", "family"), [("seed_deconvnet", "deconvnet_listing"), ("seed_deeplabv1_vgg16", "large_fov_listing")]
)
def test_published_keys_are_recognised_and_complete(name: str, family: str) -> None:
    wanted = manifest(name)
    checkpoint = Checkpoint(Path(f"{name}.pth"), {key: torch.empty(shape, device="meta") for key, shape, _ in wanted["keys"]})
    found = recognise(checkpoint)
    assert found.family.name == family
    with torch.device("meta"):
        model = found.variant.build()
    used = {found.variant.rules(key) for key in model.state_dict()}
    assert used == {key for key, _, _ in wanted["keys"]}
    assert count_parameters(model) == wanted["params"]
