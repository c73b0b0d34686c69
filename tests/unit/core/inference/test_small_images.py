"""Images below a network's smallest side are continued, on every path, and get the labels of ``model(x)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deeplab_core.inference import Predictor
from deeplab_core.inference.geometry import frame_for
from deeplab_core.inference.network import plan_axis
from deeplab_core.inference.receptive_field import receptive_field
from deeplab_core.inference.torch_network import Canvas
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.records import ModelCard, PredictOptions, Preprocessing
from deeplab_core.weights.families.vainf import XCEPTION_OPTIONS

SIZES = ((1, 1), (2, 3), (1, 40), (3, 3), (7, 5), (33, 31))


def settled(model: SegmentationModel) -> SegmentationModel:
    """Random weights with running statistics that were measured, so that scores are of ordinary size."""
    torch.manual_seed(0)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.9
    side = max(65, model.minimum_side + 16)
    with torch.no_grad():
        model(torch.randn(2, model.in_channels, side, side))
    return model.eval()


def card_of(model: SegmentationModel, **preprocessing: Any) -> ModelCard:
    return ModelCard(
        id="small", name="small", architecture={}, catalog=numbered_catalog(model.num_classes),
        preprocessing=Preprocessing(**preprocessing), align_corners=model.align_corners, output_stride=model.output_stride,
    )  # fmt: skip


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_network(model: SegmentationModel, rgb: np.ndarray, card: ModelCard) -> Tensor:
    """(C, H, W) probabilities of the network called as it is."""
    pre = card.preprocessing
    x = (torch.from_numpy(rgb).float() - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    with torch.inference_mode():
        return model(x.permute(2, 0, 1)[None])[0].softmax(0)


def networks() -> Iterator[Any]:
    makers: dict[str, Callable[[], SegmentationModel]] = {
        # VainF's MobileNetV2: an unpadded first convolution of three pixels
        "vainf_mobilenet": lambda: create_model(
            "deeplabv3plus", backbone="mobilenet_v2", num_classes=8, backbone_options={"stem_padding": 0}
        ),
        "milesial_unet": lambda: create_model("unet", num_classes=3, upsampling="bilinear", width=4),
        "fc_densenet": lambda: create_model("fc_densenet", backbone="fc_densenet56", num_classes=3),
        "xception": lambda: create_model(
            "deeplabv3plus", backbone="xception", num_classes=3, output_stride=16, backbone_options=XCEPTION_OPTIONS
        ),
        "multi_scale": lambda: create_model(
            "deeplabv3plus", backbone="mobilenet_v2", num_classes=4, multi_scale=(0.5,), backbone_options={"stem_padding": 0}
        ),
    }
    for name, make in makers.items():
        yield pytest.param(make, id=name)


@pytest.mark.parametrize("make", list(networks()))
def test_small_images_get_the_labels_of_the_network(make: Callable[[], SegmentationModel]) -> None:
    model = settled(make())
    assert model.minimum_side > 1
    card = card_of(model, pad_value=(0.0, 0.0, 0.0))  # what is continued is the picture, not the card's padding
    predictor = Predictor(model, card, device="cpu")
    for size in (*SIZES, (model.minimum_side - 1, model.minimum_side + 9)):
        rgb = picture(*size)
        expected = by_network(model, rgb, card)
        top = expected.sort(0).values
        clear = (top[-1] - top[-2] > 0.02).numpy()
        found = predictor(rgb)
        assert found.labels.shape == size
        np.testing.assert_array_equal(found.labels[clear], expected.argmax(0).numpy()[clear])
        assert np.abs(found.confidence - 255 * top[-1].numpy()).max() < 3


@pytest.mark.parametrize("size", SIZES)
def test_scales_mirror_and_tiles_take_them_too(size: tuple[int, int]) -> None:
    model = settled(create_model("unet", num_classes=3, upsampling="bilinear", width=4))
    predictor = Predictor(model, card_of(model), device="cpu")
    for options in (
        PredictOptions(scales=(0.5, 1.0, 1.5), flip=True),
        PredictOptions(tile=16, overlap=0),
        PredictOptions(resize="long_side:7"),
        PredictOptions(resize="stretch:2x50", tile=8),
    ):
        assert predictor(picture(*size), options=options).labels.shape == size


@pytest.mark.parametrize("length", [64, 65, 70, 97, 130])
@pytest.mark.parametrize("least", [1, 16, 33, 48])
def test_no_tile_is_shorter_than_the_network_takes(length: int, least: int) -> None:
    for tile, margin, quantum, rest in ((16, 0, 16, 0), (32, 8, 8, 1), (32, 16, 16, 0)):
        spans = plan_axis(length, tile, margin, quantum, rest, least)
        assert all(span.length >= least and span.start % quantum == 0 for span in spans)
        assert [span.core_start for span in spans[1:]] == [span.core_stop for span in spans[:-1]]
        assert (spans[0].core_start, spans[-1].core_stop) == (0, length)
        assert all(span.start <= span.core_start and span.core_stop <= span.stop <= length for span in spans)


def test_a_last_tile_that_would_be_too_short_gets_more_context() -> None:
    model = settled(create_model("unet", num_classes=3, upsampling="bilinear", width=4))
    predictor = Predictor(model, card_of(model), device="cpu")
    rgb = picture(16 * 7 + 2, 40)  # the last tile would be 2 px high
    tiled = predictor(rgb, options=PredictOptions(tile=16 * 3, overlap=16))
    assert tiled.report.tiles > 1
    assert tiled.labels.shape == rgb.shape[:2]


def test_padding_of_the_card_comes_before_the_continuation() -> None:
    frame = frame_for((5, 9), Preprocessing(padding="multiple:8"), align_corners=False, minimum_side=32)
    assert (frame.scaled, frame.content, frame.canvas) == ((5, 9), (8, 16), (32, 32))
    assert frame_for((40, 50), Preprocessing(), align_corners=False, minimum_side=32).content is None
    pre = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, pad_value=(9.0,) * 3)
    canvas = Canvas(np.full((5, 9, 3), 3, np.uint8), pre, torch.device("cpu"), frame.content)
    whole = canvas.window(0, 0, 32, 32)[0, 0]
    assert (whole[:5, :9] == 3).all()
    assert (whole[5:] == 9).all()
    assert (whole[:, 9:] == 9).all()
    again = Canvas(np.full((5, 9, 3), 3, np.uint8), pre, torch.device("cpu"), (5, 9)).window(0, 4, 12, 12)[0, 0]
    assert (again == 3).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 60), (10, 40)])
def test_a_receptive_field_of_a_small_image(size: tuple[int, int]) -> None:
    model = settled(create_model("unet", num_classes=1, upsampling="bilinear", width=4))
    card = replace(card_of(model), preprocessing=Preprocessing())
    found = receptive_field(Predictor(model, card, device="cpu"), picture(*size), size[1] - 1, size[0] - 1)
    assert found.gradient.shape == size
    assert found.class_id in (0, 1)
