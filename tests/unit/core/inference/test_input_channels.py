"""Networks of one input channel see the luminance, those of four the file's fourth channel; others are refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import Tensor

from deeplab_core.errors import ImageReadError, WeightsError
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.inference.pixels import resize_rgb, to_network_channels
from deeplab_core.model_cards import preprocessing_for
from deeplab_core.nn import SegmentationModel, create_model
from deeplab_core.nn.factory import first_convolution
from deeplab_core.records import ModelCard, PredictOptions, Preprocessing
from deeplab_core.weights import load_model, read_card, save_model
from tests.unit.core.inference.networks import photograph
from tests.unit.core.inference.test_small_images import settled
from tests.unit.core.weights.peers import filled_state, have_cases

#: Peers' key patterns with the first convolution in different places.
PEERS = ("smp_DeepLabV3Plus_mobilenet_v2", "smp_Unet_resnet34", "vainf_deeplabv3plus_mobilenet", "jfzhang95_deeplab_mobilenet")

FORMS: dict[str, Callable[..., SegmentationModel]] = {
    "deeplabv3plus resnet18": lambda **o: create_model("deeplabv3plus", backbone="resnet18", num_classes=3, **o),
    "mobilenet_v2": lambda **o: create_model("deeplabv3", backbone="mobilenet_v2", num_classes=3, **o),
    "xception": lambda **o: create_model("deeplabv3plus", backbone="xception", num_classes=3, **o),
    "unet": lambda **o: create_model("unet", num_classes=3, width=4, **o),
    "fcn": lambda **o: create_model("fcn", backbone="resnet18", num_classes=3, **o),
    "lraspp": lambda **o: create_model("lraspp", num_classes=3, **o),
    "multi_scale": lambda **o: create_model("deeplabv3plus", backbone="resnet18", num_classes=3, multi_scale=(0.5,), **o),
}


def card(catalog_of: SegmentationModel, preprocessing: Preprocessing | None = None) -> ModelCard:
    from deeplab_core.model_cards import numbered_catalog

    catalog = numbered_catalog(catalog_of.num_classes)
    return ModelCard(
        id="", name="net", architecture={}, catalog=catalog, preprocessing=preprocessing or Preprocessing(),
        align_corners=catalog_of.align_corners, output_stride=catalog_of.output_stride,
    )  # fmt: skip


def by_network(model: SegmentationModel, planes: np.ndarray, pre: Preprocessing) -> Tensor:
    x = (torch.from_numpy(planes).float() - torch.tensor(pre.mean)) / torch.tensor(pre.std)
    with torch.inference_mode():
        return model(x.permute(2, 0, 1)[None])[0].softmax(0)


def assert_same(labels: np.ndarray, expected: Tensor) -> None:
    top = expected.sort(0).values
    clear = (top[-1] - top[-2] > 0.02).numpy()
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(labels[clear], expected.argmax(0).numpy()[clear])


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", FORMS)
def test_every_network_takes_other_channels(name: str, channels: int, tmp_path: Path) -> None:
    model = settled(FORMS[name](in_channels=channels))
    assert model.in_channels == channels
    rng = np.random.default_rng(1)
    pixels = np.dstack([photograph(65, 97), rng.integers(0, 256, (65, 97), dtype=np.uint8)])
    pixels = pixels if channels == 4 else pixels[..., :3]
    stored = save_model(tmp_path / "net.safetensors", model, card(model))
    again, loaded = load_model(tmp_path / "net.safetensors")
    assert again.in_channels == channels
    assert loaded == stored
    assert loaded.preprocessing.channels == channels
    assert "preprocessing" in loaded.guessed
    planes = pixels if channels == 4 else np.array(Image.fromarray(pixels).convert("L"))[..., None]
    assert_same(Predictor(again, loaded, device="cpu")(pixels).labels, by_network(model, planes, loaded.preprocessing))


def torchvision_state() -> dict[str, Tensor]:
    """A small state dict with torchvision's keys: the dilated FCN over ResNet-18."""
    torch.manual_seed(1)
    names = {"head.conv.conv": "classifier.0", "head.conv.norm": "classifier.1", "head.classifier": "classifier.4"}
    state = {}
    for key, value in create_model("fcn", backbone="resnet18", num_classes=21).state_dict().items():
        found = next((old for old in names if key.startswith(old)), None)
        state["backbone." + key.removeprefix("encoder.") if found is None else key.replace(found, names[found])] = value
    return state


def check_first_convolution(state: dict[str, Tensor], channels: int, path: Path) -> None:
    keys = [key for key, value in state.items() if value.ndim == 4 and value.shape[1] == 3]  # some files name it twice
    key = keys[0]
    state |= dict.fromkeys(keys, torch.randn(state[key].shape[0], channels, *state[key].shape[2:]))
    torch.save(state, path)
    model, found = load_model(path)
    assert model.in_channels == channels
    assert read_card(path).preprocessing == found.preprocessing
    assert torch.equal(model.state_dict()[f"{first_convolution_of(model)}.weight"], state[key])
    assert found.preprocessing.channel_order == {1: "gray", 4: "RGBA"}[channels]


@pytest.mark.parametrize("channels", [1, 4])
def test_a_peers_first_convolution_says_how_many(channels: int, tmp_path: Path) -> None:
    check_first_convolution(torchvision_state(), channels, tmp_path / "peer.pth")


@pytest.mark.parametrize("channels", [2, 6])
def test_numbers_of_channels_that_no_image_has_are_named(channels: int, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"takes {channels} channels"):
        check_first_convolution(torchvision_state(), channels, tmp_path / "peer.pth")


@pytest.mark.skipif(not have_cases(), reason="the manifests of ../shared/research are not there")
@pytest.mark.parametrize(("name", "channels"), list(zip(PEERS, (1, 4, 1, 4), strict=True)))
def test_genuine_peers_of_other_channels(name: str, channels: int, tmp_path: Path) -> None:
    check_first_convolution(filled_state(name), channels, tmp_path / "peer.pth")


def first_convolution_of(model: SegmentationModel) -> str:
    channels, model.in_channels = model.in_channels, 3
    try:
        return next(
            name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Conv2d) and layer.in_channels == channels
        )
    finally:
        model.in_channels = channels


def test_the_luminance_is_pillows_to_the_bit() -> None:
    values = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    values[:16, :16] = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    gray = to_network_channels(values, "gray")
    np.testing.assert_array_equal(gray[..., 0], np.asarray(Image.fromarray(values).convert("L")))
    np.testing.assert_array_equal(gray[:16, :16, 0], np.arange(256, dtype=np.uint8).reshape(16, 16))


def test_preprocessing_of_gray_is_that_of_the_luminance() -> None:
    usual = Preprocessing()
    gray = preprocessing_for(usual, 1)
    assert gray.mean == pytest.approx((0.299 * 123.675 + 0.587 * 116.28 + 0.114 * 103.53,), abs=1e-3)
    reversed_order = Preprocessing(channel_order="BGR", mean=usual.mean[::-1], std=usual.std[::-1], pad_value=usual.mean[::-1])
    assert preprocessing_for(reversed_order, 1) == gray
    four = preprocessing_for(usual, 4)
    assert four.mean[:3] == usual.mean
    assert len(four.std) == len(four.pad_value) == 4
    with pytest.raises(WeightsError, match="takes 6 channels"):
        preprocessing_for(usual, 6)


@pytest.mark.parametrize("change", [{"mean": [1.0]}, {"channel_order": "gray"}, {"channel_order": "CMYK"}])
def test_cards_whose_numbers_do_not_fit_their_channels_are_refused(change: dict[str, Any]) -> None:
    data = card(create_model("unet", num_classes=2, width=2)).to_dict()
    data["preprocessing"] |= change
    with pytest.raises(WeightsError, match=r"hold three numbers|hold one number|is one of RGB"):
        ModelCard.from_dict(data)


def test_a_network_of_four_channels_refuses_images_of_three_in_plain_words() -> None:
    model = settled(create_model("unet", num_classes=2, width=2, in_channels=4))
    with pytest.raises(ImageReadError, match="takes 4 channels; this image has 3"):
        Predictor(model, card(model), device="cpu")(photograph(32, 32))
    crf = Predictor(model, card(model), device="cpu")(np.zeros((32, 32, 4), np.uint8), options=PredictOptions(flip=True))
    assert crf.labels.shape == (32, 32)


def test_two_layers_that_read_the_image_are_refused() -> None:
    model = create_model("unet", num_classes=2, width=2)
    model.second = torch.nn.Conv2d(3, 2, 1)
    with pytest.raises(Exception, match="several of its layers"):
        first_convolution(model)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["png", "tif", "webp", "png16", "tif16"])
def test_the_fourth_channel_is_the_files_own(kind: str, orientation: int, tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    path = tmp_path / f"four.{kind[:3] if kind != 'webp' else kind}"
    wide = values.astype(np.uint16) * 257
    if kind == "png16":
        import cv2

        assert cv2.imwrite(str(path), wide[..., [2, 1, 0, 3]])
    elif kind.startswith("tif"):
        extra = [(274, "H", 1, orientation, True)] if orientation != 1 else []
        tifffile.imwrite(
            path, wide if kind == "tif16" else values, photometric="rgb", extrasamples=["unspecified"], extratags=extra
        )
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        lossless = {"lossless": True, "exact": True} if kind == "webp" else {}
        Image.fromarray(values).save(path, exif=exif, **lossless)
    data = read_image(path, fourth=True)
    turned = data.info.orientation != 1
    expected = np.rot90(values, -1) if turned else values
    np.testing.assert_array_equal(data.pixels(4), expected)
    np.testing.assert_array_equal(data.pixels(3), expected[..., :3])
    assert read_image(path).four is None
    with pytest.raises(ImageReadError, match="has 3") as caught:
        read_image(path).pixels(4)
    assert caught.value.path == path


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P"])
def test_files_without_a_fourth_channel_are_named(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "three.tif"
    Image.new("RGB", (8, 8), (10, 20, 30)).convert(mode).save(path)
    with pytest.raises(ImageReadError, match="takes 4 channels; this image has 3") as caught:
        read_image(path, fourth=True).pixels(4)
    assert caught.value.path == path


def test_resizing_does_not_weigh_colours_by_the_fourth_channel() -> None:
    values = np.dstack([photograph(40, 60), np.zeros((40, 60), np.uint8)])
    small = resize_rgb(values, (20, 30))
    np.testing.assert_array_equal(small[..., :3], resize_rgb(np.ascontiguousarray(values[..., :3]), (20, 30)))
    assert not small[..., 3].any()
