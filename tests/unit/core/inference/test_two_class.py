"""Networks of one channel are two-class (sigmoid) networks: object where the logit is above 0, or above that of the threshold."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.inference import Predictor
from deeplab_core.model_cards import OBJECT_CATALOG, numbered_catalog, settled_card
from deeplab_core.nn import class_logits, create_model
from deeplab_core.records import CRFParams, ModelCard, PredictOptions, Preprocessing
from deeplab_core.refine import ProbabilitySource
from deeplab_core.training.losses import VOID, pixel_loss
from deeplab_core.training.recipe import Recipe
from deeplab_core.weights import load_model, read_card, save_model
from tests.unit.core.inference.networks import TinyNet, card, photograph

SQUARE = ClassCatalog("two", "Two", (ClassInfo(0, "ground", (0, 0, 0)), ClassInfo(7, "square", (255, 0, 0))), background=0)


def one_channel(**options: bool) -> TinyNet:
    return TinyNet(classes=1, **options)


def two_class_card(catalog: ClassCatalog = SQUARE, **preprocessing: object) -> ModelCard:
    return replace(card(2, **preprocessing), catalog=catalog)


def logits_of(model: TinyNet, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    usual = Preprocessing()
    x = (rgb - np.float32(usual.mean)) / np.float32(usual.std)
    with torch.inference_mode():
        return model(torch.from_numpy(x.transpose(2, 0, 1)[None].astype(np.float32)))[0, 0].numpy()


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.5, 0.05, 0.3, 0.9])
def test_a_pixel_is_the_object_where_its_probability_is_above_the_threshold(threshold: float | None, align_corners: bool) -> None:
    model, rgb = one_channel(align_corners=align_corners), photograph(90, 70)
    z = logits_of(model, rgb)
    found = Predictor(model, two_class_card())(rgb, options=PredictOptions(threshold=threshold))
    bar = math.log((threshold or 0.5) / (1 - (threshold or 0.5)))
    clear = np.abs(z - bar) > 0.02  # scores are kept in half precision
    assert 0.05 < (z > bar).mean() < 0.95, "the picture must hold both classes"
    assert clear.mean() > 0.97
    np.testing.assert_array_equal(found.labels[clear], np.where(z > bar, 7, 0)[clear])
    assert found.options.threshold == (threshold or 0.5)
    p = 1 / (1 + np.exp(-z.astype(np.float64)))
    of_label = np.where(found.labels == 7, p, 1 - p)
    assert np.abs(found.confidence / 255 - of_label).max() < 0.006
    assert len(np.unique(found.confidence)) > 20


def test_scales_and_mirror_average_probabilities() -> None:
    model, rgb = one_channel(), photograph(64, 96)
    predictor = Predictor(model, two_class_card())
    scores = predictor.scores(rgb, options=PredictOptions(flip=True, scales=(0.75, 1.0)))
    p = scores.probabilities()
    assert p.shape == (2, 64, 96)
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-5)
    singles = [
        predictor.scores(rgb[:, ::-1] if mirrored else rgb, options=PredictOptions(scales=(scale,))).probabilities()[1]
        for scale in (0.75, 1.0)
        for mirrored in (False, True)
    ]
    turned = [single[:, ::-1] if number % 2 else single for number, single in enumerate(singles)]
    np.testing.assert_allclose(p[1], np.mean(turned, axis=0), atol=2e-3)
    for threshold in (0.5, 0.2):
        labels, _ = scores.label_map(threshold)
        np.testing.assert_array_equal(labels, np.where(p[1] > np.float32(threshold), 7, 0))


def test_tiles_agree_with_the_whole_image() -> None:
    model, rgb = one_channel(), photograph(200, 260)
    predictor = Predictor(model, two_class_card())
    whole, tiled = predictor(rgb), predictor(rgb, options=PredictOptions(tile=64, overlap=40))
    assert tiled.report.tiles > 4
    assert (whole.labels == tiled.labels).mean() > 0.999


def test_a_crf_starts_from_odds_that_are_even_at_the_threshold() -> None:
    model, rgb = one_channel(), photograph(60, 60)
    predictor = Predictor(model, two_class_card())
    scores = predictor.scores(rgb)
    for threshold in (0.5, 0.2, 0.9):
        source = ProbabilitySource.of_scores(scores.weighed(threshold))
        strip = source.read(0, 60)
        assert source.classes == 2
        np.testing.assert_array_equal(strip[1] > strip[0], scores.label_map(threshold)[0] == 7)
    gentle = CRFParams(gaussian_compat=1e-6, bilateral_compat=0.0, iterations=1)
    refined = predictor(rgb, options=PredictOptions(crf=gentle, threshold=0.2))
    plain = predictor(rgb, options=PredictOptions(threshold=0.2))
    assert (refined.labels == plain.labels).mean() > 0.995
    few = predictor(rgb, options=PredictOptions(crf=CRFParams(iterations=3), threshold=0.9)).labels
    many = predictor(rgb, options=PredictOptions(crf=CRFParams(iterations=3), threshold=0.1)).labels
    assert (few == 7).sum() < (many == 7).sum()


def test_uncertainty_is_largest_at_the_threshold() -> None:
    model, rgb = one_channel(), photograph(80, 80)
    predictor = Predictor(model, two_class_card())
    uncertainty = predictor(rgb).uncertainty
    assert 0 < uncertainty["margin"] < 1
    assert 0 < uncertainty["entropy"] < 1
    assert predictor(rgb, options=PredictOptions(threshold=0.2)).uncertainty != uncertainty


def test_a_threshold_needs_a_network_of_one_channel_and_a_probability() -> None:
    rgb = photograph(40, 40)
    with pytest.raises(AtrousError, match="takes no threshold"):
        Predictor(TinyNet(), card())(rgb, options=PredictOptions(threshold=0.4))
    predictor = Predictor(one_channel(), two_class_card())
    for wrong in (0.0, 1.0, -1.0, float("nan"), 2.0):
        with pytest.raises(AtrousError, match="threshold"):
            predictor(rgb, options=PredictOptions(threshold=wrong))


def test_the_threshold_is_part_of_the_key_of_a_prediction_and_older_keys_stay() -> None:
    plain = PredictOptions()
    assert plain.cache_key() == "01414ee09d7f3049"
    assert len({PredictOptions(threshold=value).cache_key() for value in (None, 0.4, 0.5)}) == 3


def test_the_card_decides_where_the_user_does_not(tmp_path: Path) -> None:
    model, rgb = one_channel(), photograph(60, 60)
    strict = Predictor(model, replace(two_class_card(), threshold=0.9))
    assert strict(rgb).options.threshold == 0.9
    assert (strict(rgb).labels == 7).sum() < (Predictor(model, two_class_card())(rgb).labels == 7).sum()


def network_file(tmp_path: Path, card: ModelCard) -> Path:
    model = create_model("deeplabv3plus", backbone="resnet18", num_classes=1)
    path = tmp_path / "net.safetensors"
    save_model(path, model, card)
    return path


def plain_card(catalog: ClassCatalog, **values: object) -> ModelCard:
    return ModelCard(id="", name="net", architecture={}, catalog=catalog, **values)  # type: ignore[arg-type]


def test_a_file_of_one_channel_opens_as_two_classes_with_a_threshold(tmp_path: Path) -> None:
    path = network_file(tmp_path, plain_card(numbered_catalog(1)))
    model, card = load_model(path)
    assert (model.num_classes, model.label_count, model.sigmoid) == (1, 2, True)
    assert card.catalog == OBJECT_CATALOG
    assert card.threshold == 0.5
    assert read_card(path) == card
    assert ModelCard.from_dict(card.to_dict()) == card


def test_the_name_of_the_object_alone_gets_a_background() -> None:
    only = ClassCatalog("square", "Square", (ClassInfo(3, "square", (1, 2, 3)),))
    settled = settled_card(plain_card(only), 1)
    assert settled.catalog.names == ("background", "square")
    assert list(settled.catalog.ids) == [0, 3]
    assert settled.catalog.background == 0
    with pytest.raises(WeightsError, match="lists one class"):
        settled_card(plain_card(ClassCatalog("square", "Square", (ClassInfo(0, "square", (1, 2, 3)),))), 1)


def test_cards_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WeightsError, match="lists 3 classes, the network has 2"):
        settled_card(plain_card(numbered_catalog(3)), 1)
    with pytest.raises(WeightsError, match="has a threshold"):
        settled_card(plain_card(numbered_catalog(3), threshold=0.5), 3)
    for wrong in (0, 1, "0.5", True, float("nan")):
        data = plain_card(SQUARE).to_dict() | {"threshold": wrong}
        with pytest.raises(WeightsError, match="threshold"):
            ModelCard.from_dict(data)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "ohem", "top_k"])
def test_every_loss_of_one_channel_is_that_of_two_with_a_score_of_0(loss: str) -> None:
    torch.manual_seed(0)
    z, labels = torch.randn(2, 1, 6, 5) * 3, torch.randint(0, 2, (2, 6, 5))
    labels[0, :2] = VOID
    recipe, weights = Recipe(loss=loss), torch.tensor([1.0, 3.0])  # type: ignore[arg-type]
    one = pixel_loss(z, labels, recipe, weights)
    two = pixel_loss(torch.cat((torch.zeros_like(z), z), 1), labels, recipe, weights)
    assert torch.equal(torch.stack(one), torch.stack(two))
    if loss == "cross_entropy":
        known = labels != VOID
        bce = torch.nn.functional.binary_cross_entropy_with_logits(
            z[:, 0][known], labels[known].float(), pos_weight=weights[1], reduction="sum"
        )
        torch.testing.assert_close(one[0], bce)


def test_class_logits_leave_several_channels_alone() -> None:
    x = torch.randn(1, 3, 2, 2)
    assert class_logits(x) is x
    z = torch.randn(1, 1, 2, 2)
    torch.testing.assert_close(torch.softmax(class_logits(z), 1)[:, 1:], torch.sigmoid(z))
